"""Galaxy: its images, its observed spectrum, and the one predicted from the images."""

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui import galaxy, galaxy_files, galaxy_line_box, galaxy_panels, galaxy_pins, galaxy_plot, galaxy_redshift
from galspec.ui.boot import boot
from galspec.ui.cache import current_survey, has_galaxy
from galspec.ui.galaxy_curves import comparison, needs_model
from galspec.ui.galaxy_scores import percentile_line
from galspec.ui.galaxy_state import read_plot_state, read_view, write_url
from galspec.ui.verdict_panel import verdict_row

boot()

try:
    survey = current_survey()
    view, problems = read_view(survey)
except GalspecError as error:
    st.error(str(error))
    st.stop()

if not has_galaxy(survey, view.galaxy_id):
    galaxy.unknown_galaxy(survey, view)
    st.stop()

values = survey.catalog.iloc[survey.row(view.galaxy_id)].to_dict()
problems += read_plot_state(view.is_linked)
frame, found = galaxy_redshift.read_frame(view.is_linked, view.galaxy_id, float(values["redshift"]))
problems += [*found, *galaxy_line_box.read_custom_lines(view.is_linked), *galaxy_pins.read_pins(view.is_linked, survey)]
for problem in problems:
    st.warning(problem)
galaxy.title_line(survey, view)

with st.container(key="galaxy_top"):
    left, right = st.columns([1, 3], gap="small")
with right, st.container(gap="xsmall"):
    galaxy_plot.plot_controls(frame, view.galaxy_id)
    is_slow = needs_model(survey, view.galaxy_id)
    with st.spinner("Loading the model (once per start) …", show_time=True) if is_slow else st.container():
        curves = comparison(survey, view.galaxy_id)
    for problem in curves.problems:
        st.error(problem)
    galaxy_plot.spectrum_panel(survey, curves, values, frame)
    galaxy.numbers(curves)
    percentile_line(survey, view.galaxy_id)
with left, st.container(key="galaxy_images"):
    galaxy.image_panel(survey, view)  # rendered while the browser draws the plot

verdict_row(survey.name, view.galaxy_id)
panel = galaxy_panels.panel_choice()
if panel == "measured":
    galaxy_panels.measured_panel(survey, curves, values)
elif panel == "similar":
    galaxy_panels.similar_panel(survey, view.galaxy_id)

left, right = st.columns([2, 1], gap="medium")
with left:
    galaxy.tables(survey, values)
    galaxy_files.links_row(survey, values)
with right:
    galaxy.latents(survey, curves)
    galaxy_files.downloads(survey, curves, values)
write_url(view, galaxy_redshift.frame_url(frame) | galaxy_line_box.lines_url() | galaxy_pins.pins_url())
galaxy.prepare_neighbours(survey, view)

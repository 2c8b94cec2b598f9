"""Galaxy: its images, its observed spectrum, and the one predicted from the images."""

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui import galaxy, galaxy_files, galaxy_panels
from galspec.ui.boot import boot
from galspec.ui.cache import comparison, current_survey, has_galaxy
from galspec.ui.galaxy_state import read_plot_state, read_view, write_url
from galspec.ui.models import is_loaded
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
for problem in [*problems, *read_plot_state(view.is_linked)]:
    st.warning(problem)
galaxy.title_line(survey, view)

left, right = st.columns([1, 3], gap="small")
with left:
    galaxy.image_panel(survey, view)
with right:
    galaxy.plot_controls()
    with st.spinner("Loading the model (once per start) …", show_time=True) if not is_loaded() else st.container():
        curves = comparison(survey, view.galaxy_id)
    for problem in curves.problems:
        st.error(problem)
    galaxy.spectrum_panel(survey, curves, values)
    galaxy.numbers(curves)

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
    galaxy.latents(curves)
    galaxy_files.downloads(survey, curves, values)
write_url(view)

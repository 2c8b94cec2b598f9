"""Latents: move through the six numbers between image and spectrum, and see the spectrum change."""

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui import latent_files, latent_map, latent_page, latent_panels
from galspec.ui import latent_state as state
from galspec.ui.boot import boot
from galspec.ui.cache import current_survey
from galspec.ui.latent_source import read_source

boot()

try:
    survey = current_survey()
except GalspecError as error:
    st.error(str(error))
    st.caption("Start the app with `--survey DIR` to show another survey folder.")
    st.stop()
try:
    source = read_source(survey)
except GalspecError as error:
    latent_page.no_model(survey, str(error))
    st.stop()

problems = state.read_view(source)
latent_page.title_line(source)
start, words, problem = latent_page.start_latents(source)
target, no_target = latent_page.target_latents(source)
for text in [*problems, *([f"{problem} The sliders start at the mean."] if problem else []), no_target]:
    if text:
        st.warning(text)
latent = state.place_sliders(start)[0]
if state.current_view().is_plain:
    latent_page.plain_sliders(source, start, words, target)
else:
    latent_page.live_sliders(source, start, words, target)
panel = latent_page.panel_choice()
if panel == "nearest":
    latent_panels.nearest_panel(source, latent)
elif panel == "map":
    latent_map.map_panel(source, latent)
elif panel == "traverse":
    latent_panels.traverse_panel(source, latent)
elif panel == "meaning":
    latent_panels.meaning_panel(source)
elif panel == "files":
    latent_files.files_panel(source, latent)
latent_page.notes(source, panel)
state.write_url(start)

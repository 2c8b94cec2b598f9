"""Home: what this is, a live example, what it cannot do, the state of the installation, what to cite."""

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui import home
from galspec.ui.boot import boot
from galspec.ui.cache import current_survey
from galspec.ui.method import method
from galspec.ui.models import warm_up
from galspec.ui.preload import preload_plots
from galspec.ui.stored_scores import stored_predictions

boot()
preload_plots(after="home_state")

survey, no_survey = None, ""
try:
    survey = current_survey()
except GalspecError as error:
    no_survey = str(error)

stored = stored_predictions(survey)
problem = home.read_seed()
home.title_line(survey)
if no_survey:
    home.no_survey(no_survey)
if problem:
    st.warning(problem)
example = st.container()
left, right = st.columns([1, 1], gap="medium")
with left:
    home.limits_box(survey, stored)
with right, st.container(key="home_state"):
    home.state_cards(survey, stored)
method()
citations = st.container()
# The text is on its way to the browser; image and plot take longer.
if survey is not None:
    with example:
        home.example(survey, stored)
with citations:
    home.citations()  # last: its code blocks make the browser load a highlighter, a third of Plotly's size
if survey is not None:
    warm_up(survey)

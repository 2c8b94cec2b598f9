"""Browse: filter the survey, look at its galaxies, open one."""

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui.boot import boot
from galspec.ui.browse import card_pages, filter_panel, read_state, title_line
from galspec.ui.cache import current_survey
from galspec.ui.models import warm_up

boot()

try:
    survey = current_survey()
except GalspecError as error:
    st.error(str(error))
    st.caption("Start the app with `--survey DIR` to show another survey folder.")
    st.stop()

for problem in read_state(survey):
    st.warning(problem)
query = filter_panel(survey)
rows = query.rows(survey.catalog)
title_line(survey, len(rows))
card_pages(survey, rows, query)
warm_up(survey)

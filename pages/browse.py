"""Browse: filter the survey, look at its galaxies, open one."""

from functools import partial

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui import browse, browse_lists, browse_table
from galspec.ui import browse_state as state
from galspec.ui.boot import boot
from galspec.ui.browse_filters import filter_panel
from galspec.ui.cache import current_survey
from galspec.ui.keys import page_keys
from galspec.ui.models import warm_up
from galspec.ui.scored_catalog import scored_catalog

boot()
browse.go_to_opened()

try:
    survey = current_survey()
    catalog = scored_catalog(survey)
except GalspecError as error:
    st.error(str(error))
    st.caption("Start the app with `--survey DIR` to show another survey folder.")
    st.stop()

problems = state.read_state(catalog.frame)
query = filter_panel(catalog.frame)
rows = query.rows(catalog.frame)
page, n_pages = state.page_of(rows)
page_rows = rows[(page - 1) * state.look().per_page : page * state.look().per_page]

browse.title_line(survey, catalog, len(rows))
problems += browse.tool_line(survey, catalog, query, rows, page_rows)
for problem in dict.fromkeys([*problems, *query.ignored(catalog.frame), browse_lists.list_problem()]):
    if problem:
        st.warning(problem)
browse.selection_line(catalog, partial(browse_lists.narrow, catalog.frame, state.selected(), "selected on Browse"))
browse.undo_line()

if not len(rows):
    browse.nothing_found(catalog, query)
elif state.current_view() == "table":
    browse_table.table_page(survey, catalog, page_rows, query, page)
elif state.current_view() == "plot":
    from galspec.ui.browse_plot import plot_page  # Plotly's import would delay the first cards

    plot_page(survey, catalog, rows)
else:
    browse.card_page(survey, catalog, page_rows, query)
if len(rows) and state.current_view() != "plot":
    browse.page_line(rows, page, n_pages)
words = [browse_lists.list_words(query), catalog.problem]
if any(words):
    st.caption(" ".join(word for word in words if word))
page_keys(focus={"f": state.TEXT}, following={"l": state.VIEW})
state.write_url(query, page)
warm_up(survey)

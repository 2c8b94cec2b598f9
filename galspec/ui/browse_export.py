"""Galaxies of Browse as a file: this page, all that pass the filters, or the selected ones."""

from functools import partial
from typing import Final
from urllib.parse import urlencode

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.table_file import FORMATS, write_table
from galspec.store.catalog_columns import galaxy_columns, galaxy_facts
from galspec.store.survey import Survey
from galspec.ui import browse_state as state
from galspec.ui.browse_table import shown_columns
from galspec.ui.query import Query
from galspec.ui.scored_catalog import ScoredCatalog

_WHICH: Final = "browse_export_which"
_CHOICES: Final = {"page": "This page", "found": "All that pass", "selected": "Selected"}


def export_panel(
    survey: Survey, catalog: ScoredCatalog, rows: NDArray[np.int64], page_rows: NDArray[np.int64], query: Query
) -> None:
    """Draw the choice of galaxies and a button for each format; a file is made when its button is pressed."""
    chosen = state.selected()
    is_chosen = catalog.frame["id"].isin(chosen).to_numpy(dtype=bool) if chosen else np.zeros(len(catalog.frame), bool)
    galaxies = {"page": page_rows, "found": rows, "selected": np.flatnonzero(is_chosen)}
    which = st.segmented_control(
        "Galaxies", list(_CHOICES), format_func=lambda key: _CHOICES[key], default="found", key=_WHICH, required=True
    )
    some = galaxies[str(which)]
    link = (st.context.url or "").split("?")[0]
    make = partial(
        table_file, survey, catalog, some, query, link=f"{link}?{urlencode(query.url)}" if link and query.url else link
    )
    with st.container(horizontal=True, gap="small"):
        for name, (suffix, mime) in FORMATS.items():
            st.download_button(
                f"{len(some):,} galaxies, {name}",
                data=partial(make, file_format=name),
                file_name=f"galspec-{survey.name}-{len(some)}{suffix}",
                mime=mime,
                key=f"browse_export_{name}",
                icon=":material/download:",
                on_click="ignore",
                disabled=not len(some),
            )
    st.caption("Every column of the catalogue, the scores and the verdicts; units, filter, survey and model inside.")


def table_file(
    survey: Survey, catalog: ScoredCatalog, rows: NDArray[np.int64], query: Query, *, link: str, file_format: str
) -> bytes:
    """Return galaxies as the content of a file.

    Parameters
    ----------
    survey : Survey
    catalog : ScoredCatalog
    rows : ndarray of int
        Which galaxies, in which order.
    query : Query
        What made the list, for the file's facts.
    link : str
        Address that shows the same.
    file_format : str
        A key of `galspec.core.table_file.FORMATS`.
    """
    columns = galaxy_columns(catalog.frame, rows, ["id", *shown_columns(catalog.frame)])
    model = catalog.scores.provenance if catalog.scores else None
    facts = galaxy_facts(survey, len(rows), query=query.text, sort=query.sort, link=link, model=model)
    return write_table(columns, facts, file_format)

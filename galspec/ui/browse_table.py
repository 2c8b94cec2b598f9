"""The table of Browse: one row a galaxy, columns of the reader's choice, selection by id."""

from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from galspec.store.catalog_columns import meaning
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import browse_state as state
from galspec.ui.cache import survey_key, thumbnail_uri
from galspec.ui.labels import CLASS_WORDS, class_word
from galspec.ui.query import Query
from galspec.ui.scored_catalog import VECTOR_PREFIX, ScoredCatalog

_COLUMNS: Final = "browse_columns"
_KEPT: Final = "browse_columns_kept"
_OPEN: Final = "browse_table_open"
_DEFAULT: Final = (
    "redshift",
    "mag_r",
    "galaxy_class",
    "bpt_class",
    "latent_rmse",
    "rmse_ratio",
    "novelty",
    "snr_median",
    "split",
    "ra_deg",
    "dec_deg",
    "verdict_score",
)
#: Digits after the point, where two are not right.
_DIGITS: Final = {"redshift": 5, "ra_deg": 6, "dec_deg": 6, "verdict_score": 0, "snr_median": 1, "ew_ha_true": 1}
_ROW_HEIGHT: Final = 44


def shown_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that a table can show: everything but ids and the vectors of likeness."""
    return [name for name in frame.columns if name not in {"id", "has_verdict"} and not name.startswith(VECTOR_PREFIX)]


def table_page(survey: Survey, catalog: ScoredCatalog, rows: NDArray[np.int64], query: Query, page: int) -> None:
    """Draw a page of the table; a button in a row opens the galaxy, a tick selects it."""
    names = _column_choice(catalog.frame)
    shown = catalog.frame.iloc[rows]
    ids = [str(galaxy_id) for galaxy_id in shown["id"]]
    key = survey_key(survey)
    table = pd.DataFrame({"image": [thumbnail_uri(survey, key, row) for row in rows.tolist()], "open": ids})
    separation = query.separation_arcsec(catalog.frame)
    if separation is not None:
        table["separation"] = separation[rows]
    for name in names:
        words = CLASS_WORDS.get(name)
        table[name] = [class_word(name, code) for code in shown[name]] if words else shown[name].to_numpy()
    chosen = set(state.selected())
    # A key of its own for every list, page and change of selection elsewhere: the ticks begin with what is selected.
    widget = f"browse_table_{st.session_state[state.LIST]}_{page}_{st.session_state.get(state.TABLE_TURN, 0)}"
    st.dataframe(
        table,
        key=widget,
        hide_index=True,
        height=min(38 + _ROW_HEIGHT * len(table), 560),
        row_height=_ROW_HEIGHT,
        placeholder="not defined",
        column_config=_column_config(table),
        on_select=lambda: _on_select(widget, ids),
        selection_mode="multi-row",
        selection_default={
            "selection": {"rows": [place for place, one in enumerate(ids) if one in chosen], "columns": [], "cells": []}
        },
        alt=f"{len(ids)} galaxies with {', '.join(table.columns[2:])}.",
    )
    opened = st.session_state.get(_OPEN)
    if opened:
        state.open_galaxy(ids[int(opened["row"])], query)


def _column_choice(frame: pd.DataFrame) -> list[str]:
    possible = shown_columns(frame)
    kept = st.session_state.get(_KEPT, _DEFAULT)
    st.session_state.setdefault(_COLUMNS, [name for name in kept if name in possible])
    with st.popover("Columns", key="browse_columns_popover"):
        chosen = st.multiselect("Columns, in this order", possible, key=_COLUMNS, on_change=address.touch)
    st.session_state[_KEPT] = list(chosen)
    return [str(name) for name in chosen]


def _column_config(table: pd.DataFrame) -> dict[str, Any]:
    config: dict[str, Any] = {
        "image": st.column_config.ImageColumn("", width=52, pinned=True),
        "open": st.column_config.ButtonColumn(
            "id", type="tertiary", pinned=True, key=_OPEN, on_click=address.touch, help="Open the galaxy"
        ),
    }
    for name in table.columns[2:]:
        unit, _, description = ("arcsec", "", "distance from the position") if name == "separation" else meaning(name)
        label = f"{name} [{unit}]" if unit else name
        if pd.api.types.is_numeric_dtype(table[name]):
            config[name] = st.column_config.NumberColumn(label, format=f"%.{_DIGITS.get(name, 2)}f", help=description)
        else:
            config[name] = st.column_config.TextColumn(label, help=description or None)
    return config


def _on_select(widget: str, ids: list[str]) -> None:
    address.touch()
    ticked = st.session_state[widget]["selection"]["rows"]
    state.select_among(ids, [ids[place] for place in ticked if place < len(ids)])

"""Lists of galaxies on Browse: from a selection, from a target list, and what was not found of it."""

import csv
import dataclasses
import io
from typing import Final

import pandas as pd
import streamlit as st

from galspec.core.errors import GalspecError
from galspec.core.filters import Listed, parts_of
from galspec.store.id_lists import read_ids, save_ids
from galspec.store.targets import (
    MAX_BYTES,
    TABLE_FORMATS,
    TEXT_SUFFIXES,
    TargetMatch,
    match_targets,
    targets_of_file,
    targets_of_text,
)
from galspec.ui import browse_state as state
from galspec.ui.query import FIELD_BY_NAME, Query

_PROBLEM: Final = "browse_list_problem"
_MATCH: Final = "browse_target_match"


def narrow(catalog: pd.DataFrame, ids: list[str], label: str) -> None:
    """Show only some galaxies, under a name that fits into the address; a callback."""
    st.session_state.pop(_PROBLEM, None)
    try:
        name = save_ids(ids, label)
    except GalspecError as error:
        st.session_state[_PROBLEM] = str(error)
        return
    query = state.current_query()
    others = tuple(node for node in query.extra if not any(isinstance(part, Listed) for part in parts_of(node)))
    state.set_query(catalog, dataclasses.replace(query, extra=(*others, Listed(FIELD_BY_NAME["list"], name))))


def list_problem() -> str:
    """Return why the last list could not be kept, once."""
    return str(st.session_state.pop(_PROBLEM, ""))


def list_words(query: Query) -> str:
    """Say which lists narrow the view; empty if none does."""
    words = []
    for listed in query.lists:
        found = read_ids(listed.list_name)
        if found:
            words.append(f"list {found.name}: {found.label}, {len(found.ids):,} {_galaxies(len(found.ids))}")
    return "; ".join(words)


def target_panel(catalog: pd.DataFrame) -> None:
    """Take ids or positions, match them, show what was found and hand back what was not."""
    st.markdown("Paste ids or positions, one a line, or a table with a header: `id`, or `ra` and `dec`; or upload one.")
    text = st.text_area("Ids or positions", key="browse_target_text", height=140, label_visibility="collapsed")
    upload = st.file_uploader(
        "CSV, VOTable or FITS",
        type=[suffix[1:] for suffix in (*TEXT_SUFFIXES, *TABLE_FORMATS)],
        key="browse_target_file",
        max_upload_size=MAX_BYTES // 1024**2,
    )
    radius = st.number_input(
        "Match radius (arcsec)", min_value=0.1, max_value=3600.0, value=3.0, key="browse_target_radius", format="%g"
    )
    if st.button("Match", type="primary", key="browse_target_match_button"):
        try:
            targets = targets_of_file(upload.name, upload.getvalue()) if upload else targets_of_text(str(text))
            st.session_state[_MATCH] = match_targets(targets, catalog, float(radius))
        except GalspecError as error:
            st.session_state.pop(_MATCH, None)
            st.error(str(error)[:1].upper() + str(error)[1:])
    match = st.session_state.get(_MATCH)
    if isinstance(match, TargetMatch):
        _show_match(catalog, match)


def _show_match(catalog: pd.DataFrame, match: TargetMatch) -> None:
    rows, unmatched = match.matched_rows, match.unmatched
    n_twice = len(match.targets) - len(unmatched) - len(rows)
    st.markdown(
        f"**{len(rows):,}** {_galaxies(len(rows))} found for {len(match.targets):,} targets; "
        f"{len(unmatched):,} not found"
        + (f"; {n_twice:,} targets are the same galaxy as another" if n_twice else "")
        + "."
    )
    with st.container(horizontal=True):
        if len(rows):
            ids = [str(galaxy_id) for galaxy_id in catalog["id"].iloc[rows]]
            st.button(
                f"Show the {len(ids):,} found",
                type="primary",
                key="browse_target_show",
                on_click=_show,
                args=(catalog, ids),
            )
        if unmatched:
            st.download_button(
                f"Download the {len(unmatched):,} not found",
                data=lambda: unmatched_csv(match),
                file_name="targets-not-found.csv",
                mime="text/csv",
                key="browse_target_unmatched",
                icon=":material/download:",
                on_click="ignore",
            )
    if unmatched:
        st.caption("Not found, for example: " + "; ".join(f"“{text[:60]}”: {why}" for text, why in unmatched[:3]))


def _galaxies(n: int) -> str:
    return "galaxy" if n == 1 else "galaxies"


def _show(catalog: pd.DataFrame, ids: list[str]) -> None:
    narrow(catalog, ids, "target list")
    st.session_state.pop(_MATCH, None)


def unmatched_csv(match: TargetMatch) -> bytes:
    """Return the targets that were not found, with the reason, as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["target", "reason"])
    writer.writerows(match.unmatched)
    return out.getvalue().encode()

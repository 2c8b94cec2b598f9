"""The filter panel of Browse: classes, ranges, a position, a galaxy to be like; and the line of text they make."""

import dataclasses
from typing import Final

import pandas as pd
import streamlit as st

from galspec.core.coordinates import make_position, parse_position
from galspec.core.errors import CoordinateError
from galspec.core.filters import Cone
from galspec.ui import browse_state as state
from galspec.ui.labels import class_word
from galspec.ui.query import FIELD_BY_NAME, FIELDS, LIKENESS, MAX_LIKE_ID, Field, Query, like_of, like_sort

_GRAMMAR: Final = """
Terms joined by `&` (all) and `|` (any), with `not` and parentheses: `0.02<z<0.1 & (class=SF | g-r<0.6)`,
`err>1 & novelty>2`, `id=sim1-00000003`, `cone(41.08,+51.26,1 arcmin)`, `list=3f2a9c1b07de`.

Numbers: {numbers}. Classes: {classes}.
"""


def filter_panel(catalog: pd.DataFrame) -> Query:
    """Draw the filters in the sidebar and return the query they make."""
    query = state.current_query()
    here = [field for field in FIELDS if field.column_in(catalog)]
    # What a survey lacks has no widget; it stays in the query, so that the page can say that it is ignored.
    shown = {field.name for field in here}
    classes = {name: values for name, values in query.classes.items() if name not in shown}
    ranges = {name: limits for name, limits in query.ranges.items() if name not in shown}
    with st.sidebar:
        for field in here:
            if field.is_common:
                _one_filter(catalog, field, query, classes, ranges)
        if not all(field.is_common for field in here):
            with st.expander("More filters", key="browse_more"):
                for field in here:
                    if not field.is_common:
                        _one_filter(catalog, field, query, classes, ranges)
        if {"ra_deg", "dec_deg"} <= set(catalog.columns):
            _position_filter(catalog)
        _likeness(catalog)
        st.button("Reset filters", key="browse_reset", icon=":material/restart_alt:", on_click=state.reset_filters)
    # Terms that no widget shows stay as the address or the text gave them.
    made = Query(classes, ranges, st.session_state.get(state.SORT, ""), query.extra)
    st.session_state[state.QUERY] = made
    return made


def _one_filter(
    catalog: pd.DataFrame,
    field: Field,
    query: Query,
    classes: dict[str, tuple[str, ...]],
    ranges: dict[str, tuple[float, float]],
) -> None:
    """Draw one filter and add what it means to classes or ranges."""
    if field.kind == "class":
        classes |= _class_filter(catalog, field, query)
    else:
        ranges |= _range_filter(catalog, field, query)


def _class_filter(catalog: pd.DataFrame, field: Field, query: Query) -> dict[str, tuple[str, ...]]:
    column = field.column_in(catalog) or ""
    st.pills(
        field.label,
        state.class_codes(catalog, field),
        selection_mode="multi",
        format_func=lambda code: class_word(column, code),
        key=state.widget(field),
        on_change=state.on_filter,
        help="None chosen: all are shown.",
    )
    values = state.classes_of(field, query)
    return {field.name: values} if values else {}


def _range_filter(catalog: pd.DataFrame, field: Field, query: Query) -> dict[str, tuple[float, float]]:
    low, high = state.limits_of(catalog, field)
    st.slider(
        field.label,
        low,
        high,
        step=field.step,
        key=state.widget(field),
        on_change=state.on_filter,
        help="At its ends the slider lets everything beyond pass." if field.is_skewed else None,
    )
    limits = state.range_of(field, (low, high), query)
    return {field.name: limits} if limits else {}


def _position_filter(catalog: pd.DataFrame) -> None:
    """Draw the cone search: any way of writing a position, a radius with its unit."""
    st.text_input(
        "Position (RA, Dec)",
        key=state.POSITION,
        placeholder="187.70593 +12.39112, hms dms, J name, link",
        on_change=_on_position,
        args=(catalog,),
        help="Decimal degrees, sexagesimal, a J name, or an address copied from another viewer; ICRS J2000.",
    )
    left, right = st.columns([3, 2])
    left.number_input(
        "Radius", min_value=0.0, format="%g", key=state.RADIUS, on_change=_on_position, args=(catalog,), step=None
    )
    right.selectbox("Unit", list(state.UNITS), key=state.UNIT, on_change=_on_position, args=(catalog,))
    problem = st.session_state.get(state.POSITION_PROBLEM)
    cone = state.current_query().cone
    if problem:
        st.error(problem)
    elif cone:
        st.caption(f"{cone.position.text}" + (f"; {cone.position.note}" if cone.position.note else ""))


def _on_position(catalog: pd.DataFrame) -> None:
    """Search around the position given; what is wrong with it is said and stays in its box."""
    text, radius, unit = (st.session_state[key] for key in (state.POSITION, state.RADIUS, state.UNIT))
    st.session_state.pop(state.POSITION_PROBLEM, None)
    query = state.without_cone(state.current_query())
    if not str(text or "").strip():
        state.set_query(catalog, query)
        return
    try:
        cone = cone_of(str(text), float(radius or 0.0) * state.UNITS[unit])
    except CoordinateError as error:
        st.session_state[state.POSITION_PROBLEM] = str(error)[:1].upper() + str(error)[1:]
        return
    state.set_query(catalog, dataclasses.replace(query, extra=(*query.extra, cone), sort=query.sort or "sep"))
    st.session_state[state.RADIUS], st.session_state[state.UNIT] = radius, unit  # as they were written


def cone_of(text: str, radius_arcsec: float) -> Cone:
    """Return the cone around a position.

    Raises
    ------
    CoordinateError
        If the text is no position, or the radius is not in 0-180 degrees.
    """
    if not 0.0 < radius_arcsec <= 180.0 * 3600.0:
        raise CoordinateError(f"a radius of {radius_arcsec:g} arcsec is not allowed; give more than 0, up to 180 deg.")
    position = parse_position(text)
    rounded = make_position(round(position.ra_deg, 6) % 360.0, round(position.dec_deg, 6), position.note)
    return Cone(rounded, radius_arcsec)


def _likeness(catalog: pd.DataFrame) -> None:
    """Draw the order by likeness to one galaxy."""
    known = [
        by for by, (pattern, _) in LIKENESS.items() if any(pattern.fullmatch(str(name)) for name in catalog.columns)
    ]
    if not known:
        return
    like = like_of(st.session_state.get(state.SORT, ""))
    st.session_state[state.LIKE_ID] = like[0] if like else ""
    if like or state.LIKE_BY not in st.session_state:
        st.session_state[state.LIKE_BY] = like[1] if like else known[0]
    st.text_input(
        "Most like galaxy",
        key=state.LIKE_ID,
        placeholder="id",
        max_chars=MAX_LIKE_ID,
        on_change=_on_like,
        args=(catalog,),
    )
    st.segmented_control(
        "Alike in",
        known,
        format_func=lambda by: {"latents": "Predicted spectrum", "image": "Image"}[by],
        key=state.LIKE_BY,
        required=True,
        on_change=_on_like,
        args=(catalog,),
        label_visibility="collapsed",
    )


def _on_like(catalog: pd.DataFrame) -> None:
    galaxy_id = str(st.session_state[state.LIKE_ID] or "").strip()
    sort_like(catalog, galaxy_id, st.session_state[state.LIKE_BY])


def sort_like(catalog: pd.DataFrame, galaxy_id: str, by: str) -> None:
    """Order by likeness to a galaxy, or by nothing without one; a callback."""
    sort = like_sort(galaxy_id[:MAX_LIKE_ID], by) if galaxy_id else ""
    state.set_query(catalog, dataclasses.replace(state.current_query(), sort=sort))


def filter_box(catalog: pd.DataFrame, query: Query) -> list[str]:
    """Draw the filter as a line of text that can be edited; return what was wrong with the text."""
    problems = state.show_text(query)
    here = [field for field in FIELD_BY_NAME.values() if field.kind == "list" or field.column_in(catalog)]
    words = {
        kind: ", ".join(f"`{field.name}`" for field in here if (field.kind == "number") == (kind == "numbers"))
        for kind in ("numbers", "classes")
    }
    st.text_input(
        "Filter",
        key=state.TEXT,
        placeholder="Filter, e.g. 0.02<z<0.1 & err>1",
        on_change=state.on_text,
        args=(catalog,),
        label_visibility="collapsed",
        icon=":material/filter_alt:",
        width="stretch",
        help=_GRAMMAR.format(**words),
    )
    return problems

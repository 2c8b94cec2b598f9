"""Parts of the Browse page: filters that live in the URL, and pages of cards."""

import math
from typing import Any, Final, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui.cache import survey_key, thumbnail_uri
from galspec.ui.galaxy_state import keep_galaxy
from galspec.ui.gallery import gallery
from galspec.ui.header import badges
from galspec.ui.labels import class_word, number
from galspec.ui.query import FIELDS, SORTS, Field, Query, parse_query, sort_label

PER_PAGE: Final = 24
#: Plain values in the session: they outlive the widgets when another page is shown.
_QUERY, _PAGE = "browse_query", "browse_page_kept"
_SORT = "browse_sort"
#: Counts changes of the filters: each list of galaxies has a pagination of its own.
_LIST = "browse_list"
_URL_NAMES: Final = ("q", "sort", "page")


def _widget(field: Field) -> str:
    return f"browse_{field.name}"


def _slider_limits(survey: Survey, field: Field) -> tuple[float, float]:
    values = survey.catalog[field.column].to_numpy(dtype=np.float64)
    low, high = np.nanmin(values), np.nanmax(values)
    low = math.floor(low / field.step + 1e-9) * field.step
    high = max(math.ceil(high / field.step - 1e-9) * field.step, low + field.step)
    return round(low, 6), round(high, 6)


def read_state(survey: Survey) -> list[str]:
    """Take filters, order and page from the URL, else from the session; return what was wrong with the URL.

    The URL counts after a link, an edit of the address, back and forward.
    """
    url = {name: st.query_params[name] for name in _URL_NAMES if name in st.query_params}
    problems: list[str] = []
    is_new = address.is_navigation("browse", _URL_NAMES)
    if is_new:
        query, problems = parse_query(url.get("q", ""), url.get("sort", ""))
        page_text = url.get("page", "1")
        if not page_text.isdecimal() or int(page_text) < 1:
            problems.append(f"The page “{page_text[:20]}” is not a positive whole number; page 1 is shown.")
            page_text = "1"
        st.session_state[_QUERY], st.session_state[_PAGE] = query, int(page_text)
    query = st.session_state.setdefault(_QUERY, Query())
    st.session_state.setdefault(_PAGE, 1)
    if is_new or _SORT not in st.session_state:
        _fill_widgets(survey, query)
    return problems


def _fill_widgets(survey: Survey, query: Query) -> None:
    for field in FIELDS:
        if field.column not in survey.catalog:
            continue
        if field.kind == "class":
            known = _class_codes(survey, field)
            st.session_state[_widget(field)] = [code for code in query.classes.get(field.name, ()) if code in known]
        else:
            low, high = _slider_limits(survey, field)
            wanted = query.ranges.get(field.name, (-math.inf, math.inf))
            start = min(max(wanted[0], low), high)
            st.session_state[_widget(field)] = (start, max(start, min(wanted[1], high)))
    st.session_state[_SORT] = query.sort
    _new_list(st.session_state[_PAGE])


def _new_list(page: int) -> None:
    st.session_state[_PAGE] = page
    st.session_state[_LIST] = st.session_state.get(_LIST, 0) + 1


def _class_codes(survey: Survey, field: Field) -> list[str]:
    return sorted(str(code) for code in survey.catalog[field.column].dropna().unique())


def _on_filter() -> None:
    address.touch()
    _new_list(1)


def reset_filters() -> None:
    """Drop every filter and the order; a callback."""
    address.touch()
    st.session_state[_QUERY], st.session_state[_PAGE] = Query(), 1
    st.session_state.pop(_SORT, None)


def filter_panel(survey: Survey) -> Query:
    """Draw the filters in the sidebar and return the query they make."""
    classes: dict[str, tuple[str, ...]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    with st.sidebar:
        for field in FIELDS:
            if field.column not in survey.catalog:
                continue
            if field.kind == "class":
                chosen = _class_filter(survey, field)
                classes |= {field.name: chosen} if chosen else {}
            else:
                limits = _range_filter(survey, field)
                ranges |= {field.name: limits} if limits else {}
        st.button("Reset filters", key="browse_reset", icon=":material/restart_alt:", on_click=reset_filters)
    sort = st.session_state.get(_SORT, "")
    # Terms that no widget shows stay as the address gave them.
    st.session_state[_QUERY] = query = Query(classes, ranges, sort, st.session_state[_QUERY].extra)
    return query


def _class_filter(survey: Survey, field: Field) -> tuple[str, ...]:
    chosen = st.pills(
        field.label,
        _class_codes(survey, field),
        selection_mode="multi",
        format_func=lambda code: class_word(field.column, code),
        key=_widget(field),
        on_change=_on_filter,
        help="None chosen: all are shown.",
    )
    return tuple(str(code) for code in chosen)


def _range_filter(survey: Survey, field: Field) -> tuple[float, float] | None:
    low, high = _slider_limits(survey, field)
    start, end = cast(
        tuple[float, float],
        st.slider(field.label, low, high, step=field.step, key=_widget(field), on_change=_on_filter),
    )
    if start <= low and end >= high:
        return None
    return start if start > low else -math.inf, end if end < high else math.inf


def title_line(survey: Survey, n_found: int) -> None:
    """Draw title, badges, live count and order in one line."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Browse", width="content", anchor=False)
        badges(survey)
        st.space("stretch")
        st.markdown(f"**{n_found:,}** of {len(survey):,} galaxies", width="content")
        sorts = [key for key, (column, _, _) in SORTS.items() if not column or column in survey.catalog]
        chosen = st.session_state[_SORT]
        sorts += [] if chosen in sorts else [chosen]
        st.selectbox(
            "Order",
            sorts,
            format_func=lambda key: f"Order: {sort_label(key)}",
            key=_SORT,
            on_change=_on_filter,
            label_visibility="collapsed",
            width=270,
        )


def write_url(query: Query, page: int) -> None:
    """Keep filters, order and page in the URL, so that the address reproduces the view."""
    address.write("browse", _URL_NAMES, query.url | ({"page": str(page)} if page > 1 else {}))


def card_pages(survey: Survey, rows: NDArray[np.int64], query: Query) -> None:
    """Draw one page of cards with the pagination under it; a click opens the galaxy."""
    if not len(rows):
        st.info("No galaxy passes all filters.", icon=":material/filter_alt_off:")
        st.button("Reset filters", key="browse_reset_empty", type="primary", on_click=reset_filters)
        write_url(query, 1)
        return
    n_pages = math.ceil(len(rows) / PER_PAGE)
    key = f"browse_page_{st.session_state[_LIST]}"
    default = min(st.session_state[_PAGE], n_pages)
    page = int(st.session_state.get(key) or default)
    shown = rows[(page - 1) * PER_PAGE : page * PER_PAGE]
    opened = gallery(_cards(survey, shown), key="browse_gallery", on_open=address.touch)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(
            "R = z, G = i, B = g, one asinh stretch for all; 42″ on a side, N up, E left. "
            f"Galaxies {(page - 1) * PER_PAGE + 1:,}–{(page - 1) * PER_PAGE + len(shown):,} of {len(rows):,}.",
            width="content",
        )
        st.pagination(n_pages, default=default, key=key, on_change=address.touch)
    st.session_state[_PAGE] = page
    write_url(query, page)
    if opened:
        keep_galaxy(opened)
        st.switch_page("pages/galaxy.py", query_params={"id": opened, **query.url})


def _cards(survey: Survey, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    key = survey_key(survey)
    cards = []
    for row, values in zip(rows.tolist(), survey.catalog.iloc[rows].to_dict("records"), strict=True):
        facts = [f"z {number(values['redshift'], 4)}"]
        facts += [f"r {number(values['mag_r'], 2)}"] if "mag_r" in values else []
        word = class_word("galaxy_class", values.get("galaxy_class", ""))
        cards.append(
            {
                "id": values["id"],
                "src": thumbnail_uri(survey, key, row),
                "facts": " · ".join(facts),
                "class": word,
                "label": f"Open galaxy {values['id']}, {', '.join(facts)} mag, {word}",
            }
        )
    return cards

"""State of the Browse page: filters, order, page, view and selection, in the address and in the session."""

import dataclasses
import math
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from galspec.core.filters import Cone
from galspec.ui import address
from galspec.ui.card_pictures import PER_PAGE, Look
from galspec.ui.galaxy_state import keep_galaxy
from galspec.ui.labels import CLASS_WORDS
from galspec.ui.query import FIELDS, Field, Query, parse_query, random_sort, seed_of

#: Plain values in the session: they outlive the widgets when another page is shown.
QUERY: Final = "browse_query"
_PAGE, _VIEW, _LOOK, _SELECTED = "browse_page_kept", "browse_view_kept", "browse_look_kept", "browse_selected"
#: What the filters' widgets showed last, and the text whose mistakes are still on the page.
_FILLED, _TYPED = "browse_filled", "browse_typed"
#: Counts changes of the filters: each list of galaxies has a pagination of its own.
LIST: Final = "browse_list"
#: Counts selections made elsewhere than in the table.
TABLE_TURN: Final = "browse_table_turn"
#: Keys of widgets.
SORT: Final = "browse_sort"
TEXT: Final = "browse_text"
VIEW: Final = "browse_view"
POSITION, RADIUS, UNIT = "browse_position", "browse_radius", "browse_radius_unit"
#: What is wrong with the position in its box.
POSITION_PROBLEM: Final = "browse_position_problem"
LIKE_ID, LIKE_BY = "browse_like_id", "browse_like_by"
UNITS: Final = {"arcsec": 1.0, "arcmin": 60.0, "deg": 3600.0}
DEFAULT_RADIUS: Final = 30.0

VIEWS: Final = {"cards": "Cards", "table": "Table", "plot": "Plot"}
_URL_NAMES: Final = ("q", "sort", "page", "view", "per")
#: Of a page number in the address: more are no page, and Python refuses to read thousands.
_PAGE_DIGITS: Final = 9


def widget(field: Field) -> str:
    """Return the key of a filter's widget."""
    return f"browse_{field.name}"


def limits_of(catalog: pd.DataFrame, field: Field) -> tuple[float, float]:
    """Return the ends of a range's slider, rounded outward to its step."""
    values = field.filter_field.numbers(catalog)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, field.step
    low, high = np.percentile(values, [0.5, 99.5]) if field.is_skewed else (values.min(), values.max())
    low = math.floor(low / field.step + 1e-9) * field.step
    high = max(math.ceil(high / field.step - 1e-9) * field.step, low + field.step)
    return round(low, 6), round(high, 6)


def class_codes(catalog: pd.DataFrame, field: Field) -> list[str]:
    """Return the values that a class has in a catalogue."""
    column = field.column_in(catalog)
    if column == "verdict":
        return list(CLASS_WORDS[column])  # both, although one of them may not occur yet
    return sorted(str(code) for code in catalog[column].dropna().unique()) if column else []


def read_state(catalog: pd.DataFrame) -> list[str]:
    """Take filters, order, page and view from the URL, else from the session; return what was wrong with the URL.

    The URL counts after a link, an edit of the address, back and forward.
    """
    url = {name: st.query_params[name] for name in _URL_NAMES if name in st.query_params}
    problems: list[str] = []
    is_new = address.is_navigation("browse", _URL_NAMES)
    if is_new:
        st.session_state[QUERY], problems = parse_query(url.get("q", ""), url.get("sort", ""))
        st.session_state[_PAGE] = _page_of(url.get("page", "1"), problems)
        st.session_state[_VIEW] = _view_of(url.get("view", "cards"), problems)
        st.session_state[_LOOK] = dataclasses.replace(look(), per_page=_per_of(url.get("per", "24"), problems))
        st.session_state.pop(VIEW, None)
    query = st.session_state.setdefault(QUERY, Query())
    st.session_state.setdefault(_PAGE, 1)
    if is_new or SORT not in st.session_state:
        fill_widgets(catalog, query)
    st.session_state.setdefault(VIEW, st.session_state.get(_VIEW, "cards"))
    return problems


def _page_of(text: str, problems: list[str]) -> int:
    if len(text) <= _PAGE_DIGITS and text.isdecimal() and int(text) >= 1:
        return int(text)
    problems.append(f"The page “{text[:20]}” is not a positive whole number; page 1 is shown.")
    return 1


def _view_of(text: str, problems: list[str]) -> str:
    if text in VIEWS:
        return text
    problems.append(f"The view “{text[:20]}” is none of {', '.join(VIEWS)}; cards are shown.")
    return "cards"


def _per_of(text: str, problems: list[str]) -> int:
    if text in {str(number) for number in PER_PAGE}:
        return int(text)
    problems.append(f"The number a page “{text[:20]}” is none of {', '.join(map(str, PER_PAGE))}; 24 are shown.")
    return PER_PAGE[0]


def fill_widgets(catalog: pd.DataFrame, query: Query) -> None:
    """Let every widget of the filters show a query."""
    filled: dict[str, Any] = {}
    for field in FIELDS:
        if not field.column_in(catalog):
            continue
        if field.kind == "class":
            known = class_codes(catalog, field)
            shown = [code for code in query.classes.get(field.name, ()) if code in known]
            filled[field.name], st.session_state[widget(field)] = frozenset(shown), shown
        else:
            low, high = limits_of(catalog, field)
            wanted = query.ranges.get(field.name, (-math.inf, math.inf))
            start = min(max(wanted[0], low), high)
            filled[field.name] = st.session_state[widget(field)] = (start, max(start, min(wanted[1], high)))
    st.session_state[_FILLED] = filled
    st.session_state[SORT] = query.sort
    _fill_position(query.cone)
    new_list(st.session_state[_PAGE])


def _fill_position(cone: Cone | None) -> None:
    radius = cone.radius_arcsec if cone else DEFAULT_RADIUS
    unit = next((name for name in ("deg", "arcmin") if cone and radius >= UNITS[name]), "arcsec")
    st.session_state.pop(POSITION_PROBLEM, None)
    st.session_state[POSITION] = cone.position.degrees if cone else ""
    st.session_state[RADIUS], st.session_state[UNIT] = radius / UNITS[unit], unit


def _was_moved(field: Field, shown: Any) -> bool:
    """Return True if a widget shows something else than in the last run."""
    filled = st.session_state.setdefault(_FILLED, {})
    was_moved = bool(filled.get(field.name) != shown)
    filled[field.name] = shown
    return was_moved


def classes_of(field: Field, query: Query) -> tuple[str, ...]:
    """Return the values that the pills of a class mean: what the query said until one is pressed."""
    chosen = tuple(str(code) for code in st.session_state[widget(field)] or ())
    # A query may name a value that no galaxy here has, and that has no pill.
    return chosen if _was_moved(field, frozenset(chosen)) else query.classes.get(field.name, ())


def range_of(field: Field, limits: tuple[float, float], query: Query) -> tuple[float, float] | None:
    """Return the range that a slider means: what the query said until it is moved, open at the slider's ends."""
    value = st.session_state[widget(field)]
    if not _was_moved(field, tuple(value)):
        return query.ranges.get(field.name)
    start, end = (float(edge) for edge in value)
    if start <= limits[0] and end >= limits[1]:
        return None
    return start if start > limits[0] else -math.inf, end if end < limits[1] else math.inf


def new_list(page: int) -> None:
    """Begin a list of its own: its pagination starts at a page."""
    st.session_state[_PAGE] = page
    st.session_state[LIST] = st.session_state.get(LIST, 0) + 1


def on_filter() -> None:
    """Note that a filter's widget was used; a callback."""
    address.touch()
    st.session_state.pop(_TYPED, None)
    new_list(1)


def set_query(catalog: pd.DataFrame, query: Query) -> None:
    """Show another query from its first page; a callback."""
    address.touch()
    st.session_state.pop(_TYPED, None)
    st.session_state[QUERY], st.session_state[_PAGE] = query, 1
    fill_widgets(catalog, query)


def reset_filters() -> None:
    """Drop every filter and the order; a callback."""
    address.touch()
    st.session_state.pop(_TYPED, None)
    st.session_state[QUERY], st.session_state[_PAGE] = Query(), 1
    st.session_state.pop(SORT, None)


def current_query() -> Query:
    """Return the query as last set."""
    query = st.session_state.get(QUERY)
    return query if isinstance(query, Query) else Query()


def on_text(catalog: pd.DataFrame) -> None:
    """Follow the filter that was typed; what is not understood stays in its box; a callback."""
    text = str(st.session_state[TEXT] or "")
    query, problems = parse_query(text, current_query().sort)
    set_query(catalog, query)
    if problems:
        st.session_state[_TYPED] = (text, problems)


def show_text(query: Query) -> list[str]:
    """Give the box its text, before it is drawn; return what is wrong with it."""
    typed, problems = st.session_state.get(_TYPED, (query.text, []))
    if st.session_state.get(TEXT) != typed:
        st.session_state[TEXT] = typed
    return list(problems)


def without_cone(query: Query) -> Query:
    """Return a query without its cone, and without the order that needs it."""
    extra = tuple(node for node in query.extra if not isinstance(node, Cone))
    return dataclasses.replace(query, extra=extra, sort="" if query.sort == "sep" else query.sort)


def shuffle() -> None:
    """Order at random with the next seed; a callback."""
    seed = seed_of(st.session_state.get(SORT, ""))
    st.session_state[SORT] = random_sort(1 if seed is None else seed % 999_999_999 + 1)
    on_filter()


def look() -> Look:
    """Return how the cards look."""
    kept = st.session_state.get(_LOOK)
    return kept if isinstance(kept, Look) else Look()


def set_look(new: Look) -> None:
    """Change how the cards look; the first galaxy on the page stays on it."""
    if new.per_page != look().per_page:
        new_list((st.session_state[_PAGE] - 1) * look().per_page // new.per_page + 1)
    st.session_state[_LOOK] = new


def current_view() -> str:
    """Return the key of the view."""
    return str(st.session_state.get(VIEW) or st.session_state.get(_VIEW, "cards"))


def page_of(rows: NDArray[np.int64]) -> tuple[int, int]:
    """Return the page that is shown and how many there are."""
    n_pages = max(math.ceil(len(rows) / look().per_page), 1)
    shown = st.session_state.get(page_key()) or st.session_state[_PAGE]
    return min(int(shown), n_pages), n_pages


def page_key() -> str:
    """Return the key of the pagination of the present list."""
    return f"browse_page_{st.session_state[LIST]}"


def turn_page(step: int, n_pages: int, page: int) -> None:
    """Go some pages on; a callback."""
    address.touch()
    new_list(min(max(page + step, 1), n_pages))


def selected() -> list[str]:
    """Return the ids that are selected, in the order in which they were."""
    return list(st.session_state.get(_SELECTED, []))


def select(ids: list[str]) -> None:
    """Select galaxies by id, and no others; the table is drawn anew, because its ticks cannot be set."""
    st.session_state[_SELECTED] = list(dict.fromkeys(ids))
    st.session_state[TABLE_TURN] = st.session_state.get(TABLE_TURN, 0) + 1


def select_among(shown: list[str], chosen: list[str]) -> None:
    """Change the selection among some galaxies only; those that are not shown stay selected."""
    kept = [galaxy_id for galaxy_id in selected() if galaxy_id not in set(shown)]
    st.session_state[_SELECTED] = [*kept, *(galaxy_id for galaxy_id in chosen if galaxy_id in set(shown))]


def write_url(query: Query, page: int) -> None:
    """Keep filters, order, page and view in the URL, so that the address reproduces the view."""
    st.session_state[_PAGE] = page
    view = st.session_state[_VIEW] = current_view()
    wanted = query.url | ({"page": str(page)} if page > 1 else {})
    wanted |= {"view": view} if view != "cards" else {}
    wanted |= {"per": str(look().per_page)} if look().per_page != PER_PAGE[0] else {}
    address.write("browse", _URL_NAMES, wanted)


def open_galaxy(galaxy_id: str, query: Query) -> None:
    """Go to the Galaxy page, with the list that the galaxy was opened from."""
    keep_galaxy(galaxy_id)
    st.switch_page("pages/galaxy.py", query_params={"id": galaxy_id, **query.url})

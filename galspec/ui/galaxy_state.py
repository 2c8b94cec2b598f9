"""State of the Galaxy page: which galaxy of which list, and how its plot is set. The URL says all of it."""

import bisect
import dataclasses
from typing import Any, Final, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui.cache import has_galaxy
from galspec.ui.line_marks import LineChoice
from galspec.ui.query import Query, parse_query
from galspec.ui.scored_catalog import scored_catalog
from galspec.ui.smoothing import smoothing_of
from galspec.ui.windows import PRESETS, Window, fit_window, window_of, window_text

CHART: Final = "galaxy_spectrum"
PRESET: Final = "galaxy_preset"
LINES: Final = "galaxy_lines"
INCLUDE_ALL: Final = "galaxy_include_all"
LINE_CHOICES: Final = ("major", "all", "none")
SMOOTH: Final = "galaxy_smooth"
PANEL: Final = "galaxy_panel"
#: What is computed only when it is asked for: key in the URL -> name on the page.
PANELS: Final = {"measured": "Measured lines and BPT", "similar": "Nearest galaxies"}
#: Plain values in the session: they outlive the widgets and a change of galaxy.
_WINDOW, _PREVIOUS, _KEPT_LINES = "galaxy_window", "galaxy_window_before", "galaxy_lines_kept"
_KEPT_PANEL, _KEPT_SMOOTH = "galaxy_panel_kept", "galaxy_smooth_kept"
_KEPT_ID: Final = "galaxy_id"
_QUERY: Final = "browse_query"
_PAGE: Final = "galaxy"
URL_NAMES: Final = ("id", "q", "sort", "win", "z", "frame", "lines", "line", "pin", "panel", "smooth")


@dataclasses.dataclass(frozen=True)
class GalaxyView:
    """One galaxy within a filtered and sorted list.

    Parameters
    ----------
    galaxy_id : str
    ids : ndarray of str
        The list that previous and next walk.
    position : int or None
        Its place in the list, from 0; None if the filters leave it out.
    query : Query
        The filters that made the list.
    is_linked : bool
        The address asked for it: a link, an edit, back and forward; not a widget.
    """

    galaxy_id: str
    ids: NDArray[Any]
    position: int | None
    query: Query
    is_linked: bool = False

    def neighbour(self, step: int) -> str | None:
        """Return the id some steps along the list, or None past its ends."""
        if self.position is None:
            return str(self.ids[0]) if len(self.ids) else None
        index = self.position + step
        return str(self.ids[index]) if 0 <= index < len(self.ids) else None


def read_view(survey: Survey) -> tuple[GalaxyView, list[str]]:
    """Find the galaxy and its list: from the URL, else the one seen last, else the first of the list.

    Returns
    -------
    view : GalaxyView
        Its id may be unknown to the survey.
    problems : list of str
        One sentence for each part of the URL that was not understood.
    """
    url = st.query_params
    is_linked = address.is_navigation(_PAGE, URL_NAMES) and any(name in url for name in URL_NAMES)
    problems: list[str] = []
    if is_linked and any(name in url for name in ("id", "q", "sort")):
        # Browse and Galaxy share one list.
        st.session_state[_QUERY], problems = parse_query(url.get("q", ""), url.get("sort", ""))
    query = st.session_state.get(_QUERY, Query())
    catalog = scored_catalog(survey).frame
    problems += query.ignored(catalog) if is_linked else []
    rows = query.rows(catalog)
    ids = catalog["id"].to_numpy()[rows]
    wanted = (url.get("id") if is_linked else None) or st.session_state.get(_KEPT_ID)
    wanted = str(wanted or (ids[0] if len(ids) else survey.catalog["id"].iloc[0]))
    places = np.flatnonzero(rows == (survey.row(wanted) if has_galaxy(survey, wanted) else -1))
    position = int(places[0]) if len(places) else None
    return GalaxyView(wanted, ids, position, query, is_linked), problems


def read_plot_state(is_linked: bool) -> list[str]:
    """Take the plot's settings from the URL if the address asks, else from the session; return what was wrong."""
    problems = []
    url = st.query_params
    st.session_state.setdefault(_WINDOW, PRESETS["full"][1])
    if is_linked:
        try:
            st.session_state[_WINDOW] = window_of(url.get("win", "full"))
        except ValueError as error:
            problems.append(f"The URL's win is ignored: {error}.")
    if is_linked or PRESET not in st.session_state:
        st.session_state[PRESET] = preset_of(st.session_state[_WINDOW])
    if is_linked or LINES not in st.session_state:
        chosen = url.get("lines", "major") if is_linked else st.session_state.get(_KEPT_LINES, "major")
        if chosen not in LINE_CHOICES:
            problems.append(f"The URL's lines “{chosen[:20]}” is none of {', '.join(LINE_CHOICES)}; major is used.")
            chosen = "major"
        st.session_state[LINES] = chosen
    return [*problems, *_read_smoothing(is_linked), *_read_panel(is_linked)]


def _read_smoothing(is_linked: bool) -> list[str]:
    if not is_linked and SMOOTH in st.session_state:
        return []
    text = st.query_params.get("smooth", "0") if is_linked else st.session_state.get(_KEPT_SMOOTH, "0")
    try:
        st.session_state[SMOOTH] = smoothing_of(text)
    except ValueError as error:
        st.session_state[SMOOTH] = 0.0
        return [f"The URL's smooth is ignored: {error}."]
    return []


def _read_panel(is_linked: bool) -> list[str]:
    if not is_linked and PANEL in st.session_state:
        return []
    chosen = st.query_params.get("panel") if is_linked else st.session_state.get(_KEPT_PANEL)
    st.session_state[PANEL] = chosen if chosen in PANELS else None
    if chosen is None or chosen in PANELS:
        return []
    return [f"The URL's panel “{chosen[:20]}” is none of {', '.join(PANELS)}; none is opened."]


def write_url(view: GalaxyView, others: dict[str, str]) -> None:
    """Let the address reproduce the page: galaxy, list, window, lines, smoothing, open panel.

    Parameters
    ----------
    view : GalaxyView
    others : dict of str to str
        What other parts of the page add: redshift, frame, the reader's lines, pinned galaxies.
    """
    window, lines = window_text(current_window()), current_lines()
    st.session_state[_KEPT_LINES], st.session_state[_KEPT_ID] = lines, view.galaxy_id
    wanted = {"id": view.galaxy_id, **view.query.url}
    wanted |= {"win": window} if window != "full" else {}
    wanted |= others
    wanted |= {"lines": lines} if lines != "major" else {}
    panel = st.session_state[_KEPT_PANEL] = current_panel()
    wanted |= {"panel": panel} if panel else {}
    smooth = st.session_state[_KEPT_SMOOTH] = f"{current_smoothing():g}"
    wanted |= {"smooth": smooth} if smooth != "0" else {}
    address.write(_PAGE, URL_NAMES, wanted)


def current_window() -> Window:
    """Return the wavelength window, rest frame, angstrom."""
    return cast(Window, st.session_state[_WINDOW])


def current_lines() -> LineChoice:
    """Return which lines are marked."""
    return cast(LineChoice, st.session_state.get(LINES) or "none")


def current_smoothing() -> float:
    """Return the standard deviation of the smoothing, pixels; 0 = none."""
    return float(st.session_state.get(SMOOTH, 0.0))


def current_panel() -> str | None:
    """Return the key of the panel that is open, or None."""
    return cast(str | None, st.session_state.get(PANEL))


def preset_of(window: Window) -> str | None:
    """Return the key of the preset that a window is, or None."""
    text = window_text(window)
    return text if text in PRESETS else None


def on_preset() -> None:
    """Set the window to the chosen preset; a callback."""
    _set_window(PRESETS[st.session_state[PRESET] or "full"][1])


def on_box(scale: float) -> None:
    """Set the window to the box drawn in the plot; a callback.

    Parameters
    ----------
    scale : float
        Wavelength on the plot's axis over rest wavelength; see `Frame.scale`.
    """
    address.touch()
    boxes = st.session_state[CHART]["selection"]["box"]
    if not boxes:
        return
    low, high = sorted(float(value) / scale for value in boxes[0]["x"][:2])
    try:
        _set_window(fit_window(low, high))
    except ValueError:
        return


def follow(factor: float) -> None:
    """Multiply the window's wavelengths; the full one stays full, and what leaves the grid stays at its end."""
    address.touch()
    window = current_window()
    if factor == 1.0 or window == PRESETS["full"][1]:
        return
    try:
        st.session_state[_WINDOW] = fit_window(window[0] * factor, window[1] * factor)
    except ValueError:
        return
    st.session_state[PRESET] = preset_of(st.session_state[_WINDOW])


def swap_lines() -> None:
    """Go to the next choice of line markers; a callback."""
    address.touch()
    place = LINE_CHOICES.index(current_lines())
    st.session_state[LINES] = LINE_CHOICES[(place + 1) % len(LINE_CHOICES)]


def zoom_back() -> None:
    """Return to the window before this one; a callback."""
    _set_window(st.session_state.get(_PREVIOUS, PRESETS["full"][1]))


def _set_window(window: Window) -> None:
    address.touch()
    st.session_state[_PREVIOUS] = st.session_state.get(_WINDOW, window)
    st.session_state[_WINDOW] = window
    st.session_state[PRESET] = preset_of(window)


def go_to(galaxy_id: str) -> None:
    """Show another galaxy; a callback."""
    keep_galaxy(galaxy_id)
    st.query_params["id"] = galaxy_id


def keep_galaxy(galaxy_id: str) -> None:
    """Let the next run of the page show this galaxy, with window and lines as they are."""
    address.touch()
    st.session_state[_KEPT_ID] = galaxy_id


def nearest_ids(galaxy_id: str, ids: list[str], n: int = 5) -> list[str]:
    """Return the ids that look most like one that does not exist.

    Examples
    --------
    >>> nearest_ids("sim1-12", ["a", "sim1-11", "sim1-21"], n=2)
    ['sim1-11', 'sim1-21']
    """
    ordered = sorted(ids)
    place = bisect.bisect_left(ordered, galaxy_id)
    near = range(max(place - n, 0), min(place + n, len(ordered)))
    # The longest common beginning first; among equals the nearest in order.
    ranked = sorted(near, key=lambda at: (-_shared_start(ordered[at], galaxy_id), abs(at - place)))
    return [ordered[at] for at in ranked[:n]]


def _shared_start(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((length for length, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def random_id(ids: list[str]) -> str:
    """Return any id."""
    return ids[int(np.random.default_rng().integers(len(ids)))]

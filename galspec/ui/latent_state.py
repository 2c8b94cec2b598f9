"""State of the Latents page: start, six numbers, second galaxy, open panel, map. The URL says all of it."""

import dataclasses
import math
from typing import Any, Final, cast

import numpy as np
import streamlit as st

from galspec.core.errors import ConfigError
from galspec.store.latent_map import axis_names
from galspec.ui import address
from galspec.ui.cache import has_galaxy
from galspec.ui.latent_source import LatentSource

LAB: Final = "latents_lab"
GALAXY: Final = "latents_galaxy"
START: Final = "latents_start"
TARGET: Final = "latents_target"
PANEL: Final = "latents_panel"
PLAIN: Final = "latents_plain"
AXIS_X: Final = "latents_axis_x"
AXIS_Y: Final = "latents_axis_y"
COLOUR: Final = "latents_colour"
KIND: Final = "latents_kind"

#: Key in the URL -> words.
STARTS: Final = {"predicted": "Predicted", "observed": "Observed", "mean": "Mean"}
PANELS: Final = {
    "nearest": "Nearest galaxies",
    "map": "Map",
    "traverse": "Traverse",
    "meaning": "What latents mean",
    "files": "Files and code",
}
#: Sliders reach this far, standard deviations; farther if the start lies farther.
LIMIT: Final = 4.0
#: Beyond it a latent in the address is refused.
MAX_LATENT: Final = 12.0

_VIEW: Final = "latents_view"
_TOKEN: Final = "latents_token"  # noqa: S105  # no password: names a start of the sliders
_INITIAL: Final = "latents_initial"
_UNKNOWN: Final = "latents_unknown"
_PAGE: Final = "latents"
_URL_NAMES: Final = ("lat", "from", "start", "to", "panel", "plain", "x", "y", "color", "by")


@dataclasses.dataclass(frozen=True)
class LatentView:
    """What the page shows.

    Parameters
    ----------
    galaxy_id : str
        Where the sliders start.
    start : str
        A key of `STARTS`.
    latent : tuple of float, or None
        Where the sliders are, standard deviations; None: at the start.
    target : str
        The galaxy that is interpolated to; empty = none.
    panel : str or None
        A key of `PANELS`.
    is_plain : bool
        Plain sliders, decoded on the server.
    axes : tuple of str
        Of the map.
    colour : str
        Column that colours the map; empty = none.
    kind : str
        Which latents of the galaxies map and neighbours use: a key of `galspec.ui.latent_source.KINDS`.
    """

    galaxy_id: str
    start: str = "predicted"
    latent: tuple[float, ...] | None = None
    target: str = ""
    panel: str | None = "nearest"
    is_plain: bool = False
    axes: tuple[str, str] = ("L1", "L2")
    colour: str = "ew_ha_true"
    kind: str = "observed"


def read_view(source: LatentSource) -> list[str]:
    """Take the view from the URL if the address asks, else from the session; return what was wrong with the URL."""
    url = st.query_params.to_dict()
    is_linked = address.is_navigation(_PAGE, _URL_NAMES) and any(name in url for name in _URL_NAMES)
    problems: list[str] = []
    view = st.session_state.get(_VIEW)
    if is_linked:
        view, problems = _view_of(source, url)
    elif view is None or not has_galaxy(source.survey, view.galaxy_id):
        view = LatentView(_default_galaxy(source), axes=_default_axes(source))
    if view.latent is not None and len(view.latent) != source.n_latent:
        view = dataclasses.replace(view, latent=None)
    st.session_state[_VIEW] = view
    # Streamlit drops the widgets of pages that are not shown: without them the page was just entered.
    if is_linked or START not in st.session_state:
        _new_start()
        _fill_widgets(view)
    return problems


def _default_galaxy(source: LatentSource) -> str:
    on_galaxy_page = st.session_state.get("galaxy_id")
    if on_galaxy_page and has_galaxy(source.survey, on_galaxy_page):
        return str(on_galaxy_page)
    return str(source.survey.catalog["id"].iloc[0])


def _default_axes(source: LatentSource) -> tuple[str, str]:
    return ("L1", "L2") if source.n_latent > 1 else ("L1", "PC1")


def _view_of(source: LatentSource, url: dict[str, str]) -> tuple[LatentView, list[str]]:
    """Return the view of an address, and one sentence for each part that was not understood."""
    problems: list[str] = []
    galaxy_id = url.get("from") or _default_galaxy(source)
    if not has_galaxy(source.survey, galaxy_id):
        st.session_state[_UNKNOWN] = galaxy_id
        galaxy_id = _default_galaxy(source)
    view = LatentView(galaxy_id, axes=_default_axes(source), is_plain=url.get("plain") == "1")
    if "lat" in url:
        try:
            view = dataclasses.replace(view, latent=latents_of(url["lat"], source.n_latent))
        except ValueError as error:
            problems.append(f"The URL's lat is ignored: {error}. The sliders stand at the start.")
    target = url.get("to", "")
    if target and not has_galaxy(source.survey, target):
        problems.append(f"The URL's to “{target[:40]}” is no galaxy of survey {source.survey.name!r}; it is left out.")
        target = ""
    changes: dict[str, Any] = {"target": target}
    for name, field, known in (
        ("start", "start", list(STARTS)),
        ("panel", "panel", [*PANELS, "none"]),
        ("by", "kind", ["predicted", "observed"]),
        ("color", "colour", [*source.survey.catalog.columns, "none"]),
    ):
        if name not in url:
            continue
        if url[name] in known:
            changes[field] = {"none": None if field == "panel" else ""}.get(url[name], url[name])
        else:
            shown = ", ".join(known) if len(known) < 10 else "a column of the catalogue"
            used = getattr(view, field)
            problems.append(f"The URL's {name} “{url[name][:20]}” is none of {shown}; {used} is used.")
    axes = [url.get(name, default) for name, default in zip(("x", "y"), view.axes, strict=True)]
    if all(axis in axis_names(source.n_latent) for axis in axes):
        changes["axes"] = tuple(axes)
    else:
        known_axes = ", ".join(axis_names(source.n_latent))
        problems.append(f"The URL's axes “{', '.join(axes)[:30]}” are not of {known_axes}; {view.axes} are used.")
    return dataclasses.replace(view, **changes), problems


def latents_of(text: str, n_latent: int) -> tuple[float, ...]:
    """Parse latents of an address.

    Parameters
    ----------
    text : str
        Numbers joined by commas: ``0.12,-1.3,0,0,0,0``.
    n_latent : int
        How many there must be.

    Raises
    ------
    ValueError
        If the number is wrong, or one is no finite number within 12 standard deviations; the message says which.

    Examples
    --------
    >>> latents_of("0.12,-1.3", 2)
    (0.12, -1.3)
    """
    parts = text.split(",")
    if len(parts) != n_latent:
        raise ValueError(f"it holds {len(parts)} values, and the decoder has {n_latent} latents")
    values = []
    for part in parts:
        try:
            value = float(part.replace("−", "-"))
        except ValueError:
            raise ValueError(f"“{part.strip()[:20]}” is not a number") from None
        if not math.isfinite(value) or abs(value) > MAX_LATENT:
            raise ValueError(f"“{part.strip()[:20]}” is not a number between −{MAX_LATENT:g} and {MAX_LATENT:g}")
        values.append(value)
    return tuple(values)


def latents_text(latent: tuple[float, ...]) -> str:
    """Write latents for an address.

    Examples
    --------
    >>> latents_text((0.12, -1.3, 0.0))
    '0.12,-1.3,0'
    """
    return ",".join(f"{round(value, 4) + 0.0:g}" for value in latent)


def current_view() -> LatentView:
    """Return the view of this run."""
    return cast(LatentView, st.session_state[_VIEW])


def unknown_galaxy() -> str:
    """Return the id that was asked for and does not exist, once; empty if there is none."""
    return str(st.session_state.pop(_UNKNOWN, ""))


def place_sliders(start: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Return where the sliders are, where this start put them first, and the name of this start.

    Parameters
    ----------
    start : tuple of float
        Latents of the start: taken if the sliders were not moved.
    """
    view = current_view()
    latent = start if view.latent is None else view.latent
    token = str(st.session_state.get(_TOKEN, 0))
    if st.session_state.get(_INITIAL, ("",))[0] != token:
        st.session_state[_INITIAL] = (token, latent)
    return latent, st.session_state[_INITIAL][1], token


def write_url(start: tuple[float, ...]) -> None:
    """Let the address reproduce the page."""
    view = current_view()
    wanted = {"from": view.galaxy_id}
    wanted |= {"start": view.start} if view.start != "predicted" else {}
    if view.latent is not None and not np.allclose(view.latent, start, atol=5e-5):
        wanted["lat"] = latents_text(view.latent)
    wanted |= {"to": view.target} if view.target else {}
    wanted |= {"panel": view.panel or "none"} if view.panel != "nearest" else {}
    wanted |= {"plain": "1"} if view.is_plain else {}
    wanted |= {"by": view.kind} if view.kind != "observed" else {}
    if view.panel == "map":
        wanted |= {"x": view.axes[0], "y": view.axes[1], "color": view.colour or "none"}
    address.write(_PAGE, _URL_NAMES, wanted)


def slider_key(index: int) -> str:
    """Return the key of a plain slider; each start has sliders of its own."""
    return f"latents_slider_{st.session_state.get(_TOKEN, 0)}_{index}"


def _new_start() -> None:
    st.session_state[_TOKEN] = st.session_state.get(_TOKEN, 0) + 1


def _fill_widgets(view: LatentView) -> None:
    st.session_state[GALAXY], st.session_state[TARGET] = view.galaxy_id, view.target
    st.session_state[START], st.session_state[PANEL], st.session_state[PLAIN] = view.start, view.panel, view.is_plain
    st.session_state[AXIS_X], st.session_state[AXIS_Y] = view.axes
    st.session_state[COLOUR], st.session_state[KIND] = view.colour, view.kind


def _change(**changes: Any) -> None:
    address.touch()
    st.session_state[_VIEW] = dataclasses.replace(current_view(), **changes)


def start_from(galaxy_id: str, start: str | None = None) -> None:
    """Put the sliders at a galaxy; a callback."""
    _change(galaxy_id=galaxy_id, latent=None, start=start or current_view().start)
    st.session_state[GALAXY], st.session_state[START] = galaxy_id, current_view().start
    _new_start()


def on_galaxy(survey_ids: frozenset[str]) -> None:
    """Start from the galaxy whose id was typed; a callback."""
    address.touch()
    wanted = str(st.session_state[GALAXY]).strip()
    if wanted in survey_ids:
        start_from(wanted)
    else:
        st.session_state[GALAXY] = current_view().galaxy_id
        st.session_state[_UNKNOWN] = wanted


def on_target(survey_ids: frozenset[str]) -> None:
    """Interpolate to the galaxy whose id was typed, or to none; a callback."""
    wanted = str(st.session_state[TARGET] or "").strip()
    if wanted and wanted not in survey_ids:
        address.touch()
        st.session_state[TARGET] = current_view().target
        st.session_state[_UNKNOWN] = wanted
        return
    _change(target=wanted)


def on_start() -> None:
    """Put the sliders at the chosen start; a callback."""
    _change(start=st.session_state[START] or current_view().start, latent=None)
    st.session_state[START] = current_view().start
    _new_start()


def on_moved() -> None:
    """Take what the browser sends when a slider is let go of; a callback."""
    address.touch()
    moved = st.session_state[LAB]["moved"]
    if moved and moved["token"] == str(st.session_state.get(_TOKEN, 0)):
        _change(latent=tuple(float(value) for value in moved["latent"]))


def on_slider(n_latent: int) -> None:
    """Take the plain sliders; a callback."""
    _change(latent=tuple(float(st.session_state[slider_key(index)]) for index in range(n_latent)))


def mix_key() -> str:
    """Return the key of the plain slider between two galaxies; each start has its own."""
    return f"latents_mix_{st.session_state.get(_TOKEN, 0)}"


def on_mix(start: tuple[float, ...], target: tuple[float, ...]) -> None:
    """Put the plain sliders between two galaxies; a callback."""
    share = float(st.session_state[mix_key()])
    latent = tuple(round((1.0 - share) * a + share * b, 4) for a, b in zip(start, target, strict=True))
    _change(latent=latent)
    for index, value in enumerate(latent):
        st.session_state[slider_key(index)] = round(value, 2)


def on_plain() -> None:
    """Change between live and plain sliders, which start where the others are; a callback."""
    _change(is_plain=bool(st.session_state[PLAIN]))
    _new_start()


def on_panel() -> None:
    """Open a panel; a callback."""
    _change(panel=st.session_state[PANEL])


def on_map() -> None:
    """Take the settings of the map; a callback."""
    _change(
        axes=(st.session_state[AXIS_X], st.session_state[AXIS_Y]),
        colour=st.session_state[COLOUR],
        kind=st.session_state[KIND],
    )


def on_kind() -> None:
    """Take which latents of the galaxies are compared; a callback."""
    _change(kind=st.session_state[KIND] or current_view().kind)
    st.session_state[KIND] = current_view().kind


def check_axes(axes: tuple[str, str]) -> None:
    """Raise if a map would have one axis twice.

    Raises
    ------
    ConfigError
        With what to do.
    """
    if axes[0] == axes[1]:
        raise ConfigError(f"both axes are {axes[0]}; choose another one for x or y.")

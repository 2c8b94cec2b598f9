"""A grid of clickable galaxy cards: one component without iframe or library, a page of images in one message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import streamlit as st

_ASSETS: Final = Path(__file__).parent / "assets"
DEFAULT_SIZE: Final = 106

_component = st.components.v2.component(
    "galspec_gallery",
    html='<div class="gallery"></div>',
    css=(_ASSETS / "gallery.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "gallery.js").read_text(encoding="utf-8"),
)


def _nothing() -> None:
    """Answer what a gallery without selection never sends."""


def gallery(
    cards: list[dict[str, Any]],
    key: str,
    on_open: Callable[[], None],
    *,
    size: int = DEFAULT_SIZE,
    page: str = "",
    on_chosen: Callable[[], None] | None = None,
    on_scored: Callable[[], None] | None = None,
    on_turn: Callable[[], None] = _nothing,
) -> str | None:
    """Draw cards; return the id of the one that was just opened.

    Parameters
    ----------
    cards : list of dict
        Each with id, src (data URI or empty), facts, class and label (for screen readers); if known error and mark,
        two more short texts, selected, and score.
    key : str
        Identity of the component.
    on_open : callable
        Called before the rerun in which an id is returned.
    size : int
        Least width of a card in CSS pixels.
    page : str
        Name of these cards, sent back with a selection, so that one of an earlier page is not taken for theirs.
    on_chosen : callable, optional
        Called when the selection among these cards has changed; `chosen` reads it. Without it there are no boxes.
    on_scored : callable, optional
        Called when a key 0-5 was pressed on a card; `scored` reads it.
    on_turn : callable
        Called when an arrow key went past the first or last card; `turned` reads it.
    """
    data = {
        "cards": cards,
        "size": size,
        "page": page,
        "selectable": on_chosen is not None,
        "scorable": on_scored is not None,
    }
    opened = _component(
        key=key,
        data=data,
        on_open_change=on_open,
        on_chosen_change=on_chosen or _nothing,
        on_scored_change=on_scored or _nothing,
        on_turn_change=on_turn,
    ).open
    return str(opened) if opened else None


def _value(key: str, name: str) -> Any:
    state = st.session_state.get(key)
    return state.get(name) if state else None


def just_opened(key: str) -> str | None:
    """Return the id of the card that was just opened, before the gallery is drawn; None if there was none."""
    value = _value(key, "open")
    return str(value) if value else None


def chosen(key: str) -> tuple[str, list[str]] | None:
    """Return page and ids of the cards that are selected, within a callback; None if that is not known."""
    value = _value(key, "chosen")
    try:
        return str(value["page"]), [str(galaxy_id) for galaxy_id in value["ids"]]
    except (KeyError, TypeError):
        return None


def scored(key: str) -> list[tuple[str, int]]:
    """Return ids and scores that were just given, within a callback."""
    try:
        return [(str(galaxy_id), int(score)) for galaxy_id, score in _value(key, "scored") or []]
    except (TypeError, ValueError):
        return []


def turned(key: str) -> int:
    """Return the direction in which the page was just turned, within a callback: -1, 0 or 1."""
    value = _value(key, "turn")
    return value if value in {-1, 1} else 0

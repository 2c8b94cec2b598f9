"""A grid of clickable galaxy cards: one component without iframe or library, 24 images in one message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import streamlit as st

_ASSETS: Final = Path(__file__).parent / "assets"

_component = st.components.v2.component(
    "galspec_gallery",
    html='<div class="gallery"></div>',
    css=(_ASSETS / "gallery.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "gallery.js").read_text(encoding="utf-8"),
)


def gallery(cards: list[dict[str, Any]], key: str, on_open: Callable[[], None]) -> str | None:
    """Draw cards; return the id of the one that was just opened.

    Parameters
    ----------
    cards : list of dict
        Each with id, src (data URI or empty), facts, class and label (for screen readers).
    key : str
        Identity of the component.
    on_open : callable
        Called before the rerun in which an id is returned.
    """
    opened = _component(key=key, data={"cards": cards}, on_open_change=on_open).open
    return str(opened) if opened else None

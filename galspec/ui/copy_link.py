"""A button that copies the address of the page: every page keeps its state there."""

from pathlib import Path
from typing import Final

import streamlit as st

_ASSETS: Final = Path(__file__).parent / "assets"
_HTML: Final = (
    '<button type="button" title="Copy the address that reproduces this page">'
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M10 14a4.5 4.5 0 0 0 6.4 0l3-3a4.5 4.5 0 0 0-6.4-6.4l-1.2 1.2'
    'M14 10a4.5 4.5 0 0 0-6.4 0l-3 3a4.5 4.5 0 0 0 6.4 6.4l1.2-1.2"/></svg>'
    '<span aria-live="polite">Copy link</span></button>'
)

_component = st.components.v2.component(
    "galspec_copy_link",
    html=_HTML,
    css=(_ASSETS / "copy_link.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "copy_link.js").read_text(encoding="utf-8"),
)


def copy_link(key: str = "copy_link") -> None:
    """Draw the button; the browser copies what its address bar shows at the click, without a rerun.

    Parameters
    ----------
    key : str
        Identity of the button, one a page.
    """
    _component(key=key, width="content", height="content")

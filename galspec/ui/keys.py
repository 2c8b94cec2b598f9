"""Keys of a page that Streamlit's buttons cannot have: into a text box, on to the next choice of a control."""

from pathlib import Path
from typing import Final

import streamlit as st

_component = st.components.v2.component(
    "galspec_keys",
    html="<span hidden></span>",
    js=(Path(__file__).parent / "assets" / "keys.js").read_text(encoding="utf-8"),
)
_KEY: Final = "page_keys"


def page_keys(*, focus: dict[str, str], following: dict[str, str]) -> None:
    """Listen to keys while nothing is typed into a box.

    Parameters
    ----------
    focus : dict of str to str
        Key -> key of the text input that gets the cursor.
    following : dict of str to str
        Key -> key of the segmented control that goes to its next choice.
    """
    _component(
        key=_KEY,
        data={
            "focus": {name: f".st-key-{widget} input" for name, widget in focus.items()},
            "next": {name: f".st-key-{widget}" for name, widget in following.items()},
        },
    )

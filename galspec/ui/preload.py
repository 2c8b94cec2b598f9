"""Let the browser load Streamlit's plotting code, five megabytes, while the server still imports Plotly."""

import json
from pathlib import Path
from typing import Final

import streamlit as st

#: Of the container, which the theme takes out of the page's flow.
KEY: Final = "galspec_preload"
_SCRIPT: Final = """
const href = new URL({name}, document.baseURI).href;
document.head.append(Object.assign(document.createElement("link"), {{ rel: "modulepreload", href }}));
const look = () => document.querySelector({after}) ? setTimeout(() => import(href).catch(() => undefined), 50)
  : setTimeout(look, 50);
look();
"""


@st.cache_resource(show_spinner=False)
def _chunk() -> str:
    """Return the name of the file with Streamlit's plots; empty where this Streamlit keeps it elsewhere."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    return next((path.name for path in sorted(folder.glob("PlotlyChart.*.js"))), "")


def preload_plots(after: str) -> None:
    """Ask for the plotting code; a page that plots calls this before anything slow.

    The file is fetched at once, and run when the text is there: while the browser runs it, nothing
    is painted. Without this the browser asks when the first figure arrives. It is written in every run, so
    that what follows keeps its place; the browser imports a module once.

    Parameters
    ----------
    after : str
        Key of the container whose content is awaited.
    """
    if not (name := _chunk()):
        return
    script = _SCRIPT.format(name=json.dumps(f"static/js/{name}"), after=json.dumps(f".st-key-{after} p"))
    with st.container(key=KEY):
        st.html(f'<script type="module">{script}</script>', unsafe_allow_javascript=True)

"""Let the browser load Streamlit's plotting code, five megabytes, while the server still imports Plotly."""

from pathlib import Path

import streamlit as st


@st.cache_resource(show_spinner=False)
def _chunk() -> str:
    """Return the name of the file with Streamlit's plots; empty where this Streamlit keeps it elsewhere."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    return next((path.name for path in sorted(folder.glob("PlotlyChart.*.js"))), "")


def preload_plots() -> None:
    """Ask for the plotting code; a page that plots calls this before anything slow.

    Without it the browser asks when the first figure arrives, and a cold server's reader waits half a second longer.
    It is written in every run, so that what follows keeps its place; the browser imports a module once.
    """
    if not (name := _chunk()):
        return
    script = f'import(new URL("static/js/{name}", document.baseURI).href).catch(() => undefined);'
    st.html(f'<script type="module">{script}</script>', unsafe_allow_javascript=True)

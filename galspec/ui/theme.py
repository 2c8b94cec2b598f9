"""Colours, dashes and page layout, one place for all pages.

Series take their colours from Streamlit's theme by their order in a figure (`chartCategoricalColors` in
`.streamlit/config.toml`), so a change of theme recolours a chart without a rerun. Every series has a dash
and a name in words besides: colour is never alone.
"""

from pathlib import Path
from typing import Final

import streamlit as st

#: Order of the traces of a spectrum figure: the theme's series colours follow it.
SERIES: Final = ("observed", "predicted", "reconstruction")
DASHES: Final = {"observed": "solid", "predicted": "solid", "reconstruction": "dashdot"}
WIDTHS: Final = {"observed": 1.0, "predicted": 1.8, "reconstruction": 1.5}
#: Of predictions of other galaxies beside this one's.
PINNED_DASHES: Final = ("dot", "dash", "longdash")
#: Regions without data, guides and markers: contrast >= 3 on both backgrounds.
GREY: Final = "#8C8C8C"

#: A file, because a named icon would be fetched from another server.
ICON: Final = str(Path(__file__).parent / "assets" / "icon.png")

_CSS: Final = """
.stMainBlockContainer { padding: 3.9rem 1.6rem 2rem; }
[data-testid="stSidebarHeader"] { height: 2.5rem; margin-bottom: 0; }
/* Plotly's grey text has a contrast of 3.7; the page's own text colour follows the theme. */
.js-plotly-plot .plotly :is(g[class$="tick"], .infolayer) text { fill: currentColor !important; }
/* No line of the page for what draws nothing. */
:is(.st-key-galspec_preload, *:has(> .st-key-galspec_preload)) { position: absolute; }
/* A filter is a line of text: on a narrow window it takes a line of its own rather than a few letters. */
.st-key-browse_text { min-width: 17rem; }
/* On a narrow screen the plot takes the whole width, the images come below it, side by side. */
@media (max-width: 960px) {
  .st-key-galaxy_top > * > .stHorizontalBlock { flex-direction: column-reverse; }
  .st-key-galaxy_top > * > .stHorizontalBlock > .stColumn { width: 100%; flex: 1 1 auto; }
  .st-key-galaxy_images { display: grid; grid-template-columns: 2fr 3fr; align-items: end; }
  .st-key-galaxy_images > :last-child { grid-column: 1 / -1; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
"""


def apply_layout() -> None:
    """Let a page start right under the menu: a spectrum and its image fit into 1280 x 720."""
    st.html(f"<style>{_CSS}</style>")

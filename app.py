"""The app's entry point: page settings and navigation; run it with `make app`."""

import streamlit as st

from galspec.ui.boot import run_navigation
from galspec.ui.theme import ICON, apply_layout

st.set_page_config(
    page_title="galspec: spectra from images",
    page_icon=ICON,
    layout="wide",
    menu_items={
        "About": "Galaxy spectra predicted from five-band images, after Wu & Peek (2020). "
        "Every prediction is labelled as one."
    },
)
apply_layout()
run_navigation()

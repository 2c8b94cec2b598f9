"""Navigation that is right whichever page a server is asked for first."""

import sys
from pathlib import Path
from typing import Final

import streamlit as st

#: The first one is the start page, whose address is "/".
PAGES: Final = {
    "home": ("Home", ":material/home:"),
    "browse": ("Browse", ":material/grid_view:"),
    "galaxy": ("Galaxy", ":material/ssid_chart:"),
    "latents": ("Latents", ":material/tune:"),
    "train": ("Train", ":material/model_training:"),
}
_NAVIGATED, _WANTED, _WANTED_QUERY = "_boot_navigated", "_boot_page", "_boot_query"


def boot() -> None:
    """Send a page that was started without `app.py` through it; the first statement of every page.

    The first deep link to a fresh server is served by Streamlit's classic pages mechanism,
    which runs the page alone, without navigation or page settings.
    """
    if st.session_state.get(_NAVIGATED):
        return
    st.session_state[_WANTED] = Path(sys._getframe(1).f_globals["__file__"]).stem
    st.session_state[_WANTED_QUERY] = st.query_params.to_dict()
    st.switch_page("app.py")


def run_navigation() -> None:
    """Show the menu and run the page it points to; the last statement of `app.py`."""
    start = next(iter(PAGES))
    # Streamlit gives its default page no path of its own: old addresses of the others stay as they are.
    pages = {
        name: st.Page(f"pages/{name}.py", title=title, icon=icon, url_path=name, default=name == start)
        for name, (title, icon) in PAGES.items()
    }
    page = st.navigation(list(pages.values()), position="top")
    st.session_state[_NAVIGATED] = True
    wanted = st.session_state.pop(_WANTED, None)
    query = st.session_state.pop(_WANTED_QUERY, {})
    if wanted in pages:
        st.switch_page(pages[wanted], query_params=query)
    page.run()

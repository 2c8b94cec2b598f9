"""Who changed the address last: the reader (a link, an edit, back and forward), or a widget of the page.

The browser sends the address it has with every rerun. After a widget's change that may still be the old
one, because the new one is on its way; so the address counts only when no widget caused the run.
"""

from typing import Final

import streamlit as st

_TOUCHED: Final = "_address_touched"
_SHOWN: Final = "_address_page"
_WRITTEN: Final = "_address_written"


def touch() -> None:
    """Note that a widget causes this run; part of every widget's callback."""
    st.session_state[_TOUCHED] = True


def is_navigation(page: str, names: tuple[str, ...]) -> bool:
    """Return True if this run must follow the address, not the session.

    Parameters
    ----------
    page : str
        Name of the page that asks, once a run.
    names : tuple of str
        The query parameters that the page reads.

    Notes
    -----
    An address without parameters is followed only on the page it was shown on (back to the start of a
    search): the menu's links have none, and coming by them keeps what was set before.
    """
    if st.session_state.pop(_TOUCHED, False):
        return False
    url = {name: st.query_params[name] for name in names if name in st.query_params}
    is_new = url != st.session_state.get(_WRITTEN, {}).get(page, {})
    was_shown = st.session_state.get(_SHOWN) == page
    _remember(page, url)  # now, because a run may end before `write`
    return is_new and (bool(url) or was_shown)


def write(page: str, names: tuple[str, ...], wanted: dict[str, str]) -> None:
    """Make the address reproduce the page; parameters that are not the page's stay.

    Parameters
    ----------
    page : str
    names : tuple of str
        The query parameters that the page owns.
    wanted : dict of str to str
        Their values; the others are removed.
    """
    current = st.query_params.to_dict()
    kept = {name: value for name, value in current.items() if name not in names}
    if kept | wanted != current:
        st.query_params.from_dict(kept | wanted)
    _remember(page, wanted)


def _remember(page: str, url: dict[str, str]) -> None:
    st.session_state[_WRITTEN] = {**st.session_state.get(_WRITTEN, {}), page: url}
    st.session_state[_SHOWN] = page

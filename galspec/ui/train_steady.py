"""A part of a page that refreshes itself stays readable while it does."""

import contextlib
from collections.abc import Iterator

import streamlit as st


@contextlib.contextmanager
def steady(key: str) -> Iterator[None]:
    """Hold a part of the page that is drawn anew every few seconds: Streamlit would grey it out each time.

    Parameters
    ----------
    key : str
        Of the container.
    """
    st.html(
        f"<style>.st-key-{key} [data-stale='true'] {{ opacity: 1 !important; transition: none !important; }}</style>"
    )
    with st.container(key=key):
        yield

"""The browser is asked for Streamlit's plotting code before the first figure is there."""

import streamlit as st

from galspec.ui import preload


def _scripts(at) -> list[str]:
    return [element.proto.body for element in at.get("html") if "PlotlyChart" in element.proto.body]


def test_home_asks_for_the_code_that_streamlit_really_has(open_page):
    at = open_page("home")
    (script,) = _scripts(at)
    assert preload._chunk() in script
    at.run()
    assert _scripts(at) == [script]  # what follows keeps its place on the page


def test_another_streamlit_without_such_a_file_is_left_alone(open_page, monkeypatch, tmp_path):
    monkeypatch.setattr(st, "__file__", str(tmp_path / "streamlit" / "__init__.py"))
    assert preload._chunk.__wrapped__() == ""

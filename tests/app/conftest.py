"""A toy survey and toy models for the pages, and a way to run a page by its address."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from galspec.ui import models
from tests.toy_survey import write_toy_models, write_toy_survey

REPOSITORY_DIR = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def toy_survey_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_survey(tmp_path_factory.mktemp("survey") / "toy", n_galaxies=60)


@pytest.fixture(scope="session")
def toy_model_dirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_toy_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def _app_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_survey_dir: Path, toy_model_dirs: tuple[Path, Path]
) -> Iterator[None]:
    """Point the app to the toys; start every test with empty caches."""
    monkeypatch.chdir(REPOSITORY_DIR)
    monkeypatch.setenv("GALSPEC_SURVEY", str(toy_survey_dir))
    monkeypatch.setenv("GALSPEC_MODEL", str(toy_model_dirs[1]))
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path / "home"))
    st.cache_data.clear()
    st.cache_resource.clear()
    models._LOADED.clear()
    yield
    models._LOADED.clear()


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Run the app, switch to a page and give it its address; no page may show a traceback."""

    def run(page: str, /, **query: str) -> AppTest:
        at = AppTest.from_file(str(REPOSITORY_DIR / "app.py"), default_timeout=30)
        at.run()
        for name, value in query.items():
            at.query_params[name] = value
        at.switch_page(f"pages/{page}.py")
        at.run()
        assert not at.exception, at.exception
        return at

    return run

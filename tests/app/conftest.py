"""A toy survey and toy models for the pages, and a way to run a page by its address."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from galspec.store import layout, scores
from galspec.store.scores import scores_provenance, write_scores
from galspec.store.survey import Survey, open_survey
from galspec.ui import models
from galspec.ui.model_card import read_model_card
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


@pytest.fixture
def scored_survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_survey_dir: Path, toy_model_dirs) -> Survey:
    """The toy survey, all held out, with random latents as stored predictions; quiescent galaxies are the worst."""
    folder = shutil.copytree(toy_survey_dir, tmp_path / "scored")
    catalog = pd.read_parquet(folder / layout.CATALOG).assign(split="test")
    catalog.to_parquet(folder / layout.CATALOG, index=False)
    survey = open_survey(folder)
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"id": catalog["id"]})
    for name in (*scores.predicted_columns(6), *scores.observed_columns(6)):
        frame[name] = rng.standard_normal(len(survey)).astype(np.float32)
    for name in scores.COLUMNS:
        frame[name] = "" if name == "flag" else np.float32(2.0)
    difference = frame[scores.predicted_columns(6)].to_numpy() - frame[scores.observed_columns(6)].to_numpy()
    frame["latent_rmse"] = np.sqrt(np.square(difference).mean(axis=1))
    is_quiescent = (catalog["galaxy_class"] == "Q").to_numpy()
    frame["rmse_to_vae"] = np.where(is_quiescent, 3.0, 1.0) + 0.001 * rng.random(len(survey))
    frame["embedding_1"] = rng.standard_normal(len(survey)).astype(np.float16)
    card = read_model_card(toy_model_dirs[1])
    identity = {"name": card.name, "sha256": card.sha256, "vae_sha256": card.vae_sha256}
    write_scores(frame, survey.prediction_path(card.name), scores_provenance(identity, survey, False, {}))
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    return survey

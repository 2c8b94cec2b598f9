"""Curves of a galaxy: from stored latents without a network, else computed; both say the same."""

import gc

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from galspec.core.home import demo_survey_dir, shipped_weights_dir
from galspec.store.scores import predicted_columns
from galspec.store.survey import open_survey
from galspec.ui import galaxy, galaxy_curves, models
from galspec.ui.cache import cutout, survey_key
from galspec.ui.galaxy_curves import comparison, needs_model
from galspec.ui.model_card import read_model_card
from galspec.ui.stored_scores import stored_predictions

GALAXY = "sim1-00000031"


def test_stored_latents_need_no_network(open_page, scored_survey, monkeypatch):
    def refuse():
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(galaxy_curves, "load_models", refuse)
    assert not needs_model(scored_survey, GALAXY)
    curves = comparison(scored_survey, GALAXY)
    stored = stored_predictions(scored_survey)
    row = scored_survey.row(GALAXY)
    assert curves.latent_predicted == pytest.approx(stored.scores.latents[row])
    assert curves.prediction == pytest.approx(stored.decoder.decode(stored.scores.latents[row][None])[0], abs=1e-6)
    assert curves.inference.startswith("stored latents")
    assert np.isfinite(curves.observed).any()
    open_page("galaxy", id=GALAXY)
    assert not models.is_loaded()


def test_a_galaxy_without_stored_latents_is_computed(scored_survey, toy_model_dirs):
    card = read_model_card(toy_model_dirs[1])
    path = scored_survey.prediction_path(card.name)
    frame = stored_predictions(scored_survey).scores.frame
    frame.loc[scored_survey.row(GALAXY), predicted_columns(6)[0]] = np.nan
    assert path.is_file()
    assert needs_model(scored_survey, GALAXY)
    curves = comparison(scored_survey, GALAXY)
    assert curves.prediction is not None
    assert not curves.inference.startswith("stored")


@pytest.mark.slow
def test_stored_and_computed_curves_are_the_same(monkeypatch):
    monkeypatch.setenv("GALSPEC_SURVEY", str(demo_survey_dir()))
    monkeypatch.setenv("GALSPEC_MODEL", str(shipped_weights_dir() / "xresnet18-hybrid"))
    survey = open_survey(demo_survey_dir())
    for galaxy_id in pd.Series(survey.catalog["id"]).sample(3, random_state=1):
        stored = comparison(survey, galaxy_id)
        assert stored.inference.startswith("stored")
        computed = galaxy_curves._computed(survey, survey_key(survey), galaxy_id, models.load_models().key)
        assert stored.latent_predicted == pytest.approx(computed.latent_predicted, abs=1e-3)
        assert stored.latent_true == pytest.approx(computed.latent_true, abs=1e-3)
        assert stored.prediction == pytest.approx(computed.prediction, abs=2e-3)
        assert stored.reconstruction == pytest.approx(computed.reconstruction, abs=2e-3)
    st.cache_data.clear()


def test_the_neighbours_pictures_are_ready(toy_survey_dir, monkeypatch):
    survey = open_survey(toy_survey_dir)
    ids = survey.catalog["id"].tolist()[:2]
    galaxy._prepare(survey, survey_key(survey), [*ids, "no such galaxy"])  # the last one is passed over

    def refuse(*_):
        raise AssertionError("rendered again")

    monkeypatch.setattr(galaxy, "composite_image", refuse)
    for galaxy_id in ids:
        composite, bands = galaxy._pictures(
            cutout(survey, survey_key(survey), galaxy_id), survey_key(survey), galaxy_id
        )
        assert composite
        assert bands


def test_what_is_loaded_is_left_out_of_garbage_collection():
    try:
        models._settle()
        assert gc.get_freeze_count() > 10_000
        models._settle()  # what has gone meanwhile is found again
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()

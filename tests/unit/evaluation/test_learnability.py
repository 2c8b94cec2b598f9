"""The ledger of learnability: photometry of painted images, trees on known functions, and clear refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from galspec.cli.main import main
from galspec.core.bands import BANDS, CUTOUT_SHAPE, PIXEL_SCALE_ARCSEC
from galspec.core.errors import ConfigError, ImageError, ShapeError, SurveyError
from galspec.evaluation import learnability
from galspec.evaluation.learnability import (
    LearnabilitySettings,
    measure_learnability,
    read_ledger,
    record_stage,
    summarise_errors,
    tree_errors,
)
from galspec.evaluation.photometric_features import (
    ANNULI_ARCSEC,
    annulus_features,
    annulus_fluxes,
    colour_features,
)
from galspec.models.bundle import load_predictor_bundle, load_vae_bundle
from galspec.store.survey import open_survey
from galspec.training.survey_set import SurveyImages
from tests.toy_survey import write_toy_models, write_toy_survey

AREAS = np.pi * np.diff(np.array([0.0, *ANNULI_ARCSEC]) ** 2) / PIXEL_SCALE_ARCSEC**2


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folders of a survey of 160 galaxies, of a VAE and of a predictor."""
    folder = tmp_path_factory.mktemp("toy")
    return write_toy_survey(folder / "survey", n_galaxies=160), *write_toy_models(folder / "models")


def test_a_flat_image_has_the_areas_of_the_annuli():
    levels = np.arange(1.0, 6.0)[:, None, None]
    flux = annulus_fluxes(np.broadcast_to(levels, CUTOUT_SHAPE))
    np.testing.assert_allclose(flux, levels[:, :, 0] * AREAS, rtol=1e-9)


def test_a_painted_ring_lies_in_its_annulus_alone():
    offset = (np.arange(CUTOUT_SHAPE[1]) - 111.5) * PIXEL_SCALE_ARCSEC
    radius = np.hypot(offset[:, None], offset)
    image = np.zeros(CUTOUT_SHAPE)
    image[2, (radius > 3.4) & (radius < 5.6)] = 2.0
    flux = annulus_fluxes(image)
    assert flux[2, 2] == pytest.approx(image[2].sum())
    flux[2, 2] = 0.0
    assert np.abs(flux).max() < 1e-9


def test_holes_are_filled_with_the_mean_of_their_annulus():
    image = np.ones(CUTOUT_SHAPE)
    image[1, :, 140:150] = np.nan  # 7 arcsec beside the middle: a part of the last annulus
    image[3, :100] = np.nan  # less than half of the last annulus, nothing of the first
    image[4] = np.nan
    flux = annulus_fluxes(image)
    np.testing.assert_allclose(flux[:3], np.broadcast_to(AREAS, (3, 4)), rtol=1e-9)
    assert flux[3, 0] == pytest.approx(AREAS[0])
    assert np.isnan(flux[4]).all()


def test_bright_annuli_have_the_colours_of_their_fluxes():
    flux = np.outer([1.0, 2.0, 2.0, 4.0, 4.0], [1e6, 1e6, 1e6, 1e6])[None]
    features = annulus_features(flux).reshape(5, 4)
    expected = 2.5 * np.log10([2.0, 1.0, 2.0, 1.0])
    np.testing.assert_allclose(features[:4], np.broadcast_to(expected[:, None], (4, 4)), atol=1e-4)
    np.testing.assert_allclose(features[4], -2.5 * np.log10(2e6), atol=1e-4)


def test_empty_annuli_have_finite_features_and_holes_none():
    flux = np.zeros((1, 5, 4))
    flux[0, 0, 3], flux[0, 2, 1] = -300.0, np.nan
    features = annulus_features(flux).reshape(5, 4)
    assert np.isnan(features[[1, 2], 1]).all()
    assert np.isfinite(features).sum() == 18


def test_colours_of_the_catalogue():
    catalog = pd.DataFrame({f"mag_{band}": [18.0 - index**2 / 10.0] for index, band in enumerate(BANDS)})
    np.testing.assert_allclose(colour_features(catalog), [[0.1, 0.3, 0.5, 0.7, 17.9]])
    with pytest.raises(SurveyError, match="no column mag_z"):
        colour_features(catalog.drop(columns="mag_z"))


def test_trees_learn_a_function_of_the_colours_and_nothing_from_noise(rng):
    features = rng.normal(size=(2400, 5))
    known = np.sin(features[:, 0]) + features[:, 1]
    targets = np.column_stack([known / known.std(), rng.normal(size=2400)])
    squared = tree_errors(features[:2000], targets[:2000], features[2000:], targets[2000:], seed=1)
    told, noise = squared.mean(axis=0)
    assert told < 0.05
    assert noise == pytest.approx(1.0, abs=0.2)
    again = tree_errors(features[:2000], targets[:2000], features[2000:], targets[2000:], seed=1)
    np.testing.assert_array_equal(squared, again)


def test_intervals_hold_the_standard_error(rng):
    squared = rng.normal(size=(4000, 6)) ** 2
    is_usual = np.arange(4000) > 0
    squared[0] = 0.0
    row = summarise_errors(squared, is_usual, seed=3)
    assert row["mse_usual"] == pytest.approx(squared[1:].mean(), abs=1e-4)
    assert summarise_errors(squared, ~is_usual, seed=3)["mse_usual"] == 0.0
    assert summarise_errors(squared, np.zeros(4000, bool), seed=3)["mse_usual"] is None
    assert row["n"] == 4000
    assert row["mse"] == pytest.approx(squared.mean(), abs=1e-4)
    # The mean of 24000 squared deviates of variance 2; half the interval is one standard error.
    low, high = row["mse_interval"]
    assert (high - low) / 2 == pytest.approx(np.sqrt(2 / 24000), rel=0.12)
    assert np.shape(row["mse_per_latent_interval"]) == (6, 2)
    assert all(a < b < c for (a, c), b in zip(row["mse_per_latent_interval"], row["mse_per_latent"], strict=True))


def test_a_stage_of_a_survey(toy):
    survey, vae = open_survey(toy[0]), load_vae_bundle(toy[1])
    settings = LearnabilitySettings(n_train=80, n_valid=10)
    seen = []
    stage = measure_learnability(survey, vae, settings, SurveyImages(survey, len(survey)), progress=seen.append)
    assert stage["results"].keys() == {"train_mean", "colours", "annuli"}
    assert seen[-1] == 90
    assert stage["survey"]["data_hash"] == survey.data_hash
    assert stage["n_valid"] == stage["results"]["annuli"]["n"] == 10
    json.dumps(stage, allow_nan=False)


def test_a_network_of_the_same_survey_is_measured_and_another_is_quoted(toy):
    survey, vae = open_survey(toy[0]), load_vae_bundle(toy[1])
    predictor = load_predictor_bundle(toy[2], vae)
    settings, images = LearnabilitySettings(n_train=60, n_valid=10), SurveyImages(survey, len(survey))
    with pytest.raises(ConfigError, match="no valid scores to quote"):
        measure_learnability(survey, vae, settings, images, predictor)
    predictor.info["scores"] = {"valid_mse": 0.5, "valid_mse_per_latent": [0.5] * 6, "valid_n": 77}
    quoted = measure_learnability(survey, vae, settings, images, predictor)["results"]["network"]
    assert (quoted["mse"], quoted["n"]) == (0.5, 77)
    assert quoted["galaxies"] == "the valid split of its own survey"
    predictor.info["training_survey"]["data_hash"] = survey.data_hash
    measured = measure_learnability(survey, vae, settings, images, predictor)["results"]["network"]
    assert measured["galaxies"] == "the same"
    rows = survey.rows_in_split("valid")[:10]
    predicted = predictor.predict_latents(np.stack([survey.cutout(int(row)) for row in rows]))
    expected = ((predicted - vae.latents(*survey.spectra_block(rows))) ** 2).mean()
    assert measured["mse"] == pytest.approx(expected, abs=1e-3)


def test_a_survey_too_small_is_refused(toy):
    survey, vae = open_survey(toy[0]), load_vae_bundle(toy[1])
    with pytest.raises(ConfigError, match="usable galaxies in its train split, but --n-train is 6000"):
        measure_learnability(survey, vae, LearnabilitySettings(), SurveyImages(survey, len(survey)))


@pytest.mark.parametrize("words", [{"n_train": 3}, {"n_valid": 0}, {"seed": -1}])
def test_bad_settings_are_refused(words):
    with pytest.raises(ConfigError, match=r"--(n-train|n-valid|seed)"):
        LearnabilitySettings(**words)


def test_bad_arrays_are_refused():
    with pytest.raises(ShapeError, match="annuli are measured"):
        annulus_fluxes(np.ones((3, 224, 224)))
    with pytest.raises(ImageError, match="leaves the image"):
        annulus_fluxes(np.ones((5, 64, 64)))
    with pytest.raises(ShapeError, match="do not match"):
        tree_errors(np.ones((9, 2)), np.ones((8, 6)), np.ones((9, 2)), np.ones((9, 6)), 1)


def test_stages_are_added_and_replaced_by_label(tmp_path):
    path = tmp_path / "ledger.json"
    for label, value in (("one", 1), ("two", 2), ("one", 3)):
        record_stage(path, label, {"value": value})
    assert [(stage["label"], stage["value"]) for stage in read_ledger(path)["stages"]] == [("one", 3), ("two", 2)]


@pytest.mark.parametrize("content", ["[]", "{", '{"format": "galspec-learnability", "version": 99}'])
def test_a_file_that_is_no_ledger_is_left_alone(tmp_path, content):
    path = tmp_path / "ledger.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="choose another --out"):
        record_stage(path, "one", {})
    assert path.read_text() == content


def test_the_verb_writes_a_stage_and_the_report_prints_it(toy, tmp_path, capsys, monkeypatch):
    path = tmp_path / "ledger.json"
    sizes = ["--n-train", "60", "--n-valid", "10"]
    command = ["learnability", "--survey", str(toy[0]), "--vae", str(toy[1]), "--out", str(path), *sizes]
    assert main([*command, "--no-network", "--label", "toy stage"]) == 0
    assert "stage 'toy stage'" in capsys.readouterr().out
    monkeypatch.setattr(learnability, "ledger_path", lambda: path)
    assert main(["report", "learnability", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"][0]["label"] == "toy stage"
    before = path.read_text()
    assert main([*command, "--run-or-bundle", str(toy[2])]) == 2
    assert "--no-network" in capsys.readouterr().err
    assert path.read_text() == before
    assert main([*command, "--no-network", "--cached", "500"]) == 2
    assert "--cached cannot be 500" in capsys.readouterr().err


def test_the_report_says_how_to_make_a_missing_ledger(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(learnability, "ledger_path", lambda: tmp_path / "none.json")
    assert main(["report", "learnability"]) == 2
    assert "python -m galspec learnability --survey" in capsys.readouterr().err

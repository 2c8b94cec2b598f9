"""Latents with known meaning, prior and errors: each measurement must find what was put in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from galspec.core.errors import SurveyError
from galspec.core.home import demo_survey_dir
from galspec.evaluation.latent_meaning import (
    TRAVERSAL_STEPS,
    aggregate_posterior,
    catalog_quantities,
    correlations,
    latent_calibration,
    measure_meaning,
    traversals,
)
from galspec.models.bundle import VaeBundle, load_vae_bundle, shipped_vae_dir
from galspec.store.survey import open_survey
from tests.toy_survey import write_toy_models, write_toy_survey


@pytest.fixture(scope="module")
def toy_vae(tmp_path_factory: pytest.TempPathFactory) -> VaeBundle:
    return load_vae_bundle(write_toy_models(tmp_path_factory.mktemp("models"))[0])


class OnePixel:
    """A stand-in for a bundle whose latents are two pixels; it states ``share`` of their true error."""

    n_latent = 2

    def __init__(self, share: float, offset: float = 0.0):
        self.share, self.offset = share, offset

    def posterior(self, flux, ivar):
        pixels = slice(500, 502)
        mean = flux[:, pixels] * np.array([1.0, -2.0])
        # Noise shows as a bias where a network is not linear: here for every noisy spectrum.
        mean = mean + self.offset * (np.abs(flux[:, :1] - 1.0) > 1e-9)
        return mean, self.share * np.array([1.0, 2.0]) / np.sqrt(ivar[:, pixels])


def _observed(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    snr = np.linspace(5.0, 50.0, n)
    ivar = np.repeat(snr[:, None] ** 2, 1000, axis=1)
    ivar[:, 900:] = 0.0
    return np.ones((n, 1000)), ivar


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_stated_errors_are_held_against_the_scatter(share):
    result = latent_calibration(OnePixel(share), *_observed(), seed=1)
    np.testing.assert_allclose(result["ratio"], share, rtol=0.15)
    snr = [one["snr"] for one in result["bins"]]
    assert snr == sorted(snr)
    assert len(snr) == 4
    assert sum(one["n"] for one in result["bins"]) == 60
    for one in result["bins"]:
        assert one["ratio"] == pytest.approx([share, share], rel=0.3)
        assert one["scatter"][1] == pytest.approx(2 * one["scatter"][0], rel=0.3)
    assert result["bins"][0]["scatter"][0] > 3 * result["bins"][-1]["scatter"][0]


def test_a_bias_is_found():
    result = latent_calibration(OnePixel(1.0, offset=0.2), *_observed(), seed=1)
    assert result["bins"][-1]["bias"] == pytest.approx([0.2, 0.2], abs=0.03)
    clean = latent_calibration(OnePixel(1.0), *_observed(), seed=1)
    assert abs(clean["bins"][-1]["bias"][0]) < 0.03


def test_too_few_spectra_cannot_be_calibrated():
    flux, ivar = _observed(12)
    with pytest.raises(SurveyError, match="only 6 spectra"):
        latent_calibration(OnePixel(1.0), flux[:6], ivar[:6], seed=1)
    with pytest.raises(SurveyError, match="only 0 spectra"):
        latent_calibration(OnePixel(1.0), -flux, ivar, seed=1)


def test_a_posterior_that_fills_the_prior_is_recognised(rng):
    mean, sigma = 0.6 * rng.standard_normal((3000, 3)), np.full((3000, 3), 0.8)
    found = aggregate_posterior(mean, sigma, seed=1)
    np.testing.assert_allclose(found["sd"], 1.0, atol=0.05)
    np.testing.assert_allclose(found["mean"], 0.0, atol=0.06)
    assert max(found["ks"]) < 0.04
    assert found["mmd"] < 3 * found["mmd_floor"]
    assert found["max_correlation"] < 0.06
    assert np.sum(found["histogram"][0]) * 0.25 == pytest.approx(1.0, abs=0.01)


def test_a_posterior_beside_the_prior_is_recognised(rng):
    mean = rng.standard_normal((3000, 2)) @ np.array([[1.0, 0.9], [0.0, 0.5]])
    mean[:, 1] += 1.0
    mean[:60, 0] = 7.0
    found = aggregate_posterior(mean, np.zeros((3000, 2)), seed=1)
    assert found["mean"][1] == pytest.approx(1.0, abs=0.1)
    assert found["ks"][1] > 0.2
    assert found["skew"][0] > 0.5
    assert found["kurtosis"][0] > 1.0
    assert found["beyond_5"] == pytest.approx([0.02, 0.0], abs=1e-3)
    assert found["max_correlation"] > 0.5
    assert found["mmd"] > 20 * found["mmd_floor"]


def test_traversals_move_one_latent_at_a_time(toy_vae):
    found = traversals(toy_vae)
    flux = np.array([[row.split() for row in latent] for latent in found["flux"]], float)
    assert flux.shape == (6, 7, 250)
    assert len(found["wave"].split()) == 250
    middle = TRAVERSAL_STEPS.index(0.0)
    centre = toy_vae.decode_standardised(np.zeros((1, 6)))[0].reshape(250, 4).mean(axis=1)
    for latent in flux:
        np.testing.assert_allclose(latent[middle], centre, atol=1e-3)
    one = np.zeros((1, 6), np.float32)
    one[0, 2] = -3.0
    np.testing.assert_allclose(flux[2, 0], toy_vae.decode_standardised(one)[0].reshape(250, 4).mean(axis=1), atol=1e-3)
    assert not np.allclose(flux[2, 0], flux[3, 0], atol=1e-3)


def test_correlations_with_the_columns_there_are(rng):
    catalog = pd.DataFrame({"dn4000_true": rng.normal(size=100), "log_n2": np.full(100, np.nan), "id": ["a"] * 100})
    quantities = catalog_quantities(catalog)
    assert set(quantities) == {"dn4000_true", "log_n2"}
    latents = np.stack([-catalog["dn4000_true"], rng.normal(size=100)], axis=1)
    found = correlations(latents, quantities)
    assert found["dn4000_true"][0] == pytest.approx(-1.0)
    assert found["log_n2"] == [None, None]


def test_the_shipped_latents_on_the_demo_survey():
    vae, demo = load_vae_bundle(shipped_vae_dir()), open_survey(demo_survey_dir())
    found = measure_meaning(vae, demo, split="test", n_galaxies=200, n_calibration=20)
    assert found["n"] == 200
    assert len(found["names"]) == vae.n_latent
    assert any("no clear meaning" not in name for name in found["names"])
    assert max(abs(value) for value in found["correlation"]["dn4000_true"]) > 0.5
    assert len(found["calibration"]["bins"]) == 4
    assert found["source"] == "SIMULATED"


def test_a_split_without_galaxies_is_explained(toy_vae, tmp_path: Path):
    survey = open_survey(write_toy_survey(tmp_path / "survey", n_galaxies=8, with_images=False))
    with pytest.raises(SurveyError, match="usable galaxies in its valid split"):
        measure_meaning(toy_vae, survey)

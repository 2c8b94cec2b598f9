"""Filling of gaps, measured by hiding what is known."""

import numpy as np
import pytest

from galspec.core.home import demo_survey_dir
from galspec.evaluation.infill import hidden_pixels, infill_error
from galspec.models.bundle import load_vae_bundle, shipped_vae_dir
from galspec.preprocess.spectra import SpectrumPreprocessor, normalise_spectra
from galspec.store.survey import open_survey


@pytest.mark.parametrize(
    ("pattern", "share"),
    [("scattered", 0.05), ("gap", 0.04), ("blue end", 0.13), ("red end", 0.13), ("two fifths", 0.4)],
)
def test_patterns_hide_what_they_say(pattern, share):
    hidden = hidden_pixels(50, pattern)
    assert hidden.shape == (50, 1000)
    assert hidden.mean() == pytest.approx(share, abs=0.005)
    assert (hidden == hidden_pixels(50, pattern)).all()


def test_ten_components_fill_better_than_the_mean_and_near_the_noise():
    survey, fitted = open_survey(demo_survey_dir()), load_vae_bundle(shipped_vae_dir()).preprocessor
    flux, ivar, _ = normalise_spectra(*survey.spectra_block(np.arange(150)))
    hidden = hidden_pixels(150, "gap")
    filled = infill_error(fitted, flux, ivar, hidden)
    only_mean = SpectrumPreprocessor(fitted.mean_flux, fitted.eigenvectors[:1], 1e-9 * fitted.eigenvalues[:1])
    assert filled["median_error"] < 0.5 * infill_error(only_mean, flux, ivar, hidden)["median_error"]
    assert filled["median_error"] < 3 * filled["noise"]
    assert filled["n_pixels"] > 4000


def test_hidden_pixels_do_not_help_to_fill_themselves():
    survey, fitted = open_survey(demo_survey_dir()), load_vae_bundle(shipped_vae_dir()).preprocessor
    flux, ivar, _ = normalise_spectra(*survey.spectra_block(np.arange(5)))
    hidden = hidden_pixels(5, "gap")
    wild = np.where(hidden, np.float32(7.0), flux)
    assert infill_error(fitted, wild, ivar, hidden)["median_error"] > 3.0  # compared with what is there, filled without

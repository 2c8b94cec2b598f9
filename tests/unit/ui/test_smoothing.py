"""Smoothing treats all curves alike and propagates their errors."""

import numpy as np
import pytest

from galspec.ui.comparison import Comparison
from galspec.ui.smoothing import smoothed, smoothing_of


@pytest.fixture
def curves(rng) -> Comparison:
    observed, sigma = rng.normal(1, 0.1, 1000), rng.uniform(0.05, 0.2, 1000)
    observed[300:340] = sigma[300:340] = np.nan
    return Comparison(observed=observed, sigma=sigma, prediction=np.where(np.isnan(observed), 5.0, observed))


def test_none_returns_the_exact_data(curves):
    assert smoothed(curves, 0.0) is curves


def test_equal_curves_stay_equal_and_gaps_stay_gaps(curves):
    found = smoothed(curves, 3.0)
    assert np.array_equal(found.has_data, curves.has_data)
    good = found.has_data
    assert found.prediction[good] == pytest.approx(found.observed[good])  # what lies in the gap does not leak out
    assert np.isfinite(found.prediction).all()


def test_far_from_edges_it_is_a_gaussian_filter(rng):
    from scipy.ndimage import gaussian_filter1d

    flux = rng.normal(1, 0.1, 1000)
    found = smoothed(Comparison(prediction=flux), 2.5).prediction
    assert found[50:-50] == pytest.approx(gaussian_filter1d(flux, 2.5, truncate=5.0)[50:-50], abs=1e-6)


def test_errors_are_those_of_many_realisations(rng):
    sigma = np.linspace(0.05, 0.3, 1000)
    drawn = [
        smoothed(Comparison(observed=sigma * rng.standard_normal(1000), sigma=sigma), 2.0).observed for _ in range(200)
    ]
    told = smoothed(Comparison(observed=np.zeros(1000), sigma=sigma), 2.0).sigma
    ratio = np.std(drawn, axis=0) / told
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    assert told[500] == pytest.approx(sigma[500] / np.sqrt(2.0 * 2.0 * np.sqrt(np.pi)), rel=0.01)


@pytest.mark.parametrize("text", ["-1", "11", "nan", "wide", ""])
def test_other_values_than_0_to_10_are_refused(text):
    with pytest.raises(ValueError, match="no number of pixels"):
        smoothing_of(text)

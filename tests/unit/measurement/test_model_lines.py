"""The short measurement of noise-free spectra against the full one, on decoded spectra of the demo survey."""

import numpy as np
import pytest

from galspec.core.home import demo_survey_dir, shipped_weights_dir
from galspec.core.wavelength import N_WAVE
from galspec.measurement.model_lines import browser_recipe, first_fit, measure_models
from galspec.measurement.table import measure_spectra
from galspec.store.decoder import read_decoder
from galspec.store.scores import read_scores
from galspec.store.survey import open_survey

#: Equivalent width (angstrom) above which ratios of lines mean something.
CLEAR_EW = 3.0


@pytest.fixture(scope="module")
def decoded():
    survey = open_survey(demo_survey_dir())
    scores = read_scores(survey, "xresnet18-hybrid")
    return read_decoder(shipped_weights_dir() / "xresnet18-hybrid").decode(scores.latents_observed[:400])


@pytest.fixture(scope="module")
def both(decoded):
    return measure_models(decoded), measure_spectra(decoded)


def test_halpha_is_within_two_percent_of_the_full_fit(both):
    short, full = both
    is_clear = full["ew_halpha"].to_numpy() > CLEAR_EW
    assert is_clear.sum() > 100
    relative = np.abs(short.ew_halpha / full["ew_halpha"].to_numpy() - 1.0)[is_clear]
    assert np.percentile(relative, 50) < 0.002
    assert np.percentile(relative, 99) < 0.02
    assert np.abs(short.ew_halpha - full["ew_halpha"].to_numpy())[~is_clear].max() < 0.1


def test_bpt_positions_are_within_0_03_of_the_full_fit(both):
    short, full = both
    is_clear = full["ew_halpha"].to_numpy() > CLEAR_EW
    for name in ("log_n2", "log_o3"):
        difference = np.abs(getattr(short, name) - full[name].to_numpy())[is_clear]
        assert np.isfinite(difference).mean() > 0.9, name
        assert np.nanpercentile(difference, 99) < 0.03, name


def test_the_break_is_exactly_that_of_the_full_table(both):
    short, full = both
    np.testing.assert_allclose(short.dn4000, full["dn4000"], rtol=1e-12)


def test_values_do_not_depend_on_the_flux_unit(decoded):
    flux = decoded[:20].astype(np.float64)
    one, other = measure_models(flux), measure_models(flux * 64.0)
    for name in ("ew_halpha", "dn4000", "log_n2", "log_o3"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, err_msg=name)


def test_a_spectrum_without_positive_flux_has_no_values():
    values = measure_models(np.stack([np.full(N_WAVE, -1.0), np.ones(N_WAVE)]))
    assert np.isnan(values.ew_halpha[0])
    assert np.isnan(values.dn4000[0])
    assert np.isnan(values.log_n2[0])
    assert np.isfinite(values.ew_halpha[1])
    assert values.dn4000[1] == pytest.approx((np.mean([4050.0]) / 3900.0) ** 2, rel=0.01)


def test_the_recipe_for_browsers_holds_every_pixel_a_line_touches():
    settings, arrays = browser_recipe()
    fit = first_fit()
    pixels = settings["pixels"]
    np.testing.assert_array_equal(arrays["operator"], fit.operator.astype(np.float32))
    np.testing.assert_array_equal(arrays["terms"], fit.terms[:, pixels].astype(np.float32))
    assert arrays["sides"].sum() == pytest.approx(1.0, abs=1e-6)  # the two side bands, complete
    assert settings["rows"].keys() == {"ha", "n2", "hb", "o3"}

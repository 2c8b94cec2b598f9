"""Which spectra and pixels can be used: checks, outliers, and the airglow line."""

import numpy as np
import pytest

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.home import demo_survey_dir
from galspec.core.wavelength import N_WAVE, wave_grid
from galspec.models.bundle import load_vae_bundle, shipped_vae_dir
from galspec.preprocess.quality import (
    _running_median,
    near_sky_line,
    outlier_pixels,
    require_enough_data,
    require_spectra,
    spectrum_problems,
)
from galspec.preprocess.spectra import is_encodable, normalise_spectra
from galspec.store.survey import open_survey


@pytest.fixture
def block() -> tuple[np.ndarray, np.ndarray]:
    return np.ones((3, N_WAVE), np.float32), np.full((3, N_WAVE), 100.0, np.float32)


def test_the_airglow_line_is_masked_in_the_observed_frame():
    wave = np.array([5560.0, 5572.0, 5578.9, 5587.0, 5600.0])
    assert near_sky_line(wave).tolist() == [False, True, True, True, False]


def test_good_spectra_pass_as_they_are(block):
    flux, ivar = require_spectra(*block)
    assert flux is block[0]
    require_enough_data(flux, ivar)
    assert spectrum_problems(flux, ivar, np.array([0.0, 0.1, 0.36])) == ["", "", ""]


def test_a_flux_without_data_may_be_anything(block):
    flux, ivar = block
    flux[0, 3], ivar[0, 3] = np.nan, 0.0
    require_spectra(flux, ivar)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda flux, ivar: flux.__setitem__((1, 5), np.nan), r"flux that is not finite.*rows 1\)"),
        (lambda flux, ivar: ivar.__setitem__((2, 5), -1.0), r"negative or not finite \(rows 2\)"),
        (lambda flux, ivar: ivar.__setitem__((0, 5), np.inf), r"negative or not finite \(rows 0\)"),
        (lambda flux, ivar: ivar.__setitem__((0, 5), np.nan), r"negative or not finite \(rows 0\)"),
    ],
)
def test_impossible_values_are_refused_with_their_rows(block, change, message):
    change(*block)
    with pytest.raises(SpectrumError, match=message):
        require_spectra(*block)


@pytest.mark.parametrize("shape", [(3, 999), (N_WAVE,), (2, 3, N_WAVE)])
def test_another_grid_is_refused(shape):
    with pytest.raises(ShapeError, match="resample_to_grid"):
        require_spectra(np.ones(shape), np.ones(shape))


def test_mostly_empty_spectra_are_refused_and_say_how_empty(block):
    flux, ivar = block
    ivar[1, 400:] = 0.0
    with pytest.raises(SpectrumError, match=r"1 of 3 spectra have data in less than 60%.*rows 1.*40%"):
        require_enough_data(flux, ivar)
    problems = spectrum_problems(flux, ivar, np.array([0.1, 0.1, 0.5]))
    assert problems[0] == ""
    assert "data in 40% of the pixels" in problems[1]
    assert "redshift 0.5000 outside 0-0.36" in problems[2]
    assert is_encodable(flux, ivar).tolist() == [True, False, True]
    flux[0, 3], ivar[2, 4] = np.nan, -1.0  # what the encoder refuses is not encodable
    assert is_encodable(flux, ivar).tolist() == [False, False, False]


def test_cosmic_rays_are_found_and_lines_and_bad_calibration_are_not():
    wave = wave_grid()
    model = np.ones((4, N_WAVE))
    flux, ivar = model.astype(np.float32).copy(), np.full((4, N_WAVE), 400.0, np.float32)
    flux[0, 500:502] += 3.0  # two pixels: a cosmic ray
    flux[1] += (0.6 * np.exp(-0.5 * ((wave - 5500.0) / 200.0) ** 2)).astype(np.float32)  # a bad calibration
    flux[2] += (20.0 * np.exp(-0.5 * ((wave - 6564.6) / 5.0) ** 2)).astype(np.float32)  # Halpha
    flux[3, 600], ivar[3, 600] = 50.0, 0.0  # without data already
    found = outlier_pixels(flux, ivar, model)
    assert np.flatnonzero(found[0]).tolist() == [500, 501]
    assert not found[1:].any()


def test_no_pixel_of_a_usual_simulated_spectrum_is_an_outlier_and_injected_ones_are():
    survey, preprocessor = open_survey(demo_survey_dir()), load_vae_bundle(shipped_vae_dir()).preprocessor
    flux, ivar, _ = normalise_spectra(*survey.spectra_block(np.arange(100)))
    assert (preprocessor.clean(flux, ivar) == ivar).all()
    hit = flux.copy()
    column = int(np.argmin(abs(wave_grid() - 5400.0)))
    has_data = ivar[:, column] > 0
    hit[:, column] += 2.5
    cleaned = preprocessor.clean(hit, ivar)
    assert (cleaned[has_data, column] == 0).all()
    assert (np.delete(cleaned, column, axis=1) == np.delete(ivar, column, axis=1)).all()
    # What is taken out is filled from its neighbours: the encoder hardly notices.
    x, clean_x = preprocessor.encoder_input(hit, ivar), preprocessor.encoder_input(flux, ivar)
    assert np.abs(x - clean_x)[has_data, column].max() < 0.4


def test_running_median_is_that_of_scipy(rng):
    from scipy.ndimage import median_filter

    values = rng.standard_normal((37, 1000))
    assert np.array_equal(_running_median(values, 11), median_filter(values, size=(1, 11), mode="nearest"))
    assert _running_median(values[:0], 11).shape == (0, 1000)

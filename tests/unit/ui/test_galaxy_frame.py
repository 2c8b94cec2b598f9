"""Redshifts and frames: observed pixels keep their observed wavelengths, models and lines their rest wavelengths."""

import numpy as np
import pytest

from galspec.core.wavelength import wave_grid
from galspec.ui.galaxy_frame import (
    C_KMS,
    Frame,
    checked_redshift,
    redshift_of,
    redshift_of_feature,
    redshift_text,
)


def test_observed_pixels_stand_still_in_the_observed_frame():
    grid = wave_grid()
    at_catalog, at_trial = Frame(0.05, 0.05, "obs"), Frame(0.05, 0.08, "obs")
    np.testing.assert_allclose(at_trial.of_pixels(grid), at_catalog.of_pixels(grid), rtol=1e-14)
    np.testing.assert_allclose(at_catalog.of_pixels(grid), grid * 1.05, rtol=1e-14)
    np.testing.assert_allclose(at_trial.of_rest(6564.61), 6564.61 * 1.08, rtol=1e-14)


def test_models_stand_still_in_the_rest_frame():
    grid = wave_grid()
    frame = Frame(0.05, 0.08)
    np.testing.assert_array_equal(frame.of_rest(grid), grid)
    np.testing.assert_allclose(frame.of_pixels(grid), grid * 1.05 / 1.08, rtol=1e-14)


def test_without_a_trial_pixels_lie_on_the_grid():
    frame = Frame.of_catalog(0.123456789)
    assert not frame.is_trial
    np.testing.assert_array_equal(frame.of_pixels(wave_grid()), wave_grid())
    assert frame.velocity_kms == 0.0


@pytest.mark.parametrize("kind", ["rest", "obs"])
def test_the_window_comes_back_from_the_axis(kind):
    frame = Frame(0.05, 0.0712345, kind)
    shown = frame.window((4780.0, 5080.0))
    np.testing.assert_allclose([frame.to_rest(edge) for edge in shown], [4780.0, 5080.0], rtol=1e-14)
    other = Frame(0.05, 0.0712345, "obs" if kind == "rest" else "rest")
    np.testing.assert_allclose(frame.other_window((4780.0, 5080.0)), other.window((4780.0, 5080.0)), rtol=1e-14)


def test_velocity_is_that_of_the_issue():
    assert Frame(0.1, 0.1011).velocity_kms == pytest.approx(C_KMS * 0.0011 / 1.1, rel=1e-9)
    assert Frame(0.1, 0.0989).velocity_kms < 0


def test_a_line_at_its_observed_wavelength_gives_its_redshift():
    assert redshift_of_feature(6564.61 * 1.0832145, 6564.61) == pytest.approx(0.0832145, abs=1e-9)
    with pytest.raises(ValueError, match="outside"):
        redshift_of_feature(3000.0, 6564.61)


@pytest.mark.parametrize("z", [0.0, 0.05, 0.0832145, -0.00123, 7.12345678, 0.123456789])
def test_text_and_value_go_round(z):
    assert redshift_of(redshift_text(z)) == z
    assert len(redshift_text(z).split(".")[1]) >= 5


@pytest.mark.parametrize("text", ["", "far", "nan", "inf", "-0.5", "99", "0,05"])
def test_what_is_no_redshift_is_said(text):
    with pytest.raises(ValueError, match=r"is no redshift|lies outside"):
        redshift_of(text)


def test_floating_point_noise_is_taken_off():
    assert checked_redshift(0.05106 + 0.00001 - 1e-17) == 0.05107

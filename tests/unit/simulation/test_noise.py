import numpy as np
import pytest

from galspec.core.lines import SKY_LINES
from galspec.core.wavelength import N_WAVE, wave_grid
from galspec.simulation.noise import draw_calibration, draw_sky_residual, has_data, noise_sigma, observe

FLAT = np.full(N_WAVE, 15.0)
ONES = np.ones(N_WAVE)


@pytest.mark.parametrize("redshift", [0.02, 0.1, 0.25])
def test_data_lie_inside_the_spectrographs_range(redshift) -> None:
    observed = wave_grid()[has_data(redshift)] * (1 + redshift)
    assert observed.min() >= 3800.0
    assert observed.max() <= 9200.0
    assert not ((observed > 5571.0) & (observed < 5586.0)).any()


def test_no_redshift_fills_the_grid() -> None:
    # 3388 A needs z > 0.1216 and 8318 A needs z < 0.106: every spectrum has a masked end.
    assert all(not has_data(z)[0] or not has_data(z)[-1] for z in np.linspace(0.02, 0.25, 47))


def test_noise_has_the_stated_variance(rng) -> None:
    observed = [observe(rng, FLAT, 0.1, ONES) for _ in range(150)]
    clean = wave_grid() * 1.1 < 6800.0  # beyond lie airglow and telluric bands
    clean &= (np.abs(wave_grid()[:, None] * 1.1 - [line.wave_vac for line in SKY_LINES]) > 12.0).all(axis=1)
    joined = np.concatenate([((one.flux - FLAT) * np.sqrt(one.ivar))[(one.ivar > 0) & clean] for one in observed])
    assert joined.mean() == pytest.approx(0.0, abs=0.02)
    assert joined.std() == pytest.approx(1.0, abs=0.02)


def test_airglow_and_telluric_bands_leave_more_than_the_errors_say(rng) -> None:
    observed = wave_grid() * 1.1
    residual = np.stack([draw_sky_residual(rng, FLAT, 0.1) for _ in range(300)])
    assert not residual[:, (observed < 5500.0)].any(axis=0).all()
    a_band = (observed > 7600.0) & (observed < 7690.0)
    assert 0.02 < (residual[:, a_band] / FLAT[a_band]).std() < 0.15
    airglow = (observed > 8800.0) & (observed < 8900.0)
    blank = (observed > 6000.0) & (observed < 6250.0)
    assert residual[:, airglow].std() > 5 * residual[:, blank].std()


def test_masked_pixels_are_zero_in_both(rng) -> None:
    one = observe(rng, FLAT, 0.05, ONES)
    assert one.flux.dtype == one.ivar.dtype == np.float32
    assert (one.flux[one.ivar == 0] == 0.0).all()
    assert not one.ivar[~has_data(0.05)].any()


def test_a_few_pixels_are_bad_at_random(rng) -> None:
    bad = [((observe(rng, FLAT, 0.05, ONES).ivar == 0) & has_data(0.05)).sum() for _ in range(100)]
    assert np.mean(bad) == pytest.approx(0.004 * has_data(0.05).sum(), rel=0.25)


def test_brighter_and_longer_is_better() -> None:
    assert (FLAT / noise_sigma(FLAT, 0.1)).mean() < (4 * FLAT / noise_sigma(4 * FLAT, 0.1)).mean()
    assert noise_sigma(FLAT, 0.1, 2.0).mean() < noise_sigma(FLAT, 0.1, 1.0).mean()


def test_blue_end_and_airglow_are_noisier() -> None:
    sigma = noise_sigma(0.1 * FLAT, 0.02)
    observed = wave_grid() * 1.02
    middle = np.median(sigma[(observed > 6000) & (observed < 6800)])
    assert np.median(sigma[(observed > 3800) & (observed < 4000)]) > 2.0 * middle
    assert np.median(sigma[(observed > 8300) & (observed < 8450)]) > 1.2 * middle


def test_calibration_error_has_the_asked_size(rng) -> None:
    draws = np.log([draw_calibration(rng, 0.1, 1.0)[has_data(0.1)] for _ in range(500)])
    # 5 % tilt, 2 % curvature and about 2 % wiggles.
    assert np.sqrt(np.mean(draws**2)) == pytest.approx(0.055, abs=0.012)
    assert (draw_calibration(rng, 0.1, 0.0) == 1.0).all()


def test_calibration_error_keeps_the_signal_to_noise() -> None:
    factor = np.linspace(0.8, 1.2, N_WAVE)
    plain = observe(np.random.default_rng(1), FLAT, 0.1, ONES)
    warped = observe(np.random.default_rng(1), FLAT, 0.1, factor)
    np.testing.assert_allclose(warped.flux, plain.flux * factor, rtol=1e-5)
    np.testing.assert_allclose(
        warped.flux * np.sqrt(warped.ivar), plain.flux * np.sqrt(plain.ivar), rtol=1e-4, atol=1e-4
    )
    assert warped.snr_median == plain.snr_median

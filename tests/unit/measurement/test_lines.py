"""Line fluxes and equivalent widths of spectra whose lines are known."""

import astropy.units as u
import numpy as np
import pytest
from specutils import SpectralRegion, Spectrum
from specutils.analysis import equivalent_width

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.lines import MEASURED_LINES
from galspec.core.wavelength import N_WAVE, PIXEL_KMS, wave_edges, wave_grid
from galspec.measurement import lines
from galspec.measurement.lines import measure_lines
from galspec.measurement.profiles import (
    FITTED_LINES,
    MEASURED_ROW,
    MEASURED_SHARE,
    MEASURED_WAVES,
    line_profiles,
)
from galspec.simulation import components
from tests.unit.measurement.conftest import AMPLITUDES, Known, line_index, make_known


@pytest.mark.parametrize("sigma_kms", [80.0, 150.0, 400.0])
def test_profiles_integrate_to_their_flux(sigma_kms: float) -> None:
    total = line_profiles(FITTED_LINES, sigma_kms, 0.0) @ np.diff(wave_edges())
    expected = [sum(share for _, share in line.members) for line in FITTED_LINES]
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_profiles_move_with_velocity_and_widen_with_sigma() -> None:
    halpha = [line.name for line in FITTED_LINES].index("Halpha")
    wave = wave_grid()
    pixel_size = 6564.61 * PIXEL_KMS / 299792.458

    def moments(sigma_kms: float, velocity_kms: float) -> tuple[float, float]:
        weight = line_profiles(FITTED_LINES, sigma_kms, velocity_kms)[halpha] * np.diff(wave_edges())
        mean = float((weight * wave).sum())
        return mean, float(np.sqrt((weight * (wave - mean) ** 2).sum()))

    mean, width = moments(200.0, 100.0)
    assert mean == pytest.approx(6564.61 * (1 + 100.0 / 299792.458), abs=0.1)
    expected = np.hypot(6564.61 * 200.0 / 299792.458, pixel_size / np.sqrt(12.0))
    assert width == pytest.approx(expected, rel=0.02)


def test_measured_lines_are_those_of_the_line_table() -> None:
    assert [FITTED_LINES[row].name for row in MEASURED_ROW] == [
        "[NII]6583" if name == "[NII]6548" else name for name in MEASURED_LINES
    ]
    assert MEASURED_WAVES[line_index("[OII]3727")] == pytest.approx(3728.71, abs=0.01)
    assert MEASURED_SHARE[line_index("[NII]6548")] == pytest.approx(1 / 3)


def test_halpha_continuum_is_that_of_the_simulations_truth() -> None:
    assert lines.HALPHA_SIDES == components._HALPHA_SIDES


@pytest.mark.parametrize("sigma_kms", [85.0, 130.0, 260.0])
@pytest.mark.parametrize("velocity_kms", [0.0, 50.0])
def test_noise_free_fluxes_are_recovered(sigma_kms: float, velocity_kms: float) -> None:
    known = make_known(8, noise=0.0, sigma_kms=sigma_kms, velocity_kms=velocity_kms)
    found = measure_lines(known.flux)
    np.testing.assert_allclose(found.flux, known.line_flux, rtol=0.03, atol=2.0)  # 0.1 angstrom of the continuum
    np.testing.assert_allclose(found.sigma_kms, sigma_kms, rtol=0.05)
    assert set(found.velocity_kms) == {velocity_kms}
    np.testing.assert_allclose(found.continuum, known.continuum, atol=0.4)  # of 20


def test_fluxes_scatter_as_their_errors_say(known: Known) -> None:
    found = measure_lines(known.flux, known.ivar)
    pulls = (found.flux - known.line_flux) * np.abs(found.snr / found.flux)
    assert np.abs(np.median(pulls, axis=0)).max() < 0.5  # 60 spectra: 0.16 expected
    assert abs(np.median(pulls)) < 0.1
    low, high = np.percentile(pulls, [16, 84])
    assert 0.85 < (high - low) / 2 < 1.15
    assert np.median(found.chi2) == pytest.approx(0.9, abs=0.15)


def test_halpha_and_nii_are_told_apart() -> None:
    weak = make_known(60, noise=0.03, sigma_kms=200.0, amplitudes=AMPLITUDES | {"Halpha": 6.0, "[NII]6583": 9.0})
    found = measure_lines(weak.flux, weak.ivar)
    for name in ("Halpha", "[NII]6583", "[NII]6548"):
        ratio = found.flux[:, line_index(name)] / weak.line_flux[:, line_index(name)]
        assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(found.flux[:, line_index("[NII]6583")], 3 * found.flux[:, line_index("[NII]6548")])


def test_a_spectrum_without_lines_has_fluxes_around_zero() -> None:
    known = make_known(60, amplitudes={})
    found = measure_lines(known.flux, known.ivar)
    assert (found.flux < 0).any(axis=1).all()
    assert np.abs(np.median(found.snr, axis=0)).max() < 0.6
    assert abs(np.median(found.snr)) < 0.1


def test_bright_lines_keep_the_calibrations_error() -> None:
    known = make_known(4, noise=0.001)
    found = measure_lines(known.flux, known.ivar)
    relative = found.flux_err / found.flux
    assert (relative > 0.999 * lines.CALIBRATION_ERROR).all()
    assert (relative[:, line_index("[OII]3727")] > 0.999 * lines.CALIBRATION_ERROR_BLUE).all()
    halpha = line_index("Halpha")
    assert (found.ew_err[:, halpha] < 0.03 * found.ew[:, halpha]).all()  # a width has no calibration


def test_a_bad_fit_has_larger_errors() -> None:
    known = make_known(40)
    understated = measure_lines(known.flux, 9.0 * known.ivar)
    honest = measure_lines(known.flux, known.ivar)
    halpha = line_index("Halpha")
    assert np.median(understated.chi2) > 4.0
    ratio = np.abs(honest.snr[:, halpha] / understated.snr[:, halpha])
    assert 0.8 < np.median(ratio) < 1.3  # 1 / 3 without it


def test_equivalent_widths_agree_with_specutils(known: Known) -> None:
    found = measure_lines(known.flux, known.ivar)
    index = line_index("[OIII]5007")
    oracle = []
    for row in range(10):
        normalised = known.flux[row] / found.continuum[row]
        spectrum = Spectrum(flux=normalised * u.dimensionless_unscaled, spectral_axis=wave_grid() * u.AA)
        region = SpectralRegion(4988.0 * u.AA, 5028.0 * u.AA)
        oracle.append(-equivalent_width(spectrum, regions=region).to_value(u.AA))
    # The oracle sums the pixels, noise and all: 12 pixels of 3.3 angstrom and 5 % are 0.6 angstrom.
    assert np.abs(found.ew[:10, index] - oracle).max() < 2.0
    assert np.median(found.ew[:10, index] - oracle) == pytest.approx(0.0, abs=0.4)


def test_equivalent_width_of_a_known_continuum() -> None:
    known = make_known(8, noise=0.0)
    found = measure_lines(known.flux)
    wave = wave_grid()
    sides = [known.continuum[:, (wave >= a) & (wave <= b)].mean(axis=1) for a, b in lines.HALPHA_SIDES]
    halpha = line_index("Halpha")
    np.testing.assert_allclose(found.ew[:, halpha], known.line_flux[:, halpha] / np.mean(sides, axis=0), rtol=0.02)


def test_units_scale_and_redshift_widens() -> None:
    known = make_known(6)
    one = measure_lines(known.flux, known.ivar)
    scaled = measure_lines(known.flux * 1e-3, known.ivar * 1e6, redshift=np.full(6, 0.2))
    np.testing.assert_allclose(scaled.flux, one.flux * 1.2e-3, rtol=1e-6)
    np.testing.assert_allclose(scaled.flux_err, one.flux_err * 1.2e-3, rtol=1e-6)
    np.testing.assert_allclose(scaled.ew, one.ew, rtol=1e-6)
    np.testing.assert_allclose(scaled.snr, one.snr, rtol=1e-6)


def test_a_row_does_not_depend_on_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    known = make_known(7)
    together = measure_lines(known.flux, known.ivar)
    monkeypatch.setattr(lines, "_CHUNK_ROWS", 3)
    in_chunks = measure_lines(known.flux, known.ivar)
    alone = measure_lines(known.flux[5:6], known.ivar[5:6])
    np.testing.assert_allclose(in_chunks.flux, together.flux, rtol=1e-9)
    np.testing.assert_allclose(alone.flux[0], together.flux[5], rtol=1e-9)


def test_models_have_values_and_no_errors() -> None:
    known = make_known(5, noise=0.0)
    found = measure_lines(known.flux)
    assert np.isfinite(found.flux).all()
    assert np.isfinite(found.ew).all()
    assert found.has_line.all()
    for values in (found.flux_err, found.ew_err, found.snr, found.chi2):
        assert np.isnan(values).all()


def test_gaps_cost_only_the_lines_in_them() -> None:
    known = make_known(20)
    flux, ivar = known.flux.copy(), known.ivar.copy()
    wave = wave_grid()
    gap = (np.abs(wave - 5008.24) < 20.0) | (wave < 3800.0)
    ivar[:, gap] = 0.0
    flux[:, gap] = np.nan
    found = measure_lines(flux, ivar)
    lost = [line_index("[OII]3727"), line_index("[OIII]5007")]
    kept = np.setdiff1d(np.arange(12), lost)
    for values in (found.flux, found.flux_err, found.ew, found.ew_err, found.snr):
        assert np.isnan(values[:, lost]).all()
        assert np.isfinite(values[:, kept]).all()
    assert not found.has_line[:, lost].any()
    pulls = (found.flux - known.line_flux)[:, kept] / found.flux_err[:, kept]
    assert abs(np.median(pulls)) < 0.2


def test_a_line_with_one_masked_pixel_is_measured_with_a_larger_error() -> None:
    known = make_known(20, noise=0.02)
    ivar = known.ivar.copy()
    ivar[:, np.argmin(np.abs(wave_grid() - 4862.68)) + 1] = 0.0
    hbeta = line_index("Hbeta")
    whole, holed = measure_lines(known.flux, known.ivar), measure_lines(known.flux, ivar)
    assert holed.has_line[:, hbeta].all()
    assert (holed.snr[:, hbeta] < whole.snr[:, hbeta]).mean() > 0.8
    pulls = (holed.flux[:, hbeta] - known.line_flux[:, hbeta]) / holed.flux_err[:, hbeta]
    assert np.abs(pulls).max() < 4.0


def test_spectra_without_data_or_norm_are_not_fitted() -> None:
    known = make_known(3)
    flux, ivar = known.flux.copy(), known.ivar.copy()
    ivar[0] = 0.0
    flux[1] = -5.0
    found = measure_lines(flux, ivar)
    assert found.is_fitted.tolist() == [False, False, True]
    assert np.isnan(found.flux[:2]).all()
    assert np.isnan(found.sigma_kms[:2]).all()
    assert not found.has_line[:2].any()
    assert np.isfinite(found.flux[2]).all()


def test_no_spectra_are_no_rows() -> None:
    found = measure_lines(np.zeros((0, N_WAVE)), np.zeros((0, N_WAVE)))
    assert found.flux.shape == (0, 12)


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda f, i: (f[:, :500], i), ShapeError, "flux and ivar must both be"),
        (lambda f, i: (f[0], i[0]), ShapeError, "flux and ivar must both be"),
        (lambda f, i: (f, i[:1]), ShapeError, "flux and ivar must both be"),
        (lambda f, i: (f, -i), SpectrumError, "negative"),
        (lambda f, i: (f, i * np.nan), SpectrumError, "2 of 2 spectra have an inverse variance"),
        (lambda f, i: (np.where(np.arange(N_WAVE) == 5, np.nan, f), i), SpectrumError, "flux that is not finite"),
        (lambda f, i: (np.where(np.arange(N_WAVE) == 5, np.inf, f), None), SpectrumError, "flux that is not finite"),
    ],
)
def test_bad_input_is_named(edit, error, message) -> None:
    flux, ivar = edit(np.ones((2, N_WAVE)), np.ones((2, N_WAVE)))
    with pytest.raises(error, match=message):
        measure_lines(flux, ivar)


def test_bad_redshifts_are_named() -> None:
    flux = np.ones((2, N_WAVE))
    with pytest.raises(ShapeError, match="one for each spectrum"):
        measure_lines(flux, redshift=0.1)
    with pytest.raises(SpectrumError, match="redshift"):
        measure_lines(flux, redshift=[0.1, np.nan])

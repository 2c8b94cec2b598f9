"""Stellar indices: steps, known absorption lines, gaps, errors."""

import astropy.units as u
import numpy as np
import pytest
from specutils import SpectralRegion, Spectrum
from specutils.analysis import equivalent_width

from galspec.core.errors import ShapeError
from galspec.core.wavelength import N_WAVE, air_to_vacuum, wave_grid
from galspec.measurement.indices import DN4000_RED, HDELTA_A, MGB, dn4000, measure_indices


def absorbed(centre: float, depth: float, width: float = 6.0) -> np.ndarray:
    """Return a sloping continuum with one Gaussian absorption line, shape (1, 1000)."""
    wave = wave_grid()
    profile = 1.0 - depth * np.exp(-0.5 * ((wave - centre) / width) ** 2)
    return ((2.0 + 1e-4 * (wave - 5000.0)) * profile)[None]


def test_dn4000_of_a_step() -> None:
    f_nu = np.where(wave_grid() < 3975.0, 1.0, 1.6)
    flux = f_nu / wave_grid() ** 2
    assert dn4000(flux) == pytest.approx(1.6)
    assert measure_indices(flux[None]).dn4000[0] == pytest.approx(1.6)


def test_dn4000_is_one_definition(rng) -> None:
    flux = 1.0 + 0.2 * rng.standard_normal((5, N_WAVE))
    np.testing.assert_allclose(measure_indices(flux).dn4000, [dn4000(row) for row in flux], rtol=1e-12)


@pytest.mark.parametrize(("name", "bands", "centre"), [("hdelta_a", HDELTA_A, 4102.9), ("mgb", MGB, 5176.0)])
def test_indices_are_equivalent_widths_of_absorption(name, bands, centre) -> None:
    depth, width = 0.3, 4.0
    found = getattr(measure_indices(absorbed(centre, depth, width)), name)[0]
    assert found == pytest.approx(depth * width * np.sqrt(2.0 * np.pi), rel=0.03)
    assert getattr(measure_indices(absorbed(centre, -depth, width)), name)[0] < 0  # emission


def test_a_featureless_continuum_has_no_index() -> None:
    found = measure_indices(absorbed(4102.9, 0.0))
    assert found.hdelta_a[0] == pytest.approx(0.0, abs=1e-4)
    assert found.mgb[0] == pytest.approx(0.0, abs=1e-4)


def test_hdelta_agrees_with_specutils() -> None:
    flux = absorbed(4102.9, 0.25)
    wave = wave_grid()
    low, high = air_to_vacuum(np.array(HDELTA_A.feature))
    blue, red = (air_to_vacuum(np.array(band)) for band in (HDELTA_A.blue, HDELTA_A.red))
    means = [flux[0, (wave >= a) & (wave <= b)].mean() for a, b in (blue, red)]
    continuum = np.interp(wave, [np.mean(blue), np.mean(red)], means)
    spectrum = Spectrum(flux=flux[0] / continuum * u.dimensionless_unscaled, spectral_axis=wave * u.AA)
    oracle = equivalent_width(spectrum, regions=SpectralRegion(low * u.AA, high * u.AA)).to_value(u.AA)
    assert measure_indices(flux).hdelta_a[0] == pytest.approx(oracle, abs=0.15)  # whole pixels there


def test_subtracted_emission_deepens_hdelta_only() -> None:
    flux = absorbed(4102.9, 0.3)
    emission = np.zeros_like(flux)
    emission[0, np.argmin(np.abs(wave_grid() - 4102.9))] = 0.4
    plain, corrected = measure_indices(flux + emission), measure_indices(flux + emission, emission=emission)
    assert corrected.hdelta_a[0] == pytest.approx(measure_indices(flux).hdelta_a[0])
    assert corrected.hdelta_a[0] > plain.hdelta_a[0] + 0.3
    assert corrected.mgb[0] == plain.mgb[0]
    assert corrected.dn4000[0] == plain.dn4000[0]


def test_errors_are_those_of_repeated_observations(rng) -> None:
    flux = np.repeat(absorbed(4102.9, 0.3), 400, axis=0)
    sigma = 0.04 * (1.0 + 0.5 * np.sin(wave_grid() / 20.0))
    found = measure_indices(flux + sigma * rng.standard_normal(flux.shape), np.tile(sigma**-2, (400, 1)))
    for name in ("dn4000", "hdelta_a", "mgb"):
        values, errors = getattr(found, name), getattr(found, f"{name}_err")
        assert values.std() == pytest.approx(errors.mean(), rel=0.12)


def test_emission_errors_add_in_quadrature() -> None:
    flux, ivar = np.ones((2, N_WAVE)), np.full((2, N_WAVE), 400.0)
    plain = measure_indices(flux, ivar)
    found = measure_indices(flux, ivar, emission_err=[0.0, 3.0])
    np.testing.assert_allclose(found.hdelta_a_err, np.hypot(plain.hdelta_a_err, [0.0, 3.0]))
    np.testing.assert_array_equal(found.mgb_err, plain.mgb_err)


def test_few_gaps_are_bridged_and_many_make_nan() -> None:
    flux = np.repeat(absorbed(4102.9, 0.0), 3, axis=0)
    ivar = np.ones(flux.shape)
    inside = np.flatnonzero((wave_grid() > DN4000_RED[0]) & (wave_grid() < DN4000_RED[1]))
    ivar[1, inside[::8]] = 0.0
    ivar[2, inside[:12]] = 0.0
    flux[ivar == 0] = np.nan
    found = measure_indices(flux, ivar)
    assert found.dn4000[1] == pytest.approx(found.dn4000[0], rel=1e-3)
    assert np.isnan(found.dn4000[2])
    assert np.isnan(found.dn4000_err[2])
    assert found.hdelta_a[1] == pytest.approx(0.0, abs=0.05)
    assert np.isfinite(found.mgb).all()


def test_models_have_no_errors() -> None:
    found = measure_indices(absorbed(5176.0, 0.2))
    assert np.isnan([found.dn4000_err, found.hdelta_a_err, found.mgb_err]).all()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="flux and ivar must both be"):
        measure_indices(np.ones(N_WAVE))
    with pytest.raises(ShapeError, match="emission must be"):
        measure_indices(np.ones((2, N_WAVE)), emission=np.zeros(N_WAVE))
    with pytest.raises(ShapeError, match="emission_err must be"):
        measure_indices(np.ones((2, N_WAVE)), emission_err=np.zeros(3))

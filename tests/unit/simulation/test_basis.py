import numpy as np
import pytest

from galspec.core.errors import SimulationError
from galspec.core.wavelength import wave_grid
from galspec.simulation import basis_builder
from galspec.simulation.basis import (
    FILTERS,
    N_FINE,
    Basis,
    build_basis,
    default_basis_path,
    fine_loglam,
    interpolation_weights,
    line_wave_vac,
    load_basis,
    rebin_to_grid,
    save_basis,
)


def test_four_fine_pixels_make_one_grid_pixel() -> None:
    assert rebin_to_grid(fine_loglam()) == pytest.approx(np.log10(wave_grid()), abs=1e-12)


def test_saved_basis_comes_back_within_half_precision(synthetic_basis, tmp_path) -> None:
    path = tmp_path / "cache" / "basis.npz"
    save_basis(synthetic_basis, path)
    loaded = load_basis(path)
    np.testing.assert_allclose(loaded.ssp, synthetic_basis.ssp, rtol=2e-3)
    np.testing.assert_array_equal(loaded.cosmology, synthetic_basis.cosmology)
    assert [file.name for file in path.parent.iterdir()] == ["basis.npz"]


def test_missing_basis_says_make_simulate(tmp_path) -> None:
    with pytest.raises(SimulationError, match="make simulate"):
        load_basis(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_damaged_basis_is_a_typed_error(tmp_path, content) -> None:
    path = tmp_path / "basis.npz"
    path.write_bytes(content)
    with pytest.raises(SimulationError, match="make simulate"):
        load_basis(path)


def test_truncated_basis_is_a_typed_error(synthetic_basis, tmp_path) -> None:
    path = tmp_path / "basis.npz"
    save_basis(synthetic_basis, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(SimulationError, match="cannot be read"):
        load_basis(path)


def test_basis_of_another_version_is_refused(tmp_path) -> None:
    path = tmp_path / "basis.npz"
    np.savez(path, version=np.array(99))
    with pytest.raises(SimulationError, match="version 99"):
        load_basis(path)


def test_without_bagpipes_building_says_make_simulate(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(basis_builder.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SimulationError, match="make simulate"):
        build_basis(tmp_path / "basis.npz")
    assert list(tmp_path.iterdir()) == []


def test_cache_folder_can_be_chosen(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GALSPEC_CACHE", str(tmp_path))
    assert default_basis_path() == tmp_path / "basis-v1.npz"


@pytest.mark.parametrize("redshift", [0.0, 0.05, 0.2499])
def test_flat_f_nu_source_has_the_same_magnitude_in_every_band(synthetic_basis: Basis, redshift) -> None:
    # f_nu constant in the rest frame is constant in the observed frame: every AB magnitude is equal.
    luminosity = (1e15 / synthetic_basis.wave**2)[None]
    flux = synthetic_basis.photometry(luminosity, max(redshift, 0.01))[0]
    np.testing.assert_allclose(flux, flux[0], rtol=1e-4)


def test_photometry_equals_the_integral_over_the_redshifted_spectrum(synthetic_basis: Basis) -> None:
    redshift = 0.0837
    wave = synthetic_basis.wave
    luminosity = 1e10 * synthetic_basis.ssp[4, 35].astype(float)
    observed_wave = wave * (1 + redshift)
    f_lambda = luminosity * synthetic_basis.flux_scale(redshift)
    is_in = (observed_wave > 5500.0) & (observed_wave < 7000.0)  # the synthetic r is a top hat
    x = observed_wave[is_in]
    c = 2.99792458e18
    expected = np.trapezoid(f_lambda[is_in] * x, x) / (c * np.trapezoid(1 / x, x)) * 1e32
    got = synthetic_basis.photometry(luminosity[None], redshift)[0, FILTERS.index("ps1_r")]
    assert got == pytest.approx(expected, rel=2e-3)


def test_flux_scale_is_the_inverse_square_law(synthetic_basis: Basis) -> None:
    # 1e10 Lsun/A at z = 0.1: 460.3 Mpc with H0 = 70, Omega_m = 0.3.
    assert synthetic_basis.luminosity_distance_mpc(0.1) == pytest.approx(460.3, abs=0.2)
    assert synthetic_basis.flux_scale(0.1) * 1e10 == pytest.approx(1.3725e-12, rel=2e-3)
    assert synthetic_basis.kpc_per_arcsec(0.1) == pytest.approx(1.8438, rel=2e-3)


def test_interpolation_weights_clamp_and_sum_to_one() -> None:
    nodes = np.array([-1.0, 0.0, 2.0])
    assert interpolation_weights(nodes, 0.5).tolist() == [0.0, 0.75, 0.25]
    assert interpolation_weights(nodes, -7.0).tolist() == [1.0, 0.0, 0.0]
    assert interpolation_weights(nodes, 9.0).tolist() == [0.0, 0.0, 1.0]


def test_metallicity_weights_keep_mass_and_mean(synthetic_basis: Basis) -> None:
    weights = synthetic_basis.metallicity_weights(-0.2)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ np.log10(synthetic_basis.metallicity) == pytest.approx(-0.2, abs=0.02)


def test_substeps_tile_cosmic_time(synthetic_basis: Basis) -> None:
    assert synthetic_basis.substep_width.sum() == pytest.approx(synthetic_basis.age_edges[-1])
    assert synthetic_basis.substep_age.shape == (420,)
    young = synthetic_basis.birth_cloud_fraction @ np.diff(synthetic_basis.age_edges)
    assert young == pytest.approx(0.01)


def test_line_waves_are_vacuum() -> None:
    assert line_wave_vac("H8") == pytest.approx(3890.15, abs=0.01)
    assert line_wave_vac("Halpha") == pytest.approx(6564.61, abs=0.01)


def test_rebinning_grids_conserves_flux() -> None:
    wave = np.linspace(2700.0, 11500.0, 7000)
    flux = 1.0 + 0.5 * np.sin(wave / 37.0)
    rebinned = basis_builder._rebin(wave, flux)
    assert rebinned.shape == (N_FINE,)
    fine = 10.0 ** fine_loglam()
    # Means over 1 to 2.5 A of a wave of 232 A are its value at the pixel centre.
    np.testing.assert_allclose(rebinned, np.interp(fine, wave, flux), rtol=2e-3)


def test_real_basis_has_known_physics(basis: Basis) -> None:
    assert basis.ssp.shape == (7, 42, N_FINE)
    # Vacuum: the young stars' Hbeta absorption lies at 4862.7 A, not at 4861.3 A as in air.
    near = (basis.wave > 4850.0) & (basis.wave < 4875.0)
    star = basis.ssp[4, 28, near]
    depth = star.max() - star
    centre = (depth**3 * basis.wave[near]).sum() / (depth**3).sum()
    assert centre == pytest.approx(4862.7, abs=0.7)
    # 1 Msun/yr makes about 1.9e41 erg/s of Halpha (Kennicutt & Evans 2012), within the spread of models.
    births = np.diff(basis.age_edges)[:11] * 1e9 * basis.birth_cloud_fraction[:11]
    log_halpha = np.log10((births @ basis.lines[4, :, 0]) * 3.828e33)
    assert 41.2 < log_halpha < 41.6
    # Solar 10 Gyr population: SDSS g-r of 0.75 to 0.85.
    flux = basis.photometry(basis.ssp[4, 40][None] * 1e10, 0.001)[0]
    assert 0.7 < -2.5 * np.log10(flux[FILTERS.index("sdss_g")] / flux[FILTERS.index("sdss_r")]) < 0.9

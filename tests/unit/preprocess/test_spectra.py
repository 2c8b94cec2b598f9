"""Rebinning, the norm, and filling gaps: against analytic answers, Monte Carlo and hidden pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.lines import line_by_name
from galspec.core.wavelength import N_WAVE, norm_window_mask, wave_edges, wave_grid
from galspec.preprocess.spectra import (
    SpectrumPreprocessor,
    normalise_spectra,
    resample_to_grid,
    spectrum_norm,
    spectrum_norms,
)


def sdss_wave(low: float = 3300.0, high: float = 8500.0) -> NDArray[np.float64]:
    return 10 ** np.arange(np.log10(low), np.log10(high), 1e-4)


def test_resample_to_grid_keeps_a_constant_and_a_slope() -> None:
    wave = sdss_wave()
    flux, ivar = resample_to_grid(wave, np.stack([np.full_like(wave, 3.0), wave / 5000]), np.ones((2, len(wave))))
    assert flux.shape == ivar.shape == (2, N_WAVE)
    assert flux.dtype == ivar.dtype == np.float32
    np.testing.assert_allclose(flux[0], 3.0, rtol=1e-6)
    np.testing.assert_allclose(flux[1], wave_grid() / 5000, rtol=2e-4)


def test_resample_to_grid_conserves_the_integral(rng: np.random.Generator) -> None:
    wave = sdss_wave()
    flux_in = np.exp(-0.5 * ((wave - 5008.24) / 3.0) ** 2) + rng.uniform(size=len(wave)) * (abs(wave - 6000) < 500)
    edges = 10 ** (np.log10(wave[0]) + 1e-4 * (np.arange(len(wave) + 1) - 0.5))
    flux, _ = resample_to_grid(wave, flux_in, np.ones_like(wave))
    expected = (flux_in * np.diff(edges)).sum()
    assert (flux * np.diff(wave_edges())).sum() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["[OII]3729", "[OIII]5007", "Halpha", "[SII]6731"])
def test_resample_to_grid_keeps_a_line_at_its_vacuum_wavelength(name: str) -> None:
    line = line_by_name(name).wave_vac
    wave = sdss_wave()
    flux, _ = resample_to_grid(wave, np.exp(-0.5 * ((wave - line) / 4.0) ** 2), np.ones_like(wave))
    centroid = (flux * wave_grid() * np.diff(wave_edges())).sum() / (flux * np.diff(wave_edges())).sum()
    assert centroid == pytest.approx(line, abs=0.05)  # a hundredth of a pixel


def test_resample_to_grid_propagates_the_variance(rng: np.random.Generator) -> None:
    wave = sdss_wave()
    ivar_in = rng.uniform(0.5, 4.0, len(wave))
    noise = rng.normal(size=(4000, len(wave))) / np.sqrt(ivar_in)
    flux, ivar = resample_to_grid(wave, noise, np.broadcast_to(ivar_in, noise.shape))
    assert np.ptp(ivar, axis=0).max() == 0
    ratio = flux.var(axis=0) * ivar[0]
    assert ratio.mean() == pytest.approx(1.0, abs=0.005)
    assert abs(ratio - 1.0).max() < 0.12  # 4 sigma-ish of 4000 draws is 0.09


def test_resample_to_grid_drops_pixels_covered_by_less_than_half() -> None:
    wave = sdss_wave(4000.0, 7000.0)
    mask = np.zeros(len(wave), bool)
    gap = (wave > 5000) & (wave < 5050)
    mask[gap] = True
    flux_in = np.where(gap, 1e9, 2.0)
    flux, ivar = resample_to_grid(wave, flux_in, np.ones_like(wave), mask)
    grid = wave_grid()
    outside = (grid < 3998) | (grid > 7002)
    assert (ivar[outside] == 0).all()
    assert (flux[ivar == 0] == 0).all()
    inside_gap = (grid > 5003) & (grid < 5047)
    assert (ivar[inside_gap] == 0).all()
    np.testing.assert_allclose(flux[ivar > 0], 2.0, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_resample_to_grid_treats_bad_values_as_no_data(bad: float) -> None:
    wave = sdss_wave()
    flux_in, ivar_in = np.ones_like(wave), np.ones_like(wave)
    flux_in[1000:1010] = bad
    ivar_in[2000:2010] = bad
    ivar_in[2500:2510] = -1.0
    flux, ivar = resample_to_grid(wave, flux_in, ivar_in)
    assert np.isfinite(flux).all()
    assert np.isfinite(ivar).all()
    np.testing.assert_allclose(flux[ivar > 0], 1.0, rtol=1e-6)
    assert (ivar == 0).any()


def test_resample_to_grid_refuses_bad_input() -> None:
    wave = sdss_wave()
    with pytest.raises(SpectrumError, match="strictly increasing"):
        resample_to_grid(wave[::-1], np.ones_like(wave), np.ones_like(wave))
    with pytest.raises(ShapeError, match=r"wave \(M,\)"):
        resample_to_grid(wave, np.ones(10), np.ones(10))


def test_spectrum_norm_is_the_median_over_good_pixels_of_the_window(rng: np.random.Generator) -> None:
    flux = rng.normal(5.0, 1.0, N_WAVE)
    ivar = (rng.random(N_WAVE) > 0.3).astype(float)
    flux[ivar == 0] = 1e6
    flux[0], ivar[0] = 1e9, 1.0  # outside the window
    good = norm_window_mask() & (ivar > 0)
    assert spectrum_norm(flux, ivar) == pytest.approx(np.median(flux[good]))
    assert spectrum_norms(np.stack([flux, -flux]), np.stack([ivar, ivar]))[1] != spectrum_norm(flux, ivar)


@pytest.mark.parametrize("n_good", [1, 2, 3])
def test_spectrum_norm_works_with_few_pixels(n_good: int) -> None:
    flux, ivar = np.zeros(N_WAVE), np.zeros(N_WAVE)
    rows = np.flatnonzero(norm_window_mask())[:n_good]
    flux[rows], ivar[rows] = np.arange(1, n_good + 1), 1.0
    assert spectrum_norm(flux, ivar) == pytest.approx((n_good + 1) / 2)


def test_spectrum_norm_refuses_spectra_without_positive_flux() -> None:
    flux, ivar = np.ones(N_WAVE), np.ones(N_WAVE)
    with pytest.raises(SpectrumError, match="no positive median flux in rest 4200-6700"):
        spectrum_norm(-flux, ivar)
    ivar[norm_window_mask()] = 0
    with pytest.raises(SpectrumError, match="no positive median flux"):
        spectrum_norm(flux, ivar)
    with pytest.raises(SpectrumError, match=r"1 of 2 spectra .*rows 1"):
        normalise_spectra(np.ones((2, N_WAVE)), np.stack([np.ones(N_WAVE), ivar]))
    with pytest.raises(ShapeError, match=r"\(N, 1000\)"):
        spectrum_norm(np.ones(999), np.ones(999))


def make_galaxies(rng: np.random.Generator, n_galaxies: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return noise-free flux / norm and the loadings' scatter: three smooth shapes and three line groups."""
    wave = wave_grid()
    x = (wave - 5500) / 2500
    lines = [("Halpha", "Hbeta", "Hgamma"), ("[OIII]5007", "[OIII]4959"), ("[OII]3726", "[OII]3729")]
    shapes = [x, x**2, np.tanh((wave - 4000) / 60)]
    shapes += [
        sum(np.exp(-0.5 * ((wave - line_by_name(name).wave_vac) / 5.0) ** 2) for name in group) for group in lines
    ]
    amplitude = rng.normal(size=(n_galaxies, 6)) * [0.4, 0.2, 0.15, 0.0, 0.0, 0.0]
    strength = rng.lognormal(0.0, 0.7, n_galaxies)
    amplitude[:, 3:] = strength[:, None] * [1.0, 0.5, 0.8] * rng.lognormal(0.0, 0.1, (n_galaxies, 3))
    flux = 1.5 + amplitude @ np.array(shapes)
    norm = np.median(flux[:, norm_window_mask()], axis=1)[:, None]
    return (flux / norm).astype(np.float32), norm


@pytest.fixture(scope="module")
def sample() -> dict[str, NDArray[np.float32]]:
    """3000 galaxies with the gaps that redshift makes, sky line, noise; and the truth."""
    rng = np.random.default_rng(4)
    truth, _ = make_galaxies(rng, 3000)
    sigma = rng.lognormal(np.log(0.06), 0.4, (len(truth), 1))
    wave_obs = wave_grid() * (1 + rng.uniform(0, 0.36, (len(truth), 1)))
    gap = (wave_obs < 3800) | (wave_obs > 9200) | (abs(wave_obs - 5578) < 8) | (rng.random(truth.shape) < 0.005)
    flux = truth + sigma * rng.normal(size=truth.shape)
    ivar = np.where(gap, 0.0, 1 / sigma**2)
    assert flux.shape == (3000, N_WAVE)
    return {"truth": truth, "flux": np.where(gap, 0, flux).astype(np.float32), "ivar": ivar.astype(np.float32)}


@pytest.fixture(scope="module")
def preprocessor(sample: dict[str, NDArray[np.float32]]) -> SpectrumPreprocessor:
    return SpectrumPreprocessor.fit(sample["flux"][:2000], sample["ivar"][:2000])


def test_infill_recovers_hidden_pixels(
    preprocessor: SpectrumPreprocessor, sample: dict[str, NDArray[np.float32]]
) -> None:
    truth, flux, ivar = sample["truth"][2000:], sample["flux"][2000:], sample["ivar"][2000:]
    gap = ivar == 0
    filled = preprocessor.infill(flux, ivar)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[~gap], flux[~gap])
    scatter = np.sqrt(np.mean((truth - truth.mean(axis=0))[gap] ** 2))
    assert np.sqrt(np.mean((filled - truth)[gap] ** 2)) < 0.1 * scatter
    assert abs(filled).max() < 1.2 * abs(truth).max()


def test_infill_predicts_a_hidden_line_from_the_others(
    preprocessor: SpectrumPreprocessor, sample: dict[str, NDArray[np.float32]]
) -> None:
    truth, flux, ivar = sample["truth"][2000:], sample["flux"][2000:], sample["ivar"][2000:].copy()
    blue = wave_grid() < 3760  # as at z = 0: [OII] is below SDSS's range
    ivar[:, blue] = 0
    error = (preprocessor.infill(flux, ivar) - truth)[:, blue]
    scatter = (truth - truth.mean(axis=0))[:, blue]
    assert np.sqrt(np.mean(error**2)) < 0.35 * np.sqrt(np.mean(scatter**2))


@pytest.mark.parametrize("keep", [0, 5, 50])
def test_infill_stays_tame_when_almost_nothing_is_known(
    preprocessor: SpectrumPreprocessor, sample: dict[str, NDArray[np.float32]], keep: int
) -> None:
    ivar = sample["ivar"][2000:2200].copy()
    ivar[:, keep:] = 0
    filled = preprocessor.infill(sample["flux"][2000:2200], ivar)
    assert np.isfinite(filled).all()
    assert abs(filled).max() < 1.5 * abs(sample["truth"]).max()
    if keep == 0:
        np.testing.assert_allclose(filled[0], preprocessor.mean_flux, rtol=1e-6)


def test_infill_is_hardly_moved_by_cosmic_rays_and_nan(
    preprocessor: SpectrumPreprocessor, sample: dict[str, NDArray[np.float32]]
) -> None:
    flux, ivar = sample["flux"][2000:2100].copy(), sample["ivar"][2000:2100]
    clean = preprocessor.infill(flux, ivar)
    known = np.flatnonzero((ivar > 0).all(axis=0))
    flux[:, known[10]], flux[:, known[20]], flux[:, known[30]] = 1e4, 1e30, np.nan
    hit = preprocessor.infill(flux, ivar)
    gap = ivar == 0
    assert abs(hit - clean)[gap].max() < 0.05
    assert np.isfinite(hit).all()


def test_fit_finds_mean_and_components(
    preprocessor: SpectrumPreprocessor, sample: dict[str, NDArray[np.float32]]
) -> None:
    vectors = preprocessor.eigenvectors
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(10), atol=1e-10)
    assert (np.diff(preprocessor.eigenvalues) <= 0).all()
    assert abs(preprocessor.mean_flux - sample["truth"][:2000].mean(axis=0)).max() < 0.05
    centred = sample["truth"][:2000] - sample["truth"][:2000].mean(axis=0)
    left = centred - (centred @ vectors.T) @ vectors
    assert (left**2).sum() < 0.01 * (centred**2).sum()


def test_fit_survives_pixels_no_spectrum_has(sample: dict[str, NDArray[np.float32]]) -> None:
    flux, ivar = sample["flux"][:300].copy(), sample["ivar"][:300].copy()
    ivar[:, :30] = 0
    ivar[5] = 0
    fitted = SpectrumPreprocessor.fit(flux, ivar)
    assert np.isfinite(fitted.mean_flux).all()
    assert abs(fitted.infill(flux, ivar)).max() < 1.5 * abs(sample["truth"]).max()


def test_fit_refuses_too_few_spectra() -> None:
    with pytest.raises(SpectrumError, match="5 spectra with data cannot define 10"):
        SpectrumPreprocessor.fit(np.ones((5, N_WAVE)), np.ones((5, N_WAVE)))


def test_encoder_input_is_free_of_the_flux_scale(
    preprocessor: SpectrumPreprocessor, sample: dict[str, NDArray[np.float32]]
) -> None:
    flux, ivar = sample["flux"][2000:2050], sample["ivar"][2000:2050]
    x = preprocessor.encoder_input(flux, ivar)
    assert x.shape == (50, N_WAVE)
    assert x.dtype == np.float32
    np.testing.assert_allclose(preprocessor.encoder_input(40 * flux, ivar / 1600), x, atol=2e-5)
    with pytest.raises(SpectrumError, match="rows 0"):
        preprocessor.encoder_input(flux[:1], np.zeros((1, N_WAVE)))


def test_preprocessor_survives_a_round_trip_through_arrays(preprocessor: SpectrumPreprocessor) -> None:
    again = SpectrumPreprocessor.from_arrays(preprocessor.to_arrays() | {"other": np.zeros(3)})
    for name, array in preprocessor.to_arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array)
    with pytest.raises(ShapeError, match="missing: eigenvalues"):
        SpectrumPreprocessor.from_arrays({k: v for k, v in preprocessor.to_arrays().items() if k != "eigenvalues"})
    with pytest.raises(ShapeError, match=r"mean_flux \(1000,\)"):
        SpectrumPreprocessor(np.zeros(3), np.zeros((2, N_WAVE)), np.zeros(2))

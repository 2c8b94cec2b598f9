"""Images: flux conservation, photometry, depth, noise, gaps, determinism."""

import dataclasses

import numpy as np
import pytest

from galspec.core.bands import AB_ZEROPOINT_NJY, BANDS, NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.simulation import maps, render
from galspec.simulation.morphology import Morphology, draw_morphology
from galspec.simulation.physical import Physical


def _morphology(seed: int = 1, kind: str = "SF") -> Morphology:
    physical = Physical(10.5, 0.08, kind, 0.4, "none", 1.5, kind == "PSB")  # type: ignore[arg-type]  # a class name
    return draw_morphology(np.random.default_rng(seed), physical)


def _fluxes(total: float = 5e5) -> np.ndarray:
    shares = np.array([0.3, 0.02, 0.4, 0.15, 0.08, 0.03, 0.02])
    return np.outer(shares, total * np.array([0.5, 1.0, 1.4, 1.7, 1.9]))


def _row(morph: Morphology, flux: np.ndarray) -> dict[str, object]:
    names = [f"c_{component}_{band}" for component in render.COMPONENTS for band in BANDS]
    return {**dict(zip(names, flux.ravel().tolist(), strict=True)), **morph.to_row()}


def test_components_are_in_the_order_of_the_spectra():
    from galspec.simulation.components import COMPONENTS

    assert render.COMPONENTS == COMPONENTS


@pytest.mark.parametrize("kind", ["SF", "GV", "Q", "PSB"])
def test_maps_hold_at_most_all_light(kind):
    for seed in range(8):
        sums = maps.component_maps(_morphology(seed, kind), seed).sum(axis=(1, 2))
        assert (sums <= 1.02).all()
        assert (sums > 0.5).all()


def test_noiseless_image_conserves_the_flux_of_the_components():
    morph = dataclasses.replace(_morphology(2), disk_h=1.2, bulge_re=0.8, dust_tau=0.0)
    flux = _fluxes()
    image = render.render_noiseless(morph, flux)
    counted = maps.component_maps(morph, morph.map_seed).sum(axis=(1, 2)) @ flux
    assert image.sum(axis=(1, 2)) == pytest.approx(counted, rel=0.005)
    assert image.sum(axis=(1, 2)) == pytest.approx(flux.sum(axis=0), rel=0.01)


def test_a_dust_lane_dims_the_middle_and_keeps_the_flux():
    morph = dataclasses.replace(
        _morphology(2), disk_h=2.0, axis_ratio=0.2, inclination_deg=80.0, offset_x=0, offset_y=0
    )
    clear = render.render_noiseless(dataclasses.replace(morph, dust_tau=0.0), _fluxes())
    dusty = render.render_noiseless(dataclasses.replace(morph, dust_tau=1.5), _fluxes())
    assert dusty.sum(axis=(1, 2)) == pytest.approx(clear.sum(axis=(1, 2)), rel=0.005)
    middle = np.s_[:, 111:113, 111:113]
    dimming = (dusty[middle] / clear[middle]).mean(axis=(1, 2))
    assert (dimming < 1.0).all()
    assert dimming[0] < dimming[4]


def _aperture_sum(image: np.ndarray, radius_arcsec: float) -> np.ndarray:
    fine = (np.arange(224 * 5) + 0.5) / 5 - 0.5 - 111.5
    inside = np.hypot(fine[None, :], fine[:, None]) * PIXEL_SCALE_ARCSEC <= radius_arcsec
    weight = inside.reshape(224, 5, 224, 5).mean(axis=(1, 3))
    return (image * weight).sum(axis=(1, 2))


def test_large_aperture_photometry_equals_synthetic_photometry():
    # The magnitudes of the catalogue are synthetic photometry of the component spectra: an image must give them back.
    morph = dataclasses.replace(_morphology(5), disk_h=1.0, bulge_re=0.6, bulge_n=2.0, n_tidal=0, tidal_share=0.0)
    flux = _fluxes()
    measured = _aperture_sum(render.render_noiseless(morph, flux), 20.0)
    magnitudes = AB_ZEROPOINT_NJY - 2.5 * np.log10(measured)
    expected = AB_ZEROPOINT_NJY - 2.5 * np.log10(flux.sum(axis=0))
    assert magnitudes == pytest.approx(expected, abs=0.02)


def test_fibre_fraction_is_what_an_aperture_on_the_seen_image_holds():
    morph = dataclasses.replace(_morphology(7), offset_x=0.0, offset_y=0.0)
    image = maps.component_maps(morph, morph.map_seed)
    fractions = maps.fibre_fractions(image)
    from scipy.ndimage import gaussian_filter

    sigma = 1.35 / 2.3548 / PIXEL_SCALE_ARCSEC
    seen = np.stack([gaussian_filter(one.astype(float), sigma) for one in image])
    assert fractions == pytest.approx(_aperture_sum(seen, 1.5), rel=0.01)


def test_depth_is_that_of_the_survey():
    """A 5-sigma point source in pure noise has the nominal magnitude in each band."""
    morph = _morphology(3)
    depths = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        noise = render._noise(rng, np.zeros((5, 224, 224), np.float32))
        per_band = []
        for band in range(5):
            transform = render._psf_transform(band, 3)
            psf = np.fft.fftshift(np.fft.irfft2(transform, s=(maps.GRID_PIX, maps.GRID_PIX)))
            middle = maps.GRID_PIX // 2
            kernel = psf[middle - 12 : middle + 13, middle - 12 : middle + 13]
            kernel = kernel / (kernel**2).sum()
            tiles = noise[band, :200, :200].reshape(8, 25, 8, 25).transpose(0, 2, 1, 3).reshape(-1, 25, 25)
            flux = ((tiles - noise[band].mean()) * kernel).sum(axis=(1, 2))
            per_band.append(flux.var())
        depths.append(per_band)
    sigma = np.sqrt(np.mean(depths, axis=0))
    magnitudes = AB_ZEROPOINT_NJY - 2.5 * np.log10(5 * sigma)
    assert magnitudes == pytest.approx([23.3, 23.2, 23.1, 22.3, 21.4], abs=0.15)
    assert morph.map_seed >= 0


def test_noise_of_neighbouring_pixels_is_correlated():
    noise = render._noise(np.random.default_rng(0), np.zeros((5, 224, 224), np.float32))
    one = noise[1] - noise[1].mean()
    lag = (one[:, 1:] * one[:, :-1]).mean() / one.var()
    assert lag == pytest.approx(0.30, abs=0.03)
    assert one.std() / NJY_PER_COUNT_ZP25 == pytest.approx(0.071, rel=0.35)


def test_bright_pixels_are_noisier():
    image = np.zeros((5, 224, 224), np.float32)
    image[:, :112] = 1e6
    noise = render._noise(np.random.default_rng(0), image)
    assert (noise[:, 4:108].std(axis=(1, 2)) > 1.05 * noise[:, 116:].std(axis=(1, 2))).all()


def test_the_same_row_gives_the_same_pixels():
    row = _row(_morphology(9, "PSB"), _fluxes())
    first, second = render.render_row(row), render.render_row(row)
    assert first.dtype == np.float32
    assert first.shape == (5, 224, 224)
    assert np.array_equal(first, second, equal_nan=True)


def test_another_seed_gives_other_pixels():
    morph = _morphology(9)
    first = render.render_cutout(morph, _fluxes(), 1)
    assert not np.array_equal(first, render.render_cutout(morph, _fluxes(), 2), equal_nan=True)


def test_gaps_are_rare_and_spare_the_nucleus():
    n_with_gap = 0
    for seed in range(600):
        image = np.ones((5, 224, 224), np.float32)
        render._cut_gaps(np.random.default_rng(seed), image)
        n_with_gap += bool(np.isnan(image).any())
        assert np.isfinite(image[:, 105:119, 105:119]).all()
    assert 0.02 < n_with_gap / 600 < 0.08


def test_neighbours_stay_away_from_the_target():
    from galspec.simulation.neighbours import draw_neighbours

    scene = np.zeros((5, maps.GRID_PIX, maps.GRID_PIX), np.float32)
    for seed in range(30):
        draw_neighbours(np.random.default_rng(seed), scene)
    assert scene.max() > 0
    middle = maps.GRID_PIX // 2
    near = scene[1, middle - 2 : middle + 2, middle - 2 : middle + 2].mean()
    assert near < 0.2 * scene[1].mean()


def test_light_leaves_and_enters_across_the_edge_alike():
    # A disk larger than the cutout must not darken towards the frame's edge by the PSF alone.
    morph = dataclasses.replace(
        _morphology(4), disk_h=40.0, axis_ratio=1.0, bulge_to_total=0.01, arm_contrast=0.0, n_tidal=0
    )
    flux = np.zeros((7, 5))
    flux[2] = 1e6
    image = render.render_noiseless(dataclasses.replace(morph, bar_share=0.0, lopsidedness=0.0, dust_tau=0.0), flux)
    assert image[1, 0, 112] == pytest.approx(image[1, 3, 112], rel=0.05)

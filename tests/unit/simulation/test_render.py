"""Images: flux conservation, photometry, depth, noise, gaps, determinism."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from galspec.core.bands import AB_ZEROPOINT_NJY, BANDS, NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.preprocess.photometry import aperture_photometry
from galspec.simulation import maps, render
from galspec.simulation.morphology import Morphology, draw_morphology
from galspec.simulation.physical import Physical

REPOSITORY_DIR = Path(__file__).resolve().parents[3]


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
    morph = dataclasses.replace(_morphology(2), disk_h=1.2, bulge_re=0.8, dust_tau=0.0, disk_dust_tau=0.0)
    flux = _fluxes()
    image = render.render_noiseless(morph, flux)
    counted = maps.component_maps(morph, morph.map_seed).sum(axis=(1, 2)) @ flux
    assert image.sum(axis=(1, 2)) == pytest.approx(counted, rel=0.005)
    assert image.sum(axis=(1, 2)) == pytest.approx(flux.sum(axis=0), rel=0.01)


@pytest.mark.parametrize("kind", ["SF", "GV", "Q", "PSB"])
def test_every_kind_of_galaxy_keeps_the_counted_flux(kind):
    # Arms, bars, tidal arcs, dust lanes and truncation by the frame included.
    for seed in range(6):
        morph = _morphology(seed, kind)
        counted = maps.component_maps(morph, morph.map_seed).sum(axis=(1, 2), dtype=np.float64) @ _fluxes()
        clear = dataclasses.replace(morph, disk_dust_tau=0.0)
        assert render.render_noiseless(clear, _fluxes()).sum(axis=(1, 2)) == pytest.approx(counted, rel=0.005)
        # The gradient of the dust is normalised for a plain exponential disk: arms and bars change that a little.
        assert render.render_noiseless(morph, _fluxes()).sum(axis=(1, 2)) == pytest.approx(counted, rel=0.02)


def test_a_galaxy_larger_than_the_frame_is_cut_not_squeezed():
    morph = dataclasses.replace(_morphology(3), disk_h=15.0, axis_ratio=0.9, n_tidal=0, tidal_share=0.0)
    morph = dataclasses.replace(morph, dust_tau=0.0, disk_dust_tau=0.0, disk_boxiness=2.0, ring_share=0.0)
    shares = maps.component_maps(morph, morph.map_seed).sum(axis=(1, 2))
    # An exponential disk of 15 arcsec has (1 + x) exp(-x) = 0.44 of its light outside a circle of 28 arcsec.
    assert 0.5 < shares[maps.DISK_OLD] < 0.75
    image = render.render_noiseless(morph, _fluxes())
    assert image.sum(axis=(1, 2)) == pytest.approx(shares @ _fluxes(), rel=0.005)


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


def test_large_aperture_photometry_equals_synthetic_photometry():
    # The magnitudes of the catalogue are synthetic photometry of the component spectra: an image must give them back.
    morph = dataclasses.replace(_morphology(5), disk_h=1.0, bulge_re=0.6, bulge_n=2.0, n_tidal=0, tidal_share=0.0)
    flux = _fluxes()
    measured = aperture_photometry(render.render_noiseless(morph, flux), 20.0)
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
    assert fractions == pytest.approx(aperture_photometry(seen, 1.5), rel=0.01)


#: rms (counts/s at zero point 25) of the quietest fifth of blocks of 12 pixels in real PS1 stack cutouts.
REAL_RMS = np.array([(0.075, 0.095), (0.08, 0.12), (0.07, 0.145), (0.22, 0.27), (0.60, 0.80)])
MIDDLE_SIGMA = np.asarray(render.SKY_SIGMA_RANGE).mean(axis=1) * NJY_PER_COUNT_ZP25


def test_depth_is_that_of_the_survey():
    """A matched filter finds a point source at 5 sigma in blank sky, at what the noise of real stacks allows."""
    core = np.ix_(np.r_[0:12, -12:0], np.r_[0:12, -12:0])
    filters = np.zeros((5, 224, 224))
    for band in range(5):
        psf = np.fft.irfft2(render._psf_transform(band, 3), s=(maps.GRID_PIX, maps.GRID_PIX))[core]
        filters[band][core] = psf / (psf**2).sum()
    variances = []
    for seed in range(6):
        blank = np.zeros((5, 224, 224), np.float32)
        noise = render._noise(np.random.default_rng(seed), blank, MIDDLE_SIGMA).astype(float)
        found = np.fft.irfft2(np.fft.rfft2(noise) * np.conj(np.fft.rfft2(filters)))
        variances.append(found.var(axis=(1, 2)))
    magnitudes = AB_ZEROPOINT_NJY - 2.5 * np.log10(5 * np.sqrt(np.mean(variances, axis=0)))
    assert magnitudes == pytest.approx([23.2, 23.1, 23.1, 22.2, 21.2], abs=0.15)


def _blocks(band: np.ndarray) -> np.ndarray:
    blocks = band[:216, :216].reshape(18, 12, 18, 12).transpose(0, 2, 1, 3).reshape(-1, 12, 12)
    blocks = blocks[np.isfinite(blocks).all(axis=(1, 2))]
    quiet = blocks[np.argsort(blocks.std(axis=(1, 2)))[: len(blocks) // 5]]
    return quiet - quiet.mean(axis=(1, 2), keepdims=True)


def test_noise_of_cutouts_looks_like_that_of_real_stacks():
    rms, correlation = [], []
    for seed in range(24):
        cutout = render.render_cutout(_morphology(seed, "SF"), _fluxes(), seed).astype(float) / NJY_PER_COUNT_ZP25
        for band in cutout:
            quiet = _blocks(band)
            variance = (quiet**2).mean()
            rms.append(np.sqrt(variance))
            pairs = [
                (quiet[:, :, 1:], quiet[:, :, :-1]),
                (quiet[:, 1:], quiet[:, :-1]),
                (quiet[:, :, 2:], quiet[:, :, :-2]),
                (quiet[:, 1:, 1:], quiet[:, :-1, :-1]),
            ]
            correlation.append([(one * other).mean() / variance for one, other in pairs])
    table = np.reshape(rms, (-1, 5))
    inside = (table > REAL_RMS[:, 0]) & (table < REAL_RMS[:, 1])
    assert (inside.mean(axis=0) >= 0.9).all()
    assert table.std(axis=0)[2] > 0.01  # exposure times differ most in i
    lag1, lag1_rows, lag2, diagonal = np.median(correlation, axis=0)
    assert 0.15 < lag1 < 0.19
    assert 0.15 < lag1_rows < 0.19
    assert -0.08 < lag2 < -0.02
    assert -0.08 < diagonal < -0.02


def test_bright_pixels_are_noisier():
    image = np.zeros((5, 224, 224), np.float32)
    image[:, :112] = 1e6
    noise = render._noise(np.random.default_rng(0), image, MIDDLE_SIGMA)
    assert (noise[:, 4:108].std(axis=(1, 2)) > 1.05 * noise[:, 116:].std(axis=(1, 2))).all()


def test_the_same_row_gives_the_same_pixels():
    row = _row(_morphology(9, "PSB"), _fluxes())
    first, second = render.render_row(row), render.render_row(row)
    assert first.dtype == np.float32
    assert first.shape == (5, 224, 224)
    assert np.array_equal(first, second, equal_nan=True)


def test_the_number_of_threads_and_processes_does_not_change_the_pixels():
    rows = [_row(_morphology(seed, kind), _fluxes()) for seed, kind in enumerate(["SF", "GV", "Q", "PSB"])]
    here = hashlib.sha256(b"".join(render.render_row(row).tobytes() for row in rows)).hexdigest()
    code = (
        "import hashlib, json, sys; from galspec.simulation.render import render_row; "
        "rows = json.load(sys.stdin); "
        "print(hashlib.sha256(b''.join(render_row(row).tobytes() for row in rows)).hexdigest())"
    )
    for n_threads in ("1", "2"):
        threads = {"OMP_NUM_THREADS": n_threads, "OPENBLAS_NUM_THREADS": n_threads}
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(rows),
            env=os.environ | threads,
            cwd=REPOSITORY_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


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


def test_bright_stars_have_masked_cores_and_halos():
    from galspec.simulation.neighbours import draw_neighbours

    for seed in range(200):
        scene = np.zeros((5, maps.GRID_PIX, maps.GRID_PIX), np.float32)
        stars = draw_neighbours(np.random.default_rng(seed), scene)
        if stars:
            break
    column, row, _ = stars[0]
    distance = np.hypot(column - maps.CENTRE_PIX, row - maps.CENTRE_PIX) * PIXEL_SCALE_ARCSEC
    assert distance > 9.0
    image = np.zeros((5, 224, 224), np.float32)
    render._mask_saturated([(120.0, 60.0, 5.0), (40.0, 40.0, 2.5)], image)
    assert np.isnan(image[:, 60 - maps.MARGIN_PIX, 120 - maps.MARGIN_PIX]).all()
    assert np.isnan(image[1:3, 40 - maps.MARGIN_PIX, 40 - maps.MARGIN_PIX]).all()
    assert np.isfinite(image[[0, 3, 4], 40 - maps.MARGIN_PIX, 40 - maps.MARGIN_PIX]).all()
    assert np.isfinite(image[:, 100:, 150:]).all()


def test_large_galaxies_lose_sky_and_small_ones_do_not():
    rng = np.random.default_rng(0)
    small = np.zeros((5, 224, 224), np.float32)
    small[:, 100:124, 100:124] = 1e4
    assert not render._oversubtraction(rng, small, MIDDLE_SIGMA).any()
    large = np.full((5, 224, 224), 1e4, np.float32)
    bowls = [render._oversubtraction(rng, large, MIDDLE_SIGMA) for _ in range(20)]
    assert (np.max(bowls, axis=0) > MIDDLE_SIGMA).all()
    assert (np.max(bowls, axis=0) <= 2.4 * MIDDLE_SIGMA).all()


@pytest.mark.parametrize("boxiness", [1.6, 2.0, 2.6])
def test_isophotes_are_pointed_or_boxy_and_keep_the_light(boxiness):
    morph = dataclasses.replace(_morphology(1), offset_x=0.0, offset_y=0.0, position_angle_deg=0.0)
    image = maps.sersic_map(morph, 3.0, 1.0, 0.5, boxiness)
    assert image.sum() == pytest.approx(1.0, abs=0.01)
    # On the diagonal of the ellipse's frame, an ellipse would have the light of the major axis at the same radius.
    middle = maps.GRID_PIX // 2
    along = image[middle, middle + 20]
    diagonal = image[middle + round(10 / np.sqrt(2)), middle + round(20 / np.sqrt(2))]
    assert np.sign(diagonal / along - 1.0) == np.sign(boxiness - 2.0) or boxiness == 2.0


def test_companions_have_the_galaxys_colours_and_stay_off_the_nucleus():
    morph = dataclasses.replace(_morphology(4, "Q"), n_companions=2, disk_h=1.0, bulge_re=1.0)
    scene = np.zeros((5, maps.GRID_PIX, maps.GRID_PIX), np.float32)
    render._draw_companions(np.random.default_rng(1), morph, _fluxes(), scene)
    total = scene.sum(axis=(1, 2))
    expected = _fluxes().sum(axis=0)
    assert total / total[1] == pytest.approx(expected / expected[1], rel=0.05)
    middle = maps.GRID_PIX // 2
    assert scene[1, middle, middle] < 0.2 * scene[1].max()


def test_rings_and_shells_keep_the_light():
    morph = _morphology(2)
    ringed = dataclasses.replace(morph, ring_share=0.4, ring_radius=1.2, ring_width=0.2, disk_h=2.0)
    plain = dataclasses.replace(ringed, ring_share=0.0)
    sums = [maps.component_maps(one, 3)[maps.DISK_OLD].sum() for one in (ringed, plain)]
    assert sums[0] == pytest.approx(sums[1], rel=0.01)
    elliptical = dataclasses.replace(morph, bulge_to_total=1.0, bulge_re=2.0, n_tidal=0, n_shells=3, tidal_share=0.05)
    smooth = dataclasses.replace(elliptical, n_shells=0)
    with_shells, without = (maps.component_maps(one, 3)[maps.BULGE] for one in (elliptical, smooth))
    assert with_shells.sum() == pytest.approx(without.sum(), rel=0.01)
    assert np.abs(with_shells - without).sum() > 0.02

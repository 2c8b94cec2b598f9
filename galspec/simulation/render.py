"""PS1-like images: component maps x fluxes, PSF, neighbours, sky, noise and gaps; numpy and scipy.fft only."""

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from galspec.core.bands import BANDS, CUTOUT_SIZE_PIX, N_BANDS, NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.simulation.maps import GRID_PIX, INNER, component_maps, fibre_fractions, grid_maps
from galspec.simulation.morphology import Morphology
from galspec.simulation.neighbours import draw_neighbours

__all__ = ["component_maps", "fibre_fractions", "render_cutout", "render_noiseless", "render_row"]

COMPONENTS: Final = ("bulge", "bulge_young", "disk_old", "disk_young", "hii", "nlr", "lier")

Cube = NDArray[np.float32]

MOFFAT_BETA: Final = 3.2
PSF_FWHM_ARCSEC: Final = (1.31, 1.19, 1.11, 1.07, 1.02)
#: PSFs come in seven widths, relative to the typical one.
PSF_WIDTHS: Final = tuple(np.linspace(0.88, 1.18, 7).tolist())
#: White noise per pixel before correlation, counts/s at zero point 25: 5-sigma depths 23.3 23.2 23.1 22.3 21.4.
SKY_SIGMA: Final = (0.095, 0.115, 0.135, 0.292, 0.702)
DEPTH_SCATTER_MAG: Final = 0.15
SKY_RESIDUAL_SIGMA: Final = 0.05
#: Resampling correlates neighbouring pixels: 3-tap kernel along each axis.
CORRELATION_KERNEL: Final = (0.12, 0.76, 0.12)
#: Zero points of 1 e-/s and exposure times of the stacks (approximate), for photon noise.
ZERO_POINTS: Final = (24.41, 24.68, 24.56, 24.22, 23.24)
EXPOSURE_S: Final = (516.0, 564.0, 885.0, 540.0, 600.0)
GAP_PROBABILITY: Final = 0.05
_LANE_PIVOT_MICRON: Final = 0.55
_BAND_MICRON: Final = (0.481, 0.617, 0.752, 0.866, 0.962)


@functools.lru_cache(maxsize=N_BANDS * len(PSF_WIDTHS))
def _psf_transform(band: int, width: int) -> NDArray[np.complex64]:
    """Return the transform of a Moffat PSF sampled at pixel centres and normalised on the grid.

    Point-sampled, because the maps are already averaged over pixels: averaging both would blur twice.
    """
    fwhm = PSF_FWHM_ARCSEC[band] * PSF_WIDTHS[width]
    alpha = fwhm / (2.0 * np.sqrt(2.0 ** (1.0 / MOFFAT_BETA) - 1.0))
    offset = (np.arange(GRID_PIX) - GRID_PIX // 2) * PIXEL_SCALE_ARCSEC
    psf = (1.0 + (offset[None, :] ** 2 + offset[:, None] ** 2) / alpha**2) ** -MOFFAT_BETA
    shifted = np.fft.ifftshift(psf / psf.sum()).astype(np.float32)
    return np.asarray(fft.rfft2(shifted), np.complex64)


def _blur(image: Cube, widths: NDArray[np.int64]) -> Cube:
    """Convolve (5, 240, 240) with each band's PSF and cut the margin off, (5, 224, 224)."""
    transform = fft.rfft2(image)
    for band in range(N_BANDS):
        transform[band] *= _psf_transform(band, int(widths[band]))
    blurred = np.asarray(fft.irfft2(transform, s=(GRID_PIX, GRID_PIX)), np.float32)
    return np.ascontiguousarray(blurred[:, INNER, INNER])


def _dust_lane(morph: Morphology, image: Cube) -> Cube:
    """Dim the mid-plane of an edge-on disk, more in the blue, keeping the flux of each band."""
    angle = np.radians(morph.position_angle_deg)
    offset = (np.arange(GRID_PIX, dtype=np.float32) - (GRID_PIX - 1) / 2) * PIXEL_SCALE_ARCSEC
    x, y = offset[None, :], offset[:, None]
    major = x * np.cos(angle) + y * np.sin(angle)
    minor = y * np.cos(angle) - x * np.sin(angle)
    height = max(0.08 * morph.disk_h, 0.2)
    # The near side hides the far side: the lane lies a little off the major axis.
    shift = 0.6 * morph.disk_h * np.cos(np.radians(morph.inclination_deg)) * morph.winding
    profile = np.exp(-0.5 * ((minor - shift) / height) ** 2) * np.exp(-0.5 * (major / (2.0 * morph.disk_h)) ** 2)
    tau = morph.dust_tau * _LANE_PIVOT_MICRON / np.asarray(_BAND_MICRON)
    dimmed: Cube = image * np.exp(-tau[:, None, None] * profile).astype(np.float32)
    restore = image.sum(axis=(1, 2), dtype=np.float64) / np.maximum(dimmed.sum(axis=(1, 2), dtype=np.float64), 1e-30)
    return np.asarray(dimmed * restore.astype(np.float32)[:, None, None], np.float32)


def _scene(morph: Morphology, component_flux: NDArray[np.floating], seed: int) -> Cube:
    """Return the galaxy before the PSF, (5, 240, 240) nJy."""
    maps = grid_maps(morph, seed).reshape(len(COMPONENTS), -1)
    image = (component_flux.astype(np.float32).T @ maps).reshape(N_BANDS, GRID_PIX, GRID_PIX)
    return _dust_lane(morph, image) if morph.dust_tau else image


def render_noiseless(
    morph: Morphology, component_flux: NDArray[np.floating], seed: int | None = None, width: int = 3
) -> Cube:
    """Render the galaxy alone through the PSF, without noise, neighbours or gaps.

    Parameters
    ----------
    morph : Morphology
    component_flux : ndarray, shape (7, 5)
        nJy of each component in each band.
    seed : int, optional
        Of arms and knots; ``morph.map_seed`` if None.
    width : int
        Index into `PSF_WIDTHS`.

    Returns
    -------
    ndarray, shape (5, 224, 224), float32
        nJy per pixel.
    """
    scene = _scene(morph, np.asarray(component_flux), morph.map_seed if seed is None else seed)
    return _blur(scene, np.full(N_BANDS, width))


def render_cutout(morph: Morphology, component_flux: NDArray[np.floating], seed: int) -> Cube:
    """Render a cutout as a PS1 stack would show it.

    Parameters
    ----------
    morph : Morphology
    component_flux : ndarray, shape (7, 5)
        nJy of each component in each band, after Galactic extinction.
    seed : int
        Arms, knots, neighbours, PSF width, noise and gaps; the same seed gives the same pixels.

    Returns
    -------
    ndarray, shape (5, 224, 224), float32
        nJy per pixel, bands g r i z y, NaN in gaps.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    scene = _scene(morph, np.asarray(component_flux), seed)
    draw_neighbours(rng, scene)
    widths = np.clip(np.rint(rng.normal(3.0, 1.3, N_BANDS)), 0, len(PSF_WIDTHS) - 1).astype(np.int64)
    image = _blur(scene, widths)
    image += _noise(rng, image)
    _cut_gaps(rng, image)
    return image


def _noise(rng: np.random.Generator, image: Cube) -> Cube:
    """Return sky and photon noise, correlated between neighbouring pixels, and a sky residual, nJy."""
    size = CUTOUT_SIZE_PIX + 2
    white = rng.standard_normal((N_BANDS, size, size), dtype=np.float32)
    depth = 10.0 ** (-0.4 * DEPTH_SCATTER_MAG * rng.standard_normal(N_BANDS))
    for band in range(N_BANDS):
        sigma = SKY_SIGMA[band] * depth[band] * NJY_PER_COUNT_ZP25
        # 1 e- is so many nJy: variance of the photons of the source = flux * nJy per electron.
        njy_per_electron = 10.0 ** (0.4 * (31.4 - ZERO_POINTS[band])) / EXPOSURE_S[band]
        variance = np.float32(sigma**2) + np.maximum(image[band], 0) * np.float32(njy_per_electron)
        white[band, 1:-1, 1:-1] *= np.sqrt(variance)
        for where in (np.s_[0], np.s_[-1], np.s_[1:-1, 0], np.s_[1:-1, -1]):
            white[band][where] *= np.float32(sigma)
    side, middle = np.float32(CORRELATION_KERNEL[0]), np.float32(CORRELATION_KERNEL[1])
    rows = side * (white[:, :-2] + white[:, 2:]) + middle * white[:, 1:-1]
    noise = side * (rows[:, :, :-2] + rows[:, :, 2:]) + middle * rows[:, :, 1:-1]
    residual = SKY_RESIDUAL_SIGMA * np.asarray(SKY_SIGMA) * NJY_PER_COUNT_ZP25 * rng.standard_normal(N_BANDS)
    return np.asarray(noise + residual.astype(np.float32)[:, None, None], np.float32)


def _cut_gaps(rng: np.random.Generator, image: Cube) -> None:
    """Set NaN in 5 % of the cutouts: a strip, a circle or a corner, in one band or in all; never the nucleus."""
    kind, everywhere, band = rng.integers(3), rng.random() < 0.35, int(rng.integers(N_BANDS))
    position, tilt, size = rng.random(2), rng.uniform(0.0, np.pi), rng.random()
    if rng.random() >= GAP_PROBABILITY:
        return
    pixel = np.arange(CUTOUT_SIZE_PIX) - (CUTOUT_SIZE_PIX - 1) / 2
    x, y = pixel[None, :], pixel[:, None]
    if kind == 0:  # a strip between chips
        distance = 25.0 + 75.0 * position[0]
        gap = np.abs(x * np.cos(tilt) + y * np.sin(tilt) - distance) < 2.0 + 6.0 * size
    elif kind == 1:  # the masked core of a bright star
        centre = 40.0 + 60.0 * position[0]
        gap = np.hypot(x - centre * np.cos(2 * tilt), y - centre * np.sin(2 * tilt)) < 3.0 + 12.0 * size
    else:  # a corner outside the skycell
        gap = x * np.cos(2 * tilt) + y * np.sin(2 * tilt) > 70.0 + 40.0 * position[1]
    gap &= np.hypot(x, y) > 12.0
    image[slice(None) if everywhere else slice(band, band + 1), gap] = np.nan


def render_row(row: dict[str, Any]) -> Cube:
    """Render the cutout of a catalogue row: component fluxes ``c_<component>_<band>`` and morphology ``m_*``.

    Parameters
    ----------
    row : dict
        A row of a simulated survey's catalogue.

    Returns
    -------
    ndarray, shape (5, 224, 224), float32
        nJy per pixel; bit-equal for equal rows on one machine.
    """
    morph = Morphology.from_row(row)
    flux = np.array([[row[f"c_{component}_{band}"] for band in BANDS] for component in COMPONENTS])
    return render_cutout(morph, flux, morph.map_seed)

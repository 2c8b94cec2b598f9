"""PS1-like images: component maps x fluxes, PSF, neighbours, sky, noise and gaps; numpy and scipy.fft only."""

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from galspec.core.bands import BANDS, CUTOUT_SIZE_PIX, N_BANDS, NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.simulation.maps import (
    BAND_MICRON,
    DISK_OLD,
    GRID_PIX,
    HII,
    INNER,
    MARGIN_PIX,
    band_fibre_fractions,
    component_maps,
    disk_dust,
    fibre_fractions,
    grid_maps,
)
from galspec.simulation.morphology import Morphology
from galspec.simulation.neighbours import add_exponential, draw_neighbours

__all__ = [
    "band_fibre_fractions",
    "component_maps",
    "fibre_fractions",
    "render_cutout",
    "render_noiseless",
    "render_row",
]

COMPONENTS: Final = ("bulge", "bulge_young", "disk_old", "disk_young", "hii", "nlr", "lier")

Cube = NDArray[np.float32]

MOFFAT_BETA: Final = 3.2
PSF_FWHM_ARCSEC: Final = (1.31, 1.19, 1.11, 1.07, 1.02)
#: PSFs come in seven widths, relative to the typical one.
PSF_WIDTHS: Final = tuple(np.linspace(0.88, 1.18, 7).tolist())
#: Noise per pixel, counts/s at zero point 25, from the deepest to the shallowest stacks: exposure times differ from
#: band to band and from place to place by factors of two to four (i most of all). The rms of the quietest fifth of
#: blocks of 12 pixels, by which real stacks were measured, is 9 % smaller.
SKY_SIGMA_RANGE: Final = ((0.0865, 0.100), (0.0925, 0.126), (0.084, 0.150), (0.250, 0.284), (0.685, 0.845))
SKY_RESIDUAL_SIGMA: Final = 0.05
#: Resampling correlates pixels. Weights of a pixel, its 4 neighbours, its 4 diagonal neighbours and the 4 pixels two
#: steps away, of unit rms: correlations +0.187, -0.036 and -0.044, which blocks of 12 pixels measure as +0.16, -0.05
#: and -0.05, the middle of what PS1 stacks show.
CORRELATION_KERNEL: Final = (0.97326, 0.10628, -0.03204, -0.02946)
#: Zero points of 1 e-/s and exposure times of stacks of the middle depth (approximate), for photon noise.
ZERO_POINTS: Final = (24.41, 24.68, 24.56, 24.22, 23.24)
EXPOSURE_S: Final = (516.0, 564.0, 885.0, 540.0, 600.0)
GAP_PROBABILITY: Final = 0.05
_KERNEL_REACH: Final = 2
_LANE_PIVOT_MICRON: Final = 0.55
#: The pipeline takes wings of large galaxies for sky: at most this share of the light it can see under the noise.
_OVERSUBTRACTION: Final = 0.6
_BOWL_SIGMA: Final = 4.0


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
    tau = morph.dust_tau * _LANE_PIVOT_MICRON / np.asarray(BAND_MICRON)
    dimmed: Cube = image * np.exp(-tau[:, None, None] * profile).astype(np.float32)
    restore = image.sum(axis=(1, 2), dtype=np.float64) / np.maximum(dimmed.sum(axis=(1, 2), dtype=np.float64), 1e-30)
    return np.asarray(dimmed * restore.astype(np.float32)[:, None, None], np.float32)


def _scene(morph: Morphology, component_flux: NDArray[np.floating], seed: int) -> Cube:
    """Return the galaxy before the PSF, (5, 240, 240) nJy."""
    maps = grid_maps(morph, seed).reshape(len(COMPONENTS), -1)
    flux = np.ascontiguousarray(component_flux.T, np.float32)
    if morph.disk_dust_tau and morph.bulge_to_total < 1.0:
        disk = slice(DISK_OLD, HII + 1)
        light = (np.ascontiguousarray(flux[:, disk]) @ maps[disk]).reshape(N_BANDS, GRID_PIX, GRID_PIX)
        others = flux.copy()
        others[:, disk] = 0.0
        image = light * disk_dust(morph) + (others @ maps).reshape(light.shape)
    else:
        image = (flux @ maps).reshape(N_BANDS, GRID_PIX, GRID_PIX)
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
    flux = np.asarray(component_flux)
    scene = _scene(morph, flux, seed)
    galaxy = scene.sum(axis=(1, 2))
    _draw_companions(rng, morph, flux, scene)
    saturated = draw_neighbours(rng, scene)
    # Nights of good and bad seeing differ between bands, but less than between places.
    widths = np.rint(3.0 + 0.8 * rng.standard_normal() + 1.0 * rng.standard_normal(N_BANDS))
    image = _blur(scene, np.clip(widths, 0, len(PSF_WIDTHS) - 1).astype(np.int64))
    sigma = _draw_sky_sigma(rng)
    bowl = _oversubtraction(rng, image, sigma) if galaxy.any() else np.zeros(N_BANDS)
    image += _noise(rng, image, sigma)
    image -= bowl.astype(np.float32)[:, None, None]
    _cut_gaps(rng, image)
    _mask_saturated(saturated, image)
    return image


def _draw_companions(
    rng: np.random.Generator, morph: Morphology, component_flux: NDArray[np.floating], scene: Cube
) -> None:
    """Add galaxies at the same distance: the colours of the galaxy's own old and young stars, smaller and fainter."""
    old = component_flux[[0, 2]].sum(axis=0)
    young = component_flux[[1, 3, 4]].sum(axis=0)
    size = max(morph.bulge_re, 1.678 * morph.disk_h if morph.bulge_to_total < 1.0 else 0.0)
    for _ in range(morph.n_companions):
        share, young_weight = 10.0 ** rng.uniform(-1.8, -0.2), rng.uniform(0.3, 1.7)
        flux = old + young_weight * young
        flux *= share * component_flux[:, 1].sum() / max(float(flux[1]), 1e-30)
        reach = float(np.clip(3.0 * size, 5.0, 26.0))
        distance, angle = rng.uniform(min(1.2 * size + 1.5, 0.8 * reach), reach), rng.uniform(0.0, 2.0 * np.pi)
        centre = (GRID_PIX - 1) / 2 + distance / PIXEL_SCALE_ARCSEC * np.array([np.cos(angle), np.sin(angle)])
        scale = max(size * share**0.4 / 1.678, 0.25)
        add_exponential(rng, scene, (float(centre[0]), float(centre[1])), flux, scale)


def _draw_sky_sigma(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the noise per pixel of each band, nJy, shape (5,)."""
    low, high = np.array(SKY_SIGMA_RANGE).T
    return np.asarray((low + rng.random(N_BANDS) * (high - low)) * NJY_PER_COUNT_ZP25)


def _oversubtraction(rng: np.random.Generator, image: Cube, sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a sky model takes away from each band, nJy per pixel, shape (5,).

    Notes
    -----
    PS1 models the sky on 100 arcsec, twice the cutout, after masking what stands above the noise:
    within the cutout the faint light it swallows is a constant.
    """
    strength = rng.uniform(0.0, _OVERSUBTRACTION)
    faint = np.minimum(image[:, ::4, ::4], (_BOWL_SIGMA * sigma).astype(np.float32)[:, None, None])
    # Median over the larger mesh, whose other three quarters are sky in all but the largest galaxies.
    return np.asarray(strength * np.clip(np.median(faint, axis=(1, 2)), 0.0, None))


def _mask_saturated(stars: list[tuple[float, float, float]], image: Cube) -> None:
    """Set the saturated cores of stars NaN in all bands; the faintest of them only in r and i."""
    for column, row, radius in stars:
        pixel = np.arange(CUTOUT_SIZE_PIX) + MARGIN_PIX
        core = np.hypot(pixel[None, :] - column, pixel[:, None] - row) < radius
        image[slice(1, 3) if radius < 3.0 else slice(None), core] = np.nan


def _noise(rng: np.random.Generator, image: Cube, sky_sigma: NDArray[np.float64]) -> Cube:
    """Return sky and photon noise, correlated between neighbouring pixels, and a sky residual, nJy.

    Parameters
    ----------
    rng : Generator
    image : ndarray, shape (5, 224, 224)
        Noiseless, nJy per pixel.
    sky_sigma : ndarray, shape (5,)
        Noise of the sky, nJy per pixel.
    """
    size = CUTOUT_SIZE_PIX + 2 * _KERNEL_REACH
    white = rng.standard_normal((N_BANDS, size, size), dtype=np.float32)
    frame = np.s_[_KERNEL_REACH:-_KERNEL_REACH, _KERNEL_REACH:-_KERNEL_REACH]
    middle = np.asarray(SKY_SIGMA_RANGE).mean(axis=1) * NJY_PER_COUNT_ZP25
    for band in range(N_BANDS):
        sigma = float(sky_sigma[band])
        # 1 e- is so many nJy: variance of the photons of the source = flux * nJy per electron. Noisier, less exposed.
        exposure = EXPOSURE_S[band] * (middle[band] / sigma) ** 2
        njy_per_electron = 10.0 ** (0.4 * (31.4 - ZERO_POINTS[band])) / exposure
        variance = np.float32(sigma**2) + np.maximum(image[band], 0) * np.float32(njy_per_electron)
        scale = np.full((size, size), sigma, np.float32)
        scale[frame] = np.sqrt(variance)
        white[band] *= scale
    noise = _correlated(white)
    residual = SKY_RESIDUAL_SIGMA * sky_sigma * rng.standard_normal(N_BANDS)
    return np.asarray(noise + residual.astype(np.float32)[:, None, None], np.float32)


def _correlated(white: Cube) -> Cube:
    """Convolve white noise with `CORRELATION_KERNEL`; two pixels are lost on each side."""
    middle, side, diagonal, far = (np.float32(weight) for weight in CORRELATION_KERNEL)
    inner = white[:, 2:-2]
    beside = white[:, 1:-3] + white[:, 3:-1]
    # Rows first: what each output pixel takes from its own column, from the next ones, from those two steps away.
    own = middle * inner + side * beside + far * (white[:, :-4] + white[:, 4:])
    near = side * inner + diagonal * beside
    result = own[:, :, 2:-2] + near[:, :, 1:-3] + near[:, :, 3:-1]
    return np.asarray(result + far * (inner[:, :, :-4] + inner[:, :, 4:]), np.float32)


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

"""Stars and galaxies around the target: unrelated to it, drawn from counts and simple colours."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import AB_ZEROPOINT_NJY, PIXEL_SCALE_ARCSEC
from galspec.simulation.maps import CENTRE_PIX, GRID_PIX, deposit

STARS_PER_ARCMIN2: Final = 1.7
GALAXIES_PER_ARCMIN2: Final = 7.0
MIN_STAR_ARCSEC: Final = 3.5
MIN_GALAXY_ARCSEC: Final = 2.0
_MIN_STAMP_PIX: Final = 12
#: PS1 stars saturate near r = 13.5 in the stacks' exposures; their cores are masked, and their halos show.
_SATURATION_MAG: Final = 13.8
_HALO_MAG: Final = 15.5
_GLARE_ARCSEC: Final = 9.0
_HALO_SHARE: Final = 0.04
_HALO_ARCSEC: Final = 3.0
#: Colours g-r, r-i, i-z, z-y of blue and red stars (stellar locus) and of blue and red field galaxies.
_STAR_COLOURS: Final = ((0.25, 0.08, 0.03, 0.02), (1.18, 1.10, 0.50, 0.26))
_GALAXY_COLOURS: Final = ((0.35, 0.20, 0.12, 0.08), (1.15, 0.50, 0.30, 0.20))


def _positions(rng: np.random.Generator, n: int, min_arcsec: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw pixel positions on the grid; those too near the target are dropped."""
    columns, rows = rng.uniform(0.0, GRID_PIX - 1.0, (2, n))
    far = np.hypot(columns - CENTRE_PIX, rows - CENTRE_PIX) * PIXEL_SCALE_ARCSEC > min_arcsec
    return columns[far], rows[far]


def _fluxes(
    rng: np.random.Generator, n: int, bright: float, faint: float, slope: float, colours: tuple[tuple[float, ...], ...]
) -> NDArray[np.float64]:
    """Draw fluxes (5, n) in nJy: counts rise as 10^(slope r), colours lie between a blue and a red extreme."""
    low, high = 10.0 ** (slope * bright), 10.0 ** (slope * faint)
    mag_r = np.log10(low + rng.random(n) * (high - low)) / slope
    redness = rng.beta(1.1, 1.3, n)
    blue, red = np.asarray(colours[0])[:, None], np.asarray(colours[1])[:, None]
    steps = blue + redness * (red - blue) + 0.05 * rng.standard_normal((4, n))
    mag = np.stack(
        [mag_r + steps[0], mag_r, mag_r - steps[1], mag_r - steps[1:3].sum(axis=0), mag_r - steps[1:].sum(axis=0)]
    )
    return np.asarray(10.0 ** (-0.4 * (mag - AB_ZEROPOINT_NJY)))


def add_exponential(
    rng: np.random.Generator,
    scene: NDArray[np.float32],
    centre: tuple[float, float],
    flux: NDArray[np.float64],
    scale_arcsec: float,
) -> None:
    """Add one exponential galaxy of random shape and angle to all bands, in place.

    Parameters
    ----------
    rng : Generator
    scene : ndarray, shape (5, 240, 240), float32
        nJy per pixel.
    centre : tuple of float
        Column and row.
    flux : ndarray, shape (5,)
        nJy.
    scale_arcsec : float
        Scale length.
    """
    column, row = centre
    scale = scale_arcsec / PIXEL_SCALE_ARCSEC
    axis_ratio, angle = rng.uniform(0.3, 1.0), rng.uniform(0.0, np.pi)
    half = int(np.clip(8.0 * scale, _MIN_STAMP_PIX, GRID_PIX))
    columns = np.arange(max(int(column) - half, 0), min(int(column) + half + 1, GRID_PIX))
    rows = np.arange(max(int(row) - half, 0), min(int(row) + half + 1, GRID_PIX))
    if not (len(columns) and len(rows)):
        return
    x, y = columns[None, :] - column, rows[:, None] - row
    major = x * np.cos(angle) + y * np.sin(angle)
    minor = (y * np.cos(angle) - x * np.sin(angle)) / axis_ratio
    stamp = np.exp(-np.hypot(major, minor) / scale) / (2.0 * np.pi * scale**2 * axis_ratio)
    scene[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (flux[:, None, None] * stamp).astype(np.float32)


def _add_halo(scene: NDArray[np.float32], column: float, row: float, flux: NDArray[np.float64]) -> None:
    """Add the wide halo of a bright star: a few per cent of its light, falling as radius^-2.4 beyond the core."""
    pixel = np.arange(GRID_PIX)
    square = ((pixel[None, :] - column) ** 2 + (pixel[:, None] - row) ** 2) * np.float32(PIXEL_SCALE_ARCSEC**2)
    halo = (1.0 + square.astype(np.float32) / np.float32(_HALO_ARCSEC**2)) ** np.float32(-1.2)
    halo *= np.float32(_HALO_SHARE / halo.sum())
    scene += flux.astype(np.float32)[:, None, None] * halo


def draw_neighbours(rng: np.random.Generator, scene: NDArray[np.float32]) -> list[tuple[float, float, float]]:
    """Add field stars and galaxies to a scene before the PSF; return the stars whose cores saturate.

    Parameters
    ----------
    rng : Generator
    scene : ndarray, shape (5, 240, 240), float32
        nJy per pixel; changed in place.

    Returns
    -------
    list of (column, row, radius)
        On the grid, pixels.
    """
    area = (GRID_PIX * PIXEL_SCALE_ARCSEC / 60.0) ** 2
    columns, rows = _positions(rng, int(rng.poisson(STARS_PER_ARCMIN2 * area)), MIN_STAR_ARCSEC)
    fluxes = _fluxes(rng, len(columns), 11.5, 22.5, 0.12, _STAR_COLOURS)
    # SDSS takes no spectrum of a galaxy in the glare of a star.
    distance = np.hypot(columns - CENTRE_PIX, rows - CENTRE_PIX) * PIXEL_SCALE_ARCSEC
    allowed = (fluxes[1] < 10.0 ** (-0.4 * (_HALO_MAG - AB_ZEROPOINT_NJY))) | (distance > _GLARE_ARCSEC)
    columns, rows, fluxes = columns[allowed], rows[allowed], fluxes[:, allowed]
    for band, flux in zip(scene, fluxes, strict=True):
        deposit(band, columns, rows, flux)
    saturated = []
    for column, row, flux in zip(columns, rows, fluxes.T, strict=True):
        mag_r = AB_ZEROPOINT_NJY - 2.5 * np.log10(flux[1])
        if mag_r < _HALO_MAG:
            _add_halo(scene, float(column), float(row), flux)
        if mag_r < _SATURATION_MAG:
            saturated.append((float(column), float(row), float(2.0 + 2.5 * (_SATURATION_MAG - mag_r))))
    columns, rows = _positions(rng, int(rng.poisson(GALAXIES_PER_ARCMIN2 * area)), MIN_GALAXY_ARCSEC)
    fluxes = _fluxes(rng, len(columns), 18.0, 23.5, 0.38, _GALAXY_COLOURS)
    for column, row, flux in zip(columns, rows, fluxes.T, strict=True):
        # Brighter field galaxies are larger: half a dex of scale length in four magnitudes.
        faintness = AB_ZEROPOINT_NJY - 2.5 * np.log10(flux[1]) - 22.0
        scale = float(np.clip(rng.lognormal(np.log(0.45), 0.4) * 10.0 ** (-0.13 * faintness), 0.15, 4.0))
        add_exponential(rng, scene, (float(column), float(row)), flux, scale)
    return saturated

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
_STAMP_PIX: Final = 33
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


def _add_galaxy(
    rng: np.random.Generator, scene: NDArray[np.float32], column: float, row: float, flux: NDArray[np.float64]
) -> None:
    """Add one exponential galaxy to all bands."""
    scale = float(np.clip(rng.lognormal(np.log(0.55), 0.4), 0.2, 1.5)) / PIXEL_SCALE_ARCSEC
    axis_ratio, angle = rng.uniform(0.3, 1.0), rng.uniform(0.0, np.pi)
    half = _STAMP_PIX // 2
    column0, row0 = int(column) - half, int(row) - half
    columns = np.arange(max(column0, 0), min(column0 + _STAMP_PIX, GRID_PIX))
    rows = np.arange(max(row0, 0), min(row0 + _STAMP_PIX, GRID_PIX))
    x, y = columns[None, :] - column, rows[:, None] - row
    major = x * np.cos(angle) + y * np.sin(angle)
    minor = (y * np.cos(angle) - x * np.sin(angle)) / axis_ratio
    stamp = np.exp(-np.hypot(major, minor) / scale) / (2.0 * np.pi * scale**2 * axis_ratio)
    scene[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (flux[:, None, None] * stamp).astype(np.float32)


def draw_neighbours(rng: np.random.Generator, scene: NDArray[np.float32]) -> None:
    """Add field stars and galaxies to a scene before the PSF.

    Parameters
    ----------
    rng : Generator
    scene : ndarray, shape (5, 240, 240), float32
        nJy per pixel; changed in place.
    """
    area = (GRID_PIX * PIXEL_SCALE_ARCSEC / 60.0) ** 2
    columns, rows = _positions(rng, int(rng.poisson(STARS_PER_ARCMIN2 * area)), MIN_STAR_ARCSEC)
    fluxes = _fluxes(rng, len(columns), 15.0, 22.5, 0.12, _STAR_COLOURS)
    for band, flux in zip(scene, fluxes, strict=True):
        deposit(band, columns, rows, flux)
    columns, rows = _positions(rng, int(rng.poisson(GALAXIES_PER_ARCMIN2 * area)), MIN_GALAXY_ARCSEC)
    fluxes = _fluxes(rng, len(columns), 18.0, 23.5, 0.38, _GALAXY_COLOURS)
    for column, row, flux in zip(columns, rows, fluxes.T, strict=True):
        _add_galaxy(rng, scene, float(column), float(row), flux)

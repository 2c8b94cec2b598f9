"""Aperture photometry of cutouts: circles with exact pixel overlap."""

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import CUTOUT_SIZE_PIX, PIXEL_SCALE_ARCSEC, SDSS_FIBRE_DIAMETER_ARCSEC
from galspec.core.errors import ImageError, ShapeError

Floats = NDArray[np.float64]

_MIDDLE_PIX: Final = (CUTOUT_SIZE_PIX - 1) / 2


def _corner_area(x: Floats, y: Floats, radius: float) -> Floats:
    """Return the area of a circle around the origin to the left of x and below y, closed form."""

    def under_arc(t: Floats | float) -> Floats:
        # Antiderivative of sqrt(R^2 - t^2).
        return np.asarray(0.5 * (t * np.sqrt(radius**2 - np.square(t)) + radius**2 * np.arcsin(np.divide(t, radius))))

    x, y = np.clip(x, -radius, radius), np.clip(y, -radius, radius)
    half_chord = np.sqrt(radius**2 - y**2)
    left, middle, right = np.minimum(x, -half_chord), np.clip(x, -half_chord, half_chord), np.maximum(x, half_chord)
    chord_area = y * (middle + half_chord)
    lower_half = under_arc(x) + np.pi * radius**2 / 4.0
    # Above the middle: the lower half plus what lies between it and the chord at y, ends of the chord included.
    caps = under_arc(left) + np.pi * radius**2 / 4.0 + under_arc(right) - under_arc(half_chord)
    above = lower_half + caps + chord_area
    # Below it: the segment under the chord only.
    below = under_arc(middle) - under_arc(-half_chord) + chord_area
    return np.where(y >= 0.0, above, below)


def circle_overlap(radius_pix: float, centre: tuple[float, float], shape: tuple[int, int]) -> Floats:
    """Return the share of each pixel's area inside a circle.

    Parameters
    ----------
    radius_pix : float
        In pixels, positive.
    centre : tuple of float
        Column and row of the centre, 0-based; whole numbers are pixel centres.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    ndarray, shape ``shape``, float64
        0 to 1, exact to rounding; summing to pi r^2 if the circle lies inside.
    """
    columns = np.arange(shape[1] + 1, dtype=np.float64) - 0.5 - centre[0]
    rows = np.arange(shape[0] + 1, dtype=np.float64) - 0.5 - centre[1]
    area = _corner_area(columns[None, :], rows[:, None], radius_pix)
    share = area[1:, 1:] - area[:-1, 1:] - area[1:, :-1] + area[:-1, :-1]
    # Differences of areas near pi R^2 leave rounding of some 1e-16 R^2 in pixels the circle does not touch.
    rounding = 1e-14 * max(radius_pix, 10.0) ** 2
    return np.asarray(np.clip(np.where(share < rounding, 0.0, share), 0.0, 1.0))


@functools.lru_cache(maxsize=32)
def _window(
    radius_pix: float, centre: tuple[float, float], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], Floats]:
    """Return the smallest window around the circle and the overlap inside it."""
    reach = radius_pix + 1.0
    column0, row0 = (max(int(np.floor(middle - reach)), 0) for middle in centre)
    column1, row1 = (min(int(np.ceil(middle + reach)) + 1, n) for middle, n in zip(centre, shape[::-1], strict=True))
    overlap = circle_overlap(radius_pix, (centre[0] - column0, centre[1] - row0), (row1 - row0, column1 - column0))
    overlap.setflags(write=False)
    return (slice(row0, row1), slice(column0, column1)), overlap


def aperture_photometry(
    image: NDArray[np.floating],
    radius_arcsec: float = SDSS_FIBRE_DIAMETER_ARCSEC / 2,
    centre: tuple[float, float] = (_MIDDLE_PIX, _MIDDLE_PIX),
) -> Floats:
    """Return the flux inside a circle, in the units of the image times pixels (nJy for cutouts).

    Parameters
    ----------
    image : ndarray, shape (..., rows, columns)
        nJy per pixel of 0.25 arcsec; leading axes (bands, galaxies) are kept.
    radius_arcsec : float
        By default that of the SDSS fibre.
    centre : tuple of float
        Column and row of the centre, 0-based; by default the target of a cutout.

    Returns
    -------
    ndarray, shape (...), float64
        NaN where a pixel touched by the circle has no data: a hole in an aperture is not a measurement.

    Raises
    ------
    ShapeError
        If the image has less than two axes.
    ImageError
        If the radius is not positive, or the circle does not lie inside the image.
    """
    image = np.asarray(image)
    if image.ndim < 2:
        raise ShapeError(f"Aperture photometry needs an image (..., rows, columns), got shape {image.shape}.")
    if not (np.isfinite(radius_arcsec) and radius_arcsec > 0.0):
        raise ImageError(f"The radius of an aperture must be a positive number of arcsec, got {radius_arcsec}.")
    rows, columns = image.shape[-2:]
    radius = float(radius_arcsec / PIXEL_SCALE_ARCSEC)
    column, row = float(centre[0]), float(centre[1])
    # Written so that a NaN centre is refused too.
    inside_columns = column - radius >= -0.5 and column + radius <= columns - 0.5
    if not (inside_columns and row - radius >= -0.5 and row + radius <= rows - 0.5):
        raise ImageError(
            f"A circle of {radius_arcsec} arcsec around column {column}, row {row} leaves the image of "
            f"{columns} x {rows} pixels: choose a smaller radius or another centre."
        )
    where, overlap = _window(radius, (column, row), (rows, columns))
    touched = overlap > 0.0
    return np.asarray(image[..., *where][..., touched].astype(np.float64) @ overlap[touched])

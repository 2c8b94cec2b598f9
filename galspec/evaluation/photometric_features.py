"""Photometry as features: what colours and apertures alone tell of a galaxy, the baseline of every network."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.core.bands import BANDS, N_BANDS, NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.core.errors import ShapeError, SurveyError
from galspec.preprocess.photometry import aperture_photometry

Floats = NDArray[np.float64]

#: Outer radii of the annuli, arcsec; the first is the aperture of an SDSS fibre.
ANNULI_ARCSEC: Final = (1.5, 3.0, 6.0, 12.0)
#: An annulus of which less than this share has data is not measured.
MIN_COVERAGE: Final = 0.5
#: Typical noise of a pixel of PS1 stacks in g r i z y, counts/s at zero point 25: where magnitudes turn linear.
_SKY_COUNTS: Final = (0.085, 0.10, 0.12, 0.25, 0.70)
_R: Final = BANDS.index("r")
_MAG_PER_E: Final = 2.5 / np.log(10.0)


def colour_features(catalog: pd.DataFrame) -> Floats:
    """Return g-r, r-i, i-z, z-y and r of whole galaxies, from the catalogue's total magnitudes.

    Parameters
    ----------
    catalog : DataFrame
        With columns mag_g ... mag_y, AB mag; not corrected for the Milky Way's dust. Those of a simulated survey
        have no pixel noise: what they tell is a little more than any photometry of its images can.

    Returns
    -------
    ndarray, shape (N, 5), float64

    Raises
    ------
    SurveyError
        If the catalogue lacks a magnitude.
    """
    return _colours(catalog, "mag")


def fibre_and_total_features(catalog: pd.DataFrame) -> Floats:
    """Return `colour_features` of whole galaxies beside the same of their light inside the 3 arcsec fibre.

    Parameters
    ----------
    catalog : DataFrame
        With columns mag_g ... mag_y and apmag_g ... apmag_y, AB mag.

    Returns
    -------
    ndarray, shape (N, 10), float64

    Raises
    ------
    SurveyError
        If the catalogue lacks a magnitude.
    """
    return np.concatenate([_colours(catalog, "apmag"), _colours(catalog, "mag")], axis=1)


def _colours(catalog: pd.DataFrame, prefix: str) -> Floats:
    names = [f"{prefix}_{band}" for band in BANDS]
    missing = [name for name in names if name not in catalog]
    if missing:
        raise SurveyError(f"the catalogue has no column {', '.join(missing)}; colours need all of {', '.join(names)}.")
    magnitudes = catalog[names].to_numpy(np.float64)
    return np.column_stack([magnitudes[:, :-1] - magnitudes[:, 1:], magnitudes[:, _R]])


def annulus_fluxes(images: NDArray[np.floating]) -> Floats:
    """Measure the flux in four annuli around the middle of cutouts.

    Parameters
    ----------
    images : ndarray, shape (..., 5, 224, 224)
        nJy per pixel; NaN = no data.

    Returns
    -------
    ndarray, shape (..., 5, 4), float64
        nJy inside 0-1.5, 1.5-3, 3-6 and 6-12 arcsec. An annulus with holes is scaled up to its whole area by the
        mean of its pixels with data, and NaN if less than half of it has data.

    Raises
    ------
    ShapeError
        If ``images`` is not (..., 5, rows, columns).
    ImageError
        If a circle of 12 arcsec does not fit into the image.
    """
    images = np.asarray(images)
    if images.ndim < 3 or images.shape[-3] != N_BANDS:
        raise ShapeError(f"annuli are measured on cutouts (..., {N_BANDS}, rows, columns), got {images.shape}.")
    centre = ((images.shape[-1] - 1) / 2, (images.shape[-2] - 1) / 2)
    has_data = np.isfinite(images)
    flux = _rings(np.where(has_data, images, 0.0), centre)
    if has_data.all():
        return flux
    # The share of each annulus with data, from the same photometry of a map that is 1 where there are data.
    share = _rings(has_data.astype(np.float64), centre) / _ring_areas()
    return np.where(share >= MIN_COVERAGE, flux / np.maximum(share, MIN_COVERAGE), np.nan)


def _rings(images: NDArray[np.floating], centre: tuple[float, float]) -> Floats:
    inside = np.stack([aperture_photometry(images, radius, centre) for radius in ANNULI_ARCSEC], axis=-1)
    return np.diff(inside, axis=-1, prepend=0.0)


def _ring_areas() -> Floats:
    """Return the areas of the annuli in pixels, shape (4,)."""
    radii = np.array([0.0, *ANNULI_ARCSEC]) / PIXEL_SCALE_ARCSEC
    return np.asarray(np.pi * np.diff(radii**2))


def annulus_features(fluxes: Floats) -> Floats:
    """Turn annulus fluxes into colours g-r, r-i, i-z, z-y and an r magnitude for each annulus.

    Parameters
    ----------
    fluxes : ndarray, shape (N, 5, 4)
        nJy; may be negative where there is only sky, NaN where there are no data.

    Returns
    -------
    ndarray, shape (N, 20), float64
        Asinh magnitudes (Lupton, Gunn & Szalay 1999), softened at the sky noise of each annulus; their differences
        are colours where the galaxy is bright, and go to a constant where it is not. NaN where there are no data.
    """
    # A tree splits on one feature at a time: it cannot form the colours of two magnitudes by itself.
    softening = np.asarray(_SKY_COUNTS)[:, None] * NJY_PER_COUNT_ZP25 * np.sqrt(_ring_areas())
    magnitudes = -_MAG_PER_E * (np.arcsinh(fluxes / (2.0 * softening)) + np.log(softening))
    colours = magnitudes[:, :-1] - magnitudes[:, 1:]
    return np.concatenate([colours, magnitudes[:, _R : _R + 1]], axis=1).reshape(len(fluxes), -1)

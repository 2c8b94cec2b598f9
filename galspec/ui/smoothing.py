"""Gaussian smoothing of all curves of a galaxy alike, with the errors propagated."""

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.wavelength import PIXEL_KMS
from galspec.ui.comparison import Comparison

Floats = NDArray[np.float64]

#: Largest standard deviation, pixels.
MAX_SMOOTH: Final = 10.0
SMOOTH_STEP: Final = 0.5
_REACH: Final = 5.0


def smoothing_of(text: str) -> float:
    """Return the standard deviation (pixels) that a URL value names, rounded to half a pixel.

    Raises
    ------
    ValueError
        If it is no number in 0-10.

    Examples
    --------
    >>> smoothing_of("2.4")
    2.5
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= MAX_SMOOTH:
        raise ValueError(f"“{text[:20]}” is no number of pixels from 0 to {MAX_SMOOTH:g}")
    return round(value / SMOOTH_STEP) * SMOOTH_STEP


def smoothing_words(sigma_px: float) -> str:
    """Say a standard deviation in pixels and km/s.

    Examples
    --------
    >>> smoothing_words(2.0)
    'σ = 2 px = 538 km/s'
    """
    return f"σ = {sigma_px:g} px = {sigma_px * PIXEL_KMS:,.0f} km/s" if sigma_px else "off"


def smoothed(comparison: Comparison, sigma_px: float) -> Comparison:
    """Return the curves smoothed with a Gaussian over pixels; 0 returns them as they are.

    Parameters
    ----------
    comparison : Comparison
    sigma_px : float
        Standard deviation in pixels of 269 km/s.

    Notes
    -----
    Where there are observed pixels every curve is averaged with the same weights, those of the pixels with data, so
    that the residual is that of the curves as drawn; gaps stay gaps. In gaps the models are averaged over all pixels.
    Errors are propagated for independent pixels (afterwards neighbours are correlated): the root of the sum of
    squared weights times variances.
    """
    if sigma_px <= 0:
        return comparison
    pixels = np.arange(len(comparison.wave))
    offset = (pixels[:, None] - pixels) / sigma_px
    kernel = np.where(np.abs(offset) <= _REACH, np.exp(-0.5 * offset**2), 0.0)
    has_data = comparison.has_data
    # A row for each pixel: in gaps, and without a spectrum, all pixels count.
    weights = np.where(has_data[:, None], kernel * has_data, kernel)
    weights /= weights.sum(axis=1, keepdims=True)
    observed, sigma = comparison.observed, comparison.sigma
    return dataclasses.replace(
        comparison,
        observed=None if observed is None else _averaged(weights, observed, has_data),
        sigma=None if sigma is None else np.sqrt(_averaged(weights**2, sigma**2, has_data)),
        reconstruction=None if comparison.reconstruction is None else weights @ comparison.reconstruction,
        prediction=None if comparison.prediction is None else weights @ comparison.prediction,
    )


def smoothed_prediction(comparison: Comparison, curve: Floats, sigma_px: float) -> Floats:
    """Return another galaxy's prediction, shape (1000,), smoothed with the weights of this galaxy's pixels.

    Parameters
    ----------
    comparison : Comparison
        Of this galaxy.
    curve : ndarray, shape (1000,)
    sigma_px : float
        See `smoothed`.
    """
    alone = Comparison(observed=comparison.observed, sigma=comparison.sigma, prediction=curve)
    found = smoothed(alone, sigma_px).prediction
    return curve if found is None else found


def _averaged(weights: Floats, values: Floats, has_data: NDArray[np.bool_]) -> Floats:
    return np.where(has_data, weights @ np.where(has_data, values, 0.0), np.nan)

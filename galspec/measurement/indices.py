"""Stellar indices: Dn4000, HdeltaA and Mg b, on the project's grid without smoothing to the Lick resolution."""

import dataclasses
import functools
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import ShapeError
from galspec.core.wavelength import air_to_vacuum, wave_edges, wave_grid
from galspec.measurement.lines import as_measurable

Floats = NDArray[np.float64]

#: Bands of Dn4000 (Balogh et al. 1999, ApJ 527, 54), used as vacuum wavelengths: the survey's truth does, and the
#: difference to air, 1.1 angstrom, changes the index by less than 1 %.
DN4000_BLUE: Final = (3850.0, 3950.0)
DN4000_RED: Final = (4000.0, 4100.0)
#: A band needs data on this part of its width.
MIN_BAND_COVERAGE: Final = 0.75


@dataclasses.dataclass(frozen=True)
class IndexBands:
    """An index as an equivalent width: wavelengths in air (angstrom) of the feature and its two continuum bands."""

    feature: tuple[float, float]
    blue: tuple[float, float]
    red: tuple[float, float]


#: Worthey & Ottaviani (1997, ApJS 111, 377).
HDELTA_A: Final = IndexBands((4083.50, 4122.25), (4041.60, 4081.50), (4128.50, 4161.00))
#: Trager et al. (1998, ApJS 116, 1).
MGB: Final = IndexBands((5160.125, 5192.625), (5117.700, 5142.700), (5191.375, 5206.375))


@dataclasses.dataclass(frozen=True)
class StellarIndices:
    """Indices of N spectra, shape (N,) each; NaN where a band lacks a quarter of its pixels, errors also without ivar.

    Parameters
    ----------
    dn4000, dn4000_err : ndarray
        Ratio of mean F_nu at 4000-4100 and 3850-3950 angstrom.
    hdelta_a, hdelta_a_err, mgb, mgb_err : ndarray
        Angstrom, positive in absorption.
    """

    dn4000: Floats
    dn4000_err: Floats
    hdelta_a: Floats
    hdelta_a_err: Floats
    mgb: Floats
    mgb_err: Floats


def dn4000(flux: NDArray[np.floating]) -> float:
    """Return Dn4000 (Balogh et al. 1999) of a spectrum on the grid: mean F_nu(4000-4100) / F_nu(3850-3950)."""
    wave = wave_grid()
    f_nu = np.asarray(flux) * wave**2
    red, blue = _inside(DN4000_RED), _inside(DN4000_BLUE)
    return float(f_nu[red].mean() / f_nu[blue].mean())


def measure_indices(
    flux: ArrayLike,
    ivar: ArrayLike | None = None,
    *,
    emission: NDArray[np.floating] | None = None,
    emission_err: ArrayLike | None = None,
) -> StellarIndices:
    """Measure the stellar indices of spectra on the project's grid.

    Parameters
    ----------
    flux : array_like, shape (N, 1000)
        Any unit of flux density per angstrom.
    ivar : array_like, shape (N, 1000), optional
        0 = no data. Without it there are no gaps and no errors.
    emission : ndarray, shape (N, 1000), optional
        Model of the emission lines, subtracted before HdeltaA (and nothing else: Dn4000 is defined with lines).
    emission_err : array_like, shape (N,), optional
        Error of the equivalent width of subtracted Hdelta, angstrom: added in quadrature to that of HdeltaA, which
        overestimates it, as both errors come in part from the same pixels.

    Returns
    -------
    StellarIndices

    Raises
    ------
    ShapeError
        If an array has the wrong shape.
    SpectrumError
        If ivar is negative, or flux not finite where there are data.

    Notes
    -----
    Bands of equivalent widths end inside pixels, which count by the part inside; Dn4000 takes the pixels whose
    centres are inside. A band's mean is over its pixels with data, each weighing the same.
    """
    flux, weights = as_measurable(flux, ivar)
    for name, given, shape in (("emission", emission, flux.shape), ("emission_err", emission_err, flux.shape[:1])):
        if given is not None and np.shape(given) != shape:
            raise ShapeError(f"{name} must be {shape}, as the spectra are; got {np.shape(given)}")
    has_data = np.ones(flux.shape) if weights is None else (weights > 0).astype(np.float64)
    variance = np.zeros(flux.shape)
    if weights is not None:
        np.divide(1.0, weights, out=variance, where=weights > 0)
    lineless = flux if emission is None else flux - np.where(np.isfinite(emission), emission, 0.0)
    break_4000, break_variance = _measure_break(flux, variance, has_data)
    hdelta, hdelta_variance = _equivalent_width(lineless, variance, has_data, HDELTA_A)
    mgb, mgb_variance = _equivalent_width(flux, variance, has_data, MGB)
    if emission_err is not None:
        hdelta_variance = hdelta_variance + np.asarray(emission_err, np.float64) ** 2
    variances = (break_variance, hdelta_variance, mgb_variance)
    errors = [np.sqrt(v) if weights is not None else np.full(len(flux), np.nan) for v in variances]
    return StellarIndices(break_4000, errors[0], hdelta, errors[1], mgb, errors[2])


def _inside(band: tuple[float, float]) -> NDArray[np.bool_]:
    wave = wave_grid()
    return np.asarray((wave >= band[0]) & (wave <= band[1]))


def _band_mean(flux: Floats, variance: Floats, has_data: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Return the mean over a band, NaN without enough data, and its variance."""
    covered = has_data @ share
    is_covered = covered >= MIN_BAND_COVERAGE * share.sum()
    covered = np.where(is_covered, covered, np.nan)
    return (flux * has_data) @ share / covered, (variance * has_data) @ share**2 / covered**2


def _measure_break(flux: Floats, variance: Floats, has_data: Floats) -> tuple[Floats, Floats]:
    squared = wave_grid() ** 2
    means = [
        _band_mean(flux * squared, variance * squared**2, has_data, _inside(band).astype(np.float64))
        for band in (DN4000_RED, DN4000_BLUE)
    ]
    (red, red_variance), (blue, blue_variance) = means
    blue = np.where(blue > 0, blue, np.nan)
    ratio = red / blue
    return ratio, (red_variance + ratio**2 * blue_variance) / blue**2


@functools.lru_cache(maxsize=8)
def _overlap(band: tuple[float, float]) -> Floats:
    """Return by how many angstrom each pixel overlaps a band given in air, shape (1000,)."""
    low, high = air_to_vacuum(np.array(band))
    edges = np.clip(wave_edges(), low, high)
    return np.asarray(np.diff(edges))


def _equivalent_width(flux: Floats, variance: Floats, has_data: Floats, bands: IndexBands) -> tuple[Floats, Floats]:
    """Return an index in angstrom and its variance: the integral of 1 - F / F_continuum over the feature.

    Notes
    -----
    The continuum is the line through the mean fluxes of the two bands at their middles. The variance follows by
    linear propagation, pixels of the feature and the two means being independent (Mg b's red band overlaps the
    feature by 1.25 angstrom, which is ignored).
    """
    blue, blue_variance = _band_mean(flux, variance, has_data, _overlap(bands.blue))
    red, red_variance = _band_mean(flux, variance, has_data, _overlap(bands.red))
    middles = [float(np.mean(air_to_vacuum(np.array(band)))) for band in (bands.blue, bands.red)]
    pixels = np.flatnonzero(_overlap(bands.feature))
    width = _overlap(bands.feature)[pixels]
    toward_red = (wave_grid()[pixels] - middles[0]) / (middles[1] - middles[0])
    continuum = blue[:, None] * (1.0 - toward_red) + red[:, None] * toward_red
    continuum = np.where(continuum > 0, continuum, np.nan)
    covered = has_data[:, pixels] @ width
    covered = np.where(covered >= MIN_BAND_COVERAGE * width.sum(), covered, np.nan)
    scale = width.sum() / covered
    used = has_data[:, pixels] * width
    ratio = flux[:, pixels] / continuum
    index = scale * (used * (1.0 - ratio)).sum(axis=1)
    by_continuum = used * ratio / continuum
    total = (
        ((used / continuum) ** 2 * variance[:, pixels]).sum(axis=1)
        + (by_continuum * (1.0 - toward_red)).sum(axis=1) ** 2 * blue_variance
        + (by_continuum * toward_red).sum(axis=1) ** 2 * red_variance
    )
    return index, scale**2 * total

"""Which spectra can be used, and which of their pixels: checks that real and simulated spectra pass alike."""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.lines import LINES, SKY_LINES
from galspec.core.wavelength import N_WAVE, REDSHIFT_RANGE, wave_grid
from galspec.preprocess.components import SYSTEMATIC_ABSOLUTE, SYSTEMATIC_RELATIVE, good_pixels

Block = NDArray[np.floating]

#: Share of the grid's pixels with data below which a spectrum is not encoded: the rest would be invention.
MIN_DATA_FRACTION: Final = 0.6
#: Half width of the mask on the brightest airglow line, observed angstrom: its subtraction leaves anything.
SKY_MASK_HALF: Final = 9.0
#: A pixel is an outlier that sticks out so many errors (noise and templates) of its neighbourhood ...
OUTLIER_SIGMAS: Final = 7.0
#: ... which is the running median of so many pixels: wider than any cosmic ray, narrower than a bad calibration.
_NEIGHBOURHOOD_PIXELS: Final = 11
_MEDIAN_ROWS: Final = 16
#: No pixel so near an emission line is an outlier, angstrom: that line may be stronger than in any template.
_LINE_HALF_WIDTH: Final = 25.0


def near_sky_line(wave_obs: ArrayLike) -> NDArray[np.bool_]:
    """Return True for observed vacuum wavelengths (angstrom) that the airglow line at 5577 A makes useless."""
    sky_line = next(line.wave_vac for line in SKY_LINES if line.name == "sky5577")
    return np.asarray(np.abs(np.asarray(wave_obs) - sky_line) <= SKY_MASK_HALF)


def require_spectra(flux: ArrayLike, ivar: ArrayLike) -> tuple[Block, Block]:
    """Return flux and ivar as arrays, or refuse what is no block of spectra.

    Parameters
    ----------
    flux, ivar : array_like, shape (N, 1000)
        Any consistent units; ivar 0 = no data, and the flux there may be anything.

    Raises
    ------
    ShapeError
        If they are not both (N, 1000).
    SpectrumError
        If an ivar is negative or not finite, or a flux with ivar > 0 is not finite; the message names the rows.
    """
    flux, ivar = np.asarray(flux), np.asarray(ivar)
    if flux.ndim != 2 or flux.shape[1] != N_WAVE or ivar.shape != flux.shape:
        raise ShapeError(
            f"flux and ivar must both be (N, {N_WAVE}) on the project's grid, log10 of vacuum angstrom 3.53 + 3.9e-4 "
            f"* arange({N_WAVE}); got {flux.shape} and {ivar.shape}. galspec.preprocess.spectra.resample_to_grid "
            "brings other wavelengths there."
        )
    for what, is_bad in _impossible(flux, ivar).items():
        rows = np.flatnonzero(is_bad)
        if len(rows):
            raise SpectrumError(
                f"{len(rows)} of {len(flux)} spectra have {what} (rows {_listed(rows)}); set ivar to 0 where "
                "there is no data"
            )
    return flux, ivar


def _impossible(flux: Block, ivar: Block) -> dict[str, NDArray[np.bool_]]:
    """Return what can be wrong with numbers and which spectra have it, (N,) each."""
    with np.errstate(invalid="ignore"):
        return {
            "an inverse variance that is negative or not finite": np.any(~np.isfinite(ivar) | (ivar < 0), axis=1),
            "a flux that is not finite where ivar > 0": np.any(~np.isfinite(flux) & (ivar > 0), axis=1),
        }


def has_enough_data(flux: Block, ivar: Block) -> NDArray[np.bool_]:
    """Return True (N,) for spectra without impossible numbers and with data in at least 60 % of the pixels."""
    is_bad = np.any(list(_impossible(flux, ivar).values()), axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(~is_bad & ((ivar > 0).mean(axis=1) >= MIN_DATA_FRACTION))


def soften(ivar: NDArray[np.float32], error: float) -> NDArray[np.float32]:
    """Return ivar with an error added in quadrature to every pixel; no data stays no data."""
    return np.asarray(ivar / (1.0 + ivar * np.float32(error**2)), np.float32)


def spectrum_problems(flux: ArrayLike, ivar: ArrayLike, redshift: ArrayLike | None = None) -> list[str]:
    """Say of each spectrum why it should not be encoded.

    Parameters
    ----------
    flux, ivar : array_like, shape (N, 1000)
    redshift : array_like, shape (N,), optional

    Returns
    -------
    list of str
        One a spectrum; empty if nothing is wrong.

    Raises
    ------
    ShapeError, SpectrumError
        As `require_spectra`.
    """
    flux, ivar = require_spectra(flux, ivar)
    fraction = (ivar > 0).mean(axis=1)
    low, high = REDSHIFT_RANGE
    problems = []
    for row, share in enumerate(fraction):
        reasons = []
        if share < MIN_DATA_FRACTION:
            reasons.append(f"data in {share:.0%} of the pixels, and at least {MIN_DATA_FRACTION:.0%} are needed")
        z = None if redshift is None else float(np.asarray(redshift)[row])
        if z is not None and not low <= z <= high:
            reasons.append(f"redshift {z:.4f} outside {low:g}-{high:g}, where SDSS sees the normalisation window")
        problems.append("; ".join(reasons))
    return problems


def require_enough_data(flux: Block, ivar: Block) -> None:
    """Refuse spectra with data in less than 60 % of the pixels.

    Raises
    ------
    SpectrumError
        The message names the rows and their shares.
    """
    share = (ivar > 0).mean(axis=1)
    rows = np.flatnonzero(share < MIN_DATA_FRACTION)
    if len(rows):
        raise SpectrumError(
            f"{len(rows)} of {len(flux)} spectra have data in less than {MIN_DATA_FRACTION:.0%} of the grid's "
            f"{N_WAVE} pixels (rows {_listed(rows)}; the emptiest {share[rows].min():.0%}): most of them would be "
            "filled in, not observed. Check redshift and masks, or leave them out."
        )


def _listed(rows: NDArray[np.intp]) -> str:
    return ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")


def outlier_pixels(flux_norm: Block, ivar_norm: Block, model_norm: Block) -> NDArray[np.bool_]:
    """Find pixels that no galaxy can have: cosmic rays, residuals of the sky, detector defects.

    Parameters
    ----------
    flux_norm, ivar_norm : ndarray, shape (N, 1000)
        In units of the norm; ivar 0 = no data.
    model_norm : ndarray, shape (N, 1000)
        A fit of templates to the same spectra.

    Returns
    -------
    ndarray of bool, shape (N, 1000)
        True for pixels with data that stick out of the running median of the residuals by more than
        7 errors (noise, and 3 % + 10 % of the flux for the templates), away from emission lines.

    Notes
    -----
    The neighbourhood's median takes out what is wide: a wrong calibration or a template that does not fit is
    no outlier. Up to five neighbouring pixels can be found.
    """
    is_good = good_pixels(flux_norm, ivar_norm)
    residual = np.where(is_good, flux_norm - model_norm, 0.0)
    local = np.abs(residual - _running_median(residual, _NEIGHBOURHOOD_PIXELS))
    # The templates' error follows the model, not the pixel: a hit does not widen its own error.
    template_variance = SYSTEMATIC_ABSOLUTE**2 + (SYSTEMATIC_RELATIVE * model_norm) ** 2
    variance = template_variance + np.divide(1.0, ivar_norm, out=np.zeros(flux_norm.shape), where=is_good)
    return np.asarray(is_good & (local**2 > OUTLIER_SIGMAS**2 * variance) & ~_near_emission_lines())


def _running_median(values: Block, size: int) -> Block:
    """Return the median over an odd number of pixels around each, the ends repeated beyond the edges.

    Twice as fast as scipy.ndimage (benchmarks/bench_start.py), whose import would delay whatever reads spectra.
    """
    padded = np.pad(values, ((0, 0), (size // 2, size // 2)), mode="edge")
    median = np.empty_like(values)
    for first in range(0, len(values), _MEDIAN_ROWS):  # so few rows stay in the processor's cache
        windows = sliding_window_view(padded[first : first + _MEDIAN_ROWS], size, axis=1).copy()
        windows.partition(size // 2, axis=-1)
        median[first : first + _MEDIAN_ROWS] = windows[..., size // 2]
    return median


def _near_emission_lines() -> NDArray[np.bool_]:
    wave = wave_grid()
    lines = np.array([line.wave_vac for line in LINES if line.kind != "absorption"])
    return np.asarray((np.abs(wave[:, None] - lines) < _LINE_HALF_WIDTH).any(axis=1))

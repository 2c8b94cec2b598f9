"""Fluxes and equivalent widths of emission lines: continuum and lines fitted together, many spectra at once."""

import dataclasses
import functools
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.lines import MEASURED_LINES
from galspec.core.wavelength import N_WAVE, wave_edges, wave_grid
from galspec.measurement.continuum import ContinuumDesign, shipped_design
from galspec.measurement.kinematics import choose_kinematics
from galspec.measurement.profiles import (
    FITTED_LINES,
    KINEMATIC_LINES,
    MEASURED_ROW,
    MEASURED_SHARE,
    MEASURED_WAVES,
    SIGMA_GRID,
    VELOCITY_GRID,
    line_profiles,
)
from galspec.measurement.solver import NormalEquations
from galspec.preprocess.quality import require_spectra
from galspec.preprocess.spectra import spectrum_norms

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: Error that templates make, as a fraction of the flux: added to the noise, so that very bright spectra are not
#: fitted to the last photon.
TEMPLATE_ERROR: Final = 0.01
#: Error given to spectra without errors, in units of the norm.
MODEL_ERROR: Final = 0.02
#: Flux calibration, a fraction of the flux: of lines, and of lines blue of 4000 angstrom, where SDSS's is worse. Part
#: of `flux_err`, not of `ew_err`, `snr` and ratios of neighbours.
CALIBRATION_ERROR: Final = 0.04
CALIBRATION_ERROR_BLUE: Final = 0.08
#: Continuum beside Halpha and [NII] (angstrom), the same as in the simulation's truth.
HALPHA_SIDES: Final = ((6490.0, 6530.0), (6600.0, 6650.0))
#: Distance of the side bands of the other lines (angstrom).
SIDE_NEAR: Final = 15.0
SIDE_FAR: Final = 40.0
#: A line is measured where pixels with data hold at least this part of its profile.
MIN_LINE_COVERAGE: Final = 0.5
#: A spectrum is measured if so many of its pixels have data.
MIN_PIXELS: Final = 100
#: Half width of the window whose chi squared rescales a line's errors, as velocity over c.
_WINDOW: Final = 2000.0 / 299792.458
#: Widths of the first fit, km/s.
FIRST_SIGMAS: Final = (95.0, 240.0)
#: Prior variance of an amplitude / norm, angstrom squared: none, but for lines without data.
AMPLITUDE_VARIANCE: Final = 1e7
_CHUNK_ROWS: Final = 512


@dataclasses.dataclass(frozen=True)
class LineMeasurements:
    """Emission lines of N spectra; lines in the order of `galspec.core.lines.MEASURED_LINES`.

    Parameters
    ----------
    flux, flux_err : ndarray, shape (N, 12), float64
        Integral over wavelength, in the flux unit times angstrom, and its standard error, with 4 % of
        calibration (8 % for [OII]).
        Negative fluxes are noise, not absorption. NaN where the line has no data; errors also without ivar.
    ew, ew_err : ndarray, shape (N, 12), float64
        Rest-frame equivalent width, angstrom, positive in emission, and its standard error.
    snr : ndarray, shape (N, 12), float64
        Flux over its error without calibration.
    chi2 : ndarray, shape (N, 12), float64
        Mean squared residual / error within 2000 km/s of the line. Where it is above 1 the errors grow by its root.
    has_line : ndarray of bool, shape (N, 12)
        Pixels with data hold at least half of the line's profile.
    sigma_kms, velocity_kms : ndarray, shape (N,), float64
        Common dispersion (instrument included) and shift of the lines: nodes of a grid, parameters of the fit.
    is_fitted : ndarray of bool, shape (N,)
        False without a positive norm or with fewer than 100 pixels with data: all values are NaN.
    continuum, emission : ndarray, shape (N, 1000), float32
        Fitted model without lines, and all fitted lines (reported or not), in the flux unit.
    """

    flux: Floats
    flux_err: Floats
    ew: Floats
    ew_err: Floats
    snr: Floats
    chi2: Floats
    has_line: Bools
    sigma_kms: Floats
    velocity_kms: Floats
    is_fitted: Bools
    continuum: Floats32
    emission: Floats32


def as_measurable(flux: ArrayLike, ivar: ArrayLike | None) -> tuple[Floats, Floats | None]:
    """Return flux and ivar as float64 after checking them; flux is 0 in gaps.

    Parameters
    ----------
    flux, ivar : array_like, shape (N, 1000)
        On the project's grid; ivar 0 = no data, ivar None = a model without errors and gaps.

    Raises
    ------
    ShapeError
        If an array is not (N, 1000).
    SpectrumError
        If ivar is negative or not finite, or flux is not finite where there are data.
    """
    checked, weights = require_spectra(flux, np.ones(np.shape(flux)) if ivar is None else ivar)
    found = np.array(checked, dtype=np.float64)
    if ivar is None:
        return found, None
    found[weights == 0] = 0.0
    return found, np.asarray(weights, np.float64)


def require_redshift(redshift: ArrayLike | None, n_spectra: int) -> Floats:
    """Return redshifts of shape (N,), 0 if none are given.

    Raises
    ------
    ShapeError
        If there is not one for each spectrum.
    SpectrumError
        If one is not finite or not above -1.
    """
    if redshift is None:
        return np.zeros(n_spectra)
    redshift = np.asarray(redshift, dtype=np.float64)
    if redshift.shape != (n_spectra,):
        raise ShapeError(f"redshift must be ({n_spectra},), one for each spectrum; got {redshift.shape}")
    if not (np.isfinite(redshift) & (redshift > -1)).all():
        raise SpectrumError("a redshift is not finite or not above -1; leave such spectra out")
    return redshift


def measure_lines(
    flux: ArrayLike,
    ivar: ArrayLike | None = None,
    *,
    redshift: ArrayLike | None = None,
    design: ContinuumDesign | None = None,
) -> LineMeasurements:
    """Measure the emission lines of spectra on the project's grid.

    Parameters
    ----------
    flux : array_like, shape (N, 1000)
        Flux density at the rest-frame pixels, any unit.
    ivar : array_like, shape (N, 1000), optional
        Inverse variance, 0 = no data. Without it the spectra are models: every pixel weighs the same, and errors
        are NaN.
    redshift : array_like, shape (N,), optional
        Gives fluxes in the observed frame, where a line is 1 + z wider: what a survey's catalogue lists for flux
        densities per observed angstrom. Without it the integral is over rest wavelength.
    design : ContinuumDesign, optional
        Of the continuum; the shipped one if not given.

    Returns
    -------
    LineMeasurements

    Raises
    ------
    ShapeError
        If an array has the wrong shape.
    SpectrumError
        If ivar is negative, or flux not finite where there are data.

    Notes
    -----
    Least squares, weighted by 1 / (noise variance + (1 % of the model)^2), of a continuum (components and
    calibration terms, each with a Gaussian prior) and Gaussian lines integrated over the pixels, whose amplitudes
    are free to be negative. Solved together, so the continuum's uncertainty is in the lines' errors. Width and shift
    are common to all lines: the best nodes of a grid on the residual of a first fit, strong lines deciding, under a
    prior (140 km/s within a factor of 1.5; 0 within 40 km/s).
    """
    flux64, ivar64 = as_measurable(flux, ivar)
    one_plus_z = 1.0 + require_redshift(redshift, len(flux64))
    design = design or shipped_design()
    weight = np.ones(flux64.shape) if ivar64 is None else ivar64
    norm = spectrum_norms(flux64, weight)
    is_fitted = np.isfinite(norm) & ((weight > 0).sum(axis=1) >= MIN_PIXELS)
    found = _empty(len(flux64), is_fitted)
    fitted_rows = np.flatnonzero(is_fitted)
    for start in range(0, len(fitted_rows), _CHUNK_ROWS):
        rows = fitted_rows[start : start + _CHUNK_ROWS]
        scale = norm[rows, None]
        variance = np.full((len(rows), N_WAVE), MODEL_ERROR**2)
        if ivar64 is not None:
            has_data = ivar64[rows] > 0
            variance = np.full(has_data.shape, np.inf)
            np.divide(1.0, ivar64[rows] * scale**2, out=variance, where=has_data)
        _measure_chunk(flux64[rows] / scale, variance, design, found, rows)
        for name in ("flux", "flux_err", "continuum", "emission"):
            getattr(found, name)[rows] *= scale
    found.flux[:] *= one_plus_z[:, None]
    found.flux_err[:] *= one_plus_z[:, None]
    if ivar64 is None:
        for values in (found.flux_err, found.ew_err, found.snr, found.chi2):
            values[:] = np.nan
    return found


def _empty(n_spectra: int, is_fitted: Bools) -> LineMeasurements:
    """Return measurements that are all NaN, to be filled."""

    def unknown(n_columns: int = 0) -> Floats:
        return np.full((n_spectra, n_columns) if n_columns else n_spectra, np.nan)

    n_lines = len(MEASURED_LINES)
    return LineMeasurements(
        flux=unknown(n_lines),
        flux_err=unknown(n_lines),
        ew=unknown(n_lines),
        ew_err=unknown(n_lines),
        snr=unknown(n_lines),
        chi2=unknown(n_lines),
        has_line=np.zeros((n_spectra, n_lines), bool),
        sigma_kms=unknown(),
        velocity_kms=unknown(),
        is_fitted=is_fitted,
        continuum=unknown(N_WAVE).astype(np.float32),
        emission=unknown(N_WAVE).astype(np.float32),
    )


def pixel_weights(variance: Floats, model: Floats) -> Floats:
    """Return 1 / (noise variance + (1 % of the model)^2), the weights of the fit; all in units of the norm."""
    return np.asarray(1.0 / (variance + (TEMPLATE_ERROR * np.maximum(model, 0.0)) ** 2))


def first_profiles() -> Floats:
    """Return the line profiles of the first fit, shape (L, 1000)."""
    # Strong lines have a narrow and a wide part here: one wrong width for all would leave its wings in the continuum.
    parts = [line_profiles(FITTED_LINES, FIRST_SIGMAS[0], 0.0), line_profiles(KINEMATIC_LINES, FIRST_SIGMAS[1], 0.0)]
    return np.concatenate(parts)


def _measure_chunk(
    flux: Floats, variance: Floats, design: ContinuumDesign, found: LineMeasurements, rows: NDArray[np.int64]
) -> None:
    """Measure normalised spectra and write the results, in units of the norm, into `found`."""
    residual = flux - design.mean
    n_terms = len(design.terms)
    first = NormalEquations(pixel_weights(variance, np.broadcast_to(design.mean, flux.shape)), design.terms)
    profiles = first_profiles()
    coefficients, _ = first.solve(np.arange(len(flux)), residual, profiles, AMPLITUDE_VARIANCE)
    continuum = design.mean + coefficients[:, :n_terms] @ design.terms
    weight = pixel_weights(variance, continuum + coefficients[:, n_terms:] @ profiles)
    node = choose_kinematics(flux - continuum, weight)
    second = NormalEquations(weight, design.terms)
    for sigma_index, velocity_index in np.unique(node, axis=0):
        group = np.flatnonzero((node == (sigma_index, velocity_index)).all(axis=1))
        sigma_kms, velocity_kms = SIGMA_GRID[sigma_index], VELOCITY_GRID[velocity_index]
        profiles = line_profiles(FITTED_LINES, sigma_kms, velocity_kms)
        coefficients, covariance = second.solve(group, residual[group], profiles, AMPLITUDE_VARIANCE)
        continuum = design.mean + coefficients[:, :n_terms] @ design.terms
        emission = coefficients[:, n_terms:] @ profiles
        into = rows[group]
        found.sigma_kms[into], found.velocity_kms[into] = sigma_kms, velocity_kms
        found.continuum[into], found.emission[into] = continuum, emission
        found.has_line[into] = _coverage(weight[group] > 0, profiles) >= MIN_LINE_COVERAGE
        found.chi2[into] = _window_chi2(flux[group] - continuum - emission, weight[group])
        _fill_lines(found, into, coefficients, covariance, design)


def _coverage(has_data: Bools, profiles: Floats) -> Floats:
    """Return the part of each measured line's profile in pixels with data, shape (N, 12)."""
    share = profiles[list(MEASURED_ROW)] * np.diff(wave_edges())
    return np.asarray(has_data @ (share / share.sum(axis=1, keepdims=True)).T)


def _window_chi2(residual: Floats, weight: Floats) -> Floats:
    """Return the mean chi squared of the pixels with data around each measured line, NaN without any, (N, 12)."""
    waves = np.array(MEASURED_WAVES)
    inside = (np.abs(wave_grid()[:, None] / waves - 1.0) <= _WINDOW).astype(np.float64)
    n_pixels = (weight > 0).astype(np.float64) @ inside
    total = (residual**2 * weight) @ inside
    return np.asarray(np.divide(total, n_pixels, out=np.full(total.shape, np.nan), where=n_pixels > 0))


@functools.lru_cache(maxsize=1)
def side_bands() -> Floats:
    """Return weights that average a continuum over each measured line's side bands, shape (1000, 12)."""
    wave = wave_grid()
    bands = np.zeros((N_WAVE, len(MEASURED_LINES)))
    for index, (name, line) in enumerate(zip(MEASURED_LINES, MEASURED_WAVES, strict=True)):
        sides = ((line - SIDE_FAR, line - SIDE_NEAR), (line + SIDE_NEAR, line + SIDE_FAR))
        for low, high in HALPHA_SIDES if name in {"Halpha", "[NII]6548", "[NII]6583"} else sides:
            inside = (wave >= low) & (wave <= high)
            bands[inside, index] = 0.5 / inside.sum()
    return bands


def _fill_lines(
    found: LineMeasurements, into: NDArray[np.int64], coefficients: Floats, covariance: Floats, design: ContinuumDesign
) -> None:
    """Write fluxes, equivalent widths and their errors of some rows, in units of the norm."""
    n_terms = len(design.terms)
    line = n_terms + np.array(MEASURED_ROW)
    share = np.array(MEASURED_SHARE)
    bands = side_bands()
    side_terms = design.terms @ bands
    flux = coefficients[:, line] * share
    level = design.mean @ bands + coefficients[:, :n_terms] @ side_terms
    inflation = np.maximum(found.chi2[into], 1.0)
    flux_variance = covariance[:, line, line] * share**2
    level_variance = np.einsum(
        "nkl,kj,lj->nj", covariance[:, :n_terms, :n_terms], side_terms, side_terms, optimize=True
    )
    mixed = np.einsum("nkj,kj->nj", covariance[:, :n_terms, line], side_terms) * share
    level = np.where(found.has_line[into] & (level > 0), level, np.nan)
    flux = np.where(found.has_line[into], flux, np.nan)
    ew = flux / level
    ew_variance = (flux_variance + ew**2 * level_variance - 2.0 * ew * mixed) / level**2
    error = np.sqrt(flux_variance * inflation)
    calibration = np.where(np.array(MEASURED_WAVES) < 4000.0, CALIBRATION_ERROR_BLUE, CALIBRATION_ERROR)
    found.flux[into], found.ew[into] = flux, ew
    found.snr[into] = flux / error
    found.flux_err[into] = np.where(np.isfinite(flux), np.hypot(error, calibration * flux), np.nan)
    found.ew_err[into] = np.sqrt(np.maximum(ew_variance, 0.0) * inflation)

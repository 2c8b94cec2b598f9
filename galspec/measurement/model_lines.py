"""Halpha, Dn4000 and the BPT position of noise-free spectra by so few products that a browser measures them live.

The continuum is that of the first of the two fits of `galspec.measurement.lines`, which for spectra without errors is
one fixed matrix; width and amplitudes of the lines follow as there, on top of that continuum. What is left out is the
second fit of the continuum: `tests/unit/measurement/test_model_lines.py` states what that changes.
"""

import dataclasses
import functools
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.lines import MEASURED_LINES
from galspec.core.wavelength import (
    LOGLAM_START,
    LOGLAM_STEP,
    N_WAVE,
    PIXEL_KMS,
    norm_window_mask,
    wave_grid,
)
from galspec.measurement.continuum import ContinuumDesign, shipped_design
from galspec.measurement.indices import DN4000_BLUE, DN4000_RED
from galspec.measurement.kinematics import RIDGE, SIGMA_SCATTER, USUAL_SIGMA, kinematic_score
from galspec.measurement.lines import (
    AMPLITUDE_VARIANCE,
    MODEL_ERROR,
    TEMPLATE_ERROR,
    as_measurable,
    first_profiles,
    pixel_weights,
    side_bands,
)
from galspec.measurement.profiles import (
    FITTED_LINES,
    KINEMATIC_LINES,
    SIGMA_GRID,
    SIGMA_STRIDE,
    VELOCITY_GRID,
    FittedLine,
    line_profiles,
)
from galspec.measurement.solver import profile_products
from galspec.preprocess.spectra import spectrum_norms

Floats = NDArray[np.float64]

#: Lines fitted last: those that are reported, and those whose wings reach them.
MODEL_LINES: Final = tuple(
    line
    for line in FITTED_LINES
    if line.name
    in {"Hbeta", "[OIII]4959", "[OIII]5007", "Halpha", "[NII]6583", "HeI6678", "[SII]6716", "[SII]6731", "[OI]6364"}
)
_ROW: Final = {line.name: row for row, line in enumerate(MODEL_LINES)}
_HALPHA: Final = MEASURED_LINES.index("Halpha")
_REST: Final = VELOCITY_GRID.index(0.0)


@dataclasses.dataclass(frozen=True)
class ModelValues:
    """What is measured of N noise-free spectra, shape (N,) each.

    Parameters
    ----------
    ew_halpha : ndarray
        Rest-frame equivalent width, angstrom, positive in emission.
    dn4000 : ndarray
        Balogh et al. (1999).
    log_n2, log_o3 : ndarray
        log10([NII]6583/Halpha), log10([OIII]5007/Hbeta); NaN unless both lines are positive.
    """

    ew_halpha: Floats
    dn4000: Floats
    log_n2: Floats
    log_o3: Floats


@dataclasses.dataclass(frozen=True)
class FirstFit:
    """The first fit of spectra without errors as one matrix.

    Parameters
    ----------
    mean : ndarray, shape (1000,)
        Mean continuum / norm.
    operator : ndarray, shape (T + L, 1000)
        Coefficients = operator @ (flux / norm - mean).
    terms, profiles : ndarray, shape (T, 1000) and (L, 1000)
        What the coefficients multiply: continuum, lines.
    """

    mean: Floats
    operator: Floats
    terms: Floats
    profiles: Floats


def first_fit(design: ContinuumDesign | None = None) -> FirstFit:
    """Return the first fit of `measure_lines` for spectra without errors."""
    design = design or shipped_design()
    profiles = first_profiles()
    weight = pixel_weights(np.full(N_WAVE, MODEL_ERROR**2), design.mean)
    basis = np.concatenate([design.terms, profiles])
    prior = np.full(len(basis), 1.0 / AMPLITUDE_VARIANCE)
    prior[: len(design.terms)] = 1.0
    precision = (basis * weight) @ basis.T + np.diag(prior)
    return FirstFit(design.mean, np.linalg.solve(precision, basis * weight), design.terms, profiles)


@functools.lru_cache(maxsize=1)
def shipped_first_fit() -> FirstFit:
    """Return `first_fit` of the continuum templates that come with the package."""
    return first_fit()


def measure_models(flux: ArrayLike) -> ModelValues:
    """Measure noise-free spectra on the project's grid.

    Parameters
    ----------
    flux : array_like, shape (N, 1000)
        Any flux unit.

    Returns
    -------
    ModelValues
        NaN where a spectrum has no positive norm or continuum.

    Raises
    ------
    ShapeError, SpectrumError
        As `galspec.measurement.lines.measure_lines`.
    """
    values, _ = as_measurable(flux, None)
    fit = shipped_first_fit()
    norm = spectrum_norms(values, np.ones(values.shape))
    is_known = np.isfinite(norm)
    scaled = np.where(is_known[:, None], values, fit.mean) / np.where(is_known, norm, 1.0)[:, None]
    coefficients = (scaled - fit.mean) @ fit.operator.T
    n_terms = len(fit.terms)
    continuum = fit.mean + coefficients[:, :n_terms] @ fit.terms
    emission = coefficients[:, n_terms:] @ fit.profiles
    weight = pixel_weights(np.full(scaled.shape, MODEL_ERROR**2), continuum + emission)
    residual = scaled - continuum
    amplitude = _amplitudes(residual, weight)
    level = continuum @ side_bands()[:, _HALPHA]
    ew = amplitude[:, _ROW["Halpha"]] / np.where(is_known & (level > 0), level, np.nan)
    ratios = [
        np.where(is_known, _log_ratio(amplitude[:, _ROW[upper]], amplitude[:, _ROW[lower]]), np.nan)
        for upper, lower in (("[NII]6583", "Halpha"), ("[OIII]5007", "Hbeta"))
    ]
    return ModelValues(ew, _break(values), *ratios)


def _amplitudes(residual: Floats, weight: Floats) -> Floats:
    """Return the amplitudes of `MODEL_LINES` at the width that suits the strong lines best, shape (N, L)."""
    node = _best_sigmas(residual, weight)
    found = np.empty((len(residual), len(MODEL_LINES)))
    for index in np.unique(node):
        rows = np.flatnonzero(node == index)
        profiles = line_profiles(MODEL_LINES, SIGMA_GRID[index], 0.0)
        matrix = profile_products(weight[rows], profiles) + np.eye(len(profiles)) / AMPLITUDE_VARIANCE
        projected = (residual[rows] * weight[rows]) @ profiles.T
        found[rows] = np.linalg.solve(matrix, projected[..., None])[..., 0]
    return found


def _best_sigmas(residual: Floats, weight: Floats) -> NDArray[np.int64]:
    """Return indices into `SIGMA_GRID`, as `choose_kinematics` without shifts: models are at rest."""
    coarse = np.arange(0, len(SIGMA_GRID), SIGMA_STRIDE)
    score = np.stack([kinematic_score(residual, weight, int(s), _REST) for s in coarse], axis=1)
    node = coarse[score.argmax(axis=1)]
    for centre in np.unique(node):
        rows = np.flatnonzero(node == centre)
        near = np.arange(max(centre - SIGMA_STRIDE + 1, 0), min(centre + SIGMA_STRIDE, len(SIGMA_GRID)))
        finer = np.stack([kinematic_score(residual[rows], weight[rows], int(s), _REST) for s in near], axis=1)
        node[rows] = near[finer.argmax(axis=1)]
    return np.asarray(node, np.int64)


def _log_ratio(upper: Floats, lower: Floats) -> Floats:
    is_positive = (upper > 0) & (lower > 0)
    return np.asarray(np.log10(np.where(is_positive, upper, np.nan) / np.where(is_positive, lower, np.nan)))


def _break_bands() -> Floats:
    """Return pixel weights of the red and blue means of F_nu, shape (2, 1000)."""
    wave = wave_grid()
    inside = np.stack([(wave >= low) & (wave <= high) for low, high in (DN4000_RED, DN4000_BLUE)])
    return np.asarray(inside * wave**2 / inside.sum(axis=1, keepdims=True), np.float64)


def _break(flux: Floats) -> Floats:
    red, blue = (flux @ _break_bands().T).T
    return np.asarray(red / np.where(blue > 0, blue, np.nan))


def _members(lines: tuple[FittedLine, ...]) -> list[list[list[float]]]:
    return [[[wave, share] for wave, share in line.members] for line in lines]


def browser_recipe() -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return what `measure_models` needs, for an implementation in another language.

    Returns
    -------
    settings : dict
        Constants, line lists as [vacuum wavelength, share] of each member, and indices; plain JSON.
    arrays : dict of ndarray, float32
        ``mean`` (1000,); ``operator`` (T + L, 1000); ``terms`` (T, P) and ``profiles``
        (L, P) at the P ``pixels`` that a line or Halpha's side bands touch; ``sides`` (P,), weights of the side bands;
        ``breaks`` (2, 1000).
    """
    fit = shipped_first_fit()
    widest = [line_profiles(lines, SIGMA_GRID[-1], 0.0) for lines in (MODEL_LINES, KINEMATIC_LINES)]
    sides = side_bands()[:, _HALPHA]
    pixels = np.flatnonzero(np.concatenate([*widest, sides[None]]).any(axis=0))
    settings = {
        "n_terms": len(fit.terms),
        "lines": _members(MODEL_LINES),
        "kinematic": _members(KINEMATIC_LINES),
        "rows": {"ha": _ROW["Halpha"], "n2": _ROW["[NII]6583"], "hb": _ROW["Hbeta"], "o3": _ROW["[OIII]5007"]},
        "sigmas": list(SIGMA_GRID),
        "stride": SIGMA_STRIDE,
        "usual_sigma": USUAL_SIGMA,
        "sigma_scatter": SIGMA_SCATTER,
        "ridge": RIDGE,
        "amplitude_variance": AMPLITUDE_VARIANCE,
        "model_error": MODEL_ERROR,
        "template_error": TEMPLATE_ERROR,
        "loglam": [LOGLAM_START, LOGLAM_STEP],
        "pixel_kms": PIXEL_KMS,
        "pixels": pixels.tolist(),
        "norm": [int(index) for index in np.flatnonzero(norm_window_mask())[[0, -1]]],
    }
    arrays = {
        "mean": fit.mean,
        "operator": fit.operator,
        "terms": fit.terms[:, pixels],
        "profiles": fit.profiles[:, pixels],
        "sides": sides[pixels],
        "breaks": _break_bands(),
    }
    return settings, {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}

"""Principal components of spectra with gaps: expectation maximisation with known noise per pixel.

Spectra are normalised; `ivar` = 0 means no data. Loadings are components scaled so that their coefficients have
unit variance. Work is done in float64 on chunks of rows, so memory stays small whatever the survey.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Block = NDArray[np.floating]

#: Errors the templates make themselves, in units of the norm and as a fraction of the flux. They bound the
#: say of a very bright galaxy, of a strong line and of an unmasked cosmic ray in every weighted fit.
SYSTEMATIC_ABSOLUTE: Final = 0.03
SYSTEMATIC_RELATIVE: Final = 0.1
_CHUNK_ROWS: Final = 2048


def good_pixels(flux: Block, ivar: Block) -> NDArray[np.bool_]:
    """Return True where there is data: both finite and ivar > 0."""
    return np.asarray(np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))


def fit_weights(flux: Block, ivar: Block) -> tuple[Floats, Floats]:
    """Return flux with gaps as 0, and weights: 1 / (noise variance + template variance), 0 in gaps."""
    is_good = good_pixels(flux, ivar)
    flux64 = np.zeros(flux.shape)
    ivar64 = np.zeros(ivar.shape)
    flux64[is_good], ivar64[is_good] = flux[is_good], ivar[is_good]
    template_variance = SYSTEMATIC_ABSOLUTE**2 + (SYSTEMATIC_RELATIVE * flux64) ** 2
    return flux64, ivar64 / (1.0 + ivar64 * template_variance)


def chunks(n_rows: int) -> Iterator[slice]:
    """Yield slices that cover all rows."""
    for start in range(0, n_rows, _CHUNK_ROWS):
        yield slice(start, min(start + _CHUNK_ROWS, n_rows))


def posterior_coefficients(flux: Floats, weight: Floats, mean: Floats, loadings: Floats) -> tuple[Floats, Floats]:
    """Return mean (N, K) and covariance (N, K, K) of unit-variance coefficients given the spectra."""
    n_vectors = len(loadings)
    row, column = np.triu_indices(n_vectors)
    products = weight @ (loadings[row] * loadings[column]).T
    precision = np.empty((len(flux), n_vectors, n_vectors))
    precision[:, row, column] = products
    precision[:, column, row] = products
    precision += np.eye(n_vectors)
    covariance = np.asarray(np.linalg.inv(precision), np.float64)  # precision >= 1: never singular
    projected = ((flux - mean) * weight) @ loadings.T
    return np.einsum("nkl,nl->nk", covariance, projected), covariance


def fit_components(
    flux: Block, ivar: Block, n_vectors: int, max_iterations: int, tolerance: float
) -> tuple[Floats, Floats]:
    """Return mean (L,) and loadings (K, L) of spectra (N, L), by expectation maximisation."""
    mean, loadings = _initial_components(flux, ivar, n_vectors)
    for _ in range(max_iterations):
        old_mean, old_loadings = mean, loadings
        mean, loadings = _em_step(flux, ivar, mean, loadings)
        moved = float(np.linalg.norm(mean - old_mean)) + _subspace_change(old_loadings, loadings)
        if moved < tolerance * np.linalg.norm(loadings):
            break
    return mean, loadings


def _em_step(flux_norm: Block, ivar_norm: Block, mean: Floats, loadings: Floats) -> tuple[Floats, Floats]:
    """Return mean (L,) and loadings (K, L) after one step of expectation maximisation."""
    n_terms = len(loadings) + 1  # the mean is the component whose coefficient is always 1
    row, column = np.triu_indices(n_terms)
    n_pixels = len(mean)
    normal = np.zeros((n_pixels, len(row)))
    right = np.zeros((n_pixels, n_terms))
    moment = np.zeros((n_terms, n_terms))
    n_rows = 0
    for rows in chunks(len(flux_norm)):
        flux, weight = fit_weights(flux_norm[rows], ivar_norm[rows])
        first, covariance = posterior_coefficients(flux, weight, mean, loadings)
        terms = np.concatenate([np.ones((len(first), 1)), first], axis=1)
        second = terms[:, :, None] * terms[:, None, :]
        second[:, 1:, 1:] += covariance
        normal += weight.T @ second[:, row, column]
        right += (flux * weight).T @ terms
        has_any = weight.any(axis=1)
        moment += second[has_any].sum(axis=0)
        n_rows += int(has_any.sum())
    matrix = np.empty((n_pixels, n_terms, n_terms))
    matrix[:, row, column] = normal
    matrix[:, column, row] = normal
    solution = _solve_pixels(matrix, right, np.concatenate([mean[None], loadings]))
    return _standardise_coefficients(solution, moment / n_rows)


def _solve_pixels(matrix: Floats, right: Floats, current: Floats) -> Floats:
    """Solve each pixel's normal equations, pulled very weakly to the current solution (K + 1, L)."""
    diagonal = np.trace(matrix, axis1=1, axis2=2)
    pull = 1e-8 * diagonal + 1e-12 * max(float(diagonal.max()), 1e-300)
    matrix = matrix + pull[:, None, None] * np.eye(matrix.shape[1])
    right = right + pull[:, None] * current.T
    return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0].T)


def _standardise_coefficients(solution: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """Move the coefficients' mean into the mean spectrum and their covariance into the loadings."""
    average = moment[0, 1:]
    covariance = moment[1:, 1:] - np.outer(average, average)
    factor = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(average)))
    return solution[0] + average @ solution[1:], factor.T @ solution[1:]


def _initial_components(
    flux_norm: Block, ivar_norm: Block, n_vectors: int, n_rows: int = 2000
) -> tuple[Floats, Floats]:
    """Return mean and loadings of an ordinary PCA of up to `n_rows` spectra with gaps as the mean."""
    rows = np.linspace(0, len(flux_norm) - 1, min(n_rows, len(flux_norm))).astype(int)
    flux, weight = fit_weights(flux_norm[rows], ivar_norm[rows])
    total = weight.sum(axis=0)
    n_pixels = len(total)
    observed = total > 0
    pixel = np.arange(n_pixels)
    mean = np.divide((flux * weight).sum(axis=0), total, out=np.zeros(n_pixels), where=observed)
    mean = np.interp(pixel, pixel[observed], mean[observed])
    significance = weight * SYSTEMATIC_ABSOLUTE**2  # 1 where noise is negligible: shrinks noisy pixels
    residual = (flux - mean) * significance
    _, singular, vectors = np.linalg.svd(residual, full_matrices=False)
    scale = np.maximum(singular[:n_vectors] / np.sqrt(len(rows)), 1e-6)
    return mean, vectors[:n_vectors] * scale[:, None]


def _subspace_change(old: Floats, new: Floats) -> float:
    """Return the norm of the part of `new` outside the span of `old`, plus the change of its singular values."""
    _, s_old, v_old = np.linalg.svd(old, full_matrices=False)
    s_new = np.linalg.svd(new, compute_uv=False)
    outside = new - (new @ v_old.T) @ v_old
    return float(np.linalg.norm(outside) + np.linalg.norm(s_new - s_old))

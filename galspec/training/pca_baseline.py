"""Principal components as the yardstick of the VAE: fitted and projected to minimise the very number reported.

The components of the preprocessor will not do: they are fitted and applied with softened weights and a prior,
which is right for filling gaps, but leaves chi squared a tenth higher than it need be.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Train spectra the components are fitted to; more change the score by less than one per cent.
N_FIT: Final = 8192
_N_ITERATIONS: Final = 6
_CHUNK_ROWS: Final = 1024
#: Keeps the normal equations of a pixel or a spectrum without data solvable.
_RIDGE: Final = 1e-9


def _solve(matrix: Floats, right: Floats) -> Floats:
    size = np.trace(matrix, axis1=1, axis2=2)[:, None, None] + 1e-12
    return np.asarray(np.linalg.solve(matrix + _RIDGE * size * np.eye(matrix.shape[1]), right[..., None])[..., 0])


def _chunks(n_rows: int) -> list[slice]:
    return [slice(start, start + _CHUNK_ROWS) for start in range(0, n_rows, _CHUNK_ROWS)]


def project(flux: NDArray[np.floating], ivar: NDArray[np.floating], mean: Floats, vectors: Floats) -> Floats:
    """Return the coefficients (N, K) of least chi squared.

    Parameters
    ----------
    flux, ivar : ndarray, shape (N, L)
        Normalised; ivar 0 = no data.
    mean : ndarray, shape (L,)
    vectors : ndarray, shape (K, L)
    """
    found = np.empty((len(flux), len(vectors)))
    products = (vectors[:, None] * vectors[None]).reshape(-1, vectors.shape[1])
    for rows in _chunks(len(flux)):
        weight = np.asarray(ivar[rows], np.float64)
        matrix = (weight @ products.T).reshape(len(weight), len(vectors), len(vectors))
        found[rows] = _solve(matrix, (weight * (flux[rows] - mean)) @ vectors.T)
    return found


def fit_chi2_components(
    flux: NDArray[np.floating], ivar: NDArray[np.floating], mean: Floats, vectors: Floats
) -> tuple[Floats, Floats]:
    """Refine mean (L,) and orthonormal vectors (K, L) by alternating least squares in chi squared.

    Parameters
    ----------
    flux, ivar : ndarray, shape (N, L)
        Train spectra.
    mean, vectors : ndarray, shapes (L,) and (K, L)
        Where to start.
    """
    n_terms = len(vectors) + 1  # the mean is the component whose coefficient is always 1
    for _ in range(_N_ITERATIONS):
        terms = np.concatenate([np.ones((len(flux), 1)), project(flux, ivar, mean, vectors)], axis=1)
        matrix, right = np.zeros((n_terms**2, len(mean))), np.zeros((n_terms, len(mean)))
        for rows in _chunks(len(flux)):
            term, weight = terms[rows], np.asarray(ivar[rows], np.float64)
            matrix += (term[:, :, None] * term[:, None]).reshape(len(term), -1).T @ weight
            right += term.T @ (weight * flux[rows])
        solution = _solve(matrix.T.reshape(-1, n_terms, n_terms), right.T).T
        mean, vectors = solution[0], np.linalg.qr(solution[1:].T)[0].T
    return mean, vectors


def reconstruct(flux: NDArray[np.floating], ivar: NDArray[np.floating], mean: Floats, vectors: Floats) -> Floats:
    """Return the spectra of least chi squared in the span of the components, (N, L)."""
    return mean + project(flux, ivar, mean, vectors) @ vectors

"""The common width and shift of a spectrum's emission lines, from its strong lines."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from galspec.measurement.profiles import KINEMATIC_LINES, SIGMA_GRID, SIGMA_STRIDE, VELOCITY_GRID, line_profiles
from galspec.measurement.solver import profile_products

Floats = NDArray[np.float64]

#: Prior of width (a factor) and shift (km/s) for spectra whose lines are too weak to tell.
USUAL_SIGMA: Final = 140.0
SIGMA_SCATTER: Final = 0.4
VELOCITY_SCATTER: Final = 40.0
RIDGE: Final = 1e-7


def choose_kinematics(residual: Floats, weight: Floats) -> NDArray[np.int64]:
    """Return the best width and shift of each spectrum's lines.

    Parameters
    ----------
    residual, weight : ndarray, shape (N, 1000)
        Flux minus continuum in units of the norm, and its inverse variance, 0 in gaps.

    Returns
    -------
    node : ndarray of int, shape (N, 2)
        Indices into `SIGMA_GRID` and `VELOCITY_GRID`.
    """
    coarse = np.arange(0, len(SIGMA_GRID), SIGMA_STRIDE)
    n_shifts = len(VELOCITY_GRID)
    score = np.stack([kinematic_score(residual, weight, int(s), v) for s in coarse for v in range(n_shifts)], axis=1)
    first, velocity = np.divmod(score.argmax(axis=1), n_shifts)
    node = np.stack([coarse[first], velocity], axis=1)
    for sigma_index, velocity_index in np.unique(node, axis=0):
        group = np.flatnonzero((node == (sigma_index, velocity_index)).all(axis=1))
        low = max(sigma_index - SIGMA_STRIDE + 1, 0)
        near = np.arange(low, min(sigma_index + SIGMA_STRIDE, len(SIGMA_GRID)))
        finer = np.stack(
            [kinematic_score(residual[group], weight[group], int(s), velocity_index) for s in near], axis=1
        )
        node[group, 0] = near[finer.argmax(axis=1)]
    return node


def kinematic_score(residual: Floats, weight: Floats, sigma_index: int, velocity_index: int) -> Floats:
    """Return by how much lines of one width and shift lower chi squared, less the prior's share, shape (N,).

    Notes
    -----
    Amplitudes are cut at 0: what the continuum leaves of an absorption line must not set the width.
    """
    sigma_kms, velocity_kms = SIGMA_GRID[sigma_index], VELOCITY_GRID[velocity_index]
    profiles = line_profiles(KINEMATIC_LINES, sigma_kms, velocity_kms)
    pixels = np.flatnonzero(profiles.any(axis=0))
    profiles, weight = profiles[:, pixels], weight[:, pixels]
    matrix = profile_products(weight, profiles)
    projected = (residual[:, pixels] * weight) @ profiles.T
    ridge = RIDGE * np.eye(len(profiles))
    amplitude = np.maximum(np.linalg.solve(matrix + ridge, projected[..., None])[..., 0], 0.0)
    gain = 2.0 * (amplitude * projected).sum(axis=1) - np.einsum("nk,nkl,nl->n", amplitude, matrix, amplitude)
    prior = (np.log(sigma_kms / USUAL_SIGMA) / SIGMA_SCATTER) ** 2 + (velocity_kms / VELOCITY_SCATTER) ** 2
    return np.asarray(gain - prior)

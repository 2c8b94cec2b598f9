"""Continuum templates of the measurement: principal components of noise-free simulated continua."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from galspec import __version__
from galspec.core.errors import ConfigError, SimulationError
from galspec.core.wavelength import norm_window_mask
from galspec.measurement.continuum import ContinuumTemplates
from galspec.simulation.basis import Basis
from galspec.simulation.galaxy import RECIPE_VERSION, simulate_galaxy

N_VECTORS: Final = 25
#: The seed of the survey that the shipped weights were trained on, and whose galaxies are measured.
_SURVEY_SEED: Final = 1


def simulate_continua(
    basis: Basis, n_galaxies: int, seed: int, progress: Callable[[int], None] | None = None
) -> NDArray[np.float64]:
    """Return noise-free continua of accepted galaxies, each divided by its median in rest 4200-6700 angstrom.

    Parameters
    ----------
    basis : Basis
    n_galaxies : int
    seed : int
        Survey seed.
    progress : callable, optional
        Called with the number of galaxies done.

    Returns
    -------
    ndarray, shape (n_galaxies, 1000)

    Raises
    ------
    SimulationError
        If the survey's selection accepts almost none of the candidates.
    """
    window = norm_window_mask()
    continua: list[NDArray[np.float64]] = []
    candidate = 0
    while len(continua) < n_galaxies:
        if candidate > 100 * n_galaxies + 1000:
            raise SimulationError(
                f"{len(continua)} of {candidate} candidates were accepted, too few for {n_galaxies} continua; build "
                "the spectral basis again with `python -m galspec simulate --basis-only`."
            )
        galaxy = simulate_galaxy(basis, seed, candidate, with_continuum=True)
        candidate += 1
        if galaxy is None or galaxy.continuum_true is None:
            continue
        flux = galaxy.continuum_true.astype(np.float64)
        continua.append(flux / np.median(flux[window]))
        if progress is not None:
            progress(len(continua))
    return np.stack(continua)


def build_templates(
    basis: Basis,
    n_galaxies: int,
    seed: int,
    n_vectors: int = N_VECTORS,
    progress: Callable[[int], None] | None = None,
) -> ContinuumTemplates:
    """Simulate galaxies and return mean, components and variances of their continua.

    Parameters
    ----------
    basis : Basis
    n_galaxies : int
        More than `n_vectors`.
    seed : int
        Not 1: no galaxy is measured with a continuum it contributed to.
    n_vectors : int
    progress : callable, optional

    Returns
    -------
    ContinuumTemplates

    Raises
    ------
    ConfigError
        If there are too few galaxies, or the seed is 1 or negative.
    """
    if n_galaxies <= n_vectors:
        raise ConfigError(f"{n_galaxies} galaxies cannot define {n_vectors} components; ask for more with --n.")
    if seed == _SURVEY_SEED or seed < 0:
        raise ConfigError(
            f"seed {seed} is not allowed: seed {_SURVEY_SEED} is the survey that is measured, and seeds are not "
            "negative; choose another with --seed."
        )
    continua = simulate_continua(basis, n_galaxies, seed, progress)
    mean = continua.mean(axis=0)
    _, singular, vectors = np.linalg.svd(continua - mean, full_matrices=False)
    vectors = vectors[:n_vectors]
    # The sign of a component is arbitrary; fixed so that two builds of the same galaxies agree.
    vectors = vectors * np.where(vectors.sum(axis=1) < 0, -1.0, 1.0)[:, None]
    variances = singular[:n_vectors] ** 2 / len(continua)
    rest = continua - mean
    residual = rest - (rest @ vectors.T) @ vectors
    metadata = {
        "what": "principal components of stellar and nebular continua of galaxies without emission lines, divided "
        "by their median in rest 4200-6700 Angstrom",
        "source": "SIMULATED",
        "recipe_version": str(RECIPE_VERSION),
        "n_galaxies": str(n_galaxies),
        "seed": str(seed),
        "residual_rms": f"{np.sqrt(np.mean(residual**2)):.5f}",
        "galspec": __version__,
    }
    return ContinuumTemplates(mean, vectors, variances, metadata)

"""Classes in the diagram of Baldwin, Phillips & Terlevich (1981), and their probabilities under measurement errors."""

import functools
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from galspec.core.errors import ShapeError

Floats = NDArray[np.float64]

#: Order of the columns of `bpt_probabilities`.
BPT_CLASSES: Final = ("star-forming", "composite", "agn", "none")
#: Below this equivalent width of Halpha (angstrom) a galaxy has no class.
WEAK_HALPHA_EW: Final = 1.5
_N_SAMPLES_LOG2: Final = 9
#: A line ratio of a sample whose metal line is not positive: below every dividing line.
_FAINT: Final = 1e-4


def kauffmann_2003(log_n2: ArrayLike) -> Floats:
    """Return log10([OIII]5007/Hbeta) below which there is star formation only.

    Kauffmann et al. (2003, MNRAS 346, 1055, eq. 1). Minus infinity from its pole on,
    log10([NII]6583/Halpha) = 0.05.
    """
    return _hyperbola(log_n2, 0.05, 1.3)


def kewley_2001(log_n2: ArrayLike) -> Floats:
    """Return log10([OIII]5007/Hbeta) above which stars cannot be the source.

    Kewley et al. (2001, ApJ 556, 121, eq. 5). Minus infinity from its pole on,
    log10([NII]6583/Halpha) = 0.47.
    """
    return _hyperbola(log_n2, 0.47, 1.19)


def _hyperbola(log_n2: ArrayLike, pole: float, offset: float) -> Floats:
    n2 = np.asarray(log_n2, np.float64)
    return np.where(n2 < pole, 0.61 / np.minimum(n2 - pole, -1e-9) + offset, -np.inf)


def bpt_class(log_n2: float, log_o3: float, ew_halpha: float) -> str:
    """Return the class in the diagram of Baldwin, Phillips & Terlevich (1981).

    Parameters
    ----------
    log_n2, log_o3 : float
        log10([NII]6583/Halpha) and log10([OIII]5007/Hbeta); NaN without lines.
    ew_halpha : float
        Equivalent width of Halpha, angstrom, positive in emission.

    Returns
    -------
    str
        "star-forming" (below Kauffmann et al. 2003), "composite", "agn" (above Kewley et al. 2001),
        or "none" below an equivalent width of 1.5 A.
    """
    return BPT_CLASSES[int(_class_index(np.array([log_n2]), np.array([log_o3]), np.array([ew_halpha]))[0])]


def bpt_classes(log_n2: ArrayLike, log_o3: ArrayLike, ew_halpha: ArrayLike) -> NDArray[np.str_]:
    """Return `bpt_class` of many galaxies, shape (N,); "" where the equivalent width is NaN: not measured."""
    values = [np.asarray(value, np.float64) for value in (log_n2, log_o3, ew_halpha)]
    return np.where(np.isfinite(values[2]), np.array(BPT_CLASSES)[_class_index(*values)], "")


def class_ratio(metal: ArrayLike, balmer: ArrayLike) -> Floats:
    """Return log10(metal / balmer) to place a galaxy in the diagram, (N,).

    A metal line that noise made negative is faint: far below every dividing line, as in `bpt_probabilities`. NaN where
    the Balmer line is not positive or one of them is not measured.
    """
    metal, balmer = np.asarray(metal, np.float64), np.asarray(balmer, np.float64)
    ratio = np.divide(metal, balmer, out=np.full(metal.shape, np.nan), where=balmer > 0)
    return np.asarray(np.log10(np.maximum(ratio, _FAINT)))


def _class_index(log_n2: Floats, log_o3: Floats, ew_halpha: Floats) -> NDArray[np.int64]:
    has_class = (ew_halpha >= WEAK_HALPHA_EW) & np.isfinite(log_n2) & np.isfinite(log_o3)
    n2, o3 = np.where(has_class, log_n2, 0.0), np.where(has_class, log_o3, 0.0)
    is_young, is_mixed = o3 < kauffmann_2003(n2), o3 < kewley_2001(n2)
    return np.asarray(np.select([~has_class, is_young, is_mixed], [3, 0, 1], 2), np.int64)


@functools.lru_cache(maxsize=1)
def _deviates() -> Floats:
    """Return fixed, evenly spread normal deviates of four lines, shape (S, 4)."""
    from scipy.stats import qmc  # half a second, and the simulation imports this module

    uniform = qmc.Sobol(4, scramble=True, rng=np.random.default_rng(1981)).random_base2(_N_SAMPLES_LOG2)
    return np.asarray(ndtri(np.clip(uniform, 1e-9, 1.0 - 1e-9)), np.float64)


def bpt_probabilities(flux: ArrayLike, flux_err: ArrayLike, ew_halpha: ArrayLike, ew_halpha_err: ArrayLike) -> Floats:
    """Return the probability of each class, given four line fluxes with errors.

    Parameters
    ----------
    flux, flux_err : array_like, shape (N, 4)
        Of Hbeta, [OIII]5007, Halpha and [NII]6583, any unit; standard errors, NaN = 0 (a model's).
    ew_halpha, ew_halpha_err : array_like, shape (N,)
        Equivalent width of Halpha, angstrom: its deviation follows the flux's.

    Returns
    -------
    ndarray, shape (N, 4), float64
        In the order of `BPT_CLASSES`; rows sum to 1, and are NaN where a flux is.

    Raises
    ------
    ShapeError
        If the arrays do not fit together.

    Notes
    -----
    The share of 512 fixed quasi-random draws (Sobol) that `bpt_class` puts into each class. A draw with a Balmer
    line that is not positive has no class; one with a metal line that is not positive lies below all curves.
    """
    flux, error = np.asarray(flux, np.float64), np.nan_to_num(np.asarray(flux_err, np.float64))
    ew, ew_error = np.asarray(ew_halpha, np.float64), np.nan_to_num(np.asarray(ew_halpha_err, np.float64))
    if (
        flux.ndim != 2
        or flux.shape[1] != 4
        or error.shape != flux.shape
        or not ew.shape == ew_error.shape == (len(flux),)
    ):
        raise ShapeError(
            f"flux and flux_err must be (N, 4) and the equivalent widths (N,); got {flux.shape}, {error.shape}, "
            f"{ew.shape}, {ew_error.shape}"
        )
    deviates = _deviates()
    counts = np.zeros((len(flux), len(BPT_CLASSES)))
    for row in range(len(flux)):
        hbeta, oiii, halpha, nii = (flux[row] + error[row] * deviates).T
        has_balmer = (hbeta > 0) & (halpha > 0)
        hbeta, halpha = np.where(has_balmer, hbeta, 1.0), np.where(has_balmer, halpha, 1.0)
        log_o3 = np.log10(np.maximum(oiii / hbeta, _FAINT))
        log_n2 = np.log10(np.maximum(nii / halpha, _FAINT))
        width = np.where(has_balmer, ew[row] + ew_error[row] * deviates[:, 2], 0.0)
        counts[row] = np.bincount(_class_index(log_n2, log_o3, width), minlength=len(BPT_CLASSES))
    probabilities = counts / len(deviates)
    probabilities[~(np.isfinite(flux).all(axis=1) & np.isfinite(ew))] = np.nan
    return probabilities

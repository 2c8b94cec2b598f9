"""Names for latents, found and not given: each takes the words of the measured quantity that it follows best."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from galspec.core.errors import ShapeError

Floats = NDArray[np.float64]

#: A correlation weaker than this names nothing.
MIN_CORRELATION: Final = 0.3
#: Nor does one over fewer galaxies, or over a smaller share of them, than these.
MIN_PAIRS: Final = 30
_MIN_SHARE: Final = 0.05
UNNAMED: Final = "no clear meaning"


@dataclasses.dataclass(frozen=True)
class Meaning:
    """A physical axis and the words for its ends.

    Parameters
    ----------
    low, high : str
        What a galaxy is at low and at high values of the quantities.
    quantities : tuple of str
        Names, in any case, of quantities that rise together from low to high.
    """

    low: str
    high: str
    quantities: tuple[str, ...]


#: Quantities as `galspec.measurement` and the simulated catalogue name them. Those on one line mean the same.
MEANINGS: Final = (
    Meaning("quiescent", "line-emitting", ("ew_halpha", "ew_ha", "ew_ha_true")),
    Meaning("young", "old", ("dn4000", "dn4000_true")),
    Meaning("passive", "star-forming", ("log_ssfr",)),
    Meaning("metal-poor gas", "metal-rich gas", ("log_n2",)),
    Meaning("low ionisation", "high ionisation", ("log_o3",)),
    Meaning("weak [S II]", "strong [S II]", ("log_s2",)),
    Meaning("weak [O II]", "strong [O II]", ("ew_oii3727", "ew_oii", "ew_[oii]3727")),
    Meaning("clear", "dusty", ("balmer_decrement", "a_v", "ebv")),
    Meaning("no recent burst", "post-starburst", ("hdelta_a",)),
    Meaning("metal-poor stars", "metal-rich stars", ("mgb", "metallicity", "mg_b")),
    Meaning("weak Na D", "strong Na D", ("nad", "ew_nad", "na_d")),
    Meaning("blue continuum", "red continuum", ("colour", "continuum_slope", "sdss_g_r_fibre")),
    Meaning("narrow lines", "broad lines", ("sigma_v",)),
)


def spearman_matrix(latents: NDArray[np.floating], quantities: Mapping[str, NDArray[Any]]) -> tuple[list[str], Floats]:
    """Correlate each latent with each quantity by ranks.

    Parameters
    ----------
    latents : ndarray, shape (N, D)
    quantities : mapping of str to ndarray, shape (N,)
        NaN and infinite values are left out, pair by pair.

    Returns
    -------
    names : list of str, length Q
        The mapping's keys.
    correlation : ndarray, shape (D, Q)
        Spearman's rho; NaN where fewer than 30 galaxies or 5 % of them have both, or a value is the same for all.

    Raises
    ------
    ShapeError
        If ``latents`` is not (N, D), or a quantity not (N,).
    """
    latents = np.asarray(latents, np.float64)
    if latents.ndim != 2:
        raise ShapeError(f"expected latents of shape (N, D), got {latents.shape}")
    n_galaxies, n_latents = latents.shape
    correlation = np.full((n_latents, len(quantities)), np.nan)
    for column, (name, content) in enumerate(quantities.items()):
        values = np.asarray(content, np.float64)
        if values.shape != (n_galaxies,):
            raise ShapeError(f"quantity {name!r} has shape {values.shape}, but there are {n_galaxies} galaxies")
        for row in range(n_latents):
            usable = np.isfinite(values) & np.isfinite(latents[:, row])
            if usable.sum() < max(MIN_PAIRS, _MIN_SHARE * n_galaxies):
                continue
            pair = latents[usable, row], values[usable]
            if min(np.ptp(pair[0]), np.ptp(pair[1])) > 0.0:
                correlation[row, column] = spearmanr(*pair).statistic
    return list(quantities), correlation


def name_latents(latents: NDArray[np.floating], quantities: Mapping[str, NDArray[Any]]) -> list[str]:
    """Name each latent after the physical axis it follows best, low end first.

    Parameters
    ----------
    latents : ndarray, shape (N, D)
        Of any scale; only ranks count.
    quantities : mapping of str to ndarray, shape (N,)
        Measured of the same galaxies; NaN = not measured. Names that are in no entry of `MEANINGS` are ignored.

    Returns
    -------
    list of str, length D
        "L1: old <-> young": galaxies with a low first latent are old. An axis names at most one latent: the
        strongest correlations choose first. Below |rho| = 0.3 a latent has "no clear meaning".

    Raises
    ------
    ShapeError
        If the arrays do not match.
    """
    names, correlation = spearman_matrix(latents, quantities)
    by_name = {name.lower(): column for column, name in enumerate(names)}
    strongest = np.zeros((len(correlation), len(MEANINGS)))
    for index, meaning in enumerate(MEANINGS):
        columns = [by_name[name] for name in meaning.quantities if name in by_name]
        if columns:
            found = np.nan_to_num(correlation[:, columns])
            best = np.abs(found).argmax(axis=1)
            strongest[:, index] = found[np.arange(len(found)), best]
    return [
        f"L{row + 1}: {UNNAMED if axis is None else _words(MEANINGS[axis], strongest[row, axis])}"
        for row, axis in enumerate(_assign(strongest))
    ]


def _assign(strongest: Floats) -> list[int | None]:
    """Return the axis of each latent: pairs by falling |rho|, each latent and each axis once."""
    chosen: list[int | None] = [None] * len(strongest)
    for flat in np.argsort(-np.abs(strongest), axis=None, kind="stable"):
        row, axis = divmod(int(flat), strongest.shape[1])
        if abs(strongest[row, axis]) >= MIN_CORRELATION and chosen[row] is None and axis not in chosen:
            chosen[row] = axis
    return chosen


def _words(meaning: Meaning, correlation: float) -> str:
    ends = (meaning.low, meaning.high) if correlation > 0 else (meaning.high, meaning.low)
    return " <-> ".join(ends)

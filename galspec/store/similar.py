"""Galaxies most like one: nearest in latents or in the network's view, without the galaxy itself and its repeats."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.coordinates import separation_arcsec
from galspec.core.errors import ScoresError, ShapeError
from galspec.core.splits import GROUP_RADIUS_ARCSEC

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class SimilarGalaxies:
    """The galaxies nearest to one, nearest first.

    Parameters
    ----------
    ids : tuple of str, length k
    rows : ndarray of int, shape (k,)
    distance : ndarray, shape (k,)
        Euclidean, in the units of the vectors.
    repeats : tuple of str
        Ids that would be among them but lie within 3 arcsec of the galaxy or of one that is listed.
    n_without : int
        Galaxies without a vector: they were not compared.
    """

    ids: tuple[str, ...]
    rows: NDArray[np.int64]
    distance: Floats
    repeats: tuple[str, ...]
    n_without: int

    @property
    def note(self) -> str:
        """What was left out, as a sentence; empty if only the galaxy itself."""
        parts = []
        if self.repeats:
            shown = ", ".join(self.repeats[:3]) + (", ..." if len(self.repeats) > 3 else "")
            parts.append(
                f"{len(self.repeats)} repeat{'s' if len(self.repeats) > 1 else ''} at the same position (within "
                f"{GROUP_RADIUS_ARCSEC:g} arcsec) left out: {shown}"
            )
        if self.n_without:
            parts.append(f"{self.n_without:,} galaxies without this measure not compared")
        return f"{'; '.join(parts)}." if parts else ""


def similar_galaxies(
    row: int, vectors: NDArray[np.floating], ids: ArrayLike, ra_deg: ArrayLike, dec_deg: ArrayLike, n: int = 8
) -> SimilarGalaxies:
    """Find the galaxies nearest to one of a survey.

    Parameters
    ----------
    row : int
        The galaxy.
    vectors : ndarray, shape (N, D)
        What is compared: `ScoreTable.latents`, `latents_observed` or `embedding`; NaN = unknown.
    ids : array_like of str, shape (N,)
    ra_deg, dec_deg : array_like, shape (N,)
        Degrees; two galaxies within 3 arcsec are the same one observed twice. NaN is near nothing.
    n : int
        How many to find; fewer if there are no more.

    Raises
    ------
    ShapeError
        If the arrays do not match.
    ScoresError
        If the galaxy itself has no vector.
    """
    names = np.asarray(ids, dtype=object)
    ra, dec = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
    n_rows = len(vectors)
    if vectors.ndim != 2 or not n_rows == len(names) == len(ra) == len(dec) or not 0 <= row < n_rows:
        raise ShapeError(
            f"vectors (N, D), ids, ra_deg and dec_deg (N,) must match and hold row {row}; got {vectors.shape}, "
            f"{names.shape}, {ra.shape}, {dec.shape}"
        )
    if not np.isfinite(vectors[row]).all():
        raise ScoresError(f"galaxy {names[row]} has no value to compare: its image or its spectrum cannot be used.")
    distance = np.sqrt(np.square(vectors.astype(np.float64) - vectors[row]).sum(axis=1))
    is_known = np.isfinite(distance)
    distance[~is_known | (np.arange(n_rows) == row)] = np.inf
    kept: list[int] = []
    repeats: list[str] = []
    for candidate in _nearest_first(distance):
        if len(kept) == n:
            break
        listed = [row, *kept]
        if (separation_arcsec(ra[candidate], dec[candidate], ra[listed], dec[listed]) <= GROUP_RADIUS_ARCSEC).any():
            repeats.append(str(names[candidate]))
        else:
            kept.append(int(candidate))
    rows = np.asarray(kept, np.int64)
    without = int(n_rows - is_known.sum())
    return SimilarGalaxies(tuple(str(names[index]) for index in kept), rows, distance[rows], tuple(repeats), without)


def first_of_each(rows: NDArray[np.int64], groups: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the first n rows of different galaxies: of repeat observations only the first one.

    Parameters
    ----------
    rows : ndarray of int
        In the order that counts.
    groups : array_like, shape (N,)
        Of the whole catalogue: its column group_id, the same for observations of one galaxy.
    n : int
    """
    _, first = np.unique(np.asarray(groups)[rows], return_index=True)
    return rows[np.sort(first)[:n]]


def _nearest_first(distance: Floats) -> NDArray[np.int64]:
    """Return rows by distance, without infinite ones; equal distances keep their order."""
    known = np.flatnonzero(np.isfinite(distance))
    return np.asarray(known[np.argsort(distance[known], kind="stable")], np.int64)

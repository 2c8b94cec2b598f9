"""Splits: train 70, valid 10, calibration 10, test 10 %, by a hash that never changes.

A galaxy's split depends on nothing but its group's name, so adding galaxies moves none.
Galaxies within 3 arcsec of each other (repeat observations) form one group.
"""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

SPLITS: Final = ("train", "valid", "calibration", "test")
_UPPER_EDGES: Final = (0.7, 0.8, 0.9, 1.0)
GROUP_RADIUS_ARCSEC: Final = 3.0


def split_of(group_id: str) -> str:
    """Return the split of a group: u = first 8 bytes of SHA-256(group id) / 2^64 against 0.7, 0.8, 0.9.

    Examples
    --------
    >>> split_of("sim1-00000001")
    'train'
    """
    u = int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8], "big") / 2**64
    return next(name for name, edge in zip(SPLITS, _UPPER_EDGES, strict=True) if u < edge or edge == 1.0)


def group_ids(ids: list[str], ra_deg: ArrayLike, dec_deg: ArrayLike) -> list[str]:
    """Name each galaxy's group: the smallest id among friends-of-friends within 3 arcsec.

    Parameters
    ----------
    ids : list of str, length N
    ra_deg, dec_deg : array_like, shape (N,)
        ICRS positions in degrees.

    Returns
    -------
    list of str, length N
    """
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    xyz = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    radius = 2.0 * np.sin(np.radians(GROUP_RADIUS_ARCSEC / 3600.0) / 2.0)
    pairs: NDArray[np.int64] = cKDTree(xyz).query_pairs(radius, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(ids), len(ids)))
    n_groups, label = connected_components(graph, directed=False)
    smallest: list[str | None] = [None] * n_groups
    for name, group in zip(ids, label, strict=True):
        current = smallest[group]
        smallest[group] = name if current is None or name < current else current
    return [str(smallest[group]) for group in label]

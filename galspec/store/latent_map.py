"""Points of a plane through latent space: axes, samples, densities, and which galaxies a drawn shape holds."""

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import ConfigError, ShapeError
from galspec.core.regions import inside_polygon

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Rows = NDArray[np.int64]

#: Cells a side of the grid that a sample is stratified by.
STRATA: Final = 40


@dataclasses.dataclass(frozen=True)
class Plane:
    """Two axes of a map: each a latent or a principal component.

    Parameters
    ----------
    names : tuple of str
        "L1" ... or "PC1" ...
    matrix : ndarray, shape (2, D)
    offset : ndarray, shape (2,)
        Position = matrix @ latent - offset.
    """

    names: tuple[str, str]
    matrix: Floats
    offset: Floats

    def project(self, latents: ArrayLike) -> Floats:
        """Return the positions (N, 2) of latents (N, D)."""
        return np.asarray(np.asarray(latents, np.float64) @ self.matrix.T - self.offset)


def axis_names(n_latent: int) -> list[str]:
    """Return the axes a map can have.

    Examples
    --------
    >>> axis_names(2)
    ['L1', 'L2', 'PC1', 'PC2']
    """
    return [f"{kind}{index + 1}" for kind in ("L", "PC") for index in range(n_latent)]


def principal_axes(latents: ArrayLike) -> tuple[Floats, Floats]:
    """Return mean (D,) and principal axes (D, D) of latents, strongest first; rows with NaN are left out.

    The largest component of an axis is positive, so that a map does not flip from one computer to the next.

    Raises
    ------
    ShapeError
        If fewer than two galaxies have latents.
    """
    values = np.asarray(latents, np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < 2:
        raise ShapeError(f"principal axes need latents of at least two galaxies, got {len(values)}")
    mean = values.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(values - mean, rowvar=False))
    axes = axes[:, ::-1].T
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return mean, axes * np.sign(largest)[:, None]


def make_plane(x: str, y: str, latents: ArrayLike) -> Plane:
    """Return the plane of two named axes.

    Parameters
    ----------
    x, y : str
        Of `axis_names`.
    latents : array_like, shape (N, D)
        What principal components are of.

    Raises
    ------
    ConfigError
        If an axis does not exist.
    """
    n_latent = np.shape(latents)[1]
    known = axis_names(n_latent)
    for name in (x, y):
        if name not in known:
            raise ConfigError(f"there is no axis {name[:20]!r}; there are {', '.join(known)}.")
    mean, axes = principal_axes(latents) if "PC" in x + y else (np.zeros(n_latent), np.eye(n_latent))
    matrix, offset = np.zeros((2, n_latent)), np.zeros(2)
    for row, name in enumerate((x, y)):
        index = int(name.lstrip("LPC")) - 1
        matrix[row] = axes[index] if name.startswith("PC") else np.eye(n_latent)[index]
        offset[row] = matrix[row] @ mean if name.startswith("PC") else 0.0
    return Plane((x, y), matrix, offset)


def stratified_sample(points: Floats, n: int, seed: int) -> Rows:
    """Choose points for drawing: every occupied cell of a 40 x 40 grid keeps at least one, the rest by share.

    Parameters
    ----------
    points : ndarray, shape (N, 2)
        NaN = not drawn.
    n : int
        How many; all that are known if there are no more.
    seed : int

    Returns
    -------
    ndarray of int
        Rows, ascending.
    """
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(known) <= n:
        return known
    order = np.random.default_rng(seed).permutation(known)
    cell = _cells(points[order])
    # Among points in random order, the first of each cell is a random one of it.
    _, first = np.unique(cell, return_index=True)
    if len(first) >= n:
        return np.sort(order[first[:n]])
    rest = np.delete(np.arange(len(order)), first)
    return np.sort(np.concatenate([order[first], order[rest[: n - len(first)]]]))


def _cells(points: Floats) -> Rows:
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0) * STRATA
    column, row = np.minimum(scaled.astype(np.int64), STRATA - 1).T
    return np.asarray(column * STRATA + row, np.int64)


def density_grid(points: Floats, n_bins: int = 120) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Count points in cells.

    Parameters
    ----------
    points : ndarray, shape (N, 2)
    n_bins : int
        Cells a side, between the 0.1 and 99.9 percentiles.

    Returns
    -------
    counts : ndarray, shape (n_bins, n_bins)
        Rows are y.
    x, y : ndarray, shape (n_bins,)
        Middles of the cells.
    """
    known = points[np.isfinite(points).all(axis=1)]
    ranges = [tuple(np.percentile(values, [0.1, 99.9]).tolist()) for values in known.T]
    counts, x, y = np.histogram2d(known[:, 0], known[:, 1], n_bins, range=ranges)
    return counts.T.astype(np.int64), (x[1:] + x[:-1]) / 2.0, (y[1:] + y[:-1]) / 2.0


def rows_in_box(points: Floats, x: ArrayLike, y: ArrayLike) -> Rows:
    """Return the rows of points (N, 2) inside a box given by two corners, edges included."""
    (x0, x1), (y0, y1) = np.sort(np.asarray(x, np.float64)), np.sort(np.asarray(y, np.float64))
    px, py = points.T
    return np.flatnonzero((px >= x0) & (px <= x1) & (py >= y0) & (py <= y1))


def rows_in_lasso(points: Floats, x: ArrayLike, y: ArrayLike) -> Rows:
    """Return the rows of points (N, 2) inside a closed polygon, by the even-odd rule.

    Raises
    ------
    ShapeError
        If the polygon has fewer than three corners, or ``x`` and ``y`` differ in length.
    """
    corners_x, corners_y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if corners_x.shape != corners_y.shape or corners_x.ndim != 1 or len(corners_x) < 3:
        raise ShapeError(
            f"a lasso needs at least three corners, x and y alike; got {corners_x.shape}, {corners_y.shape}"
        )
    inside_box = rows_in_box(
        points, (float(corners_x.min()), float(corners_x.max())), (float(corners_y.min()), float(corners_y.max()))
    )
    px, py = points[inside_box].T
    return inside_box[inside_polygon(px, py, corners_x, corners_y)]


def nearest_rows(latent: ArrayLike, latents: Floats32, n: int) -> tuple[Rows, Floats]:
    """Return the galaxies nearest to a point of latent space, nearest first.

    Parameters
    ----------
    latent : array_like, shape (D,)
    latents : ndarray, shape (N, D)
        NaN = unknown, not compared.
    n : int

    Returns
    -------
    rows : ndarray of int, shape (<= n,)
    distance : ndarray
        Euclidean, standard deviations.

    Raises
    ------
    ShapeError
        If the dimensions differ.
    """
    point = np.asarray(latent, np.float32)
    if latents.ndim != 2 or point.shape != latents.shape[1:]:
        raise ShapeError(f"a point of shape {point.shape} does not lie among latents of shape {latents.shape}")
    squared = np.square(latents - point).sum(axis=1)
    squared[~np.isfinite(squared)] = np.inf
    near = np.argpartition(squared, n)[:n] if n < len(squared) else np.arange(len(squared))
    near = near[np.isfinite(squared[near])]
    near = near[np.argsort(squared[near], kind="stable")]
    return np.asarray(near, np.int64), np.sqrt(squared[near].astype(np.float64))

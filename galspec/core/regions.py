"""Regions of a plane: which points lie inside an outline drawn by hand."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def inside_polygon(x: ArrayLike, y: ArrayLike, corner_x: ArrayLike, corner_y: ArrayLike) -> NDArray[np.bool_]:
    """Return which points lie inside a polygon: a ray to the right crosses its edges an odd number of times.

    Parameters
    ----------
    x, y : array_like, shape (N,)
        Points; NaN lies outside.
    corner_x, corner_y : array_like, shape (M,)
        Corners in order; the last is joined to the first. Fewer than three hold nothing.

    Examples
    --------
    >>> inside_polygon([0.5, 2.0], [0.5, 0.5], [0, 1, 1, 0], [0, 0, 1, 1]).tolist()
    [True, False]
    """
    px, py = np.asarray(x, np.float64), np.asarray(y, np.float64)
    cx, cy = np.asarray(corner_x, np.float64), np.asarray(corner_y, np.float64)
    inside = np.zeros(px.shape, bool)
    if len(cx) < 3:
        return inside
    for x0, y0, x1, y1 in zip(cx, cy, np.roll(cx, -1), np.roll(cy, -1), strict=True):
        if y0 == y1:
            continue  # a ray along the edge does not cross it
        crosses = (y0 > py) != (y1 > py)
        inside ^= crosses & (px < x0 + (py - y0) * (x1 - x0) / (y1 - y0))
    return inside

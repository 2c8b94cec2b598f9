"""The eight symmetries of a square (D4): a galaxy on the sky has no preferred orientation or handedness."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

N_ELEMENTS: Final = 8


def view_element(image: NDArray[Any], element: int) -> NDArray[Any]:
    """Return a view of images (..., H, W) under one symmetry; element 0 leaves them as they are.

    Bits 0, 1 and 2 of ``element`` mean: mirror the columns, mirror the rows, transpose, in this order.
    """
    axes = tuple(axis for axis, bit in ((-1, 1), (-2, 2)) if element & bit)
    mirrored = np.flip(image, axes) if axes else image
    return mirrored.swapaxes(-1, -2) if element & 4 else mirrored

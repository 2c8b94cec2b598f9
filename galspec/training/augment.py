"""Augmentation by the eight symmetries of a square (`galspec.preprocess.symmetry`): one drawn for each image."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galspec.core.errors import ShapeError
from galspec.preprocess.symmetry import N_ELEMENTS, view_element

__all__ = ["N_ELEMENTS", "apply_elements", "draw_elements", "view_element"]


def draw_elements(rng: np.random.Generator, n: int) -> NDArray[np.uint8]:
    """Draw one of the eight symmetries for each of n images; element 0 leaves an image as it is."""
    return rng.integers(0, N_ELEMENTS, n, dtype=np.uint8)


def apply_elements(images: Tensor, elements: Tensor) -> Tensor:
    """Apply one symmetry to each image of a batch, on the device where the images are.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, H)
        Square images; not changed.
    elements : Tensor, shape (N,)
        Integers 0-7 as in `view_element`, on the same device.

    Returns
    -------
    Tensor, shape (N, C, H, H)

    Raises
    ------
    ShapeError
        If the images are not square or there is not one element an image.
    """
    if images.ndim != 4 or images.shape[-1] != images.shape[-2] or elements.shape != images.shape[:1]:
        raise ShapeError(
            f"need square images (N, C, H, H) and N elements, got {tuple(images.shape)} and {tuple(elements.shape)}"
        )
    bits = elements.to(torch.int64).reshape(-1, 1, 1, 1)
    # Selections over the whole batch: indexing by element would make the host wait for the device.
    images = torch.where((bits & 1).bool(), images.flip(-1), images)
    images = torch.where((bits & 2).bool(), images.flip(-2), images)
    return torch.where((bits & 4).bool(), images.transpose(-1, -2), images)

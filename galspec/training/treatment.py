"""Images as stored (float16, 100 nJy per pixel) treated by an ImageScaler, with numpy and on a device."""

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galspec.core.bands import IMAGE_SCALE_NJY
from galspec.preprocess.cutouts import ImageScaler, central_aperture
from galspec.training.augment import view_element


def in_stored_units(scaler: ImageScaler) -> ImageScaler:
    """Return the scaler that does to stored images (100 nJy) what this one does to images in nJy."""
    if scaler.softening is not None:
        return dataclasses.replace(scaler, softening=scaler.softening / IMAGE_SCALE_NJY)
    return dataclasses.replace(scaler, mean=scaler.mean / IMAGE_SCALE_NJY, std=scaler.std / IMAGE_SCALE_NJY)


def _per_band(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, None, None]


class HostTreatment:
    """Augment and scale stored images with numpy.

    Image by image, so that each stays in the cache. numpy and not torch, because this runs in the
    reading thread, where torch would start a second team of OpenMP threads against the training's.
    """

    def __init__(self, scaler: ImageScaler):
        self._scaler = in_stored_units(scaler)
        self._gain = _per_band(1.0 / self._scaler.std)
        self._offset = _per_band(-self._scaler.mean / self._scaler.std)

    def __call__(self, stored: NDArray[np.float16], elements: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return images (B, 5, H, H) under their symmetries, scaled; NaN becomes sky, 0 nJy."""
        prepared = np.empty(stored.shape, np.float32)
        for index, element in enumerate(elements):
            image = prepared[index]
            image[...] = view_element(stored[index], int(element))
            image[np.isnan(image)] = 0.0
            treated = self._scaler.treat(image)
            if treated is not image:
                image[...] = treated
            image *= self._gain
            image += self._offset
        return prepared


class DeviceTreatment:
    """Scale stored images without NaN on the device where they are; equal to `HostTreatment` to rounding."""

    def __init__(self, scaler: ImageScaler, device: torch.device):
        scaler = in_stored_units(scaler)

        def put(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(_per_band(values)).to(device)

        self._form = scaler.form
        self._gain, self._offset = put(1.0 / scaler.std), put(-scaler.mean / scaler.std)
        self._weights = None if scaler.weights is None else put(scaler.weights)
        self._softening = None if scaler.softening is None else put(scaler.softening)
        self._aperture: Tensor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Treat images (B, 5, H, H), any floating type; return float32."""
        pixels = images.float()
        if self._weights is not None:
            pixels = (pixels * self._weights).sum(dim=1, keepdim=True).expand_as(pixels)
        elif self._form == "colour":
            pixels = self._central_means(pixels)[..., None, None].expand_as(pixels)
        if self._softening is not None:
            pixels = torch.arcsinh(pixels / self._softening)
        return pixels * self._gain + self._offset

    def _central_means(self, pixels: Tensor) -> Tensor:
        """Return the mean in the fibre, (B, 5)."""
        if self._aperture is None or self._aperture.shape != pixels.shape[-2:]:
            inside = central_aperture(pixels.shape[-1])
            self._aperture = torch.from_numpy((inside / inside.sum()).astype(np.float32)).to(pixels.device)
        return (pixels * self._aperture).sum(dim=(-2, -1))

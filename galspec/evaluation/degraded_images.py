"""Ablations at evaluation time: the same network shown turned, colour-only or grey images. Nothing is trained.

They bound what a network uses, not what the images hold: a network trained on such images would do better on them.
"""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import CUTOUT_SIZE_PIX, IMAGE_CLIP_NJY, PIXEL_SCALE_ARCSEC, SDSS_FIBRE_DIAMETER_ARCSEC
from galspec.core.errors import ConfigError
from galspec.evaluation.photometric_features import annulus_fluxes
from galspec.models.bundle import PredictorBundle
from galspec.training.augment import N_ELEMENTS, view_element

Floats32 = NDArray[np.float32]
Predict = Callable[[Floats32], Floats32]

#: Scale length of the round exponential disk that carries the central colours, arcsec: the median galaxy's size.
_SCALE_ARCSEC: Final = 2.0


def central_colours(images: Floats32) -> Floats32:
    """Replace each galaxy by one round exponential disk, the same for all, with the colours and flux of its middle.

    Parameters
    ----------
    images : ndarray, shape (N, 5, 224, 224)
        nJy per pixel; NaN = no data.

    Returns
    -------
    ndarray, shape (N, 5, 224, 224), float32
        Each band is scaled to its flux inside 3 arcsec, the SDSS fibre; 0 where less than half of that has data.
        Free of sky noise, neighbours and shape.
    """
    offset = (np.arange(CUTOUT_SIZE_PIX) - (CUTOUT_SIZE_PIX - 1) / 2) * PIXEL_SCALE_ARCSEC
    radius = np.hypot(offset[:, None], offset)
    profile = np.exp(-radius / _SCALE_ARCSEC)
    profile /= profile[radius <= SDSS_FIBRE_DIAMETER_ARCSEC / 2].sum()
    fibre = np.nan_to_num(annulus_fluxes(images)[..., 0])
    disk = np.clip(fibre[..., None, None] * profile, -IMAGE_CLIP_NJY, IMAGE_CLIP_NJY)
    return np.asarray(disk, np.float32)


def greyscale(images: Floats32, scale: NDArray[np.float64]) -> Floats32:
    """Replace every band by the mean of the five, each in units of its own scale: shape without colour.

    Parameters
    ----------
    images : ndarray, shape (N, 5, H, W)
        nJy per pixel; NaN = no data.
    scale : ndarray, shape (5,)
        Standard deviation of each band over the train split, nJy.

    Returns
    -------
    ndarray, shape (N, 5, H, W), float32
        Every galaxy has the colours of the scales; NaN where no band has data.
    """
    weight = np.asarray(scale, np.float32)[:, None, None]
    has_data = np.isfinite(images)
    total = np.where(has_data, images / weight, np.float32(0.0)).sum(axis=1, keepdims=True)
    count = has_data.sum(axis=1, keepdims=True)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan, np.float32), where=count > 0)
    return np.asarray(mean * weight, np.float32)


def d4_average(predict: Predict) -> Predict:
    """Return a prediction averaged over the eight turns and mirror images of each cutout."""

    def predict_mean(images: Floats32) -> Floats32:
        turned = (predict(np.ascontiguousarray(view_element(images, element))) for element in range(N_ELEMENTS))
        return np.asarray(sum(turned) / N_ELEMENTS, np.float32)

    return predict_mean


ABLATIONS: Final[dict[str, Callable[[PredictorBundle], Predict]]] = {
    "d4": lambda predictor: d4_average(predictor.predict_latents),
    "colour-only": lambda predictor: lambda images: predictor.predict_latents(central_colours(images)),
    "greyscale": lambda predictor: (
        lambda images: predictor.predict_latents(greyscale(images, predictor.image_scaler.std))
    ),
}
MEANING: Final = {
    "d4": "latents averaged over the eight turns and mirror images of each cutout",
    "colour-only": "every image replaced by one round disk with the galaxy's colours and flux inside 3 arcsec",
    "greyscale": "every band replaced by the mean of the five, each over its scale: one colour for all galaxies",
}


def require_ablations(names: Iterable[str]) -> None:
    """Refuse names that are not in ABLATIONS.

    Raises
    ------
    ConfigError
        If there is one.
    """
    if unknown := [name for name in names if name not in ABLATIONS]:
        raise ConfigError(
            f"there is no ablation {', '.join(unknown)}; those at evaluation time are {', '.join(ABLATIONS)}."
        )


def ablation(name: str, predictor: PredictorBundle) -> Predict:
    """Return how a network predicts under an ablation: cutouts (n, 5, 224, 224) in nJy to latents (n, D).

    Raises
    ------
    ConfigError
        If there is none of this name.
    """
    require_ablations([name])
    return ABLATIONS[name](predictor)

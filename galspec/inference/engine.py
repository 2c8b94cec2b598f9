"""A predictor bundle together with the way its network is run."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.bands import CUTOUT_SHAPE
from galspec.core.errors import ShapeError
from galspec.inference.backends import batch_size, build_backend
from galspec.inference.plan import InferencePlan
from galspec.models.bundle import PredictorBundle
from galspec.preprocess.symmetry import view_element

Floats32 = NDArray[np.float32]


class Engine:
    """Run a predictor with a backend, in a mode, on a device.

    Parameters
    ----------
    predictor : PredictorBundle
        Loaded folded, as `load_predictor_bundle` does by default.
    plan : InferencePlan, optional
        From `plan_inference`; eager and exact on the CPU if None.

    Raises
    ------
    ConfigError
        If the backend does not keep the plan's precision here.
    """

    def __init__(self, predictor: PredictorBundle, plan: InferencePlan | None = None):
        self.predictor = predictor
        self.plan = plan or InferencePlan()
        self.batch_size = batch_size(self.plan)
        self._backend = build_backend(predictor.network, self.plan)

    @property
    def provenance(self) -> dict[str, Any]:
        """What every prediction must carry: the model, and backend, mode and device that ran it."""
        return {**self.predictor.provenance, **self.plan.facts}

    @property
    def n_latent(self) -> int:
        """Number of latents, D."""
        return len(self.predictor.decoder.latent_mean)

    def scale(self, images: ArrayLike) -> Floats32:
        """Return cutouts (N, 5, 224, 224) in nJy per pixel as the network expects them; uses numpy only.

        Raises
        ------
        ShapeError
            If ``images`` is not (N, 5, 224, 224).
        """
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or images.shape[1:] != CUTOUT_SHAPE:
            raise ShapeError(f"expected images of shape (N, {', '.join(map(str, CUTOUT_SHAPE))}), got {images.shape}")
        return self.predictor.image_scaler.apply(images)

    def latents(self, images: ArrayLike) -> Floats32:
        """Predict standardised latents (N, D) of cutouts (N, 5, 224, 224) in nJy per pixel, NaN = no data.

        Raises
        ------
        ShapeError
            If ``images`` is not (N, 5, 224, 224).
        """
        return self.latents_of_scaled(self.scale(images))

    def latents_of_scaled(self, scaled: Floats32) -> Floats32:
        """Predict standardised latents (N, D) of images from `scale`."""
        latents = np.empty((len(scaled), self.n_latent), np.float32)
        for start in range(0, len(scaled), self.batch_size):
            batch = slice(start, start + self.batch_size)
            views = (view_element(scaled[batch], element) for element in range(self.plan.n_symmetries))
            latents[batch] = sum(self._backend(view) for view in views) / self.plan.n_symmetries
        return latents


def as_engine(model: PredictorBundle | Engine) -> Engine:
    """Return an engine as it is, and a predictor as an eager and exact engine."""
    return model if isinstance(model, Engine) else Engine(model)

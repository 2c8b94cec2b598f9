"""Bundles in memory: the VAE that defines the latents, and the predictor that goes from image to spectrum."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from galspec.core.bands import N_BANDS
from galspec.core.errors import BundleError, ConfigError, ImageError, ShapeError
from galspec.core.home import shipped_weights_dir
from galspec.core.wavelength import N_WAVE
from galspec.models.bundle_file import from_arrays, read_bundle, read_bundle_info, under, write_bundle
from galspec.models.catalog import build_network, count_trainable, network_args
from galspec.models.fold import fold_network
from galspec.models.latents import LatentDecoder, VaeBundle, numbered_latents
from galspec.models.novelty import NoveltyCalibration
from galspec.models.vae import InfoVAE, vae_from_args
from galspec.preprocess.cutouts import ImageScaler
from galspec.preprocess.spectra import SpectrumPreprocessor

__all__ = [
    "PredictorBundle",
    "VaeBundle",
    "load_predictor_bundle",
    "load_vae_bundle",
    "read_bundle_info",
    "save_predictor_bundle",
    "save_vae_bundle",
    "shipped_predictor_dir",
    "shipped_vae_dir",
]

Floats32 = NDArray[np.float32]
_BATCH_IMAGES = 32


def shipped_vae_dir() -> Path:
    """Return the folder of the VAE that comes with galspec."""
    return shipped_weights_dir() / "vae6"


def shipped_predictor_dir() -> Path:
    """Return the folder of the predictor that comes with galspec."""
    return shipped_weights_dir() / "xresnet18-hybrid"


class PredictorBundle:
    """A trained network with its image scaler and its own decoder: image in, spectrum out.

    Parameters
    ----------
    network : nn.Module
        Maps scaled images to standardised latents.
    image_scaler : ImageScaler
    decoder : LatentDecoder
    info : dict
        Content of model.json.
    """

    def __init__(self, network: nn.Module, image_scaler: ImageScaler, decoder: LatentDecoder, info: dict[str, Any]):
        # Channels last is the faster layout of convolutions on CPUs: measured by benchmarks/bench_predict.py.
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        self.image_scaler = image_scaler
        self.decoder = decoder
        self.info = info

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file."""
        return str(self.info["sha256"])

    @property
    def provenance(self) -> dict[str, Any]:
        """What every prediction must carry: the model, its VAE, and what it was trained on."""
        return {
            "name": self.info["name"],
            "architecture": self.info["architecture"],
            "sha256": self.sha256,
            "vae_sha256": self.info["vae_sha256"],
            "trained_on": self.info["training_survey"]["source"],
            "training_survey": self.info["training_survey"]["name"],
        }

    @torch.inference_mode()
    def predict_latents(self, images: ArrayLike) -> Floats32:
        """Predict standardised latents.

        Parameters
        ----------
        images : array_like, shape (N, 5, H, W)
            nJy per pixel, bands g r i z y; NaN = no data, taken as sky.

        Returns
        -------
        latent : ndarray, shape (N, D), float32

        Raises
        ------
        ShapeError
            If ``images`` is not (N, 5, H, W).
        """
        return self._apply(self.network, images, len(self.decoder.latent_mean))

    @torch.inference_mode()
    def features(self, images: ArrayLike) -> Floats32:
        """Return what the last, linear layer reads: the pooled features of images as `predict_latents`.

        Returns
        -------
        ndarray, shape (N, F), float32
            F = 512 for the 18-layer networks.

        Raises
        ------
        ShapeError
            If ``images`` is not (N, 5, H, W).
        """
        layers = list(self.network.children())
        return self._apply(nn.Sequential(*layers[:-1]), images, int(layers[-1].in_features))

    @torch.inference_mode()
    def latents_and_features(self, images: ArrayLike) -> tuple[Floats32, Floats32]:
        """Return `predict_latents` and `features` of the same images, with one pass through the network.

        Raises
        ------
        ShapeError
            If ``images`` is not (N, 5, H, W).
        """
        features = self.features(images)
        head = list(self.network.children())[-1]
        return np.asarray(head(torch.from_numpy(features)).numpy(), np.float32), features

    def _apply(self, network: nn.Module, images: ArrayLike, n_out: int) -> Floats32:
        images = np.asarray(images, dtype=np.float32)
        if images.ndim != 4 or images.shape[1] != N_BANDS:
            raise ShapeError(f"expected images of shape (N, {N_BANDS}, H, W), got {images.shape}")
        blocks = []
        for start in range(0, len(images), _BATCH_IMAGES):
            scaled = torch.from_numpy(self.image_scaler.apply(images[start : start + _BATCH_IMAGES]))
            blocks.append(network(scaled.contiguous(memory_format=torch.channels_last)))
        return np.asarray(torch.cat(blocks).numpy(), np.float32) if blocks else np.empty((0, n_out), np.float32)

    def decode(self, latent_std: ArrayLike) -> Floats32:
        """Decode standardised latents (N, D) into flux / median(4200-6700 A), (N, 1000)."""
        return self.decoder.decode(latent_std)

    def predict_flux(self, images: ArrayLike) -> Floats32:
        """Predict spectra, flux / median(4200-6700 A), (N, 1000), from images as `predict_latents`."""
        return self.decode(self.predict_latents(images))


def save_vae_bundle(
    folder: Path,
    *,
    model: InfoVAE,
    preprocessor: SpectrumPreprocessor,
    latent_mean: Tensor,
    latent_std: Tensor,
    name: str,
    training_survey: dict[str, Any],
    recipe: dict[str, Any],
    scores: dict[str, Any],
    latent_names: list[str] | None = None,
    novelty: NoveltyCalibration | None = None,
) -> Path:
    """Write a VAE bundle; the folder is replaced as a whole.

    Raises
    ------
    BundleError
        If the name is not allowed.
    """
    tensors = {
        **{f"vae.{key}": value for key, value in model.state_dict().items()},
        **from_arrays("preprocessor.", dict(preprocessor.to_arrays())),
        "latent_mean": latent_mean,
        "latent_std": latent_std,
        **(from_arrays("novelty.", dict(novelty.to_arrays())) if novelty else {}),
    }
    info = {
        "kind": "vae",
        "name": name,
        "architecture": "InfoVAE",
        "architecture_args": {"n_latent": model.n_latent, "hidden": list(model.hidden)},
        "trainable_parameters": count_trainable(model) or sum(value.numel() for value in model.parameters()),
        "latent_names": latent_names or numbered_latents(model.n_latent),
        "training_survey": training_survey,
        "recipe": recipe,
        "scores": scores,
    }
    write_bundle(folder, tensors, info)
    return Path(folder)


def save_predictor_bundle(
    folder: Path,
    *,
    network: nn.Module,
    architecture: str,
    vae: VaeBundle,
    image_scaler: ImageScaler,
    name: str,
    training_survey: dict[str, Any],
    recipe: dict[str, Any],
    scores: dict[str, Any],
    network_options: Mapping[str, Any] | None = None,
) -> Path:
    """Write a predictor bundle with its own copy of the VAE's decoder; the folder is replaced as a whole.

    What differs from the published network and from whole, linear images stands in model.json as ``network_args``
    and ``image_form``; bundles without them are the published network on whole images.

    Raises
    ------
    BundleError
        If the name is not allowed.
    ConfigError
        If an option of ``network_options`` is not one of the architecture's.
    """
    tensors = {
        **{f"network.{key}": value for key, value in network.state_dict().items()},
        **from_arrays("scaler_image.", dict(image_scaler.to_arrays())),
        **vae.decoder.tensors(),
    }
    options = network_args(architecture, network_options or {})
    info = {
        "kind": "predictor",
        "name": name,
        "architecture": architecture,
        **({"network_args": options} if options else {}),
        **({"image_form": image_scaler.form} if image_scaler.form != "full" else {}),
        "trainable_parameters": count_trainable(network),
        "vae_sha256": vae.sha256,
        "vae_name": vae.info["name"],
        "vae_args": vae.info["architecture_args"],
        "training_survey": training_survey,
        "recipe": recipe,
        "scores": scores,
    }
    write_bundle(folder, tensors, info)
    return Path(folder)


def _load_state(module: nn.Module, state: dict[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"the weights in {folder} do not fit the network that model.json names: {reason}") from None


def _require_scaler(mean: Tensor, std: Tensor, mean_flux: Tensor, n_latent: int, folder: Path) -> None:
    if mean.shape != (n_latent,) or std.shape != (n_latent,) or mean_flux.shape != (N_WAVE,) or not (std > 0).all():
        raise BundleError(
            f"{folder} lacks {n_latent} latent means and deviations, or {N_WAVE} mean fluxes; restore it."
        )


def load_vae_bundle(folder: Path) -> VaeBundle:
    """Load a VAE bundle.

    Raises
    ------
    BundleError
        If it is missing, damaged, or not a VAE.
    """
    tensors, info = read_bundle(folder, "vae")
    try:
        model = vae_from_args(info["architecture_args"])
        arrays = {name: value.numpy() for name, value in under("preprocessor.", tensors).items()}
        preprocessor = SpectrumPreprocessor.from_arrays(arrays)
        latent_mean, latent_std = tensors["latent_mean"], tensors["latent_std"]
        novelty_arrays = {name: value.numpy() for name, value in under("novelty.", tensors).items()}
        novelty = NoveltyCalibration.from_arrays(novelty_arrays) if novelty_arrays else None
    except (KeyError, TypeError, ValueError, ShapeError) as error:
        raise BundleError(f"{folder} lacks a part of a VAE bundle ({error}); restore the bundle.") from None
    _load_state(model, under("vae.", tensors), Path(folder))
    _require_scaler(latent_mean, latent_std, torch.from_numpy(preprocessor.mean_flux), model.n_latent, folder)
    return VaeBundle(model, preprocessor, latent_mean, latent_std, info, novelty)


def load_predictor_bundle(folder: Path, vae: VaeBundle | None = None, fold: bool = True) -> PredictorBundle:
    """Load a predictor bundle.

    Parameters
    ----------
    folder : Path
    vae : VaeBundle, optional
        The VAE it will be compared with; refused unless it is the one the predictor was trained for.
    fold : bool
        Fold normalisation into plain convolutions, which is faster and equal to 1e-4.

    Raises
    ------
    BundleError
        If it is missing, damaged, not a predictor, or belongs to another VAE.
    """
    tensors, info = read_bundle(folder, "predictor")
    if vae is not None and vae.sha256 != info.get("vae_sha256"):
        raise BundleError(
            f"predictor {info['name']!r} belongs to VAE {str(info.get('vae_sha256'))[:12]}..., but the VAE given is "
            f"{vae.sha256[:12]}...; use the VAE it was trained with, or train it anew for this one."
        )
    try:
        network: nn.Module = build_network(str(info["architecture"]), info.get("network_args", {}))
        image_scaler = ImageScaler.from_arrays(
            {key: value.numpy() for key, value in under("scaler_image.", tensors).items()},
            str(info.get("image_form", "full")),
        )
        vae_model = vae_from_args(info["vae_args"])
        decoder = vae_model.decoder
        parts = tensors["latent_mean"], tensors["latent_std"], tensors["scaler_mean_flux"]
    except (KeyError, TypeError, ValueError, ConfigError, ImageError, ShapeError) as error:
        raise BundleError(f"{folder} lacks a part of a predictor bundle ({error}); restore the bundle.") from None
    _load_state(decoder, under("decoder.", tensors), Path(folder))
    _load_state(network, under("network.", tensors), Path(folder))
    _require_scaler(*parts, vae_model.n_latent, folder)
    if fold:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            network = fold_network(network)
    return PredictorBundle(network, image_scaler, LatentDecoder(decoder, *parts), info)

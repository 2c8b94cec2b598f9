"""Bundles in memory: the VAE that defines the latents, and the predictor that goes from image to spectrum."""

import warnings
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
from galspec.models.catalog import build_network, count_trainable
from galspec.models.fold import fold_network
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
_BATCH_SPECTRA = 4096
_BATCH_IMAGES = 32


def shipped_vae_dir() -> Path:
    """Return the folder of the VAE that comes with galspec."""
    return shipped_weights_dir() / "vae6"


def shipped_predictor_dir() -> Path:
    """Return the folder of the predictor that comes with galspec."""
    return shipped_weights_dir() / "xresnet18-hybrid"


class LatentDecoder:
    """Standardised latents to normalised spectra: decoder, latent scaler and mean spectrum.

    Parameters
    ----------
    decoder : nn.Module
        The decoder half of the VAE: raw latents (N, D) to spectra minus the mean (N, 1000).
    latent_mean, latent_std : Tensor, shape (D,)
        Of the raw latents of the train split.
    mean_flux : Tensor, shape (1000,)
        Mean normalised train spectrum.
    """

    def __init__(self, decoder: nn.Module, latent_mean: Tensor, latent_std: Tensor, mean_flux: Tensor):
        self.decoder = decoder.eval().requires_grad_(False)
        self.latent_mean, self.latent_std, self.mean_flux = latent_mean, latent_std, mean_flux

    @torch.inference_mode()
    def decode(self, latent: ArrayLike) -> Floats32:
        """Decode standardised latents (N, D) into flux / median(4200-6700 A), (N, 1000).

        Raises
        ------
        ShapeError
            If ``latent`` is not (N, D).
        """
        standardised = torch.as_tensor(np.asarray(latent, dtype=np.float32))
        n_latent = len(self.latent_mean)
        if standardised.ndim != 2 or standardised.shape[1] != n_latent:
            raise ShapeError(f"expected latents of shape (N, {n_latent}), got {tuple(standardised.shape)}")
        raw = standardised * self.latent_std + self.latent_mean
        return np.asarray((self.decoder(raw) + self.mean_flux).numpy(), np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """Return what a bundle stores of the decoder."""
        return {
            **{f"decoder.{name}": value for name, value in self.decoder.state_dict().items()},
            "latent_mean": self.latent_mean,
            "latent_std": self.latent_std,
            "scaler_mean_flux": self.mean_flux,
        }


class VaeBundle:
    """A trained VAE with everything that turns observed spectra on the grid into standardised latents and back.

    Parameters
    ----------
    model : InfoVAE
    preprocessor : SpectrumPreprocessor
        Mean spectrum and components for the infill, fitted on the train split.
    latent_mean, latent_std : Tensor, shape (D,)
        Of the raw latents of the train split.
    info : dict
        Content of model.json.
    """

    def __init__(
        self,
        model: InfoVAE,
        preprocessor: SpectrumPreprocessor,
        latent_mean: Tensor,
        latent_std: Tensor,
        info: dict[str, Any],
    ):
        self.model = model.eval().requires_grad_(False)
        self.preprocessor = preprocessor
        mean_flux = torch.from_numpy(preprocessor.mean_flux.astype(np.float32))
        self.decoder = LatentDecoder(model.decoder, latent_mean, latent_std, mean_flux)
        self.info = info

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file: the identity that predictors refer to."""
        return str(self.info["sha256"])

    @property
    def n_latent(self) -> int:
        """Number of latents."""
        return self.model.n_latent

    @torch.inference_mode()
    def encode(self, flux: ArrayLike, ivar: ArrayLike) -> Floats32:
        """Encode spectra on the grid.

        Parameters
        ----------
        flux, ivar : array_like, shape (N, 1000)
            Any flux unit and its inverse variance; ivar 0 = no data.

        Returns
        -------
        latent : ndarray, shape (N, D), float32
            Raw latents: the posterior mean.

        Raises
        ------
        ShapeError, SpectrumError
            If the arrays are not (N, 1000), or a spectrum cannot be normalised.
        """
        x = torch.from_numpy(self.preprocessor.encoder_input(flux, ivar))
        blocks = [self.model.encode(block)[0] for block in x.split(_BATCH_SPECTRA)]
        return np.asarray(torch.cat(blocks).numpy(), np.float32)

    def latents(self, flux: ArrayLike, ivar: ArrayLike) -> Floats32:
        """Encode spectra into latents standardised by the train split, (N, D)."""
        return self.standardise(self.encode(flux, ivar))

    def standardise(self, latent: Floats32) -> Floats32:
        """Return (latent - mean) / std of the train split."""
        return np.asarray((latent - self.decoder.latent_mean.numpy()) / self.decoder.latent_std.numpy(), np.float32)

    def unstandardise(self, latent_std: Floats32) -> Floats32:
        """Return raw latents from standardised ones."""
        return np.asarray(latent_std * self.decoder.latent_std.numpy() + self.decoder.latent_mean.numpy(), np.float32)

    def decode(self, latent: Floats32) -> Floats32:
        """Decode raw latents (N, D) into flux / median(4200-6700 A), (N, 1000)."""
        return self.decoder.decode(self.standardise(np.asarray(latent, np.float32)))

    def decode_standardised(self, latent_std: ArrayLike) -> Floats32:
        """Decode standardised latents (N, D) into flux / median(4200-6700 A), (N, 1000)."""
        return self.decoder.decode(latent_std)

    def reconstruct(self, flux: ArrayLike, ivar: ArrayLike) -> Floats32:
        """Encode and decode spectra: the VAE reconstruction, in units of the norm, (N, 1000)."""
        return self.decode_standardised(self.latents(flux, ivar))


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
    }
    info = {
        "kind": "vae",
        "name": name,
        "architecture": "InfoVAE",
        "architecture_args": {"n_latent": model.n_latent, "hidden": list(model.hidden)},
        "trainable_parameters": count_trainable(model) or sum(value.numel() for value in model.parameters()),
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
) -> Path:
    """Write a predictor bundle with its own copy of the VAE's decoder; the folder is replaced as a whole.

    Raises
    ------
    BundleError
        If the name is not allowed.
    """
    tensors = {
        **{f"network.{key}": value for key, value in network.state_dict().items()},
        **from_arrays("scaler_image.", dict(image_scaler.to_arrays())),
        **vae.decoder.tensors(),
    }
    info = {
        "kind": "predictor",
        "name": name,
        "architecture": architecture,
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
    except (KeyError, TypeError, ValueError, ShapeError) as error:
        raise BundleError(f"{folder} lacks a part of a VAE bundle ({error}); restore the bundle.") from None
    _load_state(model, under("vae.", tensors), Path(folder))
    _require_scaler(latent_mean, latent_std, torch.from_numpy(preprocessor.mean_flux), model.n_latent, folder)
    return VaeBundle(model, preprocessor, latent_mean, latent_std, info)


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
        network: nn.Module = build_network(str(info["architecture"]))
        image_scaler = ImageScaler.from_arrays(
            {key: value.numpy() for key, value in under("scaler_image.", tensors).items()}
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

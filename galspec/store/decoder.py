"""The decoder of a predictor bundle in numpy: latents that are stored become spectra without torch."""

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

from galspec.core.errors import BundleError, ShapeError
from galspec.core.files import sha256_of
from galspec.core.wavelength import N_WAVE

Floats32 = NDArray[np.float32]

#: Negative slope of the leaky ReLU between layers: `galspec.models.vae.LEAKY_SLOPE`, which needs torch.
LEAKY_SLOPE: Final = 0.01
_WEIGHT: Final = re.compile(r"decoder\.(\d+)\.weight")


@dataclasses.dataclass(frozen=True)
class StoredDecoder:
    """Standardised latents to normalised spectra; `galspec.models.latents.LatentDecoder` without torch.

    Parameters
    ----------
    layers : tuple of (weight, bias)
        Linear layers, float32, of shapes (out, in) and (out,), with a leaky ReLU between them.
    latent_mean, latent_std : ndarray, shape (D,), float32
        Of the raw latents of the train split.
    mean_flux : ndarray, shape (1000,), float32
        Mean normalised train spectrum.
    """

    layers: tuple[tuple[Floats32, Floats32], ...]
    latent_mean: Floats32
    latent_std: Floats32
    mean_flux: Floats32

    def decode(self, latent: ArrayLike) -> Floats32:
        """Decode standardised latents (N, D) into flux / median(4200-6700 A), (N, 1000).

        Raises
        ------
        ShapeError
            If ``latent`` is not (N, D).
        """
        values = np.asarray(latent, np.float32)
        if values.ndim != 2 or values.shape[1] != len(self.latent_mean):
            raise ShapeError(f"expected latents of shape (N, {len(self.latent_mean)}), got {values.shape}")
        values = values * self.latent_std + self.latent_mean
        for index, (weight, bias) in enumerate(self.layers):
            values = values @ weight.T + bias
            if index < len(self.layers) - 1:
                values = np.where(values > 0, values, np.float32(LEAKY_SLOPE) * values)
        return np.asarray(values + self.mean_flux, np.float32)


def read_decoder(folder: Path) -> StoredDecoder:
    """Read the decoder of a predictor bundle, and nothing else of it.

    Parameters
    ----------
    folder : Path
        A bundle folder: model.json and weights.safetensors.

    Raises
    ------
    BundleError
        If it is no predictor bundle, or its weights are missing, damaged or without a decoder.
    """
    path = Path(folder) / "weights.safetensors"
    info = _read_info(Path(folder) / "model.json")
    if info.get("kind") != "predictor":
        raise BundleError(f"{folder} is a {info.get('kind')!r} bundle; a predictor bundle is needed here.")
    if not path.is_file():
        raise BundleError(f"{folder} holds no {path.name}; restore the bundle.")
    if sha256_of(path) != info.get("sha256"):
        raise BundleError(f"{path} is corrupt: its SHA-256 is not the one in model.json; restore the bundle.")
    try:
        with safe_open(path, framework="numpy") as stored:
            tensors = {
                name: np.asarray(stored.get_tensor(name), np.float32)
                for name in stored.keys()  # noqa: SIM118  # no mapping: only keys() is there
                if name.startswith(("decoder.", "latent_")) or name == "scaler_mean_flux"
            }
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read ({error}); restore the bundle.") from None
    return _decoder_of(tensors, path)


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read ({error}); restore the bundle.") from None
    if not isinstance(info, dict):
        raise BundleError(f"{path} does not describe a bundle; restore it.")
    return info


def _decoder_of(tensors: dict[str, Floats32], path: Path) -> StoredDecoder:
    numbers = sorted(int(found[1]) for name in tensors if (found := _WEIGHT.fullmatch(name)))
    try:
        layers = tuple((tensors[f"decoder.{n}.weight"], tensors[f"decoder.{n}.bias"]) for n in numbers)
        decoder = StoredDecoder(layers, tensors["latent_mean"], tensors["latent_std"], tensors["scaler_mean_flux"])
    except KeyError as error:
        raise BundleError(f"{path} lacks {error.args[0]!r}; restore the bundle.") from None
    widths = [len(decoder.latent_mean), *(len(bias) for _, bias in layers)]
    shapes = [(n_out, n_in) for n_in, n_out in itertools.pairwise(widths)]
    fits = [weight.shape for weight, _ in layers] == shapes and decoder.latent_std.shape == decoder.latent_mean.shape
    if not layers or not fits or widths[-1] != N_WAVE or decoder.mean_flux.shape != (N_WAVE,):
        raise BundleError(f"{path} holds a decoder whose layers do not fit together; restore the bundle.")
    return decoder

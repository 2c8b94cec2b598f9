"""From observed spectra to standardised latents and back: the decoder alone, and the whole VAE with its scalers."""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from galspec.core.errors import ConfigError, ShapeError
from galspec.models.novelty import NoveltyCalibration
from galspec.models.vae import DEFAULT_SOFTENING, InfoVAE, refine_latents
from galspec.preprocess.quality import soften
from galspec.preprocess.spectra import SpectrumPreprocessor

Floats32 = NDArray[np.float32]
_BATCH_SPECTRA: Final = 4096


def numbered_latents(n_latent: int) -> list[str]:
    """Return names of latents nothing is known of: L1, L2, ..."""
    return [f"L{index + 1}" for index in range(n_latent)]


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
    novelty : NoveltyCalibration, optional
        Of how unusual a spectrum is.
    """

    def __init__(
        self,
        model: InfoVAE,
        preprocessor: SpectrumPreprocessor,
        latent_mean: Tensor,
        latent_std: Tensor,
        info: dict[str, Any],
        novelty: NoveltyCalibration | None = None,
    ):
        self.model = model.eval().requires_grad_(False)
        self.preprocessor = preprocessor
        mean_flux = torch.from_numpy(preprocessor.mean_flux.astype(np.float32))
        self.decoder = LatentDecoder(model.decoder, latent_mean, latent_std, mean_flux)
        self.info = info
        self.novelty = novelty

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file: the identity that predictors refer to."""
        return str(self.info["sha256"])

    @property
    def n_latent(self) -> int:
        """Number of latents."""
        return self.model.n_latent

    @property
    def latent_names(self) -> list[str]:
        """One line a latent, low end first: "L1: old <-> star-forming"."""
        names = self.info.get("latent_names")
        if not isinstance(names, list) or len(names) != self.n_latent:
            return numbered_latents(self.n_latent)
        return [str(name) for name in names]

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

    @torch.inference_mode()
    def posterior(self, flux: ArrayLike, ivar: ArrayLike) -> tuple[Floats32, Floats32]:
        """Return the mean and the standard deviation of the encoder's posterior, standardised, each (N, D)."""
        x = torch.from_numpy(self.preprocessor.encoder_input(flux, ivar))
        found = [self.model.encode(block) for block in x.split(_BATCH_SPECTRA)]
        mean = torch.cat([block[0] for block in found]).numpy()
        sigma = torch.exp(0.5 * torch.cat([block[1] for block in found])).numpy()
        return self.standardise(mean), np.asarray(sigma / self.decoder.latent_std.numpy(), np.float32)

    def refine(self, flux: ArrayLike, ivar: ArrayLike, n_steps: int = 50) -> Floats32:
        """Start at the encoder's latents and move them downhill until the decoded spectrum fits the pixels.

        Parameters
        ----------
        flux, ivar : array_like, shape (N, 1000)
            As `encode`.
        n_steps : int
            Gradient steps, at least 1.

        Returns
        -------
        latent : ndarray, shape (N, D), float32
            Standardised; for each spectrum the best of all steps, the encoder's own included.

        Raises
        ------
        ConfigError
            If ``n_steps`` is below 1.
        ShapeError, SpectrumError
            As `encode`.

        Notes
        -----
        Maximises the posterior: sum weight (flux - decoded)^2 / 2 + z^2 / 2, where the weight is the inverse
        variance softened as in training. The encoder answers at once what this searches for; where noise or
        gaps are unlike those of its training, the search does better.
        """
        if n_steps < 1:
            raise ConfigError(f"n_steps is {n_steps}, but must be at least 1.")
        filled, cleaned = self.preprocessor.encoder_input_and_weights(flux, ivar)
        softening = float(self.info.get("recipe", {}).get("softening", DEFAULT_SOFTENING))
        weight = torch.from_numpy(soften(cleaned, softening))
        x = torch.from_numpy(filled)
        blocks = zip(x.split(_BATCH_SPECTRA), weight.split(_BATCH_SPECTRA), strict=True)
        raw = [refine_latents(self.model, block, block_weight, n_steps).numpy() for block, block_weight in blocks]
        return self.standardise(np.concatenate(raw))

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

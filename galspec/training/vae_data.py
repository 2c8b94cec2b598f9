"""What the VAE is trained on: settings, spectra with their splits, encoder inputs and weights."""

import dataclasses
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galspec.core.errors import ConfigError, SpectrumError
from galspec.models.vae import DEFAULT_SOFTENING, HIDDEN, N_LATENT
from galspec.preprocess.quality import soften
from galspec.preprocess.spectra import SpectrumPreprocessor, is_encodable, normalise_spectra
from galspec.training.run_folder import Row

Floats32 = NDArray[np.float32]
SCHEDULES: Final = ("plateau", "one_cycle")


@dataclasses.dataclass(frozen=True)
class VaeConfig:
    """How the VAE is trained; defaults after Portillo et al. (2020).

    Parameters
    ----------
    n_epochs : int
        Upper limit; early stopping usually ends before.
    batch_size : int
    max_lr : float
        Learning rate of Adam at the start, or at the peak of one cycle.
    schedule : str
        "plateau" (published): the rate falls tenfold when the valid loss stops falling, and training ends early.
        "one_cycle": up over 15 % of the steps, down along a cosine to a thousandth, to the last epoch; the best
        epoch on valid is kept either way.
    mmd_lambda : float
        Weight of the maximum mean discrepancy; 1 is the plain VAE.
    softening : float
        Error added in quadrature to every pixel, in units of the norm (`DEFAULT_SOFTENING`).
    plateau_patience, stop_patience : int
        Epochs without improvement after which the learning rate falls tenfold, and after which
        training stops.
    min_improvement : float
        Relative decrease of the valid loss that counts as improvement.
    grad_clip : float
        Largest norm of the gradient; 0 = off, as published. A bright spectrum's chi squared can be a thousand times
        the usual: without a limit one such batch undoes many steps.
    input_noise : float
        Noise added to what the encoder sees in training, drawn anew each time, in units of each pixel's error;
        0 = none, as published. An encoder that sees the same noise a hundred times learns it by heart.
    seed : int
    """

    n_epochs: int = 100
    batch_size: int = 64
    max_lr: float = 1e-3
    schedule: str = "plateau"
    mmd_lambda: float = 100.0
    softening: float = DEFAULT_SOFTENING
    plateau_patience: int = 5
    stop_patience: int = 10
    min_improvement: float = 1e-3
    grad_clip: float = 0.0
    input_noise: float = 0.0
    seed: int = 12345
    n_latent: int = N_LATENT
    hidden: tuple[int, ...] = HIDDEN

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name in ("n_epochs", "batch_size", "n_latent"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        if self.schedule not in SCHEDULES:
            raise ConfigError(f"schedule is {self.schedule!r}, but must be one of {', '.join(SCHEDULES)}.")
        for name in ("grad_clip", "input_noise"):
            if getattr(self, name) < 0.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must not be negative (0 = off).")
        if self.mmd_lambda < 1.0 or self.max_lr <= 0.0 or self.softening <= 0.0:
            raise ConfigError("mmd_lambda must be at least 1, max_lr and softening must be positive.")


@dataclasses.dataclass(frozen=True)
class SpectrumSet:
    """Spectra for training on the grid, with their splits.

    Parameters
    ----------
    flux, ivar : ndarray, shape (N, 1000), float32
    split : ndarray of str, shape (N,)
    survey : dict
        What the bundle says of its training data.
    """

    flux: Floats32
    ivar: Floats32
    split: NDArray[Any]
    survey: Row


class PreparedSpectra:
    """Encoder inputs and weights of train and valid spectra, with the preprocessor fitted on train."""

    def __init__(self, data: SpectrumSet, softening: float):
        self.softening = softening
        is_train, is_valid, is_calibration = (data.split == name for name in ("train", "valid", "calibration"))
        if is_train.sum() < 100 or is_valid.sum() < 10:
            raise SpectrumError(
                f"{int(is_train.sum())} train and {int(is_valid.sum())} valid spectra are too few for a VAE; "
                "at least 100 and 10 are needed."
            )
        flux, ivar, _ = normalise_spectra(data.flux[is_train], data.ivar[is_train])
        self.preprocessor = SpectrumPreprocessor.fit(flux, ivar)
        self.train_x, self.train_weight, self.train_error = self._tensors(flux, ivar)
        self.train_flux, self.train_ivar = flux, ivar
        flux, ivar, _ = normalise_spectra(data.flux[is_valid], data.ivar[is_valid])
        self.valid_flux, self.valid_ivar = flux, ivar
        self.valid_x, self.valid_weight, _ = self._tensors(flux, ivar)
        self.calibration_flux, self.calibration_ivar = data.flux[is_calibration], data.ivar[is_calibration]

    def _tensors(self, flux: Floats32, ivar: Floats32) -> tuple[Tensor, Tensor, Tensor]:
        """Return encoder inputs, softened weights and errors, 0 where a pixel has no data: (N, 1000) each."""
        cleaned = self.preprocessor.clean(flux, ivar)
        x = self.preprocessor.infill(flux, cleaned) - self.preprocessor.mean_flux.astype(np.float32)
        error = np.divide(1.0, np.sqrt(cleaned), out=np.zeros_like(cleaned), where=cleaned > 0)
        return torch.from_numpy(x), torch.from_numpy(soften(cleaned, self.softening)), torch.from_numpy(error)


def usable_split(flux: Floats32, ivar: Floats32, split: NDArray[Any]) -> NDArray[Any]:
    """Return the splits with "unusable" for spectra that cannot be normalised or have too little data."""
    return np.where(is_encodable(flux, ivar), split, "unusable")

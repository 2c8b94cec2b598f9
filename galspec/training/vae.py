"""Train the VAE of spectra: preprocessing fitted on train, InfoVAE loss, latents ordered and signed, a bundle."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galspec.core.errors import ConfigError, RunError, SpectrumError
from galspec.core.lines import line_by_name
from galspec.core.wavelength import wave_grid
from galspec.models.bundle import save_vae_bundle
from galspec.models.vae import HIDDEN, N_LATENT, InfoVAE, info_vae_loss
from galspec.preprocess.spectra import SpectrumPreprocessor, normalise_spectra
from galspec.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from galspec.training.pca_baseline import N_FIT, fit_chi2_components, reconstruct
from galspec.training.run_folder import Row, RunFolder, RunStopped, require_same

Progress = Callable[[Row], None]
Floats32 = NDArray[np.float32]

_N_ORDER: Final = 8192
#: The discrepancy compares all pairs: blocks bound its memory for surveys of any size.
_N_VALID: Final = 8192


@dataclasses.dataclass(frozen=True)
class VaeConfig:
    """How the VAE is trained; defaults after Portillo et al. (2020).

    Parameters
    ----------
    n_epochs : int
        Upper limit; early stopping usually ends before.
    batch_size : int
    max_lr : float
        Learning rate of Adam at the start.
    mmd_lambda : float
        Weight of the maximum mean discrepancy; 1 is the plain VAE.
    softening : float
        Error added in quadrature to every pixel, in units of the norm: bounds the say of very
        bright galaxies. Portillo et al. add 1/2e6 to the variance of L2-normalised spectra, which
        is 2.2 % of the flux.
    plateau_patience, stop_patience : int
        Epochs without improvement after which the learning rate falls tenfold, and after which
        training stops.
    min_improvement : float
        Relative decrease of the valid loss that counts as improvement.
    seed : int
    """

    n_epochs: int = 100
    batch_size: int = 64
    max_lr: float = 1e-3
    mmd_lambda: float = 100.0
    softening: float = 0.022
    plateau_patience: int = 5
    stop_patience: int = 10
    min_improvement: float = 1e-3
    seed: int = 12345
    n_latent: int = N_LATENT
    hidden: tuple[int, ...] = HIDDEN

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name in ("n_epochs", "batch_size", "n_latent"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must be at least 1.")
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


class _Prepared:
    """Encoder inputs and weights of train and valid spectra, with the preprocessor fitted on train."""

    def __init__(self, data: SpectrumSet, softening: float):
        is_train, is_valid = data.split == "train", data.split == "valid"
        if is_train.sum() < 100 or is_valid.sum() < 10:
            raise SpectrumError(
                f"{int(is_train.sum())} train and {int(is_valid.sum())} valid spectra are too few for a VAE; "
                "at least 100 and 10 are needed."
            )
        flux, ivar, _ = normalise_spectra(data.flux[is_train], data.ivar[is_train])
        self.preprocessor = SpectrumPreprocessor.fit(flux, ivar)
        self.train_x, self.train_weight = self._tensors(flux, ivar, softening)
        self.fit_flux, self.fit_ivar = flux[:N_FIT].copy(), ivar[:N_FIT].copy()
        flux, ivar, _ = normalise_spectra(data.flux[is_valid], data.ivar[is_valid])
        self.valid_flux, self.valid_ivar = flux, ivar
        self.valid_x, self.valid_weight = self._tensors(flux, ivar, softening)

    def _tensors(self, flux: Floats32, ivar: Floats32, softening: float) -> tuple[Tensor, Tensor]:
        x = self.preprocessor.infill(flux, ivar) - self.preprocessor.mean_flux.astype(np.float32)
        weight = ivar / (1.0 + ivar * softening**2)
        return torch.from_numpy(x), torch.from_numpy(weight.astype(np.float32))


class _VaeTraining:
    """Model, optimiser and position of a run: what a checkpoint holds."""

    def __init__(self, config: VaeConfig):
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = InfoVAE(config.n_latent, config.hidden)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.max_lr)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.epoch = 0
        self.best_loss, self.best_epoch, self.lr_epoch = math.inf, -1, 0
        self.best: dict[str, Tensor] = self._weights()

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def train_epoch(self, prepared: _Prepared) -> Row:
        """Pass once through the train spectra in a new order."""
        config = self.config
        order = torch.randperm(len(prepared.train_x), generator=self.generator)
        sums = np.zeros(4)
        batches = order.split(config.batch_size)
        self.model.train()
        for rows in batches:
            x, weight = prepared.train_x[rows], prepared.train_weight[rows]
            loss = info_vae_loss(self.model, x, weight, config.mmd_lambda, self.generator)
            self.optimiser.zero_grad(set_to_none=True)
            loss.total.backward()
            self.optimiser.step()
            sums += [float(term.detach()) for term in (loss.total, loss.reconstruction, loss.kl, loss.mmd)]
        means = sums / len(batches)
        if not np.isfinite(means).all():
            raise RunError(f"the loss is not finite in epoch {self.epoch + 1}; lower max_lr.")
        return dict(
            zip(("train_loss", "train_reconstruction", "train_kl", "train_mmd"), means.round(5).tolist(), strict=True)
        )

    @torch.no_grad()
    def validate(self, prepared: _Prepared) -> Row:
        """Measure the loss on valid with fixed noise, so that epochs can be compared."""
        self.model.eval()
        generator = torch.Generator().manual_seed(self.config.seed)
        sums = np.zeros(4)
        blocks = zip(prepared.valid_x.split(_N_VALID), prepared.valid_weight.split(_N_VALID), strict=True)
        for x, weight in blocks:
            loss = info_vae_loss(self.model, x, weight, self.config.mmd_lambda, generator)
            sums += len(x) * np.array([float(term) for term in (loss.total, loss.reconstruction, loss.kl, loss.mmd)])
        names = ("valid_loss", "valid_reconstruction", "valid_kl", "valid_mmd")
        return dict(zip(names, (sums / len(prepared.valid_x)).round(6).tolist(), strict=True))

    def judge(self, valid_loss: float) -> None:
        """Remember the best weights; lower the learning rate on a plateau."""
        if valid_loss < self.best_loss * (1.0 - self.config.min_improvement):
            self.best_loss, self.best_epoch, self.lr_epoch = valid_loss, self.epoch, self.epoch
            self.best = self._weights()
        elif self.epoch - self.lr_epoch >= self.config.plateau_patience:
            self.lr_epoch = self.epoch
            for group in self.optimiser.param_groups:
                group["lr"] *= 0.1

    @property
    def is_finished(self) -> bool:
        """True if the epochs are done or the valid loss has stopped falling."""
        return self.epoch >= self.config.n_epochs or self.epoch - 1 - self.best_epoch >= self.config.stop_patience

    def save(self, folder: Path, identity: Row) -> None:
        """Write a checkpoint."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors["generator"] = self.generator.get_state()
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
        numbers: Row = {
            "identity": identity,
            "epoch": self.epoch,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "best_epoch": self.best_epoch,
            "lr_epoch": self.lr_epoch,
            "lr": self.optimiser.param_groups[0]["lr"],
        }
        save_checkpoint(folder, tensors, numbers)

    def restore(self, tensors: Mapping[str, Tensor], numbers: Row) -> None:
        """Go back to a checkpoint."""
        self.model.load_state_dict(_under("model.", tensors))
        self.best = {name: value.clone() for name, value in _under("best.", tensors).items()}
        self.generator.set_state(tensors["generator"])
        content = self.optimiser.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("adam.", tensors).items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value.clone()
        self.optimiser.load_state_dict({**content, "state": state})
        for group in self.optimiser.param_groups:
            group["lr"] = numbers["lr"]
        self.epoch, self.best_epoch, self.lr_epoch = numbers["epoch"], numbers["best_epoch"], numbers["lr_epoch"]
        self.best_loss = math.inf if numbers["best_loss"] is None else numbers["best_loss"]


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def train_vae(
    data: SpectrumSet,
    config: VaeConfig,
    run_dir: Path,
    progress: Progress | None = None,
    resume: bool = True,
    stop: Callable[[], bool] | None = None,
    name: str = "vae6",
) -> Path:
    """Train a VAE and write its bundle, continuing where an interrupted run of the folder stopped.

    Parameters
    ----------
    data : SpectrumSet
        Fitted on its train split, stopped by its valid split; the others are not touched.
    config : VaeConfig
    run_dir : Path
        Run folder; the bundle is ``run_dir/bundle``.
    progress : callable, optional
        Called with each row of metrics.jsonl.
    resume : bool
        Continue from a checkpoint in the folder; if False, start anew.
    stop : callable, optional
        Asked after each epoch; when true, a checkpoint is written and the run ends.
    name : str
        Name of the bundle.

    Returns
    -------
    Path
        The bundle's folder.

    Raises
    ------
    RunStopped
        If ``stop`` turned true.
    RunError
        If the loss is not finite, or the folder's checkpoint is of another run.
    SpectrumError
        If there are too few spectra.
    """
    folder = RunFolder(run_dir)
    if not resume:
        folder.forget()
    settings = dataclasses.asdict(config)
    identity = {
        **settings,
        "hidden": list(config.hidden),
        "data_hash": data.survey.get("data_hash"),
        "n": len(data.split),
    }
    folder.require_same_run(identity)
    with folder.exit_record() as facts:
        folder.start({"vae": settings, "identity": identity})
        prepared = _Prepared(data, config.softening)
        training = _VaeTraining(config)
        if has_checkpoint(folder.checkpoint_dir):
            tensors, numbers = load_checkpoint(folder.checkpoint_dir)
            require_same(numbers["identity"], identity, folder.checkpoint_dir)
            training.restore(tensors, numbers)
            folder.keep_rows(lambda row: row["epoch"] <= training.epoch)
        _run(training, prepared, folder, identity, progress, stop or (lambda: False))
        training.model.load_state_dict(training.best)
        facts["scores"] = _ship(training, prepared, folder, data.survey, name)
    return folder.bundle_dir


def _run(
    training: _VaeTraining,
    prepared: _Prepared,
    folder: RunFolder,
    identity: Row,
    progress: Progress | None,
    stop: Callable[[], bool],
) -> None:
    while not training.is_finished:
        row: Row = {"kind": "epoch", "epoch": training.epoch + 1, "lr": training.optimiser.param_groups[0]["lr"]}
        row |= training.train_epoch(prepared)
        row |= training.validate(prepared)
        training.judge(row["valid_loss"])
        training.epoch += 1
        row["best_epoch"] = training.best_epoch + 1
        folder.record(row)
        training.save(folder.checkpoint_dir, identity)
        if progress:
            progress(row)
        if stop() and not training.is_finished:
            raise RunStopped(f"stopped after epoch {training.epoch}; run again to go on")


def line_strength(flux_norm: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return flux around H-alpha over the continuum beside it, (N,): a stand-in for EW(Ha) that fixes signs."""
    wave = wave_grid()
    centre = line_by_name("Halpha").wave_vac
    distance = np.abs(wave - centre)
    line, continuum = distance < 12.0, (distance > 50.0) & (distance < 110.0)
    return np.asarray(flux_norm[:, line].mean(axis=1) / flux_norm[:, continuum].mean(axis=1), np.float64)


@torch.no_grad()
def order_latents(model: InfoVAE, x: Tensor, mean_flux: NDArray[np.float64]) -> None:
    """Permute and flip the latents inside the weights: most explained variance first, all rising with EW(Ha).

    Parameters
    ----------
    model : InfoVAE
        Changed in place; it encodes and decodes as before.
    x : Tensor, shape (N, 1000)
        Train spectra minus the mean.
    mean_flux : ndarray, shape (1000,)
        Mean spectrum, to measure H-alpha on whole spectra.
    """
    latent = model.encode(x)[0]
    centre = latent.mean(dim=0)
    explained = []
    for index in range(model.n_latent):
        alone = centre.expand_as(latent).clone()
        alone[:, index] = latent[:, index]
        explained.append(float(model.decode(alone).var(dim=0).sum()))
    strength = torch.from_numpy(line_strength(model.decode(latent).numpy() + mean_flux)).float()
    centred = latent - centre
    covariance = (centred * (strength - strength.mean())[:, None]).mean(dim=0)
    order = torch.tensor(sorted(range(model.n_latent), key=lambda index: -explained[index]))
    sign = torch.where(covariance < 0, -1.0, 1.0)[order]
    last, first = model.encoder[-1], model.decoder[0]
    if not isinstance(last, nn.Linear) or not isinstance(first, nn.Linear):  # for the type checker: both end in linears
        raise TypeError("the encoder must end and the decoder begin with a linear layer")
    rows = torch.cat([order, order + model.n_latent])  # means, then log variances
    signs = torch.cat([sign, torch.ones_like(sign)])
    last.weight.copy_(last.weight[rows] * signs[:, None])
    last.bias.copy_(last.bias[rows] * signs)
    first.weight.copy_(first.weight[:, order] * sign)


def weighted_mse(model_flux: Floats32, flux: Floats32, ivar: Floats32) -> float:
    """Return the mean over spectra of chi squared per pixel with data."""
    has_data = ivar > 0
    chi2 = np.where(has_data, ivar * (model_flux - flux) ** 2, 0.0).sum(axis=1) / has_data.sum(axis=1)
    return float(chi2.mean())


@torch.no_grad()
def _ship(training: _VaeTraining, prepared: _Prepared, folder: RunFolder, survey: Row, name: str) -> Row:
    """Order the latents, measure the reconstruction on valid beside principal components, write the bundle."""
    model = training.model.eval()
    preprocessor = prepared.preprocessor
    order_latents(model, prepared.train_x[:_N_ORDER], preprocessor.mean_flux)
    latent = torch.cat([model.encode(block)[0] for block in prepared.train_x.split(_N_ORDER)])
    mean_flux = preprocessor.mean_flux.astype(np.float32)
    vae_flux = model.decode(model.encode(prepared.valid_x)[0]).numpy() + mean_flux
    flux, ivar = prepared.valid_flux, prepared.valid_ivar
    scores: Row = {
        "measure": "chi squared per pixel with data, mean over valid spectra; PCA fitted to the same measure",
        "valid_chi2_vae": round(weighted_mse(vae_flux, flux, ivar), 4),
        "n_valid": len(flux),
        "n_train": len(latent),
        "epochs": training.epoch,
        "best_epoch": training.best_epoch + 1,
        "valid_loss": round(training.best_loss, 4),
    }
    for n_vectors in (6, 10):
        start = preprocessor.mean_flux, preprocessor.eigenvectors[:n_vectors]
        components = fit_chi2_components(prepared.fit_flux, prepared.fit_ivar, *start)
        model_flux = reconstruct(flux, ivar, *components).astype(np.float32)
        scores[f"valid_chi2_pca{n_vectors}"] = round(weighted_mse(model_flux, flux, ivar), 4)
    save_vae_bundle(
        folder.bundle_dir,
        model=model,
        preprocessor=preprocessor,
        latent_mean=latent.mean(dim=0),
        latent_std=latent.std(dim=0),
        name=name,
        training_survey=survey,
        recipe={**dataclasses.asdict(training.config), "hidden": list(training.config.hidden)},
        scores=scores,
    )
    return scores

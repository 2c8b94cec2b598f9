"""Train the VAE of spectra: preprocessing fitted on train, InfoVAE loss, latents ordered and signed, a bundle."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from galspec.core.errors import RunError
from galspec.models.vae import InfoVAE, info_vae_loss
from galspec.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from galspec.training.run_folder import Row, RunFolder, RunStopped, require_same
from galspec.training.vae_bundle import write_vae_bundle
from galspec.training.vae_data import PreparedSpectra, SpectrumSet, VaeConfig

Progress = Callable[[Row], None]

#: The discrepancy compares all pairs: blocks bound its memory for surveys of any size.
_N_VALID: Final = 8192
#: Share of the one-cycle schedule in which the learning rate rises, and the lowest one as a share of the peak.
_WARM_UP: Final = 0.15
_LOWEST: Final = 1e-3


def one_cycle_lr(position: float, max_lr: float) -> float:
    """Return the learning rate at a position of the training, 0 (start) to 1 (end)."""
    if position < _WARM_UP:
        return max_lr * (_LOWEST + (1.0 - _LOWEST) * 0.5 * (1.0 - math.cos(math.pi * position / _WARM_UP)))
    return max_lr * (
        _LOWEST + (1.0 - _LOWEST) * 0.5 * (1.0 + math.cos(math.pi * (position - _WARM_UP) / (1 - _WARM_UP)))
    )


class VaeTraining:
    """Model, optimiser and position of a run: what a checkpoint holds."""

    def __init__(self, config: VaeConfig):
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = InfoVAE(config.n_latent, config.hidden)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.max_lr, fused=True)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.epoch = 0
        self.best_loss, self.best_epoch, self.lr_epoch = math.inf, -1, 0
        self.best: dict[str, Tensor] = self._weights()

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def train_epoch(self, prepared: PreparedSpectra) -> Row:
        """Pass once through the train spectra in a new order."""
        config = self.config
        order = torch.randperm(len(prepared.train_x), generator=self.generator)
        sums = np.zeros(4)
        batches = order.split(config.batch_size)
        self.model.train()
        for index, rows in enumerate(batches):
            if config.schedule == "one_cycle":
                self._set_lr(one_cycle_lr((self.epoch + index / len(batches)) / config.n_epochs, config.max_lr))
            x, weight = prepared.train_x[rows], prepared.train_weight[rows]
            noisy = None
            if config.input_noise:
                noise = torch.randn(x.shape, generator=self.generator)
                noisy = x + config.input_noise * prepared.train_error[rows] * noise
            loss = info_vae_loss(self.model, x, weight, config.mmd_lambda, self.generator, noisy)
            self.optimiser.zero_grad(set_to_none=True)
            loss.total.backward()
            if config.grad_clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), config.grad_clip)
            self.optimiser.step()
            sums += [float(term.detach()) for term in (loss.total, loss.reconstruction, loss.kl, loss.mmd)]
        means = sums / len(batches)
        if not np.isfinite(means).all():
            raise RunError(f"the loss is not finite in epoch {self.epoch + 1}; lower max_lr.")
        return dict(
            zip(("train_loss", "train_reconstruction", "train_kl", "train_mmd"), means.round(5).tolist(), strict=True)
        )

    @torch.no_grad()
    def validate(self, prepared: PreparedSpectra) -> Row:
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
        elif self.config.schedule == "plateau" and self.epoch - self.lr_epoch >= self.config.plateau_patience:
            self.lr_epoch = self.epoch
            self._set_lr(0.1 * self.optimiser.param_groups[0]["lr"])

    def _set_lr(self, lr: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    @property
    def is_finished(self) -> bool:
        """True if the epochs are done or the valid loss has stopped falling."""
        has_stalled = self.epoch - 1 - self.best_epoch >= self.config.stop_patience
        return self.epoch >= self.config.n_epochs or (self.config.schedule == "plateau" and has_stalled)

    def summary(self) -> Row:
        """Return how long was trained, for the bundle's scores."""
        return {
            "epochs": self.epoch,
            "best_epoch": self.best_epoch + 1,
            "valid_loss": round(self.best_loss, 4),
        }

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
        prepared = PreparedSpectra(data, config.softening)
        training = VaeTraining(config)
        if has_checkpoint(folder.checkpoint_dir):
            tensors, numbers = load_checkpoint(folder.checkpoint_dir)
            require_same(numbers["identity"], identity, folder.checkpoint_dir)
            training.restore(tensors, numbers)
            folder.keep_rows(lambda row: row["epoch"] <= training.epoch)
        _run(training, prepared, folder, identity, progress, stop or (lambda: False))
        training.model.load_state_dict(training.best)
        facts["scores"] = write_vae_bundle(
            folder.bundle_dir, training.model.eval(), prepared, config, data.survey, name, training.summary()
        )
    return folder.bundle_dir


def _run(
    training: VaeTraining,
    prepared: PreparedSpectra,
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

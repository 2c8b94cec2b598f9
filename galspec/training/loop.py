"""The training loop of the networks: batches, validation, progress, checkpoints; resumes bit for bit on one CPU.

Several processes (`galspec.training.distributed`) share each batch: the batch size is that of all together, the
normalisations see the whole batch (`galspec.models.processes`) and gradients are averaged, so that a run of N
processes is, to rounding, the run of one process, and may be continued with another N. Every process holds the
same weights, optimiser and position; the first one writes the files.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from galspec.core.errors import ConfigError, RunError
from galspec.core.provenance import git_commit
from galspec.models.processes import synchronise_statistics
from galspec.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from galspec.training.config import CnnConfig
from galspec.training.data import Batch, Loader, Selection, TrainingSet, plan_epoch, plan_in_order
from galspec.training.distributed import ALONE, Processes
from galspec.training.gpu import out_of_memory, watch_utilisation
from galspec.training.optim import AveragedWeights, Ranger, gradient_norm
from galspec.training.run_folder import Progress, Row, RunFolder, RunStopped, require_same
from galspec.training.watch import Clock, LossWatch


@dataclasses.dataclass
class Position:
    """Where a run is: batches done in the present epoch, and what happened so far."""

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    n_passes: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    best_epoch: int = -1
    best_mse: float = math.inf

    def to_numbers(self) -> Row:
        """Return a JSON object; infinity, which JSON lacks, becomes null."""
        return {**dataclasses.asdict(self), "best_mse": self.best_mse if math.isfinite(self.best_mse) else None}

    @classmethod
    def from_numbers(cls, numbers: Row) -> "Position":
        """Read what `to_numbers` wrote."""
        best = numbers["best_mse"]
        return cls(**{**numbers, "best_mse": math.inf if best is None else best})


class CnnTraining:
    """A network in training on one device, with everything that a checkpoint has to hold.

    Parameters
    ----------
    network : nn.Module
        Maps scaled images (B, 5, H, H) to latents (B, D).
    data : TrainingSet
    loader : HostLoader or DeviceLoader
        Of the same data, on the same device.
    config : CnnConfig
    device : torch.device
    processes : Processes
        Those that train this network together.

    Raises
    ------
    ConfigError
        If the settings do not go with several processes.
    """

    def __init__(
        self,
        network: nn.Module,
        data: TrainingSet,
        loader: Loader,
        config: CnnConfig,
        device: torch.device,
        processes: Processes = ALONE,
    ):
        self.config = config
        self.processes = processes
        _require_shareable(config, len(data.rows("train")), processes.n)
        self.device = device
        self.data = data
        self.loader = loader
        memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network = network.to(device, memory_format=memory_format)  # type: ignore[call-overload]  # torch's stub
        self._memory_format = memory_format
        self._forward: nn.Module = torch.compile(self.network) if config.compile else self.network  # type: ignore[assignment]
        self.train_rows = data.rows("train")
        self.valid_rows = data.rows("valid")
        self.n_batches = max(1, len(self.train_rows) // config.batch_size)
        self._forward_training = self._forward if processes.n == 1 else self._shared_forward()
        n_steps = self.n_batches * config.n_epochs
        self.ranger = Ranger(self.network, n_steps, config.peak_lr, config.weight_decay, rule=config.optimiser)
        self.average = AveragedWeights(self.network, config.ema_decay) if config.ema_decay else None
        self.at = Position()
        self.best: dict[str, Tensor] = {}
        self.gradient_norm: Tensor | None = None

    def _shared_forward(self) -> nn.Module:
        """Return the network as all processes train it together."""
        synchronise_statistics(self.network)
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(self.network, device_ids=device_ids)

    def batches(self, selections: Sequence[Selection]) -> Generator[Batch, None, None]:
        """Yield this process's share of the batches."""
        return self.loader.batches([one.share(self.processes.rank, self.processes.n) for one in selections])

    def predict(self, images: Tensor) -> Tensor:
        """Return latents (B, D) float32 in the precision of the run."""
        images = images.contiguous(memory_format=self._memory_format)
        is_mixed = self.config.precision == "bf16"
        forward = self._forward_training if self.network.training else self._forward
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_mixed):
            return forward(images).float()

    def train_batch(self, images: Tensor, targets: Tensor, is_watched: bool = False) -> Tensor:
        """Take one optimiser step; return the loss without waiting for the device.

        With ``is_watched`` the norm of the gradient, before clipping, is kept in ``gradient_norm``.
        """
        self.ranger.zero_grad()
        loss = F.mse_loss(self.predict(images), targets)
        loss.backward()
        if is_watched:
            self.gradient_norm = gradient_norm(self.network)
        if self.config.grad_clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.grad_clip)
        self.ranger.step()
        if self.average:
            self.average.update(self.network)
        return loss.detach()

    def weights(self) -> dict[str, Tensor]:
        """Return the weights that are judged: the average if there is one, else the present ones."""
        return dict(self.average.average) if self.average else dict(self.network.state_dict())

    def checkpoint(self) -> tuple[dict[str, Tensor], Row]:
        """Return the tensors and numbers from which the run continues bit for bit."""
        tensors = {f"net.{name}": value for name, value in self.network.state_dict().items()}
        optimiser, numbers = self.ranger.state()
        tensors |= {f"opt.{name}": value for name, value in optimiser.items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        content: Row = {"at": self.at.to_numbers(), "optimiser": numbers, "average": {}}
        if self.average:
            averaged, content["average"] = self.average.state()
            tensors |= {f"ema.{name}": value for name, value in averaged.items()}
        return tensors, content

    def load_checkpoint(self, tensors: Mapping[str, Tensor], numbers: Row) -> None:
        """Go back to what `checkpoint` returned."""
        self.network.load_state_dict(_under("net.", tensors))
        self.ranger.load_state(_under("opt.", tensors), numbers["optimiser"])
        self.best = {name: value.clone() for name, value in _under("best.", tensors).items()}
        if self.average:
            self.average.load_state(_under("ema.", tensors), numbers["average"])
        self.at = Position.from_numbers(numbers["at"])


def _require_shareable(config: CnnConfig, n_train: int, n_processes: int) -> None:
    """Refuse settings that do not go with several processes."""
    if n_processes == 1:
        return
    if config.batch_size % n_processes or config.batch_size > n_train:
        raise ConfigError(
            f"batch_size is {config.batch_size} for all {n_processes} processes together: it must be a multiple of "
            f"{n_processes} and at most the {n_train} galaxies of the train split."
        )
    if config.compile:
        raise ConfigError("compile does not go with several processes; leave it out.")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@contextlib.contextmanager
def _weights_in(training: CnnTraining, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Judge other weights for a moment, then put the network's own back."""
    own = {name: value.clone() for name, value in training.network.state_dict().items()}
    training.network.load_state_dict(weights)
    try:
        yield
    finally:
        training.network.load_state_dict(own)


@torch.no_grad()
def evaluate(training: CnnTraining, rows: NDArray[np.int64]) -> Row:
    """Measure the network in evaluation mode.

    Returns
    -------
    dict
        ``mse`` and ``rmse`` over all latents, ``mse_per_latent`` and ``r2_per_latent`` (variance
        of the same galaxies), ``n``; standardised latents, so a mean predictor has about 1.
    """
    training.network.eval()
    processes = training.processes
    own_rows = rows[processes.rank :: processes.n]
    squared = torch.zeros(training.data.latents.shape[1], dtype=torch.float64, device=training.device)
    for batch in training.loader.batches(plan_in_order(own_rows, training.config.batch_size)):
        squared += (training.predict(batch.images) - batch.targets).double().square().sum(dim=0)
    training.network.train()
    mse = (processes.total(squared) / len(rows)).cpu().numpy()
    variance = training.data.latents[rows].astype(np.float64).var(axis=0)
    r2 = 1.0 - mse / np.maximum(variance, 1e-12)
    if not np.isfinite(mse).all():
        raise RunError("the network predicts values that are not finite; lower max_lr or use precision fp32.")
    return {
        "mse": float(mse.mean()),
        "rmse": float(np.sqrt(mse.mean())),
        "mse_per_latent": [round(float(value), 6) for value in mse],
        "r2_per_latent": [round(float(value), 6) for value in r2],
        "n": len(rows),
    }


@contextlib.contextmanager
def judged_weights(training: CnnTraining) -> Iterator[None]:
    """Put the weights that validation judges into the network for the length of the block."""
    if training.average is None:
        yield
        return
    with _weights_in(training, training.weights()):
        yield


def _evaluate_judged(training: CnnTraining) -> Row:
    with judged_weights(training):
        return evaluate(training, training.valid_rows)


class _Saver:
    """Writes checkpoints: at the end of epochs and every few minutes."""

    def __init__(self, training: CnnTraining, folder: RunFolder, identity: Row):
        self._training, self._folder, self._identity = training, folder, identity
        self._last = time.monotonic()

    def save(self) -> None:
        """Write a checkpoint now."""
        if not self._folder.is_writer:
            return
        tensors, numbers = self._training.checkpoint()
        save_checkpoint(self._folder.checkpoint_dir, tensors, {"identity": self._identity, **numbers})
        self._last = time.monotonic()

    def save_if_due(self) -> None:
        """Write a checkpoint if the last one is old."""
        if time.monotonic() - self._last > 60.0 * self._training.config.checkpoint_minutes:
            self.save()

    def restore(self) -> bool:
        """Continue from the folder's checkpoint if there is one; refuse one of another run."""
        if not has_checkpoint(self._folder.checkpoint_dir):
            return False
        tensors, numbers = load_checkpoint(self._folder.checkpoint_dir)
        require_same(numbers["identity"], self._identity, self._folder.checkpoint_dir)
        self._training.load_checkpoint(tensors, numbers)
        step = self._training.ranger.n_done
        self._folder.keep_rows(lambda row: row.get("step", 0) <= step)
        return True


def _train_epoch(training: CnnTraining, saver: _Saver, watch: LossWatch, stop: Callable[[], bool]) -> None:
    """Train the rest of the present epoch."""
    config, at = training.config, training.at
    plan = plan_epoch(training.train_rows, config.batch_size, config.seed, at.epoch, config.is_augmented)
    clock = Clock(at)
    training.network.train()
    rest = plan[at.batch :]
    with contextlib.closing(training.batches(rest)) as batches:
        for selection, batch in zip(rest, batches, strict=True):
            is_due = (at.batch + 1) % config.report_batches == 0 or at.batch + 1 == len(plan)
            watch.add(training.train_batch(batch.images, batch.targets, is_due), selection.rows)
            at.batch += 1
            at.n_passes += len(selection.rows)
            if is_due:
                watch.look()  # waits for the device, so that the time is that of the work done
            clock.move()
            if is_due:
                watch.report()
            if training.processes.agree(stop()):
                watch.look()
                saver.save()
                raise RunStopped(f"stopped in epoch {at.epoch + 1} after batch {at.batch}; run again to go on")
            saver.save_if_due()


def _finish_epoch(training: CnnTraining, record: Progress) -> Row:
    """Validate, remember the best weights, move on to the next epoch."""
    at = training.at
    started = time.perf_counter()
    scores = _evaluate_judged(training)
    if scores["mse"] < at.best_mse:
        at.best_mse, at.best_epoch = scores["mse"], at.epoch
        training.best = {name: value.detach().clone() for name, value in training.weights().items()}
    at.seconds += time.perf_counter() - started
    trained = at.batch * min(training.config.batch_size, len(training.train_rows))
    row: Row = {
        "kind": "epoch",
        "epoch": at.epoch + 1,
        "n_epochs": training.config.n_epochs,
        "step": training.ranger.n_done,
        "n_passes": at.n_passes,
        "train_mse": round(at.loss_sum / max(at.batch, 1), 6),
        **{f"valid_{name}": value for name, value in scores.items()},
        "best_epoch": at.best_epoch + 1,
        "seconds": round(at.seconds, 1),
        "epoch_seconds": round(at.epoch_seconds, 1),
        "images_per_s": round(trained / max(at.epoch_seconds, 1e-9), 2),
    }
    record(row)
    at.epoch, at.batch, at.loss_sum, at.epoch_seconds = at.epoch + 1, 0, 0.0, 0.0
    return row


def run_training(
    training: CnnTraining,
    folder: RunFolder,
    identity: Row,
    progress: Progress | None,
    stop: Callable[[], bool],
    after_epoch: Callable[[], Row] | None = None,
) -> None:
    """Train to the end from wherever the folder's checkpoint is.

    Parameters
    ----------
    training : CnnTraining
    folder : RunFolder
    identity : dict
        What a checkpoint must have in common with this run.
    progress : callable, optional
        Called with each row of metrics.jsonl.
    stop : callable
        Asked after each batch.
    after_epoch : callable, optional
        Gives one more row for metrics.jsonl, before the epoch's checkpoint.

    Raises
    ------
    RunStopped
        If ``stop`` turned true; a checkpoint was written.
    RunError
        If the loss is not finite, the checkpoint belongs to another run, or a batch does not fit into the GPU.
    """
    with contextlib.suppress(torch.OutOfMemoryError):
        _run_epochs(training, folder, identity, progress, stop, after_epoch)
        return
    raise RunError(out_of_memory(training))


def _run_epochs(
    training: CnnTraining,
    folder: RunFolder,
    identity: Row,
    progress: Progress | None,
    stop: Callable[[], bool],
    after_epoch: Callable[[], Row] | None,
) -> None:
    saver = _Saver(training, folder, identity)
    if saver.restore():
        folder.log("continues", f"in epoch {training.at.epoch + 1} after batch {training.at.batch}")

    def record(row: Row) -> None:
        folder.record(row)
        if progress:
            progress(row)

    patience = training.config.early_stopping
    with watch_utilisation(training.device) as utilisation:
        while training.at.epoch < training.config.n_epochs:
            if patience and training.at.epoch - 1 - training.at.best_epoch >= patience:
                folder.log(f"no better validation MSE in {patience} epochs")
                break
            _train_epoch(training, saver, LossWatch(training, record, utilisation), stop)
            _finish_epoch(training, record)
            if after_epoch:
                folder.record(after_epoch())
            saver.save()


def data_identity(data: TrainingSet) -> Row:
    """Return what a checkpoint must have in common with the data it is continued on."""
    return {"data": data.fingerprint, "n_train": len(data.rows("train")), "n_valid": len(data.rows("valid"))}


def runtime_facts(device: torch.device) -> dict[str, Any]:
    """Return commit, device and the settings of torch that change numbers or speed."""
    facts: dict[str, Any] = {
        "commit": git_commit(),
        "device": device.type,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        facts["device_name"] = torch.cuda.get_device_name(device)
        facts["tf32_matmul"] = torch.get_float32_matmul_precision() != "highest"
        facts["tf32_convolution"] = torch.backends.cudnn.allow_tf32
    return facts

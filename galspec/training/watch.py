"""What a training loop sees of itself: losses, speed, and the time it took."""

import math
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galspec.core.errors import RunError
from galspec.training.gpu import GpuUtilisation
from galspec.training.run_folder import Progress, Row

if TYPE_CHECKING:
    from galspec.training.loop import CnnTraining, Position

#: On a GPU the loss is looked at only so often, because looking makes the host wait for the device.
_LOOK_BATCHES: Final = 25


class LossWatch:
    """Looks at the losses now and then: reports speed, and stops the run when one is not finite."""

    def __init__(self, training: "CnnTraining", record: Progress, utilisation: GpuUtilisation):
        self._training = training
        self._record = record
        self._utilisation = utilisation
        self._pending: list[tuple[Tensor, NDArray[np.int64]]] = []
        self._since, self._n_images = time.perf_counter(), 0
        self._recent: list[float] = []
        self._look_batches = 1 if training.device.type == "cpu" else _LOOK_BATCHES

    def add(self, loss: Tensor, rows: NDArray[np.int64]) -> None:
        """Take in the loss of one batch, whose galaxies in all processes are ``rows``."""
        self._pending.append((loss, rows))
        self._n_images += len(rows)
        if len(self._pending) >= self._look_batches:
            self.look()

    def look(self) -> None:
        """Add the pending losses to the epoch's sum."""
        training = self._training
        if not self._pending:
            return
        losses = training.processes.total(torch.stack([loss for loss, _ in self._pending])) / training.processes.n
        for value, (_, rows) in zip(losses.tolist(), self._pending, strict=True):
            if not math.isfinite(value):
                names = ", ".join(map(str, training.data.ids[rows][:8]))
                raise RunError(
                    f"the loss is {value} in epoch {training.at.epoch + 1} for the batch with {names}, ...; "
                    "the last checkpoint is kept. Lower max_lr or use precision fp32."
                )
            training.at.loss_sum += value
            self._recent.append(value)
        self._pending = []

    def report(self) -> None:
        """Write one progress row."""
        self.look()
        at, now = self._training.at, time.perf_counter()
        row: Row = {
            "kind": "progress",
            "epoch": at.epoch + 1,
            "batch": at.batch,
            "n_batches": self._training.n_batches,
            "step": self._training.ranger.n_done,
            "n_passes": at.n_passes,
            "train_mse": round(float(np.mean(self._recent)), 6),
            "lr": self._training.ranger.lr,
            "images_per_s": round(self._n_images / (now - self._since), 2),
            "seconds": round(at.seconds, 1),
        }
        if self._training.gradient_norm is not None:
            row["gradient_norm"] = float(f"{float(self._training.gradient_norm):.4g}")
        if self._training.device.type == "cuda":
            row["gpu_memory_gb"] = round(torch.cuda.max_memory_allocated(self._training.device) / 1e9, 2)
        if (busy := self._utilisation.take()) is not None:
            row["gpu_utilisation_percent"] = busy
        self._record(row)
        self._since, self._n_images, self._recent = now, 0, []


class Clock:
    """Adds the time since it was made to a position."""

    def __init__(self, at: "Position"):
        self._at = at
        self._last = time.perf_counter()

    def move(self) -> None:
        """Add the time since the last call."""
        now = time.perf_counter()
        self._at.seconds += now - self._last
        self._at.epoch_seconds += now - self._last
        self._last = now

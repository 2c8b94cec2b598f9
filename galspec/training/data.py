"""Training sets and their batches: images as stored (float16, 100 nJy per pixel) in, scaled tensors out."""

import copy
import dataclasses
import hashlib
import queue
import threading
from collections.abc import Generator, Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galspec.core.bands import N_BANDS
from galspec.core.errors import ConfigError, ShapeError
from galspec.preprocess.cutouts import ImageScaler
from galspec.training.augment import apply_elements, draw_elements
from galspec.training.treatment import DeviceTreatment, HostTreatment

#: Splits that training and its last measurement look at; the calibration split is left for later.
LOADED_SPLITS: Final = ("train", "valid", "test")
#: Share of the free GPU memory that images may take; the rest is for activations.
_GPU_SHARE: Final = 0.6
_UPLOAD_ROWS: Final = 512
#: Batches prepared ahead; each is 128 MB at 128 cutouts of 5 x 224 x 224.
_N_AHEAD: Final = 2


class ImageArray(Protocol):
    """Anything that returns stored images by row: an array, a memory map, a survey."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 5, H, H)."""

    def __getitem__(self, rows: NDArray[np.int64]) -> Any:
        """Return the images of some ascending rows, float16, 100 nJy per pixel, NaN where there are no data."""


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """Images and the targets to predict from them.

    Parameters
    ----------
    images : array-like, shape (N, 5, H, H), float16
        100 nJy per pixel; NaN where the survey has no data.
    latents : ndarray, shape (N, D), float32
        Targets, standardised by the train split.
    split : ndarray, shape (N,), str
        "train", "valid", "calibration" or "test".
    ids : ndarray, shape (N,), str
    survey : dict
        What the bundle will say of its training data: name, source, data_hash, ranges.

    Raises
    ------
    ShapeError
        If the four disagree in length, or the images are not (N, 5, H, H).
    ConfigError
        If a target is not finite, or there is no galaxy to train or to validate on.
    """

    images: ImageArray
    latents: NDArray[np.float32]
    split: NDArray[np.str_]
    ids: NDArray[np.str_]
    survey: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.images.shape
        if len(shape) != 4 or shape[1] != N_BANDS or shape[2] != shape[3]:
            raise ShapeError(f"training images must be (N, {N_BANDS}, H, H), got {tuple(shape)}")
        lengths = {shape[0], len(self.latents), len(self.split), len(self.ids)}
        if len(lengths) != 1 or self.latents.ndim != 2:
            raise ShapeError(
                f"{shape[0]} images, latents of shape {self.latents.shape}, {len(self.split)} splits and "
                f"{len(self.ids)} ids do not match"
            )
        if not np.isfinite(self.latents).all():
            bad = self.ids[~np.isfinite(self.latents).all(axis=1)]
            raise ConfigError(f"{len(bad)} galaxies have latents that are not finite, the first is {bad[0]}.")
        for name in ("train", "valid"):
            if not len(self.rows(name)):
                raise ConfigError(f"no galaxy of {len(self.ids)} is in the {name} split; use a larger survey.")

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of one split, ascending."""
        return np.flatnonzero(np.asarray(self.split) == split)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, splits and targets: names the data set in checkpoints and reports."""
        digest = hashlib.sha256()
        for part in (self.ids, self.split):
            digest.update("\n".join(map(str, part)).encode())
        digest.update(np.ascontiguousarray(self.latents, dtype="<f4").tobytes())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Selection:
    """The rows of one batch, ascending (memory maps read forward), and the symmetry of each."""

    rows: NDArray[np.int64]
    elements: NDArray[np.uint8]

    def share(self, rank: int, n_processes: int) -> "Selection":
        """Return the part of one of several processes that train together."""
        return Selection(self.rows[rank::n_processes], self.elements[rank::n_processes])


@dataclasses.dataclass(frozen=True)
class Batch:
    """Scaled images (B, 5, H, H) float32 and targets (B, D) on the device, with their rows."""

    images: Tensor
    targets: Tensor
    rows: NDArray[np.int64]


def plan_epoch(
    rows: NDArray[np.int64], batch_size: int, seed: int, epoch: int, is_augmented: bool = True
) -> list[Selection]:
    """Shuffle the training rows of one epoch into batches.

    Everything follows from (seed, epoch), so that a resumed run needs to store no generator.
    The last, incomplete batch is left out, as the paper's code does, unless it is the only one.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(rows)
    elements = draw_elements(rng, len(rows)) if is_augmented else np.zeros(len(rows), np.uint8)
    n_batches = max(1, len(rows) // batch_size)
    selections = []
    for index in range(n_batches):
        here = slice(index * batch_size, (index + 1) * batch_size)
        ascending = np.argsort(order[here])
        selections.append(Selection(order[here][ascending], elements[here]))
    return selections


def plan_in_order(rows: NDArray[np.int64], batch_size: int) -> list[Selection]:
    """Cut rows into batches in their order, with no augmentation: for validation."""
    return [
        Selection(rows[first : first + batch_size], np.zeros(len(rows[first : first + batch_size]), np.uint8))
        for first in range(0, len(rows), batch_size)
    ]


class HostLoader:
    """Batches read and prepared by one thread ahead of the training, from memory or disk.

    Parameters
    ----------
    data : TrainingSet
    scaler : ImageScaler
        Scaling of the images, fitted on the train split.
    device : torch.device
        Where the batches go.
    """

    is_on_device = False

    def __init__(self, data: TrainingSet, scaler: ImageScaler, device: torch.device):
        self.scaler = scaler
        self._data = data
        self._device = device
        self._treat = HostTreatment(scaler)

    def with_scaler(self, scaler: ImageScaler) -> "HostLoader":
        """Return a loader of the same images under another treatment."""
        return HostLoader(self._data, scaler, self._device)

    def batches(self, selections: Sequence[Selection]) -> Generator[Batch, None, None]:
        """Yield the batches of the selections, in order; closing the iterator ends the thread."""
        ready: queue.Queue[Batch | BaseException | None] = queue.Queue(_N_AHEAD)
        is_closed = threading.Event()
        reader = threading.Thread(target=self._read, args=(selections, ready, is_closed), daemon=True)
        reader.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield self._to_device(item)
        finally:
            is_closed.set()
            while reader.is_alive():  # a full queue would keep the reader waiting for ever
                _drain(ready)
                reader.join(0.05)

    def _read(self, selections: Sequence[Selection], ready: "queue.Queue[Any]", is_closed: threading.Event) -> None:
        try:
            for selection in selections:
                if is_closed.is_set():
                    return
                stored = np.asarray(self._data.images[selection.rows], dtype=np.float16)
                images = torch.from_numpy(self._treat(stored, selection.elements))
                if self._device.type == "cuda":
                    images = images.pin_memory()
                ready.put(Batch(images, torch.from_numpy(self._data.latents[selection.rows]), selection.rows))
            ready.put(None)
        except BaseException as error:  # whatever stops the reader must stop the training
            ready.put(error)

    def _to_device(self, batch: Batch) -> Batch:
        images = batch.images.to(self._device, non_blocking=True)
        return Batch(images, batch.targets.to(self._device, non_blocking=True), batch.rows)


class DeviceLoader:
    """All images in GPU memory as float16; batches are cut, augmented and scaled there.

    Parameters
    ----------
    data : TrainingSet
    scaler : ImageScaler
    device : torch.device
    """

    is_on_device = True

    def __init__(self, data: TrainingSet, scaler: ImageScaler, device: torch.device):
        self.scaler = scaler
        self._device = device
        self._treat = DeviceTreatment(scaler, device)
        rows = np.flatnonzero(np.isin(data.split, LOADED_SPLITS))
        self._slot = np.full(len(data.ids), -1, np.int64)
        self._slot[rows] = np.arange(len(rows))
        self._images = torch.empty((len(rows), *data.images.shape[1:]), dtype=torch.float16, device=device)
        for first in range(0, len(rows), _UPLOAD_ROWS):
            block = np.array(data.images[rows[first : first + _UPLOAD_ROWS]], dtype=np.float16)
            self._images[first : first + len(block)] = torch.from_numpy(block).to(device).nan_to_num_(nan=0.0)
        self._targets = torch.from_numpy(np.ascontiguousarray(data.latents[rows])).to(device)

    def with_scaler(self, scaler: ImageScaler) -> "DeviceLoader":
        """Return a loader of the same images, which are in memory only once, under another treatment."""
        other = copy.copy(self)
        other.scaler, other._treat = scaler, DeviceTreatment(scaler, self._device)
        return other

    def batches(self, selections: Sequence[Selection]) -> Generator[Batch, None, None]:
        """Yield the batches of the selections, in order."""
        for selection in selections:
            slots = torch.from_numpy(self._slot[selection.rows]).to(self._device, non_blocking=True)
            elements = torch.from_numpy(selection.elements).to(self._device, non_blocking=True)
            images = self._treat(apply_elements(self._images[slots], elements))
            yield Batch(images, self._targets[slots], selection.rows)


Loader = HostLoader | DeviceLoader


def make_loader(data: TrainingSet, scaler: ImageScaler, device: torch.device) -> Loader:
    """Return the loader that keeps the device busy: all in GPU memory if it fits, else prefetched."""
    if device.type == "cuda":
        n_rows = int(np.isin(data.split, LOADED_SPLITS).sum())
        needed = 2 * n_rows * int(np.prod(data.images.shape[1:]))
        if needed <= _GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
            return DeviceLoader(data, scaler, device)
    return HostLoader(data, scaler, device)


def _drain(ready: "queue.Queue[Any]") -> None:
    while True:
        try:
            ready.get_nowait()
        except queue.Empty:
            return

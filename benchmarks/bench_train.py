"""Images per second of training the hybrid, beside the published layers in plain float32, on one GPU or CPU.

The images of both lie where training keeps them (in GPU memory, or prefetched from memory on a CPU), under the same
augmentation, so that what differs is the network, the precision and the optimiser. Noise stands in for galaxies.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from machine import store_result
from numpy.typing import NDArray
from reference_training import ReferenceStep, reference_hybrid
from torch import Tensor

from galspec.core.bands import N_BANDS
from galspec.models.catalog import TRAINABLE_PARAMETERS, build_network, count_trainable
from galspec.preprocess.cutouts import ImageScaler
from galspec.training.config import CnnConfig
from galspec.training.data import Batch, Loader, TrainingSet, make_loader, plan_epoch
from galspec.training.loop import CnnTraining
from galspec.training.memory import keep_freed_memory

Step = Callable[[Tensor, Tensor], Tensor]


class NoiseImages:
    """N images of noise of which only 256 exist: a survey's size on the GPU without its size in memory here."""

    def __init__(self, n: int, size: int):
        self.shape = (n, N_BANDS, size, size)
        generator = np.random.default_rng(1)
        self._images = generator.standard_normal((256, N_BANDS, size, size), np.float32).astype(np.float16)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        return self._images[np.asarray(rows) % len(self._images)]


def make_set(n: int, size: int) -> TrainingSet:
    """Return n galaxies of noise, two of them to validate on."""
    split = np.full(n, "train")
    split[-2:] = "valid"
    latents = np.random.default_rng(2).standard_normal((n, 6), np.float32)
    return TrainingSet(NoiseImages(n, size), latents, split, np.array([f"noise-{index}" for index in range(n)]))


def batches(data: TrainingSet, loader: Loader, config: CnnConfig, n: int) -> Iterator[Batch]:
    """Yield n training batches, through as many epochs as it takes."""
    plan, epoch = [], 0
    while len(plan) < n:
        plan += plan_epoch(data.rows("train"), config.batch_size, config.seed, epoch)
        epoch += 1
    yield from loader.batches(plan[:n])


def measure(step: Step, data: TrainingSet, loader: Loader, config: CnnConfig, n_batches: int) -> dict[str, float]:
    """Time n batches after a third as many to warm up; memory is the largest since the process began to train."""
    is_cuda = torch.cuda.is_available()
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    n_warm = max(2, n_batches // 3)
    started, loss = 0.0, torch.zeros(())
    for index, batch in enumerate(batches(data, loader, config, n_warm + n_batches)):
        if index == n_warm:
            float(loss)  # waits for the device
            started = time.perf_counter()
        loss = step(batch.images, batch.targets)
    last = float(loss)
    seconds = time.perf_counter() - started
    result = {"images_per_s": round(n_batches * config.batch_size / seconds, 1), "last_loss": round(last, 4)}
    if is_cuda:
        result["peak_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return result


def measure_ours(
    data: TrainingSet, loader: Loader, config: CnnConfig, device: torch.device, n: int
) -> dict[str, float]:
    """Time galspec's training step."""
    torch.manual_seed(config.seed)
    training = CnnTraining(build_network(config.model), data, loader, config, device)
    training.network.train()
    return measure(training.train_batch, data, loader, config, n)


def measure_reference(
    data: TrainingSet, loader: Loader, config: CnnConfig, device: torch.device, n: int, tf32: bool
) -> dict[str, float]:
    """Time the published step, with TF32 in convolutions (torch's default, the kinder one) or without it."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        torch.manual_seed(config.seed)
        network = reference_hybrid().to(device)
        if count_trainable(network) != TRAINABLE_PARAMETERS["xresnet18-hybrid"]:
            raise RuntimeError(f"the reference has {count_trainable(network)} parameters: it is not the hybrid.")
        return measure(ReferenceStep(network), data, loader, config, n)
    finally:
        torch.backends.cudnn.allow_tf32 = before


def main() -> None:
    """Measure ours, compiled and not, and the reference, and store the result."""
    is_cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if is_cuda else "cpu")
    parser.add_argument("--n-galaxies", type=int, default=64000 if is_cuda else 256)
    parser.add_argument("--size", type=int, default=224, help="pixels along a side")
    parser.add_argument("--batch-size", type=int, default=128 if is_cuda else 32)
    parser.add_argument("--batches", type=int, default=150 if is_cuda else 3)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cpu":
        keep_freed_memory()
    torch.set_float32_matmul_precision("high")
    data = make_set(args.n_galaxies, args.size)
    loader = make_loader(data, ImageScaler(np.zeros(N_BANDS), np.full(N_BANDS, 100.0)), device)
    config = CnnConfig(batch_size=args.batch_size, channels_last=True, precision="bf16")
    ours = {"eager": measure_ours(data, loader, config, device, args.batches)}
    if device.type == "cuda" and not args.no_compile:
        compiled = dataclasses.replace(config, compile=True)
        ours["compiled"] = measure_ours(data, loader, compiled, device, args.batches)
    torch.set_float32_matmul_precision("highest")
    reference = {
        name: measure_reference(data, loader, config, device, args.batches, tf32)
        for name, tf32 in (("tf32_convolutions", True), ("fp32", False))
        if not tf32 or device.type == "cuda"  # CPUs have no TF32
    }
    best = max(one["images_per_s"] for one in ours.values())
    store_result(
        "train",
        {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "model": config.model,
            "settings": {name: getattr(args, name) for name in ("n_galaxies", "size", "batch_size", "batches")},
            "images_on_device": loader.is_on_device,
            "ours_bf16_channels_last": ours,
            "reference_float32_eager": reference,
            "times_reference": {name: round(best / one["images_per_s"], 2) for name, one in reference.items()},
            **({"seconds_44800_galaxies_50_epochs": round(44800 * 50 / best)} if args.size == 224 else {}),
        },
    )


if __name__ == "__main__":
    main()

"""What a start costs: ratios of the way it is done to the usual way, each pair side by side in one run.

The first step of the optimiser, the fit of the image scaling, the running median of outlier detection, the garbage
collection that Streamlit runs after every run of a page, and a training step in bf16 and fp32 on this processor.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import store_result

#: Takes one step, and prints how long it took from the import of torch on.
_FIRST_STEP = """
import time; started = time.perf_counter()
import torch
from torch import nn
from galspec.training.optim import Ranger, parameter_groups
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
optimiser = {make}
optimiser.zero_grad()
network(torch.ones(4, 8, 8)).square().mean().backward()
optimiser.step()
print(time.perf_counter() - started)
"""
_OURS = "Ranger(network, 10)"
_TORCHS = "torch.optim.RAdam(parameter_groups(network, 0.01), decoupled_weight_decay=True)"


def median_s(act: Callable[[], Any], n: int) -> float:
    """Return the median time of n calls, after one that does not count."""
    act()
    times = []
    for _ in range(n):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def pair(ours_s: float, usual_s: float) -> dict[str, float]:
    times = {"ours_s": round(ours_s, 4), "usual_s": round(usual_s, 4)}
    # Nothing is left to collect where the ratio would be infinite.
    return {**times, "usual_over_ours": round(usual_s / ours_s, 2)} if ours_s > 1e-4 else times


def first_steps(n: int) -> dict[str, float]:
    """Start Python, import torch, take one step: by torch's functions, and by its optimiser objects."""

    def once(make: str) -> float:
        words = [sys.executable, "-c", _FIRST_STEP.format(make=make)]
        return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    times = [(once(_OURS), once(_TORCHS)) for _ in range(n)]
    return pair(statistics.median(a for a, _ in times), statistics.median(b for _, b in times))


def scalings(n: int) -> dict[str, float]:
    """Fit mean and deviation of 64 cutouts: image by image, and as one block."""
    from galspec.preprocess.cutouts import ImageScaler

    block = np.random.default_rng(1).standard_normal((64, 5, 224, 224)).astype(np.float32)

    def as_block() -> None:
        pixels = np.moveaxis(np.nan_to_num(block.astype(np.float64), posinf=0.0, neginf=0.0), 1, 0).reshape(5, -1)
        mean = pixels.mean(axis=1)
        np.sqrt(((pixels - mean[:, None]) ** 2).mean(axis=1))

    return pair(median_s(lambda: ImageScaler.fit([block]), n), median_s(as_block, n))


def running_medians(n: int) -> dict[str, float]:
    """Take the running median of 2,000 spectra over 11 pixels: ours, and SciPy's."""
    from scipy.ndimage import median_filter

    from galspec.preprocess.quality import _running_median

    values = np.random.default_rng(1).standard_normal((2000, 1000))
    return pair(
        median_s(lambda: _running_median(values, 11), n),
        median_s(lambda: median_filter(values, size=(1, 11), mode="nearest"), n),
    )


def collections(n: int) -> dict[str, float]:
    """Collect garbage with the app's modules and models loaded: settled, and not."""
    import galspec.ui.galaxy
    import galspec.ui.galaxy_panels
    import galspec.ui.galaxy_plot  # noqa: F401
    from galspec.ui import models

    models.load_models()
    usual = median_s(lambda: gc.collect(2), n)
    models._settle()
    ours = median_s(lambda: gc.collect(2), n)
    gc.unfreeze()
    return pair(ours, usual)


def precisions(n: int) -> dict[str, float]:
    """Take training steps of simple-cnn, 16 images, one thread: in fp32, and in bf16."""
    import torch

    from galspec.models.catalog import build_network

    torch.set_num_threads(1)
    network = build_network("simple-cnn").train()
    images = torch.randn(16, 5, 224, 224)

    def step(is_mixed: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            loss = network(images).float().square().mean()
        loss.backward()

    return pair(median_s(lambda: step(False), n), median_s(lambda: step(True), n))


def main() -> int:
    """Measure; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    n = parser.parse_args().repeats
    load = os.getloadavg()[0]
    result: dict[str, Any] = {
        "first_optimiser_step": first_steps(n),
        "image_scaling_64_cutouts": scalings(n),
        "running_median_2000_spectra": running_medians(n),
        "garbage_collection": collections(n),
        "training_step_fp32_and_bf16": precisions(n),
        "load_average_at_start": round(load, 1),
    }
    store_result("start", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Galaxies per second of every backend and mode beside the published layers, in one run; accuracy and memory too.

Each round runs every variant once, one after the other, so that a busy moment of the machine hits all of them;
medians over the rounds. Images are rendered galaxies of the demo survey's test split, already scaled and in memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import store_result
from numpy.typing import NDArray
from published_layers import published_hybrid

from galspec.core.errors import ConfigError
from galspec.core.home import demo_survey_dir
from galspec.inference.engine import Engine
from galspec.inference.plan import BACKENDS, MODES, plan_inference
from galspec.inference.survey import write_predictions
from galspec.models.bundle import load_predictor_bundle, load_vae_bundle, shipped_predictor_dir, shipped_vae_dir
from galspec.store.images import from_stored
from galspec.store.survey import open_survey

Floats32 = NDArray[np.float32]
Run = Callable[[Floats32], Floats32]
REFERENCE = "published layers, float32"
#: Runs of one image in one measurement: a single run is too short to time.
N_SINGLE = 5


def make_variants(device: str, with_compile: bool, scaled: Floats32) -> tuple[dict[str, Run], dict[str, Any]]:
    """Return how to run the network by name, and the seconds each took to prepare, or why it cannot run here."""
    predictor = load_predictor_bundle(shipped_predictor_dir())
    unfolded = load_predictor_bundle(shipped_predictor_dir(), fold=False)
    variants: dict[str, Run] = {
        REFERENCE: published_hybrid(unfolded.network, device),
        "eager unfolded, exact": Engine(unfolded, plan_inference("eager", device=device)).latents_of_scaled,
    }
    set_up: dict[str, Any] = {}
    for backend in BACKENDS:
        for mode in MODES:
            name = f"{backend}, {mode}"
            if backend == "compile" and not with_compile:
                set_up[name] = "left out on the command line"
                continue
            start = time.perf_counter()
            try:
                engine = Engine(predictor, plan_inference(backend, mode, device=device))
            except ConfigError as error:
                set_up[name] = f"not run: {error}"
                continue
            engine.latents_of_scaled(scaled[:32])
            set_up[name] = round(time.perf_counter() - start, 2)
            variants[name] = engine.latents_of_scaled
    return variants, set_up


def measure_speed(variants: dict[str, Run], images: Floats32, rounds: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return galaxies per second and the ratio to the reference, medians over rounds that run every variant once."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run(images)
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            for _ in range(repeats):
                run(images)
            times[name].append((time.perf_counter() - start) / (repeats * len(images)))
    reference = times[REFERENCE]
    return {
        name: {
            "galaxies_per_s": round(1.0 / statistics.median(values), 2),
            "ratio_to_published": round(
                statistics.median(slow / fast for slow, fast in zip(reference, values, strict=True)), 3
            ),
        }
        for name, values in times.items()
    }


def measure_accuracy(variants: dict[str, Run], scaled: Floats32, true: Floats32) -> dict[str, dict[str, float]]:
    """Return differences of the latents from the reference, in standard deviations, and the change of the MSE."""
    expected = _in_batches(variants[REFERENCE], scaled)
    expected_mse = float(((expected - true) ** 2).mean())
    result = {}
    for name, run in variants.items():
        found = _in_batches(run, scaled)
        result[name] = {
            "rms_difference": float(f"{np.sqrt(((found - expected) ** 2).mean()):.3g}"),
            "max_difference": float(f"{np.abs(found - expected).max():.3g}"),
            "mse": round(float(((found - true) ** 2).mean()), 5),
            "mse_change": float(f"{((found - true) ** 2).mean() - expected_mse:.3g}"),
        }
    return result


def _in_batches(run: Run, scaled: Floats32) -> Floats32:
    return np.concatenate([run(scaled[start : start + 32]) for start in range(0, len(scaled), 32)])


def predict_and_report(backend: str, n_galaxies: int) -> None:
    """Predict galaxies of the demo survey, rendered on demand, into a file; print seconds and peak memory."""
    engine = Engine(load_predictor_bundle(shipped_predictor_dir()), plan_inference(backend))
    survey = open_survey(demo_survey_dir())
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = np.arange(n_galaxies) % len(survey)
        write_predictions(engine, survey, Path(folder) / "predictions.parquet", rows)
    seconds = time.perf_counter() - start
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 2**20
    print(json.dumps({"n_galaxies": n_galaxies, "seconds": round(seconds, 1), "peak_rss_gib": round(peak, 3)}))


def measure_memory(backend: str, n_galaxies: int) -> list[dict[str, float]]:
    """Return peak memory of fresh processes that predict n and 2 n galaxies: it must not grow with them."""
    results = []
    for n in (n_galaxies, 2 * n_galaxies):
        command = [sys.executable, __file__, "--memory-of", backend, "--n-memory", str(n)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results.append(json.loads(done.stdout))
    return results


def processor_features() -> list[str]:
    """Return which instructions for neural networks the CPU has."""
    words = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "amx_tile", "avx512_vnni")
    return [name for name, found in torch.cpu.get_capabilities().items() if found is True and name in words]


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--n-accuracy", type=int, default=256, help="galaxies of the test split for the accuracy")
    parser.add_argument("--n-memory", type=int, default=320, help="galaxies of the shorter of two runs for the memory")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--without-compile", action="store_true", help="torch.compile takes a minute to prepare")
    parser.add_argument("--memory-of", metavar="BACKEND", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        predict_and_report(args.memory_of, args.n_memory)
        return
    load = os.getloadavg()[0]  # a busy machine explains a slow run
    device = plan_inference("eager", device=args.device).device
    survey = open_survey(demo_survey_dir())
    rows = survey.rows_in_split("test")[: max(32, args.n_accuracy)]
    true = load_vae_bundle(shipped_vae_dir()).latents(*survey.spectra_block(rows))
    scaled = load_predictor_bundle(shipped_predictor_dir()).image_scaler.apply(from_stored(survey.images_block(rows)))
    variants, set_up = make_variants(device, not args.without_compile, scaled)
    result = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "processor_features": processor_features(),
        "threads": torch.get_num_threads(),
        "load_average_at_start": round(load, 1),
        "rounds": args.rounds,
        "batch_32": measure_speed(variants, scaled[:32], args.rounds, 1),
        "batch_1": measure_speed(variants, scaled[:1], args.rounds, N_SINGLE),
        "set_up_s": set_up,
        "n_accuracy": len(rows),
        "accuracy": measure_accuracy(variants, scaled, true),
        "memory": measure_memory("eager" if device == "cuda" else plan_inference(device="cpu").backend, args.n_memory),
    }
    store_result("inference", result)


if __name__ == "__main__":
    main()

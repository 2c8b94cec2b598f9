"""Galaxies per second of `predict --survey`, images on disk, with folded and unfolded networks side by side."""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import store_result

from galspec.inference.survey import predict_survey
from galspec.models.bundle import load_predictor_bundle, shipped_predictor_dir
from galspec.store.images import from_stored
from galspec.store.simulated import SimulationSettings, simulate_survey
from galspec.store.survey import open_survey


def main() -> None:
    """Simulate a small survey with images, predict it, and time the unfolded network on the same images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=512)
    n = parser.parse_args().n
    folder = Path(tempfile.mkdtemp(prefix="galspec-bench-"))
    try:
        simulate_survey(folder / "survey", SimulationSettings(n, seed=11), n_jobs=2)
        survey = open_survey(folder / "survey")
        predictor = load_predictor_bundle(shipped_predictor_dir())
        predict_survey(predictor, survey, np.arange(64))
        start = time.perf_counter()
        predict_survey(predictor, survey)
        folded = n / (time.perf_counter() - start)
        unfolded_network = load_predictor_bundle(shipped_predictor_dir(), fold=False)
        some = from_stored(survey.images_block(np.arange(128)))
        start = time.perf_counter()
        unfolded_network.predict_latents(some)
        unfolded = len(some) / (time.perf_counter() - start)
        one = from_stored(survey.images_block(np.arange(1)))
        start = time.perf_counter()
        for _ in range(10):
            predictor.predict_latents(one)
        single = (time.perf_counter() - start) / 10
    finally:
        shutil.rmtree(folder)
    store_result(
        "predict",
        {
            "n_galaxies": n,
            "threads": torch.get_num_threads(),
            "galaxies_per_s": round(folded, 1),
            "galaxies_per_s_unfolded_without_reading": round(unfolded, 1),
            "one_galaxy_ms": round(1e3 * single, 1),
        },
    )


if __name__ == "__main__":
    main()

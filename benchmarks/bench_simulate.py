"""Milliseconds per simulated galaxy and core, end to end (selection, spectra, images, writing to disk)."""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from machine import store_result

from galspec.simulation.basis import load_basis
from galspec.store.simulated import SimulationSettings, simulate_survey


def _seconds(n_galaxies: int, has_images: bool, n_jobs: int) -> float:
    folder = Path(tempfile.mkdtemp(prefix="galspec-bench-"))
    try:
        start = time.perf_counter()
        simulate_survey(folder / "survey", SimulationSettings(n_galaxies, seed=7, has_images=has_images), n_jobs)
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Measure with one process; start-up of the worker is included."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1024)
    n = parser.parse_args().n
    load_basis()
    with_images = _seconds(n, True, 1)
    without_images = _seconds(n, False, 1)
    store_result(
        "simulate",
        {
            "n_galaxies": n,
            "ms_per_galaxy_and_core": round(1e3 * with_images / n, 2),
            "ms_per_galaxy_and_core_without_images": round(1e3 * without_images / n, 2),
            "share_of_images": round(1 - without_images / with_images, 3),
        },
    )


if __name__ == "__main__":
    main()

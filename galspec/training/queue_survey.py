"""A simulated training survey in plain .npy files: made where the GPU is, without Zarr or a survey folder.

The galaxies, their ids and their splits are those of `python -m galspec simulate` with the same
seed; each stage is kept on the local disk, so a later call on the same machine goes on from there.
"""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.core.bands import CUTOUT_SHAPE
from galspec.core.errors import ConfigError, SimulationError
from galspec.core.files import atomic_path, write_json
from galspec.core.splits import group_ids, split_of
from galspec.core.wavelength import N_WAVE
from galspec.models.bundle import VaeBundle
from galspec.simulation.basis import Basis, load_basis
from galspec.simulation.galaxy import RECIPE_VERSION, is_accepted, simulate_galaxy
from galspec.store.images import to_stored
from galspec.training.blocks import BLOCK, create_array, run_blocks, worker_pool, write_rows
from galspec.training.data import TrainingSet
from galspec.training.targets import describe_survey, encode_targets, leave_out_unusable

_SELECTION_BLOCK = 256
Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class QueueSurvey:
    """The simulated survey that every item of the queue is trained on."""

    n_galaxies: int = 64000
    seed: int = 1
    calibration_scatter: float = 1.0

    def __post_init__(self) -> None:
        if self.n_galaxies < 2 or self.seed < 0:
            raise ConfigError(f"a survey needs at least 2 galaxies and a seed of 0 or more, not {self}.")


@functools.cache
def _basis() -> Basis:
    return load_basis()


def _accepted(seed: int, block: int) -> list[int]:
    first = block * _SELECTION_BLOCK
    return [c for c in range(first, first + _SELECTION_BLOCK) if is_accepted(_basis(), seed, c)]


def _select(folder: Path, survey: QueueSurvey, n_jobs: int) -> NDArray[np.int64]:
    """Find the first n accepted candidates."""
    path = folder / "candidates.npy"
    if path.is_file():
        return np.load(path)
    accepted: list[int] = []
    block = 0
    with worker_pool(n_jobs) as pool:
        while len(accepted) < survey.n_galaxies:
            blocks = range(block, block + 8 * n_jobs)
            for found in pool.map(functools.partial(_accepted, survey.seed), blocks):
                accepted += found
            block = blocks.stop
    candidates = np.array(accepted[: survey.n_galaxies], np.int64)
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, candidates)
    return candidates


def _simulate_block(folder: Path, survey: QueueSurvey, block: int) -> None:
    candidates = np.load(folder / "candidates.npy", mmap_mode="r")[block * BLOCK : (block + 1) * BLOCK]
    rows, images, flux, ivar = [], [], [], []
    for candidate in candidates:
        galaxy = simulate_galaxy(
            _basis(),
            survey.seed,
            int(candidate),
            calibration_scatter=survey.calibration_scatter,
            with_image=True,
        )
        if galaxy is None or galaxy.image is None:
            raise SimulationError(f"candidate {candidate} was selected and then rejected; delete {folder}.")
        rows.append({name: galaxy.row[name] for name in ("id", "ra_deg", "dec_deg", "redshift", "mag_r")})
        images.append(to_stored(galaxy.image))
        flux.append(galaxy.flux)
        ivar.append(galaxy.ivar)
    write_rows(folder / "images.npy", block * BLOCK, np.stack(images))
    write_rows(folder / "flux.npy", block * BLOCK, np.stack(flux))
    write_rows(folder / "ivar.npy", block * BLOCK, np.stack(ivar))
    with atomic_path(folder / "rows" / f"{block:05d}.parquet") as temporary:
        pd.DataFrame(rows).to_parquet(temporary, index=False)


def make_survey(folder: Path, survey: QueueSurvey, n_jobs: int, report: Report) -> None:
    """Simulate the survey into a folder, or whatever of it is missing there.

    Raises
    ------
    SimulationError
        If the spectral basis is missing, or the folder holds another survey.
    """
    identity: dict[str, Any] = {**dataclasses.asdict(survey), "recipe_version": RECIPE_VERSION}
    path = folder / "survey.json"
    if path.is_file() and json.loads(path.read_text()) != identity:
        raise SimulationError(f"{folder} holds another simulated survey; delete it or choose another --work folder.")
    _basis()  # a missing basis is told before the disk is filled
    write_json(path, identity)
    report(f"selecting {survey.n_galaxies} galaxies")
    n = len(_select(folder, survey, n_jobs))
    create_array(folder / "images.npy", (n, *CUTOUT_SHAPE), "float16")
    for name in ("flux", "ivar"):
        create_array(folder / f"{name}.npy", (n, N_WAVE), "float32")

    def show(done: int, total: int) -> None:
        report(f"simulated {min(done * BLOCK, n)} of {n} galaxies" if done < total else f"simulated {n} galaxies")

    run_blocks(functools.partial(_simulate_block, folder, survey), -(-n // BLOCK), folder / "done", n_jobs, show)


def load_training_set(folder: Path, vae: VaeBundle) -> TrainingSet:
    """Return the survey of a folder as a training set; the images stay a memory map."""
    identity = json.loads((folder / "survey.json").read_text())
    catalog = pd.concat([pd.read_parquet(path) for path in sorted((folder / "rows").glob("*.parquet"))])
    catalog = catalog.reset_index(drop=True)
    groups = group_ids(catalog["id"].tolist(), catalog["ra_deg"], catalog["dec_deg"])
    catalog["split"] = [split_of(group) for group in groups]
    flux, ivar = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("flux", "ivar"))
    latents = encode_targets(vae, lambda rows: (flux[rows], ivar[rows]), len(catalog))
    latents, split = leave_out_unusable(latents, catalog["split"].to_numpy(dtype=str))
    data = TrainingSet(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        latents=latents,
        split=split,
        ids=catalog["id"].to_numpy(dtype=str),
    )
    described = describe_survey(catalog, f"sim{identity['seed']}", "SIMULATED", data.fingerprint)
    return dataclasses.replace(data, survey={**described, "settings": identity})

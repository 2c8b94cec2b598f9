"""Write a simulated survey: shard by shard, in any number of processes, resumable, byte-identical.

Pass 1 finds the first n accepted candidates (candidates are counted before selection, so the
galaxies of a short survey are the first ones of a long survey of the same seed). Pass 2 writes
shards of 256 galaxies; each is written whole by one process, and its part of the catalogue is
renamed into place last, so a part that exists means a shard that is complete.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from galspec import __version__
from galspec.core.errors import ConfigError, SimulationError, SurveyError
from galspec.core.files import atomic_path, sha256_of, write_json
from galspec.core.splits import group_ids, split_of
from galspec.simulation.basis import Basis, load_basis
from galspec.simulation.galaxy import RECIPE_VERSION, is_accepted, simulate_galaxy
from galspec.store import layout
from galspec.store.images import to_stored

Progress = Callable[[str, int], None]

_PARTS: Final = ".parts"
_SETTINGS: Final = "settings.json"
_SELECTION_BLOCK: Final = 256
#: Upper bounds of what a galaxy takes on disk, measured: images 0.46 MB, spectra and catalogue 12 kB.
_BYTES_WITH_IMAGES: Final = 480_000
_BYTES_WITHOUT_IMAGES: Final = 14_000


@dataclasses.dataclass(frozen=True)
class SimulationSettings:
    """What a simulated survey is made of; the same settings give the same bytes on one machine.

    Parameters
    ----------
    n_galaxies : int
        Accepted galaxies.
    seed : int
        Survey seed, not negative.
    has_images : bool
        Write images.zarr; otherwise images are rendered on demand.
    calibration_scatter : float
        Amplitude of the spectrophotometric errors (simulation.md 2e); 1 resembles SDSS.
    """

    n_galaxies: int
    seed: int = 1
    has_images: bool = True
    calibration_scatter: float = 1.0

    def __post_init__(self) -> None:
        if self.n_galaxies < 1:
            raise ConfigError(f"--n is {self.n_galaxies}, but a survey needs at least 1 galaxy.")
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}, but must not be negative.")
        if not 0.0 <= self.calibration_scatter <= 10.0:
            raise ConfigError(f"--calibration-scatter is {self.calibration_scatter}, but must lie in 0-10.")

    @property
    def n_shards(self) -> int:
        """Number of shards, the last one possibly short."""
        return -(-self.n_galaxies // layout.SHARD)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the bytes of the survey, beside the machine."""
        return {**dataclasses.asdict(self), "recipe_version": RECIPE_VERSION, "numpy": np.__version__}


def simulate_survey(
    folder: Path, settings: SimulationSettings, n_jobs: int = 1, progress: Progress | None = None
) -> None:
    """Simulate a survey into ``folder``; continue an unfinished one of the same settings.

    Parameters
    ----------
    folder : Path
        New folder, or one in which the same simulation was interrupted.
    settings : SimulationSettings
    n_jobs : int
        Worker processes, at least 1.
    progress : callable, optional
        Called with (stage, galaxies finished).

    Raises
    ------
    SimulationError
        If there is no spectral basis, the disk is too full, or the folder holds another simulation.
    SurveyError
        If the folder already holds a finished survey.
    ConfigError
        If ``n_jobs`` is below 1.
    """
    if n_jobs < 1:
        raise ConfigError(f"--jobs is {n_jobs}, but at least 1 process is needed.")
    folder = Path(folder)
    load_basis()  # before anything is written: without a basis nothing changes on disk
    progress = progress or (lambda _stage, _done: None)
    _claim_folder(folder, settings)
    with _workers(n_jobs) as pool:
        candidates = _find_accepted(pool, folder, settings, n_jobs, progress)
        _write_shards(pool, folder, settings, candidates, progress)
    _finish(folder, settings)


def _claim_folder(folder: Path, settings: SimulationSettings) -> None:
    if (folder / layout.METADATA).exists():
        raise SurveyError(f"{folder} already holds a finished survey; choose another --out or delete that folder.")
    parts = folder / _PARTS
    if (parts / _SETTINGS).is_file():
        found = json.loads((parts / _SETTINGS).read_text(encoding="utf-8"))
        if found != settings.identity:
            raise SimulationError(
                f"{folder} holds an unfinished simulation with other settings ({found}); "
                "choose another --out or delete it."
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise SimulationError(f"{folder} is not empty and holds no simulation to resume; choose another --out.")
    _require_disk_space(folder, settings)
    parts.mkdir(parents=True)
    names = layout.SPECTRUM_ARRAYS
    layout.create_spectra(folder / layout.SPECTRA, settings.n_galaxies, names)
    if settings.has_images:
        layout.create_images(folder / layout.IMAGES, settings.n_galaxies)
    write_json(parts / _SETTINGS, settings.identity)


def _require_disk_space(folder: Path, settings: SimulationSettings) -> None:
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    needed = settings.n_galaxies * (_BYTES_WITH_IMAGES if settings.has_images else _BYTES_WITHOUT_IMAGES)
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise SimulationError(
            f"{settings.n_galaxies} galaxies need about {needed / 1e9:.1f} GB, but {existing} has {free / 1e9:.1f} GB "
            "free; use a smaller --n, another disk, or --no-images."
        )


@contextlib.contextmanager
def _workers(n_jobs: int) -> Iterator[Executor]:
    # One BLAS thread each: with n processes more would only fight, and sums would depend on the machine's cores.
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in threads}
    os.environ.update(dict.fromkeys(threads, "1"))
    try:
        with ProcessPoolExecutor(n_jobs, multiprocessing.get_context("spawn"), initializer=_start_worker) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_basis: Basis | None = None


def _start_worker() -> None:
    global _basis  # noqa: PLW0603  a process pool can hand its workers data only through a module's global
    _basis = load_basis()


def _worker_basis() -> Basis:
    return _basis if _basis is not None else load_basis()


def _accepted_in_block(seed: int, block: int) -> list[int]:
    basis = _worker_basis()
    first = block * _SELECTION_BLOCK
    return [candidate for candidate in range(first, first + _SELECTION_BLOCK) if is_accepted(basis, seed, candidate)]


def _find_accepted(
    pool: Executor, folder: Path, settings: SimulationSettings, n_jobs: int, progress: Progress
) -> NDArray[np.int64]:
    path = folder / _PARTS / "selection.npy"
    if path.is_file():
        return np.asarray(np.load(path, allow_pickle=False))
    accepted: list[int] = []
    block = 0
    while len(accepted) < settings.n_galaxies:
        # Rounds of a few blocks a worker, in order: the selection does not depend on who finishes first.
        round_of_blocks = range(block, block + 4 * n_jobs)
        for found in pool.map(_accepted_in_block, [settings.seed] * len(round_of_blocks), round_of_blocks):
            accepted += found
        progress("selecting", 0)
        block = round_of_blocks.stop
    candidates = np.array(accepted[: settings.n_galaxies], dtype=np.int64)
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, candidates, allow_pickle=False)
    return candidates


def _part_path(folder: Path, shard: int) -> Path:
    return folder / _PARTS / f"catalog-{shard:05d}.parquet"


def _write_shard(folder: Path, settings: SimulationSettings, shard: int, candidates: NDArray[np.int64]) -> int:
    """Simulate and write one shard; the catalogue part last, because it marks the shard as done."""
    basis = _worker_basis()
    rows: list[dict[str, Any]] = []
    spectra: dict[str, list[NDArray[np.float32]]] = {name: [] for name in layout.SPECTRUM_ARRAYS}
    images = []
    for candidate in candidates:
        galaxy = simulate_galaxy(
            basis,
            settings.seed,
            int(candidate),
            calibration_scatter=settings.calibration_scatter,
            with_image=settings.has_images,
        )
        if galaxy is None:
            raise SimulationError(
                f"candidate {candidate} was selected and then rejected; delete {folder} and start again."
            )
        rows.append(galaxy.row)
        for name, values in spectra.items():
            values.append(getattr(galaxy, name))
        if galaxy.image is not None:
            images.append(to_stored(galaxy.image))
    where = slice(shard * layout.SHARD, shard * layout.SHARD + len(candidates))
    arrays: dict[str, Any] = dict(zarr.open_group(folder / layout.SPECTRA, mode="r+").arrays())
    for name, values in spectra.items():
        arrays[name][where] = np.stack(values)
    if images:
        zarr.open_array(folder / layout.IMAGES, mode="r+")[where] = np.stack(images)
    with atomic_path(_part_path(folder, shard)) as temporary:
        pd.DataFrame(rows).to_parquet(temporary, index=False)
    return len(candidates)


def _write_shards(
    pool: Executor, folder: Path, settings: SimulationSettings, candidates: NDArray[np.int64], progress: Progress
) -> None:
    done = 0
    futures = []
    for shard in range(settings.n_shards):
        mine = candidates[shard * layout.SHARD : (shard + 1) * layout.SHARD]
        if _part_path(folder, shard).is_file():
            done += len(mine)
        else:
            futures.append(pool.submit(_write_shard, folder, settings, shard, mine))
    progress("writing", done)
    try:
        for future in futures:
            done += future.result()
            progress("writing", done)
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _finish(folder: Path, settings: SimulationSettings) -> None:
    """Join the catalogue, add the splits, and write survey.json, whose presence means a finished survey."""
    parts = [pd.read_parquet(_part_path(folder, shard)) for shard in range(settings.n_shards)]
    catalog = pd.concat(parts, ignore_index=True)
    groups = group_ids(catalog["id"].tolist(), catalog["ra_deg"], catalog["dec_deg"])
    catalog.insert(1, "group_id", groups)
    catalog.insert(2, "split", [split_of(group) for group in groups])
    path = folder / layout.CATALOG
    with atomic_path(path) as temporary:
        catalog.to_parquet(temporary, index=False)
    metadata = {
        "format": layout.FORMAT,
        "version": layout.VERSION,
        "name": f"sim{settings.seed}",
        "source": "SIMULATED",
        "n_galaxies": settings.n_galaxies,
        "made_by": "python -m galspec simulate",
        "settings": settings.identity,
        "versions": {"galspec": __version__, "numpy": np.__version__},
        "units": layout.UNITS,
        "checksums": {layout.CATALOG: sha256_of(path)},
    }
    write_json(folder / layout.METADATA, metadata)
    shutil.rmtree(folder / _PARTS)

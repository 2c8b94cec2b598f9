"""Fill large arrays block by block in many processes; blocks that are done are not done again."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 128
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def create_array(path: Path, shape: tuple[int, ...], dtype: str) -> None:
    """Create an .npy file of this shape, without writing its pixels, unless it is there."""
    if path.is_file() and np.load(path, mmap_mode="r").shape == shape:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape).flush()


def write_rows(path: Path, first: int, values: NDArray[Any]) -> None:
    """Write rows of an .npy file in place; several processes may write different rows."""
    array = np.lib.format.open_memmap(path, mode="r+")
    array[first : first + len(values)] = values


def run_blocks(
    work: Callable[[int], None],
    n_blocks: int,
    done_dir: Path,
    n_jobs: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Call ``work(block)`` for every block that has no mark yet, and mark each when it is done.

    Parameters
    ----------
    work : callable
        Writes the results of one block to disk; must be importable by name (processes are spawned).
    n_blocks : int
    done_dir : Path
        Folder of the marks.
    n_jobs : int
        Processes.
    progress : callable, optional
        Called with (blocks done, all blocks).
    """
    done_dir.mkdir(parents=True, exist_ok=True)
    missing = [block for block in range(n_blocks) if not (done_dir / str(block)).exists()]
    n_done = n_blocks - len(missing)
    if progress:
        progress(n_done, n_blocks)
    if not missing:
        return
    with worker_pool(n_jobs) as pool:
        futures = {pool.submit(work, block): block for block in missing}
        try:
            for future in as_completed(futures):
                future.result()
                (done_dir / str(futures[future])).touch()
                n_done += 1
                if progress:
                    progress(n_done, n_blocks)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def worker_pool(n_jobs: int) -> Iterator[Executor]:
    """Yield a pool of spawned processes with one numeric thread each: more would only fight."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        with ProcessPoolExecutor(n_jobs, multiprocessing.get_context("spawn")) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

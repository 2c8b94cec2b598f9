"""Places on this machine: GPUs, and processor places; a job holds one while it runs, others queue in order.

A place is a locked file. The lock is inherited by the command, so that a place stays taken if the supervisor is
killed, and falls free whatever way the command ends.
"""

import contextlib
import csv
import dataclasses
import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from galspec.core.errors import JobError
from galspec.jobs.job import Resources

#: Longest queue; more are refused.
QUEUE_LIMIT: Final = 50
#: A GPU is free if other programs hold at most this share of its memory.
_FREE_SHARE: Final = 0.1
_TIMEOUT_S: Final = 5.0


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU as nvidia-smi reports it.

    Parameters
    ----------
    uuid, name : str
    memory_gb, used_gb : float
    """

    uuid: str
    name: str
    memory_gb: float
    used_gb: float

    @property
    def is_free(self) -> bool:
        """Whether no other program holds much of its memory."""
        return self.used_gb <= _FREE_SHARE * self.memory_gb


def list_gpus() -> list[Gpu]:
    """Return the GPUs of this machine; none without nvidia-smi, or if it fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=uuid,name,memory.total,memory.used"
    try:
        done = subprocess.run(  # noqa: S603  nvidia-smi, found on the path
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    gpus = []
    for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True):
        with contextlib.suppress(ValueError):
            uuid, name, total, used = row
            gpus.append(Gpu(uuid, name, float(total) / 1024, float(used) / 1024))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return gpus if visible is None else _visible(gpus, visible.split(","))


def _visible(gpus: list[Gpu], names: list[str]) -> list[Gpu]:
    """Keep the GPUs that CUDA_VISIBLE_DEVICES names by number or identity."""
    return [gpu for index, gpu in enumerate(gpus) if str(index) in names or gpu.uuid in names]


def n_processor_places() -> int:
    """Return how many jobs run on processors at a time: ``GALSPEC_CPU_JOBS``, else one for every two cores."""
    given = os.environ.get("GALSPEC_CPU_JOBS", "")
    return max(1, int(given) if given.isdigit() else (os.cpu_count() or 2) // 2)


def kind_of_place(resources: Resources, gpus: list[Gpu]) -> str:
    """Return "gpu" or "cpu": what a local job needs.

    Raises
    ------
    JobError
        If it needs more GPUs than there are.
    """
    if resources.device == "cpu" or (resources.device == "auto" and not gpus):
        return "cpu"
    if not gpus:
        raise JobError("this machine has no GPU (nvidia-smi lists none): choose cpu, or Slurm.", "device")
    if resources.processes > len(gpus):
        raise JobError(f"{resources.processes} processes need as many GPUs; there are {len(gpus)}.", "processes")
    return "gpu"


@dataclasses.dataclass(frozen=True)
class Places:
    """Places that a job holds.

    Parameters
    ----------
    names : tuple of str
    gpus : tuple of str
        Identities of its GPUs; empty on processors.
    descriptors : tuple of int
        Open files whose locks hold the places; for the command to inherit.
    """

    names: tuple[str, ...]
    gpus: tuple[str, ...]
    descriptors: tuple[int, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What the command must know to use no other GPUs."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}


class Queue:
    """The queue for one kind of place, as files that any process may look at.

    Parameters
    ----------
    root : Path
        Folder of all jobs.
    kind : str
        "gpu" or "cpu".
    """

    def __init__(self, root: Path, kind: str):
        self.kind = kind
        self.folder = root / ".places" / kind
        self._tickets = self.folder / "queue"
        self._ticket: tuple[Path, int] | None = None

    def length(self) -> int:
        """Return how many jobs wait."""
        return len(self._waiting())

    def require_room(self) -> None:
        """Refuse one more job if the queue is full.

        Raises
        ------
        JobError
            If as many jobs wait as may.
        """
        if (n := self.length()) >= QUEUE_LIMIT:
            raise JobError(f"{n} jobs wait for a place already, which is the limit: stop some, or wait.", "backend")

    def join(self, job_id: str) -> None:
        """Stand at the end of the queue."""
        self._tickets.mkdir(parents=True, exist_ok=True)
        while self._ticket is None:
            path = self._tickets / f"{time.time_ns():020d}-{job_id}"
            descriptor = _lock(path)
            if descriptor is None:
                continue
            if path.exists():
                self._ticket = (path, descriptor)
            else:  # another process took it for the ticket of a dead one before it was locked
                os.close(descriptor)

    def leave(self) -> None:
        """Leave the queue, with or without a place."""
        if self._ticket:
            self._ticket[0].unlink(missing_ok=True)
            os.close(self._ticket[1])
            self._ticket = None

    def take(self, n: int = 1) -> Places | None:
        """Take n places if this job is the first one in the queue and so many are free.

        Parameters
        ----------
        n : int
            GPUs; processors are one place whatever the number of processes.
        """
        if self._ticket:
            waiting = self._waiting()
            if waiting and waiting[0] != self._ticket[0]:
                return None
        gpus = [gpu for gpu in list_gpus() if gpu.is_free] if self.kind == "gpu" else []
        wanted = n if self.kind == "gpu" else 1
        names = [gpu.uuid for gpu in gpus] if self.kind == "gpu" else [str(i) for i in range(n_processor_places())]
        held: list[tuple[str, int]] = []
        for name in names:
            if len(held) < wanted and (descriptor := _lock(self.folder / name)) is not None:
                held.append((name, descriptor))
        if len(held) < wanted:
            for _, descriptor in held:
                os.close(descriptor)
            return None
        taken = tuple(name for name, _ in held)
        return Places(taken, taken if self.kind == "gpu" else (), tuple(descriptor for _, descriptor in held))

    def _waiting(self) -> list[Path]:
        """Return the tickets of those who wait, first come first; tickets of the dead are thrown away."""
        found = []
        for path in sorted(self._tickets.iterdir()) if self._tickets.is_dir() else []:
            if self._ticket and path == self._ticket[0]:
                found.append(path)
            elif (descriptor := _lock(path, create=False)) is None:
                found += [path] if path.exists() else []
            else:
                path.unlink(missing_ok=True)
                os.close(descriptor)
        return found


def _lock(path: Path, create: bool = True) -> int | None:
    """Lock a file without waiting; return its descriptor, or None if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor

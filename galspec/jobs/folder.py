"""The folder of a job: which files it holds, and who writes them.

job.json (submit), process.json, heartbeat.json, ended.json (supervisor), stop.json (whoever asks), log.txt (everything
the command prints), and what the command itself writes: metrics.jsonl, checkpoint/, exit.json, bundle/.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from galspec.core.errors import JobError
from galspec.core.files import write_json
from galspec.core.home import home_dir
from galspec.jobs.job import Job, is_job_id
from galspec.jobs.process import Moment

Row = dict[str, Any]


def runs_dir() -> Path:
    """Return the folder of all jobs: ``GALSPEC_HOME/runs`` (not created here)."""
    return home_dir() / "runs"


@dataclasses.dataclass(frozen=True)
class JobFolder:
    """Paths and records of one job.

    Parameters
    ----------
    path : Path
    """

    path: Path

    @property
    def id(self) -> str:
        """The job's id."""
        return self.path.name

    @property
    def log(self) -> Path:
        """All that the command printed."""
        return self.path / "log.txt"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def bundle(self) -> Path:
        """The finished model."""
        return self.path / "bundle"

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is something to resume from."""
        return any((self.path / name).exists() for name in ("checkpoint", "checkpoint.new"))

    def read(self, name: str) -> Row | None:
        """Return a record; None if it is absent, or damaged by a crash or a full disk."""
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def write(self, name: str, content: Row) -> None:
        """Write a record whole; the folder is not made anew if it was deleted.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if not self.path.is_dir():
            raise FileNotFoundError(f"the folder {self.path} is gone")
        write_json(self.path / name, content)

    def remove(self, *names: str) -> None:
        """Delete records, if they are there."""
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def job(self) -> Job:
        """Return the job.

        Raises
        ------
        JobError
            If job.json is missing, damaged or of another version.
        """
        content = self.read("job.json")
        if content is None:
            raise JobError(f"{self.path} holds no readable job.json.")
        return Job.from_dict(content)

    def moment(self, name: str, key: str = "at") -> Moment | None:
        """Return a moment out of a record."""
        record = self.read(name) or {}
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return Moment.from_dict(record[key])
        return None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time start, stop or delete the job.

        Raises
        ------
        JobError
            If the folder is gone or cannot be written.
        """
        try:
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JobError(f"the job's folder cannot be used: {error}.") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def find_job(job_id: str) -> JobFolder:
    """Return the folder of a job, which lies inside the workspace whatever the id says.

    Raises
    ------
    JobError
        If there is no such job.
    """
    root = runs_dir()
    path = root / job_id
    if not is_job_id(job_id) or path.is_symlink() or not (path / "job.json").is_file():
        raise JobError(f"there is no job {job_id[:80]!r} in {root}; `python -m galspec jobs list` shows them.", "job")
    return JobFolder(path)


def all_folders() -> list[JobFolder]:
    """Return the folders of all jobs, newest first; those without job.json are no jobs."""
    root = runs_dir()
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if is_job_id(entry.name) and entry.is_dir(follow_symlinks=False)]
    folders = [JobFolder(root / name) for name in sorted(names, reverse=True)]
    return [folder for folder in folders if (folder.path / "job.json").is_file()]

"""A supervisor in waiting, so that a training starts at once when it is submitted from the page.

While somebody fills in the form, a process of this server imports what the training will need (torch most of all).
It belongs to the server until a job is handed to it: it ends when the server ends, or when nothing came for a while.
"""

import contextlib
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from galspec.core.home import REPOSITORY_DIR, home_dir
from galspec.jobs.folder import JobFolder

#: How long it waits for a job, seconds.
WAIT_S: Final = 180.0
_TAKEN_S: Final = 10.0
_ANNOUNCED_S: Final = 30.0
#: Less memory free than this, and none is started: it holds some 0.4 GB.
_NEEDED_GB: Final = 2.0
_LOCK = threading.Lock()


class _Standby:
    """One supervisor in waiting."""

    def __init__(self) -> None:
        self.home, self.source = home_dir(), _newest_source()
        its_input, self._input = os.pipe()
        self._output, its_output = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "galspec.jobs.supervisor", "--standby"],
            stdin=its_input,
            stdout=its_output,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY_DIR,
            start_new_session=True,
        )
        os.close(its_input)
        os.close(its_output)
        # The process that was started forks and ends at once; nobody else would take note of it.
        threading.Thread(target=self._process.wait, daemon=True).start()

    def is_waiting(self) -> bool:
        """Return True while it waits, for this workspace."""
        # It forks away from the process that was started, so its end shows only as the end of its output.
        return self.home == home_dir() and not select.select([self._output], [], [], 0)[0]

    def hand_over(self, folder: JobFolder) -> bool:
        """Give it a job; return True once it looks after it."""
        if self.source != _newest_source():
            return False
        with contextlib.suppress(OSError):
            os.write(self._input, os.fsencode(folder.path) + b"\n")
            # If it is too slow to take the job, its own answer fails later and it ends: no job gets two supervisors.
            if select.select([self._output], [], [], _TAKEN_S)[0] and os.read(self._output, 1) == b"t":
                # From here on the job is its own, however long its announcement takes; only its death ends that.
                return not select.select([self._output], [], [], _ANNOUNCED_S)[0] or os.read(self._output, 1) == b"a"
        return False

    def close(self) -> None:
        """Let go of it: without a job it ends."""
        os.close(self._input)
        os.close(self._output)
        self._process.wait()


_standby: _Standby | None = None


def _newest_source() -> int:
    """Return when the newest module changed: a process that loaded older ones must not run the job."""
    package = Path(__file__).resolve().parents[1]
    return max(path.stat().st_mtime_ns for path in package.rglob("*.py"))


def _free_gb() -> float:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) / 1e6
    return 0.0


def prepare() -> None:
    """Have a supervisor in waiting, unless ``GALSPEC_STANDBY`` is 0 or memory is short."""
    global _standby  # noqa: PLW0603  one for the whole server, whoever fills in the form
    if os.environ.get("GALSPEC_STANDBY") == "0" or not _LOCK.acquire(blocking=False):
        return
    try:
        if _standby is not None and _standby.is_waiting():
            return
        _close()
        if _free_gb() > _NEEDED_GB:
            with contextlib.suppress(OSError):
                _standby = _Standby()
    finally:
        _LOCK.release()


def hand_over(folder: JobFolder) -> bool:
    """Give a job to the supervisor in waiting, if there is one; return True if it took it."""
    with _LOCK:
        try:
            return _standby is not None and _standby.is_waiting() and _standby.hand_over(folder)
        finally:
            _close()


def _close() -> None:
    global _standby  # noqa: PLW0603  see `prepare`
    if _standby is not None:
        _standby.close()
    _standby = None

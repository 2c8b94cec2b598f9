"""A run is a folder: what was asked for, what happened, how it ended. Pages and tools read only these files."""

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from galspec.core.errors import RunError
from galspec.core.files import write_json, write_text

Row = dict[str, Any]
Progress = Callable[[Row], None]


class RunStopped(Exception):  # noqa: N818  not an error: the run was asked to stop and saved itself
    """A run was stopped from outside, after it had written a checkpoint."""


class RunFolder:
    """Paths and records of one run.

    Parameters
    ----------
    path : Path
        The folder; made if absent.
    is_writer : bool
        False in all but one of several processes that train together: they read the folder and change nothing.
    """

    def __init__(self, path: Path, is_writer: bool = True):
        self.path = Path(path)
        self.is_writer = is_writer
        if is_writer:
            self.path.mkdir(parents=True, exist_ok=True)
        self.checkpoint_dir = self.path / "checkpoint"
        self.bundle_dir = self.path / "bundle"
        self.metrics_path = self.path / "metrics.jsonl"

    def forget(self) -> None:
        """Delete metrics, checkpoint and bundle of an earlier run."""
        if not self.is_writer:
            return
        self.metrics_path.unlink(missing_ok=True)
        for folder in (self.checkpoint_dir, self.bundle_dir):
            shutil.rmtree(folder, ignore_errors=True)

    def require_same_run(self, identity: Row) -> None:
        """Refuse a folder with the checkpoint of another run, before anything in it changes.

        Raises
        ------
        RunError
            If the folder's config.json names another network, data set or setting.
        """
        path = self.path / "config.json"
        if path.is_file() and self.checkpoint_dir.exists():
            require_same(json.loads(path.read_text(encoding="utf-8")).get("identity", {}), identity, self.path)

    def start(self, config: Row) -> None:
        """Record settings and command line, and forget how an earlier attempt ended."""
        if not self.is_writer:
            return
        (self.path / "exit.json").unlink(missing_ok=True)
        write_json(self.path / "config.json", config)
        write_text(self.path / "command", json.dumps([sys.executable, *sys.argv]) + "\n")
        self.log("started", f"process {os.getpid()}")

    def log(self, *words: str) -> None:
        """Append one dated line to log.txt."""
        if not self.is_writer:
            return
        with (self.path / "log.txt").open("a", encoding="utf-8") as handle:
            handle.write(time.strftime("%Y-%m-%d %H:%M:%S ") + " ".join(words) + "\n")

    def record(self, row: Row) -> None:
        """Append one row to metrics.jsonl, whole."""
        if not self.is_writer:
            return
        line = json.dumps({**row, "time": round(time.time(), 3)}, allow_nan=False)
        with self.metrics_path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def rows(self) -> list[Row]:
        """Return the metrics so far; damaged lines, and a last line cut off by a crash, are left out."""
        if not self.metrics_path.is_file():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        return [row for line in lines if (row := _row(line)) is not None]

    def keep_rows(self, is_kept: Callable[[Row], bool]) -> None:
        """Drop the rows that a resumed run will write again."""
        if not self.is_writer:
            return
        kept = [row for row in self.rows() if is_kept(row)]
        write_text(self.metrics_path, "".join(json.dumps(row) + "\n" for row in kept))

    @contextlib.contextmanager
    def exit_record(self) -> Iterator[Row]:
        """Write exit.json however the block ends; what the block puts into the yielded dict goes in too."""
        facts: Row = {}
        started = time.time()
        state, reason = "finished", ""
        try:
            yield facts
        except RunStopped as stopped:
            state, reason = "stopped", str(stopped)
            raise
        except BaseException as error:
            state, reason = "failed", f"{type(error).__name__}: {error}"
            self.log(traceback.format_exc())
            raise
        finally:
            seconds = round(time.time() - started, 1)
            if self.is_writer:
                write_json(self.path / "exit.json", {"state": state, "reason": reason, "seconds": seconds, **facts})
            self.log(state, reason)


def _row(line: str) -> Row | None:
    """Return the object of a line, or None if it is damaged."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def require_same(found: Row, wanted: Row, where: Path) -> None:
    """Refuse a checkpoint of other settings, naming each that differs, with both values.

    Raises
    ------
    RunError
        If any value differs.
    """
    # In both directions: settings at their default may be left out on either side.
    differing = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if differing:
        parts = [f"{name} is {_told(found, name)} there and {_told(wanted, name)} here" for name in differing]
        raise RunError(
            f"{where} holds another run: {'; '.join(parts)}. Choose another run folder, or start anew without resuming."
        )


def _told(settings: Row, name: str) -> str:
    return repr(settings[name]) if name in settings else "not set"


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that turns true after SIGTERM or the first Ctrl-C; a second Ctrl-C interrupts at once."""
    asked = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

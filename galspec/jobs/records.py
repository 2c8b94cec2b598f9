"""Records that are written often, and one that is written even when the disk is full."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final

from galspec.jobs.folder import JobFolder

_RESERVE_BYTES: Final = 4096


def write_quick(folder: JobFolder, name: str, content: dict[str, Any]) -> None:
    """Write a record whole but without waiting for the disk: the next one comes in a moment.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    temporary = folder.path / f".{name}.{os.getpid()}"
    temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    temporary.replace(folder.path / name)


class ExitReserve:
    """An exit record whose space is on the disk before the job begins.

    Parameters
    ----------
    path : Path
        Where the record appears.
    """

    def __init__(self, path: Path):
        self._path = path
        self._reserve = path.with_name(f".{path.name}.reserve")
        with contextlib.suppress(OSError):
            self._reserve.write_bytes(b" " * _RESERVE_BYTES)

    def write(self, content: dict[str, Any]) -> None:
        """Put the record in place; on a full disk over the reserved space, whose rest stays blank."""
        text = json.dumps(content).encode("utf-8")
        try:
            with self._reserve.open("r+b") as handle:
                handle.write(text.ljust(_RESERVE_BYTES))
                handle.flush()
                os.fsync(handle.fileno())
            self._reserve.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                self._path.write_bytes(text)

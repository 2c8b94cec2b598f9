"""Metrics of a running job: read as they grow, corrupt lines counted and passed over, thinned for drawing."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]

_TAIL_BYTES: Final = 65_536
_EPOCH: Final = b'"kind": "epoch"'


@dataclasses.dataclass
class MetricsReader:
    """The rows of a metrics.jsonl, read from where the last look ended.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    rows : list of dict
    n_corrupt : int
        Lines that were not a JSON object.
    """

    path: Path
    rows: list[Row] = dataclasses.field(default_factory=list)
    n_corrupt: int = 0
    _offset: int = 0
    _identity: tuple[int, int] = (0, 0)

    def update(self) -> int:
        """Read what is new; return the number of new rows.

        A file that was replaced (a resumed run drops rows that it will write again) or cut is read anew.
        """
        try:
            with self.path.open("rb") as handle:
                return self._read(handle)
        except OSError:
            return 0

    def _read(self, handle: Any) -> int:
        import os

        facts = os.fstat(handle.fileno())
        identity = (facts.st_dev, facts.st_ino)
        if identity != self._identity or facts.st_size < self._offset:
            self.rows, self.n_corrupt, self._offset, self._identity = [], 0, 0, identity
        handle.seek(self._offset)
        data = handle.read()
        whole = data.rfind(b"\n") + 1  # the rest is a line in writing
        before = len(self.rows)
        for line in data[:whole].splitlines():
            if (row := parse_row(line)) is not None:
                self.rows.append(row)
            elif line.strip():
                self.n_corrupt += 1
        self._offset += whole
        return len(self.rows) - before


def parse_row(line: bytes) -> Row | None:
    """Return the object of a line, or None if it is not one.

    Examples
    --------
    >>> parse_row(b'{"epoch": 1}'), parse_row(b'{"epo'), parse_row(b"3")
    ({'epoch': 1}, None, None)
    """
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def last_rows(path: Path) -> tuple[Row, Row]:
    """Return the last row of a file and its last row of an epoch, looking at no more than its end.

    Returns
    -------
    last, last_epoch : dict
        Empty where there is none in the last 64 kB.
    """
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - _TAIL_BYTES))
            data = handle.read()
    except OSError:
        return {}, {}
    last: Row = {}
    for line in reversed(data[: data.rfind(b"\n") + 1].splitlines()):
        if last and _EPOCH not in line:
            continue  # parsing costs more than looking
        row = parse_row(line)
        if row is None:
            continue
        last = last or row
        if row.get("kind") == "epoch":
            return last, row
    return last, {}


def thin(x: Sequence[float], y: Sequence[float], n_max: int) -> tuple[list[float], list[float]]:
    """Thin a curve for drawing: of each stretch its lowest and highest point, so that no spike is lost.

    Parameters
    ----------
    x, y : sequence of float
        Of one length, x rising.
    n_max : int
        Largest number of points, at least 2.

    Examples
    --------
    >>> thin([0, 1, 2, 3, 4, 5], [0, 9, 0, 0, -9, 0], 4)
    ([0, 1, 3, 4], [0, 9, 0, -9])
    """
    if len(x) <= n_max:
        return list(x), list(y)
    n_stretches = max(1, n_max // 2)
    kept: list[int] = []
    for index in range(n_stretches):
        first, end = index * len(x) // n_stretches, (index + 1) * len(x) // n_stretches
        stretch = [at for at in range(first, end) if math.isfinite(y[at])] or list(range(first, end))
        kept += sorted({min(stretch, key=lambda at: y[at]), max(stretch, key=lambda at: y[at])})
    return [x[at] for at in kept], [y[at] for at in kept]


def tail_lines(path: Path, n: int = 200, n_bytes: int = 200_000) -> list[str]:
    """Return the last lines of a log; of a line that was written over (a progress bar) its last state."""
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - n_bytes))
            text = handle.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return lines[:-1][-n:] if lines and not lines[-1] else lines[-n:]

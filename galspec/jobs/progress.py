"""How far a training is and when it will end, from the rows of its metrics; pure functions."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

Row = dict[str, Any]

#: Rows from which the present speed is taken.
_RECENT: Final = 20


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training is.

    Parameters
    ----------
    fraction : float
        Of all epochs, 0 to 1.
    eta_s : float or None
        Seconds left at the present speed; None before two rows of this attempt.
    epoch, n_epochs : int
        Epochs completed, and of how many.
    best_epoch : int
        With the best validation so far; 0 = none yet.
    """

    fraction: float
    eta_s: float | None
    epoch: int
    n_epochs: int
    best_epoch: int


def epochs_done(row: Row) -> float:
    """Return how many epochs a row stands for, with the part of the present one.

    Examples
    --------
    >>> epochs_done({"kind": "progress", "epoch": 3, "batch": 5, "n_batches": 10})
    2.5
    >>> epochs_done({"kind": "epoch", "epoch": 3})
    3.0
    """
    epoch = float(row.get("epoch", 0))
    if row.get("kind") == "progress" and row.get("n_batches"):
        return epoch - 1.0 + float(row["batch"]) / float(row["n_batches"])
    return epoch


def progress_of(rows: Sequence[Row], n_epochs: int, since: float = 0.0, is_live: bool = True) -> Progress:
    """Return the progress of a training.

    Parameters
    ----------
    rows : sequence of dict
        Its metrics.
    n_epochs : int
        Of its settings.
    since : float
        When the present attempt began, seconds since 1970: the pause before a resume is no speed.
    is_live : bool
        Only a living job has a time left.
    """
    counted = [row for row in rows if row.get("kind") in {"progress", "epoch"}]
    if not counted:
        return Progress(0.0, None, 0, n_epochs, 0)
    done = max(epochs_done(counted[-1]), 0.0)
    ends = [row for row in counted if row["kind"] == "epoch"]
    recent = [row for row in counted[-_RECENT:] if float(row.get("time", 0.0)) >= since]
    eta = None
    if is_live and len(recent) >= 2:
        elapsed = float(recent[-1]["time"]) - float(recent[0]["time"])
        gained = epochs_done(recent[-1]) - epochs_done(recent[0])
        if elapsed > 0 and gained > 0:
            eta = max(n_epochs - done, 0.0) * elapsed / gained
    return Progress(
        fraction=min(done / n_epochs, 1.0) if n_epochs else 0.0,
        eta_s=eta,
        epoch=int(ends[-1]["epoch"]) if ends else 0,
        n_epochs=n_epochs,
        best_epoch=int(ends[-1].get("best_epoch", 0)) if ends else 0,
    )


def duration(seconds: float | None) -> str:
    """Write a time in the unit that fits.

    Examples
    --------
    >>> [duration(value) for value in (None, 4.2, 75.0, 5400.0, 200_000.0)]
    ['not known yet', '4 s', '1 min 15 s', '1 h 30 min', '2 d 7 h']
    """
    if seconds is None or not math.isfinite(seconds):
        return "not known yet"
    total = round(seconds)
    for size, name, smaller, smaller_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if total >= size:
            rest = total % size // smaller
            return f"{total // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{total} s"


def differing(settings: Sequence[Row]) -> list[tuple[str, list[Any]]]:
    """Return the settings in which jobs differ, with each one's value; None where it is not set.

    Examples
    --------
    >>> differing([{"seed": 1, "lr": 3}, {"seed": 2, "lr": 3, "ema": 0.9}])
    [('seed', [1, 2]), ('ema', [None, 0.9])]
    """
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [(name, [one.get(name) for one in settings]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]

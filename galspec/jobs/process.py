"""Processes told apart from later ones with the same number, and clocks that survive being set."""

import contextlib
import dataclasses
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any, Final

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """Return the identity of this machine's present run; another one after each reboot."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclasses.dataclass(frozen=True)
class Moment:
    """A time by two clocks: the one on the wall may be set, the other one runs evenly until a reboot.

    Parameters
    ----------
    wall : float
        Seconds since 1970.
    steady : float
        CLOCK_MONOTONIC, seconds.
    boot : str
        Between which reboots of which machine ``steady`` counts.
    """

    wall: float
    steady: float
    boot: str

    @classmethod
    def now(cls) -> "Moment":
        """Return the present."""
        return cls(time.time(), time.monotonic(), boot_id())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Moment":
        """Read what `dataclasses.asdict` gave."""
        return cls(float(values["wall"]), float(values["steady"]), str(values["boot"]))


def age_s(then: Moment, now: Moment) -> float:
    """Return the seconds between two moments, never negative.

    On one machine the steady clock counts, so that setting the clock makes nothing old. Between machines only the
    clocks on the wall can be compared; one that runs ahead gives 0.

    Examples
    --------
    >>> age_s(Moment(100.0, 5.0, "a"), Moment(99_999.0, 7.0, "a"))
    2.0
    >>> age_s(Moment(100.0, 5.0, "a"), Moment(90.0, 7.0, "b"))
    0.0
    """
    if then.boot and then.boot == now.boot:
        return max(0.0, now.steady - then.steady)
    return max(0.0, now.wall - then.wall)


@dataclasses.dataclass(frozen=True)
class Process:
    """A process, by what no later one shares.

    Parameters
    ----------
    pid : int
    start : int
        Its start in clock ticks after boot (field 22 of /proc/PID/stat).
    boot : str
    host : str
    """

    pid: int
    start: int
    boot: str
    host: str

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """Return the identity of a living process; None if there is none, or only its remains (a zombie)."""
        fields = _stat(pid)
        return cls(pid, int(fields[19]), boot_id(), socket.gethostname()) if fields else None

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> "Process | None":
        """Read what `dataclasses.asdict` gave."""
        if not values:
            return None
        return cls(int(values["pid"]), int(values["start"]), str(values["boot"]), str(values["host"]))

    def is_alive(self) -> bool | None:
        """Return whether it runs; None if it belongs to another machine, which cannot be seen from here."""
        if self.host != socket.gethostname():
            return None
        fields = _stat(self.pid)
        return self.boot == boot_id() and fields is not None and int(fields[19]) == self.start

    def signal_group(self, number: signal.Signals) -> bool:
        """Send a signal to its process group if it is its leader and still alive; return whether it was sent."""
        if not self.is_alive():
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
            return True
        return False


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name; None for a process that is gone or a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text.rsplit(")", 1)[1].split()  # a name may hold spaces and brackets
    return None if fields[0] in {"Z", "X"} else fields


def descendants(pid: int) -> list[int]:
    """Return the living children, grandchildren, ... of a process."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, new = [], [pid]
    while new:
        new = [child for parent in new for child in children.get(parent, [])]
        found += new
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that processes have used so far."""
    stats = [fields for pid in pids if (fields := _stat(pid))]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / _TICKS


def memory_bytes(pids: list[int]) -> int:
    """Return the resident memory of processes; shared pages count once for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(fields[21]) * page for pid in pids if (fields := _stat(pid)))

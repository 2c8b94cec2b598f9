"""What people think of galaxies: score, flags and note, one line of JSON a verdict, only ever appended.

A file a survey under ``GALSPEC_HOME/verdicts``. The last verdict on a galaxy counts; the ones before stay as history.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from galspec.core.errors import VerdictError
from galspec.core.home import home_dir

#: Allowed flags and their names on the page.
FLAGS: Final = {
    "interesting": "worth a second look",
    "bad-image": "image unusable: gap, star, artefact",
    "bad-spectrum": "observed spectrum unusable",
    "bad-redshift": "redshift looks wrong",
    "wrong-galaxy": "not the galaxy of the spectrum: neighbour, centre",
    "merger": "merger or close pair",
    "line-missed": "a line is observed, but not predicted",
    "line-invented": "a line is predicted, but not observed",
    "continuum-wrong": "the predicted continuum has another shape",
}
SCORES: Final = range(6)
MAX_NOTE: Final = 2000
_MAX_AUTHOR: Final = 16
_MAX_ID: Final = 200
_VERSION: Final = 1
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One person's verdict on one galaxy.

    Parameters
    ----------
    galaxy_id : str
    score : int or None
        0 (useless) to 5 (perfect); None = not given.
    flags : tuple of str
        Keys of `FLAGS`.
    note : str
        At most 2,000 characters.
    author : str
        Initials, at most 16 characters; may be empty.
    time : str
        UTC, ISO 8601, to the millisecond; when it was made.

    Raises
    ------
    VerdictError
        If a part is not allowed.
    """

    galaxy_id: str
    score: int | None = None
    flags: tuple[str, ...] = ()
    note: str = ""
    author: str = ""
    time: str = dataclasses.field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    )

    def __post_init__(self) -> None:
        if not self.galaxy_id or len(self.galaxy_id) > _MAX_ID:
            raise VerdictError(f"a verdict needs the id of a galaxy, 1 to {_MAX_ID} characters long.")
        is_whole = isinstance(self.score, int) and not isinstance(self.score, bool)
        if self.score is not None and not (is_whole and self.score in SCORES):
            raise VerdictError(f"the score {self.score!r} is not allowed; give a whole number from 0 to 5, or none.")
        unknown = [flag for flag in self.flags if flag not in FLAGS]
        if unknown:
            raise VerdictError(f"unknown flags {', '.join(map(str, unknown))}; the flags are {', '.join(FLAGS)}.")
        if len(self.note) > MAX_NOTE:
            raise VerdictError(f"the note has {len(self.note):,} characters; at most {MAX_NOTE:,} are kept.")
        if len(self.author) > _MAX_AUTHOR or not self.author.isprintable():
            raise VerdictError(f"the initials must be at most {_MAX_AUTHOR} printable characters.")

    @property
    def is_empty(self) -> bool:
        """True if it says nothing: such a verdict takes the one before back."""
        return self.score is None and not self.flags and not self.note

    @property
    def line(self) -> bytes:
        """Its line in the file."""
        content = {"v": _VERSION, "id": self.galaxy_id, "score": self.score, "flags": list(self.flags)}
        content |= {"note": self.note, "author": self.author, "time": self.time}
        return json.dumps(content, ensure_ascii=True, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Read a line; flags that this version does not know are dropped.

        Raises
        ------
        ValueError, KeyError, TypeError, VerdictError
            If it is no verdict.
        """
        content = json.loads(line)
        if content["v"] != _VERSION:
            raise ValueError(f"version {content['v']!r}")
        flags = tuple(flag for flag in content["flags"] if flag in FLAGS)
        texts = {name: content[name] for name in ("note", "author", "time")}
        if not all(isinstance(text, str) for text in (content["id"], *texts.values())):
            raise TypeError("a text is no text")
        return cls(galaxy_id=content["id"], score=content["score"], flags=flags, **texts)


@dataclasses.dataclass(frozen=True)
class VerdictLog:
    """All verdicts on a survey, as they were written.

    Parameters
    ----------
    entries : tuple of Verdict
        Oldest first.
    n_damaged : int
        Lines that could not be read: torn by a crash, or edited by hand.
    """

    entries: tuple[Verdict, ...] = ()
    n_damaged: int = 0

    @property
    def latest(self) -> dict[str, Verdict]:
        """The verdict that counts, by galaxy id; galaxies whose verdict was taken back are absent."""
        last = {verdict.galaxy_id: verdict for verdict in self.entries}
        return {galaxy_id: verdict for galaxy_id, verdict in last.items() if not verdict.is_empty}

    def history(self, galaxy_id: str) -> tuple[Verdict, ...]:
        """Return every verdict on a galaxy, oldest first."""
        return tuple(verdict for verdict in self.entries if verdict.galaxy_id == galaxy_id)


def verdicts_path(survey_name: str) -> Path:
    """Return the file of a survey's verdicts under ``GALSPEC_HOME``.

    A name with other characters than letters, digits, dot, dash and underscore becomes a safe one with a checksum, so
    that no name leads out of the folder and no two names share a file.
    """
    if not _SAFE_NAME.fullmatch(survey_name):
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", survey_name).strip("-")[:40]
        survey_name = f"{readable}~{hashlib.sha256(survey_name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return home_dir() / "verdicts" / f"{survey_name}.jsonl"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a file for appending with an exclusive lock, which the system drops even if this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def save_verdict(survey_name: str, verdict: Verdict) -> None:
    """Append a verdict; it is on disk when this returns. Any number of processes may do so at once.

    Raises
    ------
    VerdictError
        If the file cannot be written.
    """
    path = verdicts_path(survey_name)
    try:
        with _locked(path) as handle:
            size = os.fstat(handle).st_size
            # A line torn by a crash gets its end first, or it would swallow this one.
            is_torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            line = (b"\n" if is_torn else b"") + verdict.line
            n_written = os.write(handle, line)
            if n_written != len(line):
                raise OSError(f"only {n_written} of {len(line)} bytes were written: is the disk full?")
            os.fsync(handle)
    except OSError as error:
        raise VerdictError(f"the verdict on {verdict.galaxy_id} could not be saved in {path} ({error}).") from None


def read_verdicts(survey_name: str) -> VerdictLog:
    """Read every verdict on a survey; lines that cannot be read are counted and passed over.

    Raises
    ------
    VerdictError
        If the file exists but cannot be read.
    """
    path = verdicts_path(survey_name)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return VerdictLog()
    except OSError as error:
        raise VerdictError(f"the verdicts {path} cannot be read ({error}).") from None
    entries: list[Verdict] = []
    n_damaged = 0
    for line in filter(bytes.strip, content.split(b"\n")):
        verdict = _parsed(line)
        if verdict is None:
            n_damaged += 1
        else:
            entries.append(verdict)
    return VerdictLog(tuple(entries), n_damaged)


def _parsed(line: bytes) -> Verdict | None:
    try:
        return Verdict.from_line(line)
    except (ValueError, KeyError, TypeError, RecursionError, VerdictError):
        return None


def verdict_columns(log: VerdictLog, ids: list[str]) -> dict[str, list[Any]]:
    """Return the verdicts that count as columns of a table: verdict_score, _flags, _note, _author, _time.

    Parameters
    ----------
    log : VerdictLog
    ids : list of str
        The table's galaxies; without a verdict the score is NaN and the texts are empty.
    """
    latest = log.latest
    found = [latest.get(galaxy_id) for galaxy_id in ids]
    return {
        "verdict_score": [float("nan") if v is None or v.score is None else float(v.score) for v in found],
        "verdict_flags": [" ".join(v.flags) if v else "" for v in found],
        "verdict_note": [v.note if v else "" for v in found],
        "verdict_author": [v.author if v else "" for v in found],
        "verdict_time": [v.time if v else "" for v in found],
    }

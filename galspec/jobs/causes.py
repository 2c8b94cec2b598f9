"""Why a job failed, in words, from what it left behind; pure functions."""

import dataclasses
import re
import signal
from typing import Final

from galspec.jobs.state import End

#: First match wins; the pattern is looked for in the last lines of the log, newest first.
_PATTERNS: Final = (
    (
        "out of memory",
        r"CUDA out of memory|OutOfMemoryError|does not fit into the memory|Cannot allocate memory|MemoryError"
        r"|DefaultCPUAllocator: can't allocate|oom[-_ ]kill",
        "Use a smaller batch, more memory, or several GPUs.",
    ),
    (
        "disk full",
        r"No space left on device|Disk quota exceeded|File too large|\[Errno (?:28|27|122)\]",
        "Free space, then resume: the last checkpoint is whole.",
    ),
    (
        "loss is not finite",
        r"loss is (?:nan|inf|-inf|not finite)|values that are not finite",
        "Lower max_lr or use precision fp32, in a copy of the job.",
    ),
    (
        "missing data",
        r"FileNotFoundError|No such file or directory|SurveyError|there is no survey|holds no survey|no spectral basis",
        "Check the survey folder and the model of the job.",
    ),
    ("time limit", r"DUE TO TIME LIMIT", "Resume it: it continues from the last checkpoint."),
)
_ERROR_LINE: Final = re.compile(r"^(?:[\w.]+(?:Error|Exception|Interrupt|Exit|Stopped)\b.*|galspec [\w-]+: .*)$")
_DATED: Final = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
_SIGNAL_WORDS: Final = {
    signal.SIGKILL: "killed (SIGKILL): by someone, or by the system because memory ran out",
    signal.SIGSEGV: "crashed (SIGSEGV)",
    signal.SIGABRT: "crashed (SIGABRT)",
    signal.SIGBUS: "crashed (SIGBUS): often a full disk or shared memory",
    signal.SIGXFSZ: "disk full: a file grew past its limit (SIGXFSZ)",
    signal.SIGXCPU: "time limit of the system reached (SIGXCPU)",
    signal.SIGTERM: "ended by a signal from outside (SIGTERM)",
}


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why a job failed.

    Parameters
    ----------
    words : str
        One of a few, or the last line of the error.
    line : str
        The line of the log that says it; may be empty.
    advice : str
        What to do; may be empty.
    """

    words: str
    line: str = ""
    advice: str = ""

    def __str__(self) -> str:
        return ". ".join(part.rstrip(".") for part in (self.words, self.line, self.advice) if part) + "."


def cause_of_failure(end: End | None, log_lines: list[str], own_reason: str = "", scheduler_word: str = "") -> Cause:
    """Return why a job failed.

    Parameters
    ----------
    end : End or None
        Exit record of the supervisor.
    log_lines : list of str
        The end of the log, oldest first.
    own_reason : str
        Reason in the exit record that the training wrote itself.
    scheduler_word : str
        Slurm's state, if it ran there.
    """
    if scheduler_word == "OUT_OF_MEMORY":
        return Cause("out of memory", "the scheduler ended it", "Ask for more memory.")
    if scheduler_word in {"TIMEOUT", "DEADLINE"} or (end and end.reason in {"time limit", "requeue"}):
        return Cause("time limit", "", "Resume it: it continues from the last checkpoint.")
    if scheduler_word in {"NODE_FAIL", "BOOT_FAIL"}:
        return Cause("a node of the cluster failed", "", "Resume it: it continues from the last checkpoint.")
    lines = [line.strip() for line in [*log_lines, own_reason] if line.strip()]
    errors = [line for line in (_DATED.sub("", line) for line in lines) if _ERROR_LINE.match(line)]
    for words, pattern, advice in _PATTERNS:
        # Only lines that report errors: a file name in a progress line is no cause.
        candidates = errors or lines[-5:]
        if line := next((line for line in reversed(candidates) if re.search(pattern, line)), ""):
            return Cause(words, _shortened(line), advice)
    if end is not None and (number := _signal_of(end.returncode)) is not None:
        return Cause(_SIGNAL_WORDS.get(number, f"ended by signal {number.name}"))
    if errors:
        return Cause(_shortened(errors[-1]))
    code = f" with code {end.returncode}" if end else ""
    return Cause(f"it ended{code} without saying why", _shortened(lines[-1]) if lines else "")


def first_traceback(log_lines: list[str]) -> list[str]:
    """Return the first Python traceback of a log, with its error line; empty if there is none."""
    start = next((i for i, line in enumerate(log_lines) if "Traceback (most recent call last)" in line), None)
    if start is None:
        return []
    for index in range(start + 1, len(log_lines)):
        if log_lines[index] and not log_lines[index][0].isspace():
            return log_lines[start : index + 1]
    return log_lines[start:]


def _signal_of(returncode: int) -> signal.Signals | None:
    number = -returncode if returncode < 0 else returncode - 128 if 128 < returncode < 160 else 0
    try:
        return signal.Signals(number) if number else None
    except ValueError:
        return None


def _shortened(line: str) -> str:
    return line if len(line) <= 300 else line[:297] + "..."

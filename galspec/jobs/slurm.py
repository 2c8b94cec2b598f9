"""Slurm by its own commands, each with a time limit; a scheduler that is silent is an answer too."""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from galspec.core.errors import JobError
from galspec.jobs.job import Resources
from galspec.jobs.state import SchedulerAnswer

_TIMEOUT_S: Final = 5.0
#: Submitting may wait for a busy controller.
_SUBMIT_TIMEOUT_S: Final = 30.0
_JOB_ID: Final = re.compile(r"\d{1,12}")

#: Runs a command within so many seconds; gives its exit code, output and errors, or None if it did not answer.
Runner = Callable[[Sequence[str], float], tuple[int, str, str] | None]


def run_command(words: Sequence[str], timeout_s: float) -> tuple[int, str, str] | None:
    """Run one of Slurm's commands."""
    try:
        done = subprocess.run(  # noqa: S603  a list of checked words
            list(words), capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.returncode, done.stdout, done.stderr


def has_slurm() -> bool:
    """Return True if this machine can hand jobs to Slurm."""
    return shutil.which("sbatch") is not None


def partitions(run: Runner = run_command) -> list[str]:
    """Return the names of the partitions.

    Raises
    ------
    JobError
        If Slurm does not answer.
    """
    answer = run(["sinfo", "-h", "-o", "%R"], _TIMEOUT_S)
    if answer is None or answer[0]:
        raise JobError(f"the scheduler does not answer{_said(answer)}.", "backend")
    return list(dict.fromkeys(answer[1].split()))


def require_accepted(resources: Resources, script: Path | None = None, run: Runner = run_command) -> None:
    """Refuse what Slurm would refuse, before anything is submitted.

    Parameters
    ----------
    resources : Resources
    script : Path, optional
        A batch script to try with ``sbatch --test-only``.
    run : callable
        Runs Slurm's commands.

    Raises
    ------
    JobError
        If Slurm is absent or silent, has no such partition, or refuses the script.
    """
    if not has_slurm():
        raise JobError("there is no sbatch on this machine: choose local.", "backend")
    known = partitions(run)
    if resources.partition and resources.partition not in known:
        raise JobError(f"there is no partition {resources.partition!r}; there are {', '.join(known)}.", "partition")
    if script is None:
        return
    answer = run(["sbatch", "--test-only", "--chdir", str(script.parent), str(script)], _SUBMIT_TIMEOUT_S)
    if answer is None or answer[0]:
        raise JobError(f"the scheduler refuses the job{_said(answer)}.", _refused_field(answer))


def _refused_field(answer: tuple[int, str, str] | None) -> str:
    """Return the setting that sbatch complains of."""
    text = (answer[2] if answer else "").lower()
    words = {
        "gres": "gres",
        "account": "account",
        "partition": "partition",
        "time limit": "time_min",
        "node": "nodes",
        "memory": "memory_gb",
        "cpu": "cpus",
    }
    return next((field for word, field in words.items() if word in text), "backend")


def submit(script: Path, run: Runner = run_command) -> str:
    """Hand a batch script over; return Slurm's job id.

    Raises
    ------
    JobError
        If Slurm refuses it or does not answer.
    """
    answer = run(["sbatch", "--parsable", "--chdir", str(script.parent), str(script)], _SUBMIT_TIMEOUT_S)
    found = answer[1].strip().split(";")[0] if answer and not answer[0] else ""
    if not _JOB_ID.fullmatch(found):
        raise JobError(f"the scheduler did not take the job{_said(answer)}.", "backend")
    return found


def cancel(job_id: str, run: Runner = run_command) -> bool:
    """Ask Slurm to end a job; return whether it answered. A job that has ended is no error."""
    if not _JOB_ID.fullmatch(job_id):
        return False
    answer = run(["scancel", job_id], _TIMEOUT_S)
    return answer is not None and (answer[0] == 0 or "Invalid job id" in answer[2])


def ask(job_ids: Sequence[str], run: Runner = run_command) -> dict[str, SchedulerAnswer]:
    """Return what Slurm says of jobs: the queue in one call, then accounting in one, then each that is left.

    Returns
    -------
    dict of str to SchedulerAnswer
        One for each id; with an empty word if Slurm does not answer.
    """
    wanted = [job_id for job_id in job_ids if _JOB_ID.fullmatch(job_id)]
    if not wanted:
        return {}
    queue = _queue(wanted, run)
    if queue is None:
        return {job_id: SchedulerAnswer() for job_id in wanted}
    missing = [job_id for job_id in wanted if job_id not in queue]
    found = {**queue, **_accounts(missing, run)}
    return found | {job_id: _details(job_id, run) for job_id in missing if job_id not in found}


def _queue(job_ids: list[str], run: Runner) -> dict[str, SchedulerAnswer] | None:
    # One id that squeue has forgotten would make it fail for all, unless it is asked for two or more.
    listed = ",".join([*job_ids, job_ids[0]])
    fields = "JobID:24,State:24,Reason:40,RestartCnt:12"
    answer = run(["squeue", "-h", "-t", "all", "-j", listed, "-O", fields], _TIMEOUT_S)
    if answer is None:
        return None
    if answer[0]:
        return {} if "Invalid job id" in answer[2] else None
    found = {}
    for line in answer[1].splitlines():
        parts = [line[:24].strip(), line[24:48].strip(), line[48:88].strip(), line[88:100].strip()]
        if parts[0] in job_ids:
            found[parts[0]] = SchedulerAnswer(parts[1], parts[2], int(parts[3]) if parts[3].isdigit() else 0)
    return found


def _accounts(job_ids: list[str], run: Runner) -> dict[str, SchedulerAnswer]:
    """Return what accounting says; nothing on clusters without it."""
    if not job_ids:
        return {}
    answer = run(["sacct", "-n", "-P", "-X", "-j", ",".join(job_ids), "-o", "JobIDRaw,State,Reason"], _TIMEOUT_S)
    found: dict[str, SchedulerAnswer] = {}
    for line in answer[1].splitlines() if answer and not answer[0] else []:
        parts = line.split("|")
        if len(parts) >= 2 and parts[0] in job_ids and parts[1]:
            # "CANCELLED by 1000"; the last line of a requeued job is its newest attempt.
            found[parts[0]] = SchedulerAnswer(parts[1].split()[0], parts[2] if len(parts) > 2 else "")
    return found


def _details(job_id: str, run: Runner) -> SchedulerAnswer:
    answer = run(["scontrol", "show", "job", "-o", job_id], _TIMEOUT_S)
    if answer is None:
        return SchedulerAnswer()
    if answer[0]:
        return SchedulerAnswer("UNKNOWN") if "Invalid job id" in answer[2] else SchedulerAnswer()
    facts = dict(part.split("=", 1) for part in answer[1].split() if "=" in part)
    restarts = facts.get("Restarts", "0")
    return SchedulerAnswer(
        facts.get("JobState", ""), facts.get("Reason", ""), int(restarts) if restarts.isdigit() else 0
    )


def nodes(run: Runner = run_command) -> list[str]:
    """Return the host names of the cluster; empty if Slurm does not answer."""
    answer = run(["sinfo", "-h", "-N", "-o", "%n"], _TIMEOUT_S)
    return sorted(set(answer[1].split())) if answer and not answer[0] else []


def _said(answer: tuple[int, str, str] | None) -> str:
    if answer is None:
        return " within its time"
    lines = [line.strip() for line in (answer[2] or answer[1]).splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else f" (code {answer[0]})"

"""The words that a job runs as; pure functions. Nothing here is ever given to a shell but the quoted sbatch script."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from galspec.core.home import REPOSITORY_DIR
from galspec.jobs.job import Job

#: Stands in a job's argv for its folder, whose name is known only when it is submitted.
RUN: Final = "{run}"
#: Seconds before the time limit at which Slurm warns the job, so that it can write a checkpoint; less for short jobs.
WARN_S: Final = 120
#: Where the processes of several nodes meet.
PORT: Final = 29511


def expanded(argv: Sequence[str], folder: Path) -> list[str]:
    """Return the words with the job's folder in place of ``{run}``.

    Examples
    --------
    >>> expanded(["--out", "{run}", "--config", "{run}/settings.toml"], Path("/w/runs/a"))
    ['--out', '/w/runs/a', '--config', '/w/runs/a/settings.toml']
    """
    is_inside = [word == RUN or word.startswith(f"{RUN}/") for word in argv]
    return [
        f"{folder}{word.removeprefix(RUN)}" if inside else word for word, inside in zip(argv, is_inside, strict=True)
    ]


def command_words(job: Job, folder: Path, python: str = sys.executable, first_host: str = "") -> list[str]:
    """Return the words of the command that does a job's work.

    Parameters
    ----------
    job : Job
    folder : Path
        The job's folder.
    python : str
        The interpreter.
    first_host : str
        Name of the first node, for jobs on several.
    """
    argv = expanded(job.argv, folder)
    if job.program:
        return [*job.program, *argv]
    resources = job.resources
    if resources.n_processes == 1 or job.argv[:2] != ("train", "cnn"):
        return [python, "-m", "galspec", *argv]
    torchrun = [python, "-m", "torch.distributed.run", "--nproc-per-node", str(resources.processes)]
    if resources.nodes == 1:
        return [*torchrun, "--standalone", "-m", "galspec", *argv]
    meeting = f"{first_host or 'FIRST_NODE'}:{PORT}"
    srun = ["srun", f"--nodes={resources.nodes}", f"--ntasks={resources.nodes}", "--kill-on-bad-exit=1"]
    # Slurm's srun does not take the cores of a task from its batch job.
    srun += [f"--cpus-per-task={resources.cpus}"] if resources.cpus else []
    several = ["--nnodes", str(resources.nodes), "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting]
    return [*srun, *torchrun, *several, "--rdzv-id", job.id, "-m", "galspec", *argv]


def shown_command(job: Job, folder: Path) -> str:
    """Return the command as a shell would take it, for reading and copying."""
    return shlex.join(command_words(job, folder, python="python"))


def supervisor_words(folder: Path, python: str = sys.executable) -> list[str]:
    """Return the words that start the supervisor of a job."""
    return [python, "-m", "galspec.jobs.supervisor", str(folder)]


def sbatch_script(job: Job, folder: Path, python: str = sys.executable, repository: Path = REPOSITORY_DIR) -> str:
    """Return the batch script of a Slurm job; pure: equal arguments give equal text.

    Parameters
    ----------
    job : Job
        Its resources are checked words, so no line can be misread; paths are quoted.
    folder : Path
        The job's folder, on a disk that all nodes share.
    python : str
        The interpreter.
    repository : Path
        Where galspec lies.
    """
    resources = job.resources
    warn_s = min(WARN_S, 15 * resources.time_min) if resources.time_min else WARN_S
    options = [f"--job-name=galspec-{job.name}", "--output=log.txt", "--open-mode=append"]
    options += [f"--nodes={resources.nodes}", "--ntasks-per-node=1"]
    optional = (
        ("--cpus-per-task", resources.cpus),
        ("--partition", resources.partition),
        ("--account", resources.account),
        ("--gres", resources.gres),
        ("--mem", f"{resources.memory_gb}G" if resources.memory_gb else ""),
        ("--time", resources.time_min),
    )
    options += [f"{name}={value}" for name, value in optional if value]
    options += ["--requeue" if resources.is_requeued else "--no-requeue", f"--signal=B:USR1@{warn_s}"]
    lines = ["#!/bin/bash", f"# galspec job {job.id}: {job.kind}", *(f"#SBATCH {option}" for option in options), ""]
    lines += [f"cd {shlex.quote(str(repository))} || exit 1", f"exec {_quoted(supervisor_words(folder, python))}"]
    return "\n".join(lines) + "\n"


def _quoted(words: Sequence[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)

"""Submit, stop, resume, copy and delete jobs; what the page's buttons and `python -m galspec jobs` call."""

import dataclasses
import getpass
import os
import platform
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from galspec import __version__
from galspec.core.errors import JobError
from galspec.core.files import write_text
from galspec.core.home import REPOSITORY_DIR
from galspec.core.provenance import git_commit
from galspec.jobs import slurm, standby
from galspec.jobs.command import sbatch_script, supervisor_words
from galspec.jobs.folder import JobFolder, Row, runs_dir
from galspec.jobs.job import VERBS, Job, Resources, require_name
from galspec.jobs.places import Queue, kind_of_place, list_gpus
from galspec.jobs.process import Moment, Process
from galspec.jobs.state import State, Status
from galspec.jobs.view import JobView, look, slurm_id_of

_START_TIMEOUT_S: Final = 30.0
#: Records of an attempt, which a new attempt begins without.
_ATTEMPT: Final = ("process.json", "heartbeat.json", "ended.json", "stop.json", "exit.json", "handed.json")
_TEMPORARY_DIRS: Final = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108  named to be refused


def submit(
    name: str,
    argv: tuple[str, ...],
    resources: Resources,
    settings: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    cloned_from: str = "",
    program: tuple[str, ...] = (),
) -> JobFolder:
    """Make a job's folder and start it; returns at once, the job runs by itself.

    Parameters
    ----------
    name : str
    argv : tuple of str
        What follows ``python -m galspec``; ``{run}`` stands for the job's folder.
    resources : Resources
    settings : mapping, optional
        For comparing and copying jobs.
    files : mapping of str to str, optional
        Text files that the command reads from the job's folder, by name.
    cloned_from : str
        Id of the job that this is a copy of.
    program : tuple of str
        Other words to run than galspec; for tests of the engine itself.

    Raises
    ------
    JobError
        If it is refused: nothing was started and no folder stays.
    """
    require_name(name)
    if not program and argv[:1] not in {(verb,) for verb in VERBS}:
        raise JobError(f"{' '.join(argv[:1]) or 'nothing'!r} cannot be a job; {', '.join(VERBS)} can.", "command")
    if resources.device == "auto" and not program and not _can_use_gpu(argv):
        resources = dataclasses.replace(resources, device="cpu")
    check_resources(resources)
    now = time.time()
    job_id = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{name}-{uuid.uuid4().hex[:4]}"
    environment = environment_facts()
    job = Job(job_id, name, argv, resources, dict(settings or {}), now, environment, cloned_from, program)
    folder = _new_folder(job_id)
    try:
        for file_name, text in (files or {}).items():
            write_text(folder.path / Path(file_name).name, text)
        folder.write("job.json", job.to_dict())
        _start(folder, job)
    except (JobError, OSError) as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        if isinstance(error, JobError):
            raise
        raise JobError(f"the job's folder cannot be written: {error}.", "folder") from None
    return folder


def _can_use_gpu(argv: tuple[str, ...]) -> bool:
    """Return True for commands that a GPU helps: networks and predictions; the VAE trains on processors."""
    return argv[:2] == ("train", "cnn") or argv[:1] == ("predict",)


def check_resources(resources: Resources) -> None:
    """Refuse a job that could not run here, before anything is written.

    Raises
    ------
    JobError
        If there is no GPU though one is asked for, the queue is full, Slurm is absent, silent, or has no such
        partition, or its nodes would not see the job's folder.
    """
    if resources.backend == "local":
        Queue(runs_dir(), kind_of_place(resources, list_gpus())).require_room()
        return
    slurm.require_accepted(resources)
    root = runs_dir()
    others = set(slurm.nodes()) - {socket.gethostname(), socket.gethostname().split(".")[0]}
    if others and any(root.is_relative_to(folder) for folder in _TEMPORARY_DIRS):
        raise JobError(
            f"{root} is on a disk of this machine alone, which the nodes of the cluster do not see: "
            "set GALSPEC_HOME to a folder on a shared disk.",
            "backend",
        )


def _new_folder(job_id: str) -> JobFolder:
    path = runs_dir() / job_id
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise JobError(
            f"{path.parent} cannot be written ({error}): set GALSPEC_HOME to a folder of yours.", "folder"
        ) from None
    return JobFolder(path)


def environment_facts() -> Row:
    """Return machine, versions and commit; imports nothing heavy."""
    facts: Row = {
        "galspec": __version__,
        "commit": git_commit(),
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpus": [gpu.name for gpu in list_gpus()],
    }
    for package in ("torch", "numpy"):
        facts[package] = metadata.version(package)
    return facts


def _start(folder: JobFolder, job: Job) -> None:
    """Hand an attempt to this machine or to Slurm."""
    record: Row = {"at": dataclasses.asdict(Moment.now())}
    if job.resources.backend == "slurm":
        script = folder.path / "job.sbatch"
        write_text(script, sbatch_script(job, folder.path))
        slurm.require_accepted(job.resources, script)
        folder.write("handed.json", record)
        record["slurm_id"] = slurm.submit(script)
        folder.write("handed.json", record)
        return
    folder.write("handed.json", record)
    if not standby.hand_over(folder):
        _start_supervisor(folder)


def _start_supervisor(folder: JobFolder, *options: str) -> None:
    words = [*supervisor_words(folder.path), "--detach", *options]
    try:
        done = subprocess.run(  # noqa: S603  this Python, a module and a folder
            words,
            cwd=REPOSITORY_DIR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_START_TIMEOUT_S,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JobError(f"the job could not be started: {error}.") from None
    if done.returncode:
        raise JobError(f"the job could not be started: {done.stderr.strip()[-500:] or 'its supervisor died'}.")


def stop(folder: JobFolder) -> Status:
    """Ask a job to end: SIGTERM to its process group, SIGKILL after 20 s; scancel on Slurm. Asking twice is no error.

    Returns
    -------
    Status
        As it was found; a job that has ended stays as it is.

    Raises
    ------
    JobError
        If the job's folder is gone or the scheduler does not answer (the job's supervisor is asked all the same).
    """
    with folder.locked():
        view = look(folder)
        if not view.status.is_live:
            return view.status
        if not (folder.path / "stop.json").exists():
            by = f"{getpass.getuser()}@{socket.gethostname()}"
            folder.write("stop.json", {"at": dataclasses.asdict(Moment.now()), "by": by})
        if view.slurm_id:
            if not slurm.cancel(view.slurm_id):
                raise JobError("the scheduler does not answer; the job itself was asked to end.")
            return view.status
        process = folder.read("process.json") or {}
        supervisor = Process.from_dict(process.get("supervisor"))
        # The supervisor sees stop.json within half a second. If it was killed, a new one looks after the command.
        if supervisor is not None and supervisor.is_alive() is False:
            _start_supervisor(folder, "--adopt")
        return view.status


def resume(folder: JobFolder) -> None:
    """Start a job again that was stopped, failed or was lost; trainings continue from their last checkpoint.

    Raises
    ------
    JobError
        If it runs, or has finished.
    """
    with folder.locked():
        view = look(folder)
        if view.status.is_live:
            raise JobError(f"the job is {view.state}, so there is nothing to resume.", "job")
        if view.state is State.FINISHED:
            raise JobError("the job has finished; clone it to run it again.", "job")
        check_resources(view.job.resources)
        _remember_attempt(view)
        folder.remove(*_ATTEMPT)
        _start(folder, view.job)


def _remember_attempt(view: JobView) -> None:
    """Keep how an attempt ended in attempts.json."""
    earlier = (view.folder.read("attempts.json") or {}).get("attempts", [])
    entry = {"state": str(view.state), "cause": str(view.cause) if view.cause else "", "seconds": view.seconds}
    view.folder.write("attempts.json", {"attempts": [*earlier, {**entry, "slurm_id": slurm_id_of(view.folder)}]})


def clone(folder: JobFolder, name: str = "", resources: Resources | None = None) -> JobFolder:
    """Submit a copy of a job: the same command and settings in a new folder.

    Parameters
    ----------
    folder : JobFolder
    name : str
        Of the copy; the same if empty.
    resources : Resources, optional
        Where the copy runs; the same if None.

    Raises
    ------
    JobError
        If the copy is refused.
    """
    job = folder.job()
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.path.glob("*.toml")}
    return submit(
        name or job.name,
        job.argv,
        resources or job.resources,
        job.settings,
        files,
        cloned_from=job.id,
        program=job.program,
    )


def remove(folder: JobFolder) -> None:
    """Delete a job's folder with its metrics, checkpoints and bundle; never that of a job that still lives.

    Raises
    ------
    JobError
        If it lives, or its folder is not one of the workspace's.
    """
    if folder.path.parent.resolve() != runs_dir() or folder.path.is_symlink():
        raise JobError(f"{folder.path} is not a job of this workspace.", "job")
    with folder.locked():
        view = look(folder)
        if view.status.is_live:
            raise JobError(f"the job is {view.state}: stop it first.", "job")
        trash = folder.path.with_name(f".trash-{folder.id}")
        folder.path.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)

"""What is to be seen of a job now: evidence from folder, processes and scheduler; its state, its place."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from galspec.core.errors import JobError
from galspec.jobs import slurm
from galspec.jobs.causes import Cause, cause_of_failure
from galspec.jobs.folder import JobFolder, all_folders
from galspec.jobs.job import Job
from galspec.jobs.metrics import last_rows, tail_lines
from galspec.jobs.process import Moment, Process, age_s
from galspec.jobs.state import End, Evidence, SchedulerAnswer, State, Status, derive_state

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class JobView:
    """A job as a list or a page shows it.

    Parameters
    ----------
    folder : JobFolder
    job : Job
    status : Status
    cause : Cause or None
        Why it failed, if it did.
    last, last_epoch : dict
        Last row of its metrics, and last one of an epoch; empty without any.
    slurm_id : str
    heartbeat : dict
        Cores, memory; empty without supervisor.
    seconds : float
        How long the present attempt has run, or ran.
    """

    folder: JobFolder
    job: Job
    status: Status
    cause: Cause | None
    last: Row
    last_epoch: Row
    slurm_id: str
    heartbeat: Row
    seconds: float

    @property
    def state(self) -> State:
        """The state alone."""
        return self.status.state

    @property
    def can_resume(self) -> bool:
        """Whether `engine.resume` would start it again."""
        return not self.status.is_live and self.state is not State.FINISHED

    def to_dict(self) -> Row:
        """Return the view as JSON."""
        return {
            "id": self.job.id,
            "name": self.job.name,
            "kind": self.job.kind,
            "state": str(self.state),
            "note": self.status.note,
            "cause": str(self.cause) if self.cause else None,
            "backend": self.job.resources.backend,
            "slurm_id": self.slurm_id or None,
            "created": self.job.created,
            "seconds": round(self.seconds, 1),
            "last": self.last,
            "last_epoch": self.last_epoch,
            "folder": str(self.folder.path),
        }


def gather(folder: JobFolder, answer: SchedulerAnswer | None) -> Evidence:
    """Gather the evidence of one job; reads a handful of small files."""
    now = Moment.now()
    handed = folder.moment("handed.json")
    process = folder.read("process.json") or {}
    supervisor = Process.from_dict(process.get("supervisor"))
    command = Process.from_dict(process.get("job"))
    ended = folder.read("ended.json")
    is_supervisor_alive = supervisor.is_alive() if supervisor else False
    return Evidence(
        age_s=age_s(handed, now) if handed else float("inf"),
        is_waiting=bool(process.get("is_waiting")),
        is_supervisor_alive=is_supervisor_alive,
        is_job_alive=command.is_alive() if command else False,
        has_output=_log_size(folder) > int(process.get("log_size", 0)) if process else False,
        life_age_s=_life_age_s(folder, now, is_supervisor_alive is not False),
        end=_end(ended) if ended else None,
        own_exit=str((folder.read("exit.json") or {}).get("state", "")),
        is_stop_asked=(folder.path / "stop.json").exists(),
        scheduler=answer,
    )


def _end(ended: Row) -> End:
    return End(int(ended["returncode"]), str(ended.get("reason", "")), int(ended.get("restarts", 0)))


def _life_age_s(folder: JobFolder, now: Moment, is_watched: bool) -> float | None:
    """Return the age of the last sign of life; without supervisor the age of the last output."""
    if is_watched and (life := folder.moment("heartbeat.json", "life")):
        beat = folder.moment("heartbeat.json") or life
        return max(age_s(life, now), age_s(beat, now))
    times = [path.stat().st_mtime for path in (folder.log, folder.metrics) if path.exists()]
    if times:
        return max(0.0, time.time() - max(times))
    started = folder.moment("process.json", "started")
    return age_s(started, now) if started else None


def _log_size(folder: JobFolder) -> int:
    return folder.log.stat().st_size if folder.log.exists() else 0


def slurm_id_of(folder: JobFolder) -> str:
    """Return Slurm's id of the present attempt, or an empty text."""
    return str((folder.read("handed.json") or {}).get("slurm_id", ""))


def look(folder: JobFolder, answer: SchedulerAnswer | None = None) -> JobView:
    """Look at one job; asks the scheduler for a job on Slurm unless its answer is given.

    Raises
    ------
    JobError
        If job.json cannot be read.
    """
    job = folder.job()
    slurm_id = slurm_id_of(folder)
    if job.resources.backend == "slurm" and answer is None:
        answer = slurm.ask([slurm_id]).get(slurm_id, SchedulerAnswer()) if slurm_id else SchedulerAnswer("UNKNOWN")
    evidence = gather(folder, answer)
    status = derive_state(evidence)
    if not status.is_live and evidence.end is None:  # it may have ended between two looks at its files
        evidence = gather(folder, answer)
        status = derive_state(evidence)
    cause = None
    if status.state is State.FAILED:
        reason = str((folder.read("exit.json") or {}).get("reason", ""))
        word = answer.word if answer else ""
        cause = cause_of_failure(evidence.end, tail_lines(folder.log), reason, word)
    last, last_epoch = last_rows(folder.metrics)
    return JobView(
        folder=folder,
        job=job,
        status=status,
        cause=cause,
        last=last,
        last_epoch=last_epoch,
        slurm_id=slurm_id,
        heartbeat=folder.read("heartbeat.json") or {},
        seconds=_seconds(folder, status),
    )


def _seconds(folder: JobFolder, status: Status) -> float:
    if (ended := folder.read("ended.json")) and not status.is_live:
        return float(ended.get("seconds", 0.0))
    started = folder.moment("process.json", "started")
    if started is None or status.state is State.QUEUED:
        return 0.0
    if status.is_live:
        return age_s(started, Moment.now())
    beat = folder.moment("heartbeat.json")
    return age_s(started, beat) if beat else 0.0


@dataclasses.dataclass(frozen=True)
class JobList:
    """All jobs, and folders that could not be read.

    Parameters
    ----------
    views : tuple of JobView
        Newest first.
    problems : tuple of str
        One sentence for each folder that is no readable job.
    """

    views: tuple[JobView, ...]
    problems: tuple[str, ...]


#: Views of jobs that have ended: path -> (time of the last change in the folder, view).
_ENDED: dict[Path, tuple[int, JobView]] = {}


def _remembered(folder: JobFolder) -> JobView | None:
    """Return the view of a job that has ended, if nothing in its folder was made, replaced or deleted since."""
    stamp, view = _ENDED.get(folder.path, (0, None))
    try:
        return view if view is not None and folder.path.stat().st_mtime_ns == stamp else None
    except OSError:
        return None


def _remember(view: JobView, stamp: int, word: str) -> None:
    """Keep the view of a job whose end is on record and, on Slurm, final."""
    is_final = not word or word in {"COMPLETED", "CANCELLED", "FAILED"}
    if not view.status.is_live and is_final and (view.folder.path / "ended.json").exists():
        _ENDED[view.folder.path] = (stamp, view)


def look_at_all() -> JobList:
    """Look at all jobs; the scheduler is asked once for all that have not ended, and these are not read again."""
    folders = all_folders()
    known = {folder.path: view for folder in folders if (view := _remembered(folder)) is not None}
    ids = {folder.path: slurm_id_of(folder) for folder in folders if folder.path not in known}
    asked = [slurm_id for slurm_id in ids.values() if slurm_id]
    answers = slurm.ask(asked) if asked else {}
    views, problems = [], []
    for folder in folders:
        if folder.path in known:
            views.append(known[folder.path])
            continue
        slurm_id = ids[folder.path]
        answer = answers.get(slurm_id, SchedulerAnswer()) if slurm_id else None
        try:
            stamp = folder.path.stat().st_mtime_ns
            view = look(folder, answer)
        except (JobError, OSError) as error:
            problems.append(f"{folder.id}: {error}")
            continue
        views.append(view)
        if answer is None or answer.word:
            _remember(view, stamp, answer.word if answer else "")
    return JobList(tuple(views), tuple(problems))


def unfinished_counts() -> tuple[int, int]:
    """Return how many jobs have not ended on this machine and on Slurm, without asking the scheduler."""
    here = on_slurm = 0
    for folder in all_folders():
        if _remembered(folder) is not None:
            continue
        try:
            if slurm_id_of(folder):
                on_slurm += not (folder.path / "ended.json").exists()
            else:
                here += look(folder).status.is_live
        except (JobError, OSError):
            continue  # the Train page says it
    return here, on_slurm

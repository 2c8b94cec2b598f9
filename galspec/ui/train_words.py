"""States, times and settings of jobs in words and icons: never by colour alone."""

import datetime
import json
from pathlib import Path
from typing import Any, Final

from galspec.jobs.fields import TABLES
from galspec.jobs.job import Job
from galspec.jobs.state import State
from galspec.jobs.view import JobView
from galspec.store.layout import METADATA, SOURCES

#: State -> (icon, colour of the badge); the word always stands beside it.
ICONS: Final = {
    State.QUEUED: (":material/hourglass_empty:", "gray"),
    State.STARTING: (":material/rocket_launch:", "blue"),
    State.RUNNING: (":material/play_circle:", "blue"),
    State.STALLED: (":material/warning:", "orange"),
    State.FINISHED: (":material/check_circle:", "blue"),
    State.FAILED: (":material/error:", "orange"),
    State.CANCELLED: (":material/cancel:", "gray"),
    State.LOST: (":material/help:", "orange"),
    State.PREEMPTED: (":material/low_priority:", "gray"),
}
#: The same in a table's cell, which has no icons of Material.
SYMBOLS: Final = {
    State.QUEUED: "…",
    State.STARTING: "▷",
    State.RUNNING: "▶",
    State.STALLED: "⚠",
    State.FINISHED: "✓",
    State.FAILED: "✗",
    State.CANCELLED: "■",
    State.LOST: "?",
    State.PREEMPTED: "↻",
}


def state_cell(state: State) -> str:
    """Return a state for a table: symbol and word."""
    return f"{SYMBOLS[state]} {state}"


def clock(seconds: float) -> str:
    """Return a time of day with its date, in the server's time zone."""
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def setting_of(job: Job, name: str) -> Any:
    """Return a setting of a training, its default if it was not given; None for other commands."""
    what = job.argv[1] if job.argv[:1] == ("train",) and len(job.argv) > 1 else ""
    field = next((field for field in TABLES.get(what, ()) if field.name == name), None)
    renamed = {"n_epochs": "epochs", "num_threads": "threads"}.get(name, name)
    return job.settings.get(name, job.settings.get(renamed, field.default if field else None))


def full_settings(job: Job) -> dict[str, Any]:
    """Return all settings of a job, those at their default too, for a comparison."""
    what = job.argv[1] if job.argv[:1] == ("train",) and len(job.argv) > 1 else ""
    known = {field.name: setting_of(job, field.name) for field in TABLES.get(what, ())}
    return {"command": job.kind, **known, **job.settings}


def where(view: JobView) -> str:
    """Return where a job runs."""
    if view.job.resources.backend == "slurm":
        return f"Slurm {view.slurm_id}".strip()
    return f"local, {view.job.resources.device}"


def _survey_facts(job: Job) -> tuple[str, str]:
    """Return name and source of a job's survey; the folder's name and nothing if it cannot be read."""
    if not (folder := job.settings.get("survey")):
        return "", ""
    try:
        facts = json.loads((Path(str(folder)) / METADATA).read_text(encoding="utf-8"))
        return str(facts["name"]), str(facts["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return Path(str(folder)).name, ""


def survey_words(job: Job) -> str:
    """Return the survey of a job and whether it is simulated; empty if it names none."""
    name, source = _survey_facts(job)
    return f"survey {', '.join(filter(None, (name, source)))}" if name else ""


def source_of(*jobs: Job) -> str:
    """Return whether the galaxies of jobs are SIMULATED or REAL, or that they are both; empty if it is not known."""
    sources = {_survey_facts(job)[1] for job in jobs}
    return " and ".join(sorted(sources)) if sources <= set(SOURCES) else ""


def progress_cell(view: JobView) -> str:
    """Return how far a job is, for a table."""
    if "epoch" not in view.last:
        return ""
    total = setting_of(view.job, "n_epochs")
    return f"epoch {view.last['epoch']}" + (f" of {total}" if total else "")


def note_cell(view: JobView) -> str:
    """Return the cause of failure, else what else there is to say."""
    return view.cause.words if view.cause else view.status.note

"""What a job is doing: one pure function from evidence to a state."""

import dataclasses
import enum
from typing import Final

#: A job without a sign of life for so long is stalled, seconds.
STALL_S: Final = 120.0
#: How long a job that was handed over may take to show up, seconds.
ARRIVAL_S: Final = 60.0


class State(enum.StrEnum):
    """States of a job."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STALLED = "stalled"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    PREEMPTED = "preempted"


#: States that end by themselves in another one.
LIVE: Final = frozenset({State.QUEUED, State.STARTING, State.RUNNING, State.STALLED, State.PREEMPTED})


@dataclasses.dataclass(frozen=True)
class SchedulerAnswer:
    """What Slurm says of a job.

    Parameters
    ----------
    word : str
        Slurm's state; "UNKNOWN" if Slurm answers that it knows no such job, empty if Slurm does not answer.
    reason : str
        Why it waits or ended.
    restarts : int
        How often it was requeued.
    """

    word: str = ""
    reason: str = ""
    restarts: int = 0


@dataclasses.dataclass(frozen=True)
class End:
    """How the command of an attempt ended, as its supervisor saw it.

    Parameters
    ----------
    returncode : int
        Negative: the number of the signal that ended it.
    reason : str
        What made the supervisor end it: "stop", "signal" (from outside), "time limit", "requeue" (the same, and the
        scheduler was asked to start it again), "" (it ended by itself).
    restarts : int
        Slurm's count of restarts in that attempt.
    """

    returncode: int
    reason: str = ""
    restarts: int = 0


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything a state is derived from.

    Parameters
    ----------
    age_s : float
        Since the present attempt was handed over, seconds.
    is_waiting : bool
        Its supervisor waits for a free place.
    is_supervisor_alive, is_job_alive : bool or None
        By process number and start time; None on another machine.
    has_output : bool
        The command has written something.
    life_age_s : float or None
        Since the last sign of life (processor time, output, metrics), seconds; None if there was none.
    end : End or None
        Exit record of the supervisor.
    own_exit : str
        State in the exit record that training commands write themselves, of this attempt: finished, stopped, failed.
    is_stop_asked : bool
    scheduler : SchedulerAnswer or None
        None for a local job.
    """

    age_s: float = 0.0
    is_waiting: bool = False
    is_supervisor_alive: bool | None = False
    is_job_alive: bool | None = False
    has_output: bool = False
    life_age_s: float | None = None
    end: End | None = None
    own_exit: str = ""
    is_stop_asked: bool = False
    scheduler: SchedulerAnswer | None = None


@dataclasses.dataclass(frozen=True)
class Status:
    """A state with what else there is to say.

    Parameters
    ----------
    state : State
    note : str
        A few words, or empty.
    """

    state: State
    note: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it may still change by itself."""
        return self.state in LIVE


_WAITING: Final = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
_ON_NODE: Final = frozenset({"RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING"})
_BROKEN: Final = {
    "TIMEOUT": "time limit reached",
    "DEADLINE": "deadline of the scheduler passed",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "a node failed",
    "BOOT_FAIL": "a node did not start",
    "REVOKED": "taken back by the scheduler",
}


def derive_state(evidence: Evidence) -> Status:
    """Derive the state of a job; pure, so that every case is a row of a table in the tests.

    The scheduler says where a job is, the supervisor's record how its command ended. Processes and signs of life
    count between the two; what a job left behind decides when nothing else does.
    """
    if evidence.scheduler is not None and evidence.scheduler.word:
        return _from_scheduler(evidence, evidence.scheduler)
    if evidence.end is not None:
        return _from_end(evidence, evidence.end)
    if evidence.scheduler is not None:
        return _without_scheduler(evidence)
    if evidence.is_waiting and evidence.is_supervisor_alive:
        return Status(State.QUEUED, "stopping" if evidence.is_stop_asked else "waits for a free place")
    if evidence.is_job_alive or evidence.is_supervisor_alive:
        return _from_life(evidence)
    if evidence.is_job_alive is None or evidence.is_supervisor_alive is None:
        return _from_elsewhere(evidence)
    return _from_remains(evidence)


def _from_end(evidence: Evidence, end: End) -> Status:
    if end.returncode == 0:
        return Status(State.FINISHED)
    if end.reason in {"time limit", "requeue"}:
        return Status(State.FAILED, "time limit reached")
    if end.reason == "stop" or evidence.is_stop_asked:
        return Status(State.CANCELLED)
    if end.reason == "signal" or evidence.own_exit == "stopped":  # a training stops in order only when told to
        return Status(State.CANCELLED, "stopped by a signal from outside")
    return Status(State.FAILED)


def _from_life(evidence: Evidence) -> Status:
    """Judge a job that is there by its signs of life."""
    if evidence.life_age_s is not None and evidence.life_age_s > STALL_S:
        return Status(State.STALLED, f"no sign of life for {evidence.life_age_s:.0f} s")
    if evidence.is_stop_asked:
        return Status(State.RUNNING, "stopping")
    if not evidence.has_output:
        return Status(State.STARTING)
    return Status(State.RUNNING, "" if evidence.is_supervisor_alive is not False else "its supervisor is gone")


def _from_elsewhere(evidence: Evidence) -> Status:
    """Judge a local job of another machine: only its files can be seen."""
    if evidence.own_exit:
        return _from_remains(evidence)
    status = _from_life(evidence)
    return dataclasses.replace(status, note=", ".join(filter(None, [status.note, "on another machine"])))


def _from_remains(evidence: Evidence) -> Status:
    """Judge a job whose processes are gone without an exit record of the supervisor."""
    if evidence.own_exit == "finished":
        return Status(State.FINISHED)
    if evidence.own_exit == "failed":
        return Status(State.FAILED)
    if evidence.own_exit == "stopped" or evidence.is_stop_asked:
        return Status(State.CANCELLED)
    return Status(State.LOST, "its processes are gone without a record: killed, out of memory, or a reboot")


def _without_scheduler(evidence: Evidence) -> Status:
    """Judge a Slurm job while Slurm does not answer."""
    silent = "the scheduler does not answer"
    if evidence.own_exit:
        return dataclasses.replace(_from_remains(evidence), note=silent)
    if evidence.life_age_s is None:
        return Status(State.QUEUED, silent)
    status = _from_life(evidence)
    return dataclasses.replace(status, note=", ".join(filter(None, [status.note, silent])))


def _from_scheduler(evidence: Evidence, answer: SchedulerAnswer) -> Status:
    # The record of an attempt before a requeue says nothing of the present one.
    end = evidence.end if evidence.end and evidence.end.restarts >= answer.restarts else None
    if answer.word in _WAITING:
        return _waiting(evidence, answer)
    if answer.word == "CONFIGURING":
        return Status(State.STARTING, "the scheduler prepares the node")
    if answer.word in {"SUSPENDED", "STOPPED"}:
        return Status(State.STALLED, "suspended by the scheduler")
    if answer.word in _ON_NODE and end and end.reason == "requeue":
        return Status(State.PREEMPTED, "time limit reached; asks to run again")
    if answer.word in _ON_NODE:
        return _from_end(evidence, end) if end else _from_life(dataclasses.replace(evidence, is_supervisor_alive=None))
    return _after(evidence, end, answer)


def _waiting(evidence: Evidence, answer: SchedulerAnswer) -> Status:
    if evidence.is_stop_asked:
        return Status(State.QUEUED, "stopping")
    why = f" ({answer.reason})" if answer.reason not in {"", "None"} else ""
    if answer.restarts or answer.word != "PENDING":
        return Status(State.PREEMPTED, f"waits to run again{why}")
    return Status(State.QUEUED, f"waits in the scheduler{why}")


def _after(evidence: Evidence, end: End | None, answer: SchedulerAnswer) -> Status:
    """Judge a job that the scheduler has done with, or does not know."""
    if end is not None and (end.returncode == 0 or answer.word in {"COMPLETED", "FAILED", "UNKNOWN"}):
        return _from_end(evidence, end)
    if evidence.own_exit == "finished" or answer.word == "COMPLETED":
        return Status(State.FINISHED)
    if answer.word == "CANCELLED":
        return Status(State.CANCELLED, "" if evidence.is_stop_asked else "cancelled in the scheduler")
    if answer.word == "PREEMPTED":
        return Status(State.PREEMPTED, "a more urgent job took its place; resume it")
    if answer.word == "UNKNOWN":
        if evidence.own_exit or evidence.is_stop_asked:
            return _from_remains(evidence)
        if evidence.age_s < ARRIVAL_S:
            return Status(State.QUEUED, "handed to the scheduler")
        return Status(State.LOST, "the scheduler does not know it")
    return Status(State.FAILED, _BROKEN.get(answer.word, ""))

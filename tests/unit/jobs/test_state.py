"""Every state from its evidence: one row a case."""

import dataclasses

import pytest

from galspec.jobs.process import Moment, age_s
from galspec.jobs.state import LIVE, STALL_S, End, Evidence, SchedulerAnswer, State, derive_state

ALIVE = Evidence(age_s=100, is_supervisor_alive=True, is_job_alive=True, has_output=True, life_age_s=1.0)
GONE = Evidence(age_s=100, life_age_s=30.0)


def _slurm(word: str, reason: str = "", restarts: int = 0, base: Evidence = ALIVE, **changes) -> Evidence:
    answer = SchedulerAnswer(word, reason, restarts)
    elsewhere = dataclasses.replace(base, is_supervisor_alive=None, is_job_alive=None)
    return dataclasses.replace(elsewhere, scheduler=answer, **changes)


CASES = [
    # this machine, while it runs
    ("supervisor waits for a place", Evidence(is_waiting=True, is_supervisor_alive=True), State.QUEUED),
    (
        "told to stop while waiting",
        Evidence(is_waiting=True, is_supervisor_alive=True, is_stop_asked=True),
        State.QUEUED,
    ),
    ("supervisor there, command not yet", Evidence(is_supervisor_alive=True), State.STARTING),
    ("command there, silent", dataclasses.replace(ALIVE, has_output=False), State.STARTING),
    ("all well", ALIVE, State.RUNNING),
    ("told to stop", dataclasses.replace(ALIVE, is_stop_asked=True), State.RUNNING),
    ("supervisor killed, command lives", dataclasses.replace(ALIVE, is_supervisor_alive=False), State.RUNNING),
    ("command ended a moment ago", dataclasses.replace(ALIVE, is_job_alive=False), State.RUNNING),
    ("silent, not yet too long", dataclasses.replace(ALIVE, life_age_s=STALL_S), State.RUNNING),
    ("silent too long", dataclasses.replace(ALIVE, life_age_s=STALL_S + 1), State.STALLED),
    ("silent too long in the beginning", dataclasses.replace(ALIVE, life_age_s=500, has_output=False), State.STALLED),
    # this machine, ended with a record
    ("code 0", dataclasses.replace(GONE, end=End(0)), State.FINISHED),
    ("code 0 though told to stop", dataclasses.replace(GONE, end=End(0), is_stop_asked=True), State.FINISHED),
    ("code 1", dataclasses.replace(GONE, end=End(1)), State.FAILED),
    ("killed with -9", dataclasses.replace(GONE, end=End(-9)), State.FAILED),
    ("stopped in order", dataclasses.replace(GONE, end=End(130, "stop"), is_stop_asked=True), State.CANCELLED),
    (
        "killed after the grace time",
        dataclasses.replace(GONE, end=End(-9, "stop"), is_stop_asked=True),
        State.CANCELLED,
    ),
    ("SIGTERM from outside", dataclasses.replace(GONE, end=End(-15, "signal")), State.CANCELLED),
    (
        "training told to stop by a signal of its own",
        dataclasses.replace(GONE, end=End(130), own_exit="stopped"),
        State.CANCELLED,
    ),
    ("training failed", dataclasses.replace(GONE, end=End(2), own_exit="failed"), State.FAILED),
    ("time limit", dataclasses.replace(GONE, end=End(130, "time limit")), State.FAILED),
    ("record and supervisor still there", dataclasses.replace(ALIVE, end=End(0)), State.FINISHED),
    # this machine, no record
    ("everything killed", GONE, State.LOST),
    ("pid belongs to another process now", dataclasses.replace(GONE, has_output=True), State.LOST),
    ("everything killed after stop", dataclasses.replace(GONE, is_stop_asked=True), State.CANCELLED),
    ("supervisor killed, training finished", dataclasses.replace(GONE, own_exit="finished"), State.FINISHED),
    ("supervisor killed, training failed", dataclasses.replace(GONE, own_exit="failed"), State.FAILED),
    ("supervisor killed, training stopped", dataclasses.replace(GONE, own_exit="stopped"), State.CANCELLED),
    # another machine with the same workspace
    ("elsewhere, beating", dataclasses.replace(ALIVE, is_supervisor_alive=None, is_job_alive=None), State.RUNNING),
    (
        "elsewhere, silent",
        dataclasses.replace(ALIVE, is_supervisor_alive=None, is_job_alive=None, life_age_s=500),
        State.STALLED,
    ),
    (
        "elsewhere, finished",
        dataclasses.replace(ALIVE, is_supervisor_alive=None, is_job_alive=None, own_exit="finished"),
        State.FINISHED,
    ),
    # Slurm
    ("pending", _slurm("PENDING", "Resources", base=Evidence()), State.QUEUED),
    ("pending, told to stop", _slurm("PENDING", base=Evidence(), is_stop_asked=True), State.QUEUED),
    ("requeued", _slurm("PENDING", "BeginTime", 1, end=End(130, "signal", 0)), State.PREEMPTED),
    ("requeue on hold", _slurm("REQUEUE_HOLD", end=End(130, "signal", 0)), State.PREEMPTED),
    ("node prepares", _slurm("CONFIGURING"), State.STARTING),
    ("on a node", _slurm("RUNNING"), State.RUNNING),
    ("on a node, silent", _slurm("RUNNING", life_age_s=STALL_S + 1), State.STALLED),
    ("on a node, no heartbeat seen yet", _slurm("RUNNING", base=Evidence()), State.STARTING),
    ("on a node again, old record", _slurm("RUNNING", "", 1, end=End(130, "signal", 0)), State.RUNNING),
    ("record there, scheduler late", _slurm("RUNNING", end=End(0)), State.FINISHED),
    ("completing without record", _slurm("COMPLETING"), State.RUNNING),
    ("suspended", _slurm("SUSPENDED"), State.STALLED),
    ("completed", _slurm("COMPLETED", end=End(0)), State.FINISHED),
    ("completed, record not seen", _slurm("COMPLETED"), State.FINISHED),
    ("failed", _slurm("FAILED", end=End(1)), State.FAILED),
    ("failed, record not seen", _slurm("FAILED"), State.FAILED),
    ("time limit of Slurm", _slurm("TIMEOUT"), State.FAILED),
    ("told before the limit", _slurm("FAILED", end=End(130, "time limit")), State.FAILED),
    ("limit near, asks to be requeued", _slurm("RUNNING", end=End(130, "requeue")), State.PREEMPTED),
    ("the scheduler would not requeue it", _slurm("FAILED", end=End(130, "requeue")), State.FAILED),
    ("memory", _slurm("OUT_OF_MEMORY"), State.FAILED),
    ("node broke", _slurm("NODE_FAIL"), State.FAILED),
    ("preempted without requeue", _slurm("PREEMPTED", end=End(130, "signal")), State.PREEMPTED),
    ("scancel by us", _slurm("CANCELLED", end=End(130, "stop"), is_stop_asked=True), State.CANCELLED),
    ("scancel by hand", _slurm("CANCELLED", end=End(130, "signal")), State.CANCELLED),
    ("cancelled while it finished", _slurm("CANCELLED", end=End(0)), State.FINISHED),
    ("unknown, just handed over", _slurm("UNKNOWN", base=Evidence(age_s=5)), State.QUEUED),
    ("unknown for long", _slurm("UNKNOWN", base=Evidence(age_s=500)), State.LOST),
    ("forgotten after it finished", _slurm("UNKNOWN", end=End(0)), State.FINISHED),
    ("forgotten after it failed", _slurm("UNKNOWN", end=End(1)), State.FAILED),
    ("forgotten, training finished", _slurm("UNKNOWN", own_exit="finished", age_s=500), State.FINISHED),
    ("a word of a later Slurm", _slurm("SOMETHING_NEW"), State.FAILED),
    # Slurm that does not answer
    ("silent scheduler, finished", _slurm("", end=End(0)), State.FINISHED),
    ("silent scheduler, beating", _slurm(""), State.RUNNING),
    ("silent scheduler, silent job", _slurm("", life_age_s=500), State.STALLED),
    ("silent scheduler, never begun", _slurm("", base=Evidence()), State.QUEUED),
    ("silent scheduler, training failed", _slurm("", own_exit="failed"), State.FAILED),
]


@pytest.mark.parametrize(("evidence", "state"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_state_follows_from_the_evidence(evidence: Evidence, state: State):
    assert derive_state(evidence).state is state


def test_every_state_is_a_case():
    assert {case[2] for case in CASES} == set(State)


def test_live_states_are_those_that_change_by_themselves():
    assert set(State) - LIVE == {State.FINISHED, State.FAILED, State.CANCELLED, State.LOST}


def test_a_silent_scheduler_is_said():
    assert "does not answer" in derive_state(_slurm("")).note


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0, 5e8])
def test_setting_the_clock_makes_no_job_old(jump_s: float):
    beat = Moment(wall=1000.0, steady=50.0, boot="a")
    now = Moment(wall=1003.0 + jump_s, steady=53.0, boot="a")
    assert age_s(beat, now) == 3.0


def test_between_machines_the_wall_clock_counts_and_never_backwards():
    beat = Moment(wall=1000.0, steady=50.0, boot="a")
    assert age_s(beat, Moment(wall=1010.0, steady=9e9, boot="b")) == 10.0
    assert age_s(beat, Moment(wall=900.0, steady=9e9, boot="b")) == 0.0

"""Jobs on a real Slurm: life, cancel, resume, preemption, time limit, refusal, a silent controller."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from galspec.core.errors import JobError
from galspec.jobs import engine
from galspec.jobs.folder import JobFolder
from galspec.jobs.job import Resources
from galspec.jobs.metrics import MetricsReader
from galspec.jobs.state import State
from galspec.jobs.view import look, look_at_all, slurm_id_of
from tests.toy_survey import write_toy_models, write_toy_survey
from tests.unit.jobs.conftest import TRAINING

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("slurm")]


def _submit(script: str, *arguments: str, **resources) -> JobFolder:
    program = (sys.executable, "-c", textwrap.dedent(script))
    chosen = Resources(backend="slurm", device="cpu", **resources)
    return engine.submit("fake", ("{run}", *arguments), chosen, program=program)


def _wait(folder: JobFolder, *states: State, patience_s: float = 200.0):
    end = time.monotonic() + patience_s
    seen: list[State] = []
    while time.monotonic() < end:
        view = look(folder)
        seen += [view.state] if seen[-1:] != [view.state] else []
        if view.state in states:
            return view, seen
        time.sleep(0.2)
    log = folder.log.read_text() if folder.log.exists() else "no log"
    words = ["scontrol", "show", "job", slurm_id_of(folder)]
    queue = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    raise AssertionError(f"waited for {states}, saw {seen}; {view.status}; log: {log}; {queue}")


def _steps(folder: JobFolder) -> list[int]:
    reader = MetricsReader(folder.metrics)
    reader.update()
    return [row["step"] for row in reader.rows]


def _wait_for_steps(folder: JobFolder, n: int) -> None:
    end = time.monotonic() + 200
    while time.monotonic() < end and len(_steps(folder)) < n:
        time.sleep(0.1)
    assert len(_steps(folder)) >= n


def test_a_job_is_submitted_cancelled_resumed_and_finishes():
    folder = _submit(TRAINING, "60")
    _wait_for_steps(folder, 3)
    view, _ = _wait(folder, State.RUNNING)
    assert view.slurm_id.isdigit()
    engine.stop(folder)
    engine.stop(folder)
    view, _ = _wait(folder, State.CANCELLED)
    assert "stopped at" in folder.log.read_text()  # it wrote its checkpoint before it ended
    first = view.slurm_id
    engine.resume(folder)
    view, _ = _wait(folder, State.FINISHED)
    assert view.slurm_id != first
    assert _steps(folder) == list(range(1, 61))
    assert engine.stop(folder).state is State.FINISHED


def test_scancel_by_hand_is_cancelled_not_failed():
    folder = _submit(TRAINING, "5000")
    _wait_for_steps(folder, 2)
    subprocess.run(["scancel", slurm_id_of(folder)], check=True)
    view, _ = _wait(folder, State.CANCELLED)
    assert view.cause is None


def test_a_failure_has_its_cause():
    view, _ = _wait(_submit("raise OSError(28, 'No space left on device')"), State.FAILED)
    assert view.cause.words == "disk full"


def test_kill_9_on_the_node_is_a_failure():
    folder = _submit(TRAINING, "5000")
    _wait_for_steps(folder, 2)
    os.kill(folder.read("process.json")["job"]["pid"], signal.SIGKILL)
    view, _ = _wait(folder, State.FAILED)
    assert "SIGKILL" in str(view.cause)


def test_a_waiting_job_is_queued_and_cancelled_without_having_begun():
    cores = min(os.cpu_count() or 1, 2)
    first = _submit(TRAINING, "5000", cpus=cores)
    _wait_for_steps(first, 1)
    second = _submit(TRAINING, "5", cpus=cores)
    view, _ = _wait(second, State.QUEUED)
    assert view.status.note.startswith("waits in the scheduler")
    engine.stop(second)
    _wait(second, State.CANCELLED)
    assert not second.metrics.exists()
    assert [view.state for view in look_at_all().views if view.folder == first] == [State.RUNNING]
    engine.stop(first)
    _wait(first, State.CANCELLED)


def test_a_preempted_job_runs_again_and_loses_nothing():
    cores = min(os.cpu_count() or 1, 2)
    folder = _submit(TRAINING, "400", cpus=cores, partition="debug")
    _wait_for_steps(folder, 5)
    urgent = _submit("import time; time.sleep(3)", cpus=cores, partition="urgent")
    view, _ = _wait(folder, State.PREEMPTED)
    assert "waits to run again" in view.status.note
    _wait(urgent, State.FINISHED)
    _, seen = _wait(folder, State.FINISHED)
    assert State.FAILED not in seen
    assert State.CANCELLED not in seen
    assert _steps(folder) == list(range(1, 401))
    assert folder.log.read_text().count("training from") >= 2
    assert folder.read("ended.json")["restarts"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("is_requeued", [True, False])
def test_the_time_limit_ends_a_job_with_a_checkpoint(is_requeued: bool):
    folder = _submit(TRAINING, "100000", time_min=1, is_requeued=is_requeued)
    if is_requeued:
        _wait(folder, State.PREEMPTED)
        _wait(folder, State.RUNNING)
        _wait_for_steps(folder, len(_steps(folder)) + 3)
        engine.stop(folder)
        _wait(folder, State.CANCELLED)
    else:
        view, _ = _wait(folder, State.FAILED)
        assert view.cause.words == "time limit"
        assert view.can_resume
    steps = _steps(folder)
    assert steps == list(range(1, len(steps) + 1))
    assert "asked to end (time limit)" in folder.log.read_text()


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"partition": "nowhere"}, "partition"),
        ({"gres": "gpu:8"}, "gres"),
        ({"nodes": 9}, "nodes"),
        ({"cpus": 1000}, "cpus"),
    ],
)
def test_what_slurm_would_refuse_is_refused_before_and_named(resources, field):
    with pytest.raises(JobError) as caught:
        _submit("print()", **resources)
    assert caught.value.field in {field, "nodes"}  # "Requested node configuration is not available" covers cores too
    assert not look_at_all().views


def test_a_scheduler_that_does_not_answer_hides_nothing(monkeypatch, tmp_path: Path):
    folder = _submit(TRAINING, "5000")
    _wait_for_steps(folder, 2)
    _wait(folder, State.RUNNING)
    for name in ("squeue", "sacct", "scontrol", "scancel"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\nexec sleep 600\n")
        program.chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{path}")
    monkeypatch.setattr("galspec.jobs.slurm._TIMEOUT_S", 0.5)
    view = look(folder)
    assert (view.state, view.status.note) == (State.RUNNING, "the scheduler does not answer")
    with pytest.raises(JobError, match="asked to end"):
        engine.stop(folder)  # the supervisor sees it all the same
    _wait(folder, State.CANCELLED)
    monkeypatch.setenv("PATH", path)
    view, _ = _wait(folder, State.CANCELLED)
    assert view.cause is None


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path: Path):
    survey = write_toy_survey(tmp_path / "toy", n_galaxies=60)
    vae, _ = write_toy_models(tmp_path / "models")
    words = ("train", "cnn", "--survey", str(survey), "--vae", str(vae), "--out", "{run}", "--model", "simple-cnn")
    words += ("--batch-size", "8", "--epochs", "2", "--threads", "1", "--device", "cpu", "--precision", "fp32")
    folder = engine.submit("ddp", words, Resources(backend="slurm", device="cpu", processes=2))
    view, _ = _wait(folder, State.FINISHED)
    assert view.last["epoch"] == 2
    recipe = JobFolder(folder.bundle).read("model.json")["recipe"]
    assert recipe["n_processes"] == 2

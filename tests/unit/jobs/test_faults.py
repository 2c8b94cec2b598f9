"""Faults: what is killed, full, deleted, corrupt or silent gives the right state, and nothing is left behind."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from galspec.core.errors import JobError
from galspec.core.home import home_dir
from galspec.jobs import engine
from galspec.jobs.folder import runs_dir
from galspec.jobs.job import Resources
from galspec.jobs.metrics import last_rows
from galspec.jobs.process import Process
from galspec.jobs.state import State
from galspec.jobs.view import look, look_at_all
from tests.unit.jobs.conftest import (
    SLEEP,
    TRAINING,
    command_of,
    processes_of,
    supervisor_of,
    wait_for_state,
    wait_until,
)


def _running(run_script, steps: str = "1000"):
    folder = run_script(TRAINING, steps)
    wait_until(lambda: last_rows(folder.metrics)[0].get("step", 0) >= 2, "two steps")
    return folder


def _no_processes() -> None:
    wait_until(lambda: not processes_of(home_dir()), "the end of all processes")


def test_kill_9_of_the_job(run_script):
    folder = _running(run_script)
    os.kill(command_of(folder).pid, signal.SIGKILL)
    view = wait_for_state(folder, State.FAILED)
    assert "SIGKILL" in str(view.cause)
    _no_processes()
    done = last_rows(folder.metrics)[0]["step"]
    engine.resume(folder)
    wait_until(lambda: last_rows(folder.metrics)[0]["step"] > done + 2, "the second attempt")
    starts = [line.split()[-1] for line in folder.log.read_text().splitlines() if line.startswith("training from")]
    assert starts[0] == "0"
    assert int(starts[1]) >= done - 1  # at most the step that was in writing is done again
    engine.stop(folder)
    wait_for_state(folder, State.CANCELLED)


def test_kill_9_of_the_jobs_process_group(run_script):
    folder = run_script(f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n" + SLEEP)
    wait_until(lambda: folder.log.exists() and folder.log.read_text().count("on") == 2, "the child")
    os.killpg(command_of(folder).pid, signal.SIGKILL)
    wait_for_state(folder, State.FAILED)
    _no_processes()


def test_kill_9_of_the_job_alone_takes_its_workers_along(run_script):
    folder = run_script(f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n" + SLEEP)
    wait_until(lambda: folder.log.exists() and folder.log.read_text().count("on") == 2, "the child")
    os.kill(command_of(folder).pid, signal.SIGKILL)
    wait_for_state(folder, State.FAILED)
    _no_processes()


def test_kill_9_of_the_supervisor_leaves_the_job_running_stoppable_and_its_place_taken(run_script, monkeypatch):
    monkeypatch.setenv("GALSPEC_CPU_JOBS", "1")
    folder = _running(run_script)
    os.kill(supervisor_of(folder).pid, signal.SIGKILL)
    wait_until(lambda: supervisor_of(folder).is_alive() is False, "the supervisor's end")
    view = look(folder)
    assert (view.state, view.status.note) == (State.RUNNING, "its supervisor is gone")
    waiting = run_script(SLEEP)
    wait_for_state(waiting, State.QUEUED)
    engine.stop(folder)  # a new supervisor looks after it
    wait_for_state(folder, State.CANCELLED)
    wait_for_state(waiting, State.RUNNING)
    engine.stop(waiting)
    wait_for_state(waiting, State.CANCELLED)
    _no_processes()


def test_a_job_without_supervisor_that_ends_by_itself_is_known_by_its_own_record(run_script):
    script = "import pathlib, sys, time\nprint('on', flush=True)\ntime.sleep(2)\n"
    folder = run_script(script + "(pathlib.Path(sys.argv[1]) / 'exit.json').write_text('{\"state\": \"finished\"}')")
    wait_for_state(folder, State.RUNNING)
    os.kill(supervisor_of(folder).pid, signal.SIGKILL)
    wait_for_state(folder, State.FINISHED)


def test_kill_9_of_everything_is_lost_and_can_be_resumed(run_script):
    folder = _running(run_script, "60")
    os.kill(supervisor_of(folder).pid, signal.SIGKILL)
    os.kill(command_of(folder).pid, signal.SIGKILL)
    view = wait_for_state(folder, State.LOST)
    assert "without a record" in view.status.note
    assert view.can_resume
    engine.resume(folder)
    wait_for_state(folder, State.FINISHED)
    assert last_rows(folder.metrics)[0]["step"] == 60


def test_the_process_that_submitted_may_die(run_script, tmp_path):
    code = (
        "import sys, os, signal\n"
        "from galspec.jobs.engine import submit\n"
        "from galspec.jobs.job import Resources\n"
        "resources = Resources(device='cpu')\n"
        f"program = (sys.executable, '-c', {TRAINING!r})\n"
        "folder = submit('fake', ('{run}', '40'), resources, program=program)\n"
        "print(folder.id, flush=True)\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, start_new_session=True
    )
    assert done.returncode == -signal.SIGKILL
    view = next(view for view in look_at_all().views if view.job.id == done.stdout.strip())
    wait_for_state(view.folder, State.FINISHED)


def test_a_full_disk_is_named(run_script):
    script = """
    import pathlib, resource, sys
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    print("on", flush=True)
    with (pathlib.Path(sys.argv[1]) / "metrics.jsonl").open("a") as handle:
        handle.write('{"step": 1}\\n')
    (pathlib.Path(sys.argv[1]) / "checkpoint.bin").write_bytes(bytes(1_000_000))
    """
    view = wait_for_state(run_script(script), State.FAILED)
    assert view.cause.words == "disk full"
    assert view.last == {"step": 1}


def test_a_device_without_space_is_named(run_script):
    view = wait_for_state(run_script("open('/dev/full', 'w').write('x' * 10_000)"), State.FAILED)
    assert view.cause.words == "disk full"
    assert "No space left" in view.cause.line


@pytest.fixture
def tiny_disk(tmp_path, monkeypatch):
    """A GALSPEC_HOME on a disk of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    monkeypatch.setenv("GALSPEC_HOME", str(disk))
    yield disk
    wait_until(lambda: not processes_of(disk), "the end of all processes")
    subprocess.run(["umount", str(disk)], check=True)


def test_a_really_full_disk_still_gets_the_exit_record(run_script, tiny_disk):
    script = """
    import pathlib, sys
    print("on", flush=True)
    with open(pathlib.Path(sys.argv[1]) / "big", "wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))
    """
    folder = run_script(script)
    view = wait_for_state(folder, State.FAILED)
    assert folder.read("ended.json")["returncode"] == 1
    assert view.job.id == folder.id


def test_a_deleted_run_folder_ends_the_job_and_is_not_made_anew(run_script):
    folder = _running(run_script)
    other = run_script(SLEEP)
    wait_for_state(other, State.RUNNING)
    gone = command_of(folder)
    shutil.rmtree(folder.path)
    wait_until(lambda: not gone.is_alive(), "the job's end")
    assert [view.job.id for view in look_at_all().views] == [other.id]
    with pytest.raises(JobError, match="cannot be used"):
        engine.stop(folder)
    engine.stop(other)
    wait_for_state(other, State.CANCELLED)
    _no_processes()
    assert not (folder.path / "ended.json").exists()
    assert runs_dir().is_dir()


def test_corrupt_metrics_and_records_do_not_hide_a_job(run_script):
    folder = _running(run_script)
    with folder.metrics.open("ab") as handle:
        handle.write(b"\xff\x00 not json\n")
    (folder.path / "heartbeat.json").write_text('{"at": ')
    assert look(folder).state is State.RUNNING
    engine.stop(folder)
    wait_for_state(folder, State.CANCELLED)
    _no_processes()
    (folder.path / "ended.json").write_text("")
    assert look(folder).state is State.CANCELLED
    (folder.path / "job.json").write_text("{")
    assert "no readable job.json" in look_at_all().problems[0]


def test_a_reused_process_number_is_not_the_job(run_script):
    folder = _running(run_script)
    os.kill(supervisor_of(folder).pid, signal.SIGKILL)
    os.kill(command_of(folder).pid, signal.SIGKILL)
    wait_for_state(folder, State.LOST)
    record = folder.read("process.json")
    for name in ("supervisor", "job"):  # the numbers now belong to this very process
        record[name]["pid"] = os.getpid()
    folder.write("process.json", record)
    assert look(folder).state is State.LOST
    engine.stop(folder)
    assert Process.of(os.getpid()) is not None  # and it was not signalled
    assert Process.from_dict(record["job"]).signal_group(signal.SIGTERM) is False


def test_a_job_that_stands_still_is_stalled_and_goes_on(run_script, monkeypatch):
    monkeypatch.setattr("galspec.jobs.state.STALL_S", 4.0)
    folder = run_script("import time\nprint('on', flush=True)\nwhile True:\n    sum(range(20_000)); time.sleep(0.01)")
    wait_for_state(folder, State.RUNNING)
    os.kill(command_of(folder).pid, signal.SIGSTOP)
    assert "no sign of life" in wait_for_state(folder, State.STALLED).status.note
    os.kill(command_of(folder).pid, signal.SIGCONT)
    wait_for_state(folder, State.RUNNING)  # its processor time is a sign of life, though it writes nothing
    engine.stop(folder)
    wait_for_state(folder, State.CANCELLED)


def test_a_program_that_does_not_exist_fails_with_words():
    folder = engine.submit("fake", (), Resources(device="cpu"), program=("/no/such",))
    view = wait_for_state(folder, State.FAILED)
    assert "cannot start /no/such" in folder.log.read_text()
    assert view.cause is not None

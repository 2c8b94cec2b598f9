"""A process that waits for a training: it becomes the job, and it is gone without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from galspec.core.home import home_dir
from galspec.jobs import engine, standby
from galspec.jobs.folder import JobFolder
from galspec.jobs.job import Resources
from galspec.jobs.process import descendants
from galspec.jobs.state import State
from galspec.jobs.view import look
from tests.toy_survey import write_toy_survey
from tests.unit.jobs.conftest import command_of, processes_of, wait_until

CPU = Resources(device="cpu")


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_survey(tmp_path_factory.mktemp("survey") / "toy", n_galaxies=40)


@pytest.fixture(autouse=True)
def _standby(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GALSPEC_STANDBY", "1")
    yield
    standby._close()


def train_words(survey: Path, *more: str) -> tuple[str, ...]:
    words = ("--model", "simple-cnn", "--epochs", "1", "--batch-size", "8", "--precision", "fp32", "--threads", "1")
    return ("train", "cnn", "--survey", str(survey), "--out", "{run}", "--device", "cpu", *words, *more)


def waiting_processes() -> list[int]:
    found = []
    for pid in processes_of(home_dir()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += [pid] if b"galspec.cli.waiting" in words or b"--standby" in words else []
    return found


def finished(folder: JobFolder) -> State:
    return wait_until(lambda: not (status := look(folder).status).is_live and status.state, "the end")


def test_a_waiting_process_becomes_the_training_and_nothing_stays(survey: Path):
    standby.prepare()
    standby.prepare()  # one is enough
    wait_until(lambda: len(waiting_processes()) == 2, "supervisor and process")
    folder = engine.submit("toy", train_words(survey), CPU)
    process = command_of(folder)
    assert process.pid in waiting_processes()
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 10
    assert finished(folder) is State.FINISHED
    assert (folder.bundle / "weights.safetensors").is_file()
    assert "bundle:" in folder.log.read_text()
    assert '"train", "cnn"' in (folder.path / "command").read_text()
    wait_until(lambda: not waiting_processes(), "nothing left")


def test_a_training_that_cannot_start_says_why(survey: Path):
    standby.prepare()
    folder = engine.submit("toy", train_words(survey, "--max-galaxies", "5000"), CPU)
    assert finished(folder) is State.FAILED
    assert "has 40 galaxies, so --max-galaxies cannot be 5000" in folder.log.read_text()
    assert (folder.read("ended.json") or {})["returncode"] == 2


def test_stop_ends_it_before_it_has_loaded_anything(survey: Path):
    standby.prepare()
    folder = engine.submit("toy", train_words(survey), CPU)
    engine.stop(folder)
    assert finished(folder) is State.CANCELLED
    wait_until(lambda: not waiting_processes(), "nothing left")


def test_other_commands_and_other_workspaces_start_as_ever(survey: Path, run_script, monkeypatch, tmp_path):
    standby.prepare()
    folder = run_script("print('hello', flush=True)")
    assert finished(folder) is State.FINISHED
    wait_until(lambda: not waiting_processes(), "the process that was of no use")
    standby.prepare()
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path / "elsewhere"))
    assert not standby.hand_over(folder)


def test_it_is_not_used_after_the_code_changed(run_script, monkeypatch):
    folder = run_script("print('hello', flush=True)")
    standby.prepare()
    monkeypatch.setattr(standby, "_newest_source", lambda: 0)
    assert not standby.hand_over(folder)
    wait_until(lambda: not waiting_processes(), "the process with old code")
    finished(folder)


def test_it_ends_with_its_server():
    before = set(descendants(os.getpid()))
    code = "from galspec.jobs import standby; import os, time; standby.prepare(); time.sleep(1); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "GALSPEC_HOME": str(home_dir())})
    wait_until(lambda: not waiting_processes(), "the end of a process whose server is gone")
    assert set(descendants(os.getpid())) <= before


@pytest.mark.parametrize("reason", ["off", "memory"])
def test_none_is_started_where_it_is_off_or_memory_is_short(monkeypatch, reason: str):
    if reason == "off":
        monkeypatch.setenv("GALSPEC_STANDBY", "0")
    else:
        monkeypatch.setattr(standby, "_free_gb", lambda: 1.0)
    standby.prepare()
    assert standby._standby is None

"""Tiny jobs that stand for trainings: a few lines of Python each, run by the real engine."""

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from galspec.core.home import home_dir
from galspec.jobs.engine import submit
from galspec.jobs.folder import JobFolder
from galspec.jobs.job import Resources
from galspec.jobs.process import Process
from galspec.jobs.state import State
from galspec.jobs.view import JobView, look

#: Long enough for a machine that trains at the same time.
PATIENCE_S = 60.0

#: Writes metrics and a checkpoint like a training, continues from it, and ends in order on SIGTERM.
TRAINING = """
import json, pathlib, signal, sys, time
run = pathlib.Path(sys.argv[1])
state = {"stop": False}
signal.signal(signal.SIGTERM, lambda *_: state.update(stop=True))
place = run / "checkpoint" / "numbers.json"
first = json.loads(place.read_text())["step"] if place.is_file() else 0
print("training from", first, flush=True)
for step in range(first + 1, int(sys.argv[2]) + 1):
    with (run / "metrics.jsonl").open("a") as handle:
        handle.write(json.dumps({"kind": "progress", "step": step, "train_mse": 1 / step}) + "\\n")
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps({"step": step}))
    if state["stop"]:
        print("stopped at", step, flush=True)
        sys.exit(130)
    time.sleep(0.05)
"""
#: Does not care for SIGTERM.
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
)
SLEEP = "import time; print('on', flush=True); time.sleep(600)"


def wait_until(condition: Callable[[], Any], what: str = "condition") -> Any:
    """Wait for something to become true; fail after a time that only a broken engine needs."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for {what}")


def wait_for_state(folder: JobFolder, *states: State) -> JobView:
    def reached() -> JobView | None:
        view = look(folder)
        return view if view.state in states else None

    try:
        return wait_until(reached, f"{', '.join(states)}")
    except AssertionError as error:
        log = folder.log.read_text() if folder.log.exists() else "no log"
        raise AssertionError(f"{error}; it is {look(folder).status}; log: {log}") from None


def command_of(folder: JobFolder) -> Process:
    return wait_until(lambda: Process.from_dict((folder.read("process.json") or {}).get("job")), "the command")


def supervisor_of(folder: JobFolder) -> Process:
    return Process.from_dict(folder.read("process.json")["supervisor"])


def processes_of(home: Path) -> list[int]:
    """Return the living processes that were started with this GALSPEC_HOME."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"GALSPEC_HOME={home}".encode() in environment.split(b"\0") and Process.of(int(entry.name)):
            found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End what a failed test left running; many places, unless a test says otherwise."""
    monkeypatch.setenv("GALSPEC_CPU_JOBS", "8")
    yield
    for pid in processes_of(home_dir()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def run_script() -> Callable[..., JobFolder]:
    """Submit a few lines of Python as a job."""

    def run(script: str, *arguments: str, **options: Any) -> JobFolder:
        options.setdefault("resources", Resources(device="cpu"))
        program = (sys.executable, "-c", textwrap.dedent(script))
        return submit("fake", ("{run}", *arguments), program=program, **options)

    return run

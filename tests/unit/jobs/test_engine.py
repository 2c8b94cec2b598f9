"""Jobs on this machine, with small programs in the place of trainings: life, stop, resume, copy, delete."""

import json
import os
import signal
from pathlib import Path

import pytest

from galspec.core.errors import JobError
from galspec.core.home import home_dir
from galspec.jobs import engine
from galspec.jobs.folder import JobFolder, find_job, runs_dir
from galspec.jobs.job import Job, Resources
from galspec.jobs.metrics import MetricsReader, last_rows, tail_lines, thin
from galspec.jobs.places import QUEUE_LIMIT, Queue
from galspec.jobs.process import Process
from galspec.jobs.state import State
from galspec.jobs.view import look, look_at_all, unfinished_counts
from tests.unit.jobs.conftest import (
    SLEEP,
    STUBBORN,
    TRAINING,
    command_of,
    processes_of,
    supervisor_of,
    wait_for_state,
    wait_until,
)


def test_a_job_runs_and_finishes(run_script):
    folder = run_script(TRAINING, "5")
    view = wait_for_state(folder, State.FINISHED)
    assert view.last["step"] == 5
    assert "training from 0" in folder.log.read_text()
    assert folder.read("ended.json")["returncode"] == 0
    assert view.job.environment["host"]
    wait_until(lambda: not processes_of(home_dir()), "the end of all processes")


def test_a_job_uses_the_workspace_that_it_was_submitted_from(run_script, monkeypatch, tmp_path):
    monkeypatch.delenv("GALSPEC_HOME")
    monkeypatch.chdir(tmp_path)
    folder = run_script("import os; print('home', os.environ['GALSPEC_HOME'], flush=True)")
    assert folder.path.is_relative_to(tmp_path / "workspace" / "runs")
    wait_for_state(folder, State.FINISHED)
    assert f"home {tmp_path / 'workspace'}\n" in folder.log.read_text()


def test_a_job_has_its_own_session_and_no_parent_here(run_script):
    folder = run_script(SLEEP)
    wait_for_state(folder, State.RUNNING)
    supervisor, command = supervisor_of(folder), command_of(folder)
    assert os.getsid(supervisor.pid) == supervisor.pid != os.getsid(0)
    assert os.getpgid(command.pid) == command.pid  # what is sent to it does not reach the supervisor
    parent = int(Path(f"/proc/{supervisor.pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    assert parent != os.getpid()
    engine.stop(folder)
    wait_for_state(folder, State.CANCELLED)


def test_stop_lets_the_job_write_its_checkpoint_and_resume_goes_on(run_script):
    folder = run_script(TRAINING, "30")
    wait_until(lambda: last_rows(folder.metrics)[0].get("step", 0) >= 3, "three steps")
    engine.stop(folder)
    view = wait_for_state(folder, State.CANCELLED)
    done = json.loads((folder.path / "checkpoint" / "numbers.json").read_text())["step"]
    assert view.last["step"] == done < 30
    assert view.can_resume
    engine.resume(folder)
    view = wait_for_state(folder, State.FINISHED)
    steps = [row["step"] for row in _all_rows(folder)]
    assert steps == list(range(1, 31))  # nothing lost, nothing twice
    assert f"training from {done}" in folder.log.read_text()
    assert folder.read("attempts.json")["attempts"][0]["state"] == "cancelled"


def _all_rows(folder: JobFolder) -> list[dict]:
    reader = MetricsReader(folder.metrics)
    reader.update()
    assert reader.n_corrupt == 0
    return reader.rows


def test_two_stops_are_one(run_script):
    folder = run_script(TRAINING, "500")
    wait_for_state(folder, State.RUNNING)
    engine.stop(folder)
    first = folder.read("stop.json")
    engine.stop(folder)
    assert folder.read("stop.json") == first
    wait_for_state(folder, State.CANCELLED)
    assert engine.stop(folder).state is State.CANCELLED  # of an ended job: nothing happens
    assert folder.log.read_text().count("asked to end") == 1


def test_a_job_that_does_not_listen_is_killed_with_its_children(run_script, monkeypatch):
    script = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=True)\n"
    folder = run_script(script + STUBBORN)
    wait_for_state(folder, State.RUNNING)
    wait_until(lambda: folder.log.read_text().count("on") >= 2, "the child")
    engine.stop(folder)
    view = wait_for_state(folder, State.CANCELLED)
    assert "asked to end (stop)" in folder.log.read_text()
    assert folder.read("ended.json")["returncode"] == -signal.SIGKILL
    assert view.status.note == ""
    wait_until(lambda: not processes_of(home_dir()), "the end of the child in a session of its own")


def test_an_error_is_a_failure_with_its_words(run_script):
    folder = run_script("raise ValueError('the rate is bad')")
    view = wait_for_state(folder, State.FAILED)
    assert view.cause.words == "ValueError: the rate is bad"


def test_a_finished_job_is_cloned_not_resumed(run_script):
    folder = run_script(TRAINING, "2", settings={"max_lr": 0.1}, files={"settings.toml": "[cnn]\n"})
    wait_for_state(folder, State.FINISHED)
    with pytest.raises(JobError, match="clone it"):
        engine.resume(folder)
    copy = engine.clone(folder, "again")
    assert copy.job().cloned_from == folder.id
    assert copy.job().settings == {"max_lr": 0.1}
    assert (copy.path / "settings.toml").read_text() == "[cnn]\n"
    wait_for_state(copy, State.FINISHED)
    assert [view.job.name for view in look_at_all().views] in (["again", "fake"], ["fake", "again"])


def test_only_ended_jobs_of_the_workspace_are_deleted(run_script, tmp_path):
    folder = run_script(SLEEP)
    wait_for_state(folder, State.RUNNING)
    with pytest.raises(JobError, match="stop it first"):
        engine.remove(folder)
    with pytest.raises(JobError, match="nothing to resume"):
        engine.resume(folder)
    engine.stop(folder)
    wait_for_state(folder, State.CANCELLED)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job.json").write_text((folder.path / "job.json").read_text())
    with pytest.raises(JobError, match="not a job of this workspace"):
        engine.remove(JobFolder(elsewhere))
    link = runs_dir() / "link"
    link.symlink_to(elsewhere)
    with pytest.raises(JobError, match="not a job of this workspace"):
        engine.remove(JobFolder(link))
    engine.remove(folder)
    assert not folder.path.exists()
    assert elsewhere.is_dir()


@pytest.mark.parametrize("job_id", ["../runs", "", ".", "..", "/etc", "a/b", ".places", "x" * 200, "a\n", "link"])
def test_an_id_leads_nowhere_else(job_id: str, tmp_path: Path):
    runs_dir().mkdir(parents=True)
    (tmp_path / "job.json").write_text("{}")
    (runs_dir() / "link").symlink_to(tmp_path)
    with pytest.raises(JobError, match="there is no job"):
        find_job(job_id)


def test_jobs_queue_in_order_for_one_place(run_script, monkeypatch):
    monkeypatch.setenv("GALSPEC_CPU_JOBS", "1")
    first = run_script(SLEEP)
    wait_for_state(first, State.RUNNING)
    second, third = run_script(TRAINING, "2"), None
    assert wait_for_state(second, State.QUEUED).status.note == "waits for a free place"
    third = run_script(SLEEP)
    wait_for_state(third, State.QUEUED)
    engine.stop(third)  # while it waits
    wait_for_state(third, State.CANCELLED)
    assert look(second).state is State.QUEUED
    engine.stop(first)
    wait_for_state(second, State.FINISHED)
    assert Queue(runs_dir(), "cpu").length() == 0


def test_ended_jobs_are_read_once_and_again_when_they_change(run_script, monkeypatch):
    folder = run_script(TRAINING, "2")
    wait_for_state(folder, State.FINISHED)
    wait_until(lambda: not processes_of(home_dir()), "the end of all processes")
    first = look_at_all().views[0]
    assert look_at_all().views[0] is first
    folder.write("ended.json", folder.read("ended.json") | {"returncode": 1})
    assert look_at_all().views[0].state is State.FAILED
    engine.resume(folder)
    assert look_at_all().views[0].state is not State.FAILED
    wait_for_state(folder, State.FINISHED)


def test_a_full_queue_refuses(run_script, monkeypatch):
    monkeypatch.setenv("GALSPEC_CPU_JOBS", "1")
    waiting = [Queue(runs_dir(), "cpu") for _ in range(QUEUE_LIMIT)]
    for number, queue in enumerate(waiting):
        queue.join(f"job-{number}")
    with pytest.raises(JobError, match=f"{QUEUE_LIMIT} jobs wait"):
        run_script(SLEEP)
    for queue in waiting:
        queue.leave()
    wait_for_state(run_script(TRAINING, "1"), State.FINISHED)


def _fake_gpus(monkeypatch, tmp_path: Path, used_mb: tuple[int, ...]) -> None:
    lines = "\n".join(f"GPU-{index}, Fake {index}, 1000, {used}" for index, used in enumerate(used_mb))
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\ncat <<'X'\n{lines}\nX\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


SHOW_GPU = "import os, time; print('GPUs', os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep(600)"


def test_a_job_gets_a_gpu_that_nobody_uses_and_the_next_one_waits(run_script, monkeypatch, tmp_path):
    _fake_gpus(monkeypatch, tmp_path, used_mb=(900, 3))
    first = run_script(SHOW_GPU, resources=Resources())
    wait_for_state(first, State.RUNNING)
    assert "GPUs GPU-1\n" in first.log.read_text()
    second = run_script(SHOW_GPU, resources=Resources(device="gpu"))
    wait_for_state(second, State.QUEUED)
    on_processors = run_script(SHOW_GPU, resources=Resources(device="cpu"))
    wait_for_state(on_processors, State.RUNNING)
    assert "GPUs \n" in on_processors.log.read_text()
    for folder in (first, second, on_processors):
        engine.stop(folder)
        wait_for_state(folder, State.CANCELLED)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"device": "gpu"}, "device"),
        ({"backend": "moon"}, "backend"),
        ({"nodes": 2}, "nodes"),
        ({"processes": 0}, "processes"),
        ({"time_min": -1}, "time_min"),
        ({"backend": "slurm", "partition": "a; rm -rf /"}, "partition"),
        ({"backend": "slurm", "account": "$(id)"}, "account"),
        ({"backend": "slurm", "gres": "gpu:1\n#SBATCH --uid=0"}, "gres"),
        ({"backend": "slurm", "memory_gb": "8G"}, "memory_gb"),
    ],
)
def test_what_cannot_run_is_refused_and_the_field_named(run_script, monkeypatch, changes, field):
    monkeypatch.setattr("galspec.jobs.engine.list_gpus", list)
    with pytest.raises(JobError) as caught:
        run_script(SLEEP, resources=Resources(**changes))
    assert caught.value.field == field
    assert not list(runs_dir().glob("2*"))


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "x" * 41, "-a", "a;b"])
def test_a_bad_name_is_refused(name: str):
    with pytest.raises(JobError) as caught:
        engine.submit(name, ("train", "vae"), Resources())
    assert caught.value.field == "name"


def test_other_commands_are_no_jobs():
    with pytest.raises(JobError, match="cannot be a job"):
        engine.submit("x", ("app",), Resources())


def test_a_workspace_that_cannot_be_written_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path / "file"))
    with pytest.raises(JobError) as caught:
        engine.submit("x", ("train", "vae"), Resources(device="cpu"))
    assert caught.value.field == "folder"


def test_a_job_of_another_version_is_named_and_the_others_are_shown(run_script):
    good, bad = run_script(TRAINING, "1"), run_script(TRAINING, "1")
    wait_for_state(good, State.FINISHED)
    wait_for_state(bad, State.FINISHED)
    content = bad.read("job.json") | {"version": 99}
    bad.write("job.json", content)
    found = look_at_all()
    assert [view.job.id for view in found.views] == [good.id]
    assert "99" in found.problems[0]
    with pytest.raises(JobError) as caught:
        engine.clone(bad)
    assert caught.value.field == "version"


def test_a_job_is_the_same_after_json():
    job = Job("a", "b", ("train", "cnn"), Resources(processes=2), {"x": 1}, 1.0, {"host": "h"}, "c")
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert job.kind == "train cnn"


def test_a_process_number_alone_is_nobody():
    own = Process.of(os.getpid())
    assert own.is_alive()
    assert Process(own.pid, own.start + 1, own.boot, own.host).is_alive() is False
    assert Process(own.pid, own.start, "another boot", own.host).is_alive() is False
    assert Process(own.pid, own.start, own.boot, "another-host").is_alive() is None


def test_metrics_are_read_as_they_grow_and_corrupt_lines_counted(tmp_path):
    path = tmp_path / "metrics.jsonl"
    reader = MetricsReader(path)
    assert reader.update() == 0
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert reader.update() == 2
    with path.open("ab") as handle:
        handle.write(b'ep": 3}\n\xff\xfe\x00\n[1]\n{"step": 4}\n')
    assert reader.update() == 2
    assert [row["step"] for row in reader.rows] == [1, 2, 3, 4]
    assert reader.n_corrupt == 2
    new = tmp_path / "new"
    new.write_bytes(b'{"step": 1}\n')
    new.replace(path)  # a resumed run drops rows
    assert reader.update() == 1
    assert (len(reader.rows), reader.n_corrupt) == (1, 0)


def test_thinning_keeps_spikes_ends_and_the_number():
    x = list(range(100_000))
    y = [1.0] * 100_000
    y[777], y[55_555] = 9.0, float("nan")
    thin_x, thin_y = thin(x, y, 2000)
    assert len(thin_x) <= 2000
    assert max(thin_y) == 9.0
    assert thin_x == sorted(thin_x)


def test_the_log_shows_the_last_state_of_a_progress_bar(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("first\nbatch: 1%\rbatch: 50%\rbatch: 99%\nlast\n")
    assert tail_lines(path) == ["first", "batch: 99%", "last"]
    assert tail_lines(path, n=1) == ["last"]


def test_the_end_of_metrics_is_found_past_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert last_rows(path) == ({}, {})
    epoch = json.dumps({"kind": "epoch", "epoch": 1})
    progress = json.dumps({"kind": "progress", "step": 9})
    path.write_text("\n".join([epoch, *[progress] * 100, "damaged", '{"in writing']))
    assert last_rows(path) == ({"kind": "progress", "step": 9}, {"kind": "epoch", "epoch": 1})
    path.write_text("x" * 100_000 + "\n" + progress + "\n")
    assert last_rows(path) == ({"kind": "progress", "step": 9}, {})


def test_jobs_that_have_not_ended_are_counted(run_script):
    assert unfinished_counts() == (0, 0)
    folder = run_script(SLEEP)
    wait_for_state(folder, State.RUNNING)
    assert unfinished_counts() == (1, 0)
    engine.stop(folder)
    wait_for_state(folder, State.CANCELLED)
    assert unfinished_counts() == (0, 0)

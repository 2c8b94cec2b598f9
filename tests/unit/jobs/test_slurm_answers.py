"""What Slurm's commands print, and what becomes of it; no Slurm needed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from galspec.core.errors import JobError
from galspec.jobs import slurm
from galspec.jobs.job import Resources
from galspec.jobs.state import SchedulerAnswer


class FakeSlurm:
    """Answers by the name of the command; None is silence."""

    def __init__(self, **answers: tuple[int, str, str] | None):
        self.answers = answers
        self.asked: list[list[str]] = []

    def __call__(self, words: Sequence[str], timeout_s: float) -> tuple[int, str, str] | None:
        assert timeout_s > 0
        self.asked.append(list(words))
        return self.answers.get(words[0])


def _queue_line(job_id: str, state: str, reason: str = "None", restarts: int = 0) -> str:
    return f"{job_id:<24}{state:<24}{reason:<40}{restarts:<12}\n"


def test_the_queue_is_asked_once_for_all():
    text = _queue_line("1", "RUNNING") + _queue_line("2", "PENDING", "BeginTime", 3) + _queue_line("9", "RUNNING")
    fake = FakeSlurm(squeue=(0, text, ""))
    answers = slurm.ask(["1", "2"], fake)
    assert answers == {"1": SchedulerAnswer("RUNNING", "None", 0), "2": SchedulerAnswer("PENDING", "BeginTime", 3)}
    assert len(fake.asked) == 1


def test_what_the_queue_forgot_is_in_the_accounts():
    fake = FakeSlurm(
        squeue=(1, "", "slurm_load_jobs error: Invalid job id specified"),
        sacct=(0, "5|CANCELLED by 0|\n6|TIMEOUT|x\n", ""),
    )
    assert slurm.ask(["5", "6"], fake) == {"5": SchedulerAnswer("CANCELLED"), "6": SchedulerAnswer("TIMEOUT", "x")}


def test_without_accounts_each_job_is_asked_for():
    shown = "JobId=5 JobName=x Restarts=2 JobState=COMPLETED Reason=None Comment=a b\n"
    fake = FakeSlurm(squeue=(0, "", ""), sacct=(1, "", "Slurm accounting storage is disabled"), scontrol=(0, shown, ""))
    assert slurm.ask(["5"], fake) == {"5": SchedulerAnswer("COMPLETED", "None", 2)}


def test_a_job_that_slurm_does_not_know_is_unknown_and_silence_is_not():
    gone = (1, "", "slurm_load_jobs error: Invalid job id specified")
    assert slurm.ask(["5"], FakeSlurm(squeue=gone, scontrol=gone))["5"].word == "UNKNOWN"
    assert slurm.ask(["5"], FakeSlurm(squeue=gone))["5"].word == ""
    assert slurm.ask(["5"], FakeSlurm())["5"].word == ""
    down = (1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert slurm.ask(["5"], FakeSlurm(squeue=down))["5"].word == ""
    assert slurm.ask(["5"], FakeSlurm(squeue=gone, scontrol=down))["5"].word == ""


@pytest.mark.parametrize("job_id", ["", "5;id", "-1", "5 6", "abc"])
def test_what_is_no_number_is_never_passed_on(job_id: str):
    fake = FakeSlurm(squeue=(0, "", ""), scancel=(0, "", ""))
    assert slurm.ask([job_id], fake) == {}
    assert slurm.cancel(job_id, fake) is False
    assert fake.asked == []


@pytest.mark.parametrize("output", [(0, "12345\n", ""), (0, "12345;cluster\n", "")])
def test_submitting_gives_the_number(output):
    assert slurm.submit(Path("/x/job.sbatch"), FakeSlurm(sbatch=output)) == "12345"


@pytest.mark.parametrize("output", [(1, "", "sbatch: error: Batch job submission failed"), None, (0, "what\n", "")])
def test_a_refusal_is_an_error_with_slurm_s_words(output):
    with pytest.raises(JobError) as caught:
        slurm.submit(Path("/x/job.sbatch"), FakeSlurm(sbatch=output))
    assert caught.value.field == "backend"


@pytest.mark.parametrize(
    ("answers", "resources", "field"),
    [
        ({"sinfo": (0, "debug\ngpu\n", "")}, {"partition": "big"}, "partition"),
        ({"sinfo": None}, {}, "backend"),
        (
            {"sinfo": (0, "gpu\n", ""), "sbatch": (1, "", "error: Invalid generic resource (gres) specification")},
            {},
            "gres",
        ),
        ({"sinfo": (0, "gpu\n", ""), "sbatch": (1, "", "error: Invalid account or account/partition")}, {}, "account"),
        ({"sinfo": (0, "gpu\n", ""), "sbatch": (1, "", "error: Requested time limit is invalid")}, {}, "time_min"),
        ({"sinfo": (0, "gpu\n", ""), "sbatch": None}, {}, "backend"),
    ],
)
def test_a_refusal_before_submitting_names_the_field(monkeypatch, answers, resources, field):
    monkeypatch.setattr(slurm, "has_slurm", lambda: True)
    with pytest.raises(JobError) as caught:
        slurm.require_accepted(Resources(backend="slurm", **resources), Path("/x/job.sbatch"), FakeSlurm(**answers))
    assert caught.value.field == field


def test_without_sbatch_slurm_is_refused(monkeypatch):
    monkeypatch.setattr(slurm, "has_slurm", lambda: False)
    with pytest.raises(JobError, match="no sbatch"):
        slurm.require_accepted(Resources(backend="slurm"))


def test_a_command_that_hangs_or_is_absent_is_silence():
    assert slurm.run_command(["sleep", "60"], 0.2) is None
    assert slurm.run_command(["/no/such/program"], 0.2) is None
    assert slurm.run_command(["echo", "a"], 60.0) == (0, "a\n", "")


def test_a_folder_that_nodes_do_not_see_is_refused(monkeypatch):
    from galspec.jobs import engine

    monkeypatch.setenv("GALSPEC_HOME", "/tmp/home")  # noqa: S108  never written
    monkeypatch.setattr(slurm, "require_accepted", lambda resources: None)
    monkeypatch.setattr(slurm, "nodes", lambda: ["node1", "node2"])
    with pytest.raises(JobError, match="shared disk"):
        engine.check_resources(Resources(backend="slurm"))

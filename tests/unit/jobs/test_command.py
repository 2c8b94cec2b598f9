"""Command lines and batch scripts, word for word: golden files."""

import shlex
import subprocess
from pathlib import Path

import pytest

from galspec.jobs.command import command_words, sbatch_script, shown_command
from galspec.jobs.job import Job, Resources

GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path("/shared/it's home/runs/20260101-120000-hybrid-1a2b")
ARGV = ("train", "cnn", "--survey", "/data/sim 1", "--out", "{run}", "--config", "{run}/settings.toml")

CASES = {
    "one_gpu": Resources(
        backend="slurm", partition="gpu", account="astro", gres="gpu:a100:1", cpus=8, memory_gb=64, time_min=600
    ),
    "plain": Resources(backend="slurm", device="cpu", is_requeued=False),
    "short": Resources(backend="slurm", device="cpu", time_min=2),
    "four_gpus": Resources(backend="slurm", partition="gpu", gres="gpu:4", processes=4, cpus=32, time_min=120),
    "two_nodes": Resources(backend="slurm", partition="gpu", gres="gpu:4", processes=4, nodes=2, cpus=32, time_min=120),
}


def _job(resources: Resources) -> Job:
    return Job(FOLDER.name, "hybrid", ARGV, resources)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_script_is_the_golden_one(name: str):
    script = sbatch_script(_job(CASES[name]), FOLDER, python="/opt/py/bin/python", repository=Path("/opt/galspec"))
    assert script == (GOLDEN / f"{name}.sbatch").read_text()
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("name", CASES)
def test_a_command_is_the_golden_one(name: str):
    words = command_words(_job(CASES[name]), FOLDER, python="python", first_host="node7")
    assert shlex.join(words) + "\n" == (GOLDEN / f"{name}.command").read_text()


def test_the_shown_command_is_one_that_a_shell_takes():
    words = shlex.split(shown_command(_job(Resources()), FOLDER))
    assert words == ["python", "-m", "galspec", *ARGV[:5], str(FOLDER), "--config", f"{FOLDER}/settings.toml"]


def test_a_path_cannot_end_the_line_of_a_script():
    folder = Path("/tmp/x\n#SBATCH --uid=0\n$(touch pwned)")  # noqa: S108  never written
    script = sbatch_script(_job(Resources(backend="slurm")), folder)
    # Slurm stops reading options at the first command, and bash reads the path as one quoted word.
    before = script.split("\ncd ", 1)[0]
    assert "uid" not in before
    assert shlex.split(script.split("exec ", 1)[1])[3] == str(folder)

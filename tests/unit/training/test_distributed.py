"""Several processes give what one gives: gloo on the CPU, two processes, small images."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from galspec.core.errors import ConfigError
from galspec.core.home import REPOSITORY_DIR
from galspec.models.bundle import VaeBundle, load_predictor_bundle
from galspec.models.catalog import build_network
from galspec.training.checkpoint import load_checkpoint
from galspec.training.cnn import fit_image_scaler
from galspec.training.config import CnnConfig
from galspec.training.data import Selection, TrainingSet, make_loader, plan_epoch
from galspec.training.distributed import ALONE, Processes, join_processes
from galspec.training.loop import CnnTraining

WORKER = "tests.unit.training.train_together"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def train_together(
    n: int, run_dir: Path, vae_dir: Path, model: str = "simple-deconv", stop_after: int = 0
) -> list[subprocess.CompletedProcess[str]]:
    """Run n processes with the environment that torchrun gives each."""
    port = free_port()
    command = [sys.executable, "-m", WORKER, str(run_dir), str(vae_dir), model, str(stop_after)]
    processes = []
    for rank in range(n):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {
            **os.environ,
            **{name: str(value) for name, value in own.items()},
            "PYTHONPATH": str(REPOSITORY_DIR),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        processes.append(
            subprocess.Popen(
                command, env=environment, cwd=REPOSITORY_DIR, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    ended = []
    for process in processes:
        output, errors = process.communicate(timeout=600)
        ended.append(subprocess.CompletedProcess(command, process.returncode, output, errors))
    return ended


def require_same(one: Path, other: Path) -> None:
    """Weights, statistics, optimiser and scores agree to the rounding of float32."""
    first, second = (load_checkpoint(run / "checkpoint")[0] for run in (one, other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        scale = max(float(value.double().abs().max()), 1e-3)
        torch.testing.assert_close(second[name].double() / scale, value.double() / scale, rtol=0, atol=2e-3, msg=name)
    scores = [load_predictor_bundle(run / "bundle").info["scores"] for run in (one, other)]
    for name in ("valid_mse", "test_mse"):
        assert scores[1][name] == pytest.approx(scores[0][name], rel=1e-3)
    assert scores[1]["train_mse_per_epoch"] == pytest.approx(scores[0]["train_mse_per_epoch"], rel=1e-3)
    assert scores[0]["passes"] == scores[1]["passes"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["simple-cnn", "simple-deconv", "xresnet18-hybrid"])
def test_two_processes_are_one_with_the_whole_batch(model: str, vae_dir: Path, tmp_path: Path):
    for n, name in ((1, "one"), (2, "two")):
        for ended in train_together(n, tmp_path / name, vae_dir, model):
            assert ended.returncode == 0, ended.stderr
    require_same(tmp_path / "one", tmp_path / "two")
    log = (tmp_path / "two" / "log.txt").read_text()
    assert log.count("started") == log.count("finished") == 1  # the second process wrote nothing
    rows = [json.loads(line) for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [1, 2]
    recipe = load_predictor_bundle(tmp_path / "two" / "bundle").info["recipe"]
    assert (recipe["n_processes"], recipe["batch_size"]) == (2, 16)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_and_the_run_continues_with_another_number(vae_dir: Path, tmp_path: Path):
    for ended in train_together(2, tmp_path / "parts", vae_dir, stop_after=6):
        assert ended.returncode == 130, ended.stderr
    end = json.loads((tmp_path / "parts" / "exit.json").read_text())
    assert end["state"] == "stopped"
    assert load_checkpoint(tmp_path / "parts" / "checkpoint")[1]["at"]["n_passes"] == 6 * 16
    for n, name in ((1, "parts"), (1, "whole")):
        for ended in train_together(n, tmp_path / name, vae_dir):
            assert ended.returncode == 0, ended.stderr
    assert "continues" in (tmp_path / "parts" / "log.txt").read_text()
    require_same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_torchrun_starts_it(vae_dir: Path, tmp_path: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", WORKER]
    ended = subprocess.run(
        [*command, str(tmp_path / "run"), str(vae_dir), "simple-cnn", "0"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY_DIR), "OMP_NUM_THREADS": "1"},
        cwd=REPOSITORY_DIR,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert load_predictor_bundle(tmp_path / "run" / "bundle").info["recipe"]["n_processes"] == 2


def test_shares_of_a_batch_are_the_batch(bright_set: TrainingSet):
    (selection, *_) = plan_epoch(bright_set.rows("train"), 16, 1, 0)
    shares = [selection.share(rank, 2) for rank in range(2)]
    assert [len(share.rows) for share in shares] == [8, 8]
    pairs = {(row, element) for share in shares for row, element in zip(share.rows, share.elements, strict=True)}
    assert pairs == set(zip(selection.rows, selection.elements, strict=True))
    alone = selection.share(0, 1)
    assert isinstance(alone, Selection)
    assert (alone.rows == selection.rows).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 15}, "must be a multiple of 2"),
        ({"batch_size": 1000}, "at most the 90 galaxies"),
        ({"compile": True}, "compile does not go with several processes"),
    ],
)
def test_settings_that_do_not_go_with_several_processes_are_refused(
    bright_set: TrainingSet, changes: dict[str, object], message: str
):
    config = CnnConfig(**{"model": "simple-cnn", "batch_size": 16, **changes})
    device = torch.device("cpu")
    loader = make_loader(bright_set, fit_image_scaler(bright_set), device)
    with pytest.raises(ConfigError, match=message):
        CnnTraining(build_network("simple-cnn"), bright_set, loader, config, device, Processes(0, 2))


def test_without_torchrun_a_process_is_alone(vae: VaeBundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_processes("cpu") as processes:
        assert processes == ALONE
        assert processes.is_first
        assert processes.agree(True)
        assert not processes.agree(False)
        assert processes.device("cpu") == torch.device("cpu")


def test_each_process_has_its_own_gpu():
    assert Processes(5, 8, 1).device("cuda") == torch.device("cuda", 1)
    assert Processes(5, 8, 1).device("cpu") == torch.device("cpu")

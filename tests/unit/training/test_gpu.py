"""What runs say of their GPU, without one: a program in place of nvidia-smi, a limit in place of its memory."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from galspec.core.errors import RunError
from galspec.models.bundle import VaeBundle
from galspec.training.checkpoint import load_checkpoint
from galspec.training.cnn import train_cnn
from galspec.training.config import CnnConfig
from galspec.training.data import TrainingSet
from galspec.training.gpu import GpuUtilisation, read_lines, watch_utilisation
from galspec.training.loop import CnnTraining

CONFIG = CnnConfig(model="simple-cnn", n_epochs=2, batch_size=16, precision="fp32", report_batches=2, num_threads=1)


def test_utilisation_is_the_mean_since_the_last_question():
    utilisation = GpuUtilisation()
    assert utilisation.take() is None
    for line in ("90\n", "100\n", "[N/A]\n", "No devices were found\n"):
        utilisation.add(line)
    assert utilisation.take() == 95.0
    assert utilisation.take() is None


def test_lines_of_a_program_are_read_while_it_runs():
    utilisation = GpuUtilisation()
    program = "import time; print(40, flush=True); print(60, flush=True); time.sleep(60)"
    with read_lines([sys.executable, "-c", program], utilisation):
        seen: float | None = None
        for _ in range(3000):  # the program's start may take long on a busy machine
            seen = utilisation.take() or seen
            if seen is not None:
                break
            time.sleep(0.01)
    assert seen in (40.0, 50.0)


def test_nothing_is_reported_without_a_gpu():
    with watch_utilisation(torch.device("cpu")) as utilisation:
        assert utilisation.take() is None


@pytest.mark.parametrize(("limit", "message"), [(7, "4 fit: start anew with --batch-size 4"), (1, "not even one of 2")])
def test_full_memory_says_which_batch_fits(
    limit: int, message: str, bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    predict = CnnTraining.predict

    def limited(self: CnnTraining, images: torch.Tensor) -> torch.Tensor:
        if len(images) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(self, images)

    monkeypatch.setattr(CnnTraining, "predict", limited)
    with pytest.raises(RunError, match=f"a batch of 16 galaxies does not fit into the memory.*{message}"):
        train_cnn(bright_set, vae, CONFIG, tmp_path)
    assert json.loads((tmp_path / "exit.json").read_text())["state"] == "failed"


def test_memory_that_runs_out_later_leaves_the_last_checkpoint(
    bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    step, n_done = CnnTraining.train_batch, 0

    def limited(self: CnnTraining, *batch: Any) -> torch.Tensor:
        nonlocal n_done
        n_done += 1
        if n_done == 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(CnnTraining, "train_batch", limited)
        with pytest.raises(RunError, match="8 fit"):
            train_cnn(bright_set, vae, CONFIG, tmp_path)
    assert load_checkpoint(tmp_path / "checkpoint")[1]["at"]["epoch"] == 1
    train_cnn(bright_set, vae, CONFIG, tmp_path)
    assert json.loads((tmp_path / "exit.json").read_text())["state"] == "finished"

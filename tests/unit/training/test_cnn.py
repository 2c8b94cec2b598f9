import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from galspec.core.errors import ConfigError, RunError
from galspec.core.home import REPOSITORY_DIR
from galspec.models.bundle import VaeBundle, load_predictor_bundle
from galspec.models.catalog import build_network
from galspec.training.checkpoint import load_checkpoint
from galspec.training.cnn import fit_image_scaler, start_from, train_cnn
from galspec.training.config import CnnConfig, load_config
from galspec.training.data import Selection, TrainingSet, make_loader, plan_in_order
from galspec.training.loop import CnnTraining
from galspec.training.run_folder import RunStopped
from galspec.training.statistics import recalibrate_statistics

CONFIG = CnnConfig(model="simple-deconv", n_epochs=3, batch_size=16, precision="fp32", report_batches=2, num_threads=1)


class StopAfter:
    """Asks the run to stop after n batches."""

    def __init__(self, n: int):
        self.left = n

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def rows_of(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def weights_of(run_dir: Path) -> dict[str, torch.Tensor]:
    tensors, _ = load_checkpoint(run_dir / "checkpoint")
    return tensors


def test_run_folder_tells_the_whole_story(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    seen: list[dict] = []
    bundle = train_cnn(bright_set, vae, CONFIG, tmp_path, seen.append)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "command", "metrics.jsonl", "log.txt", "checkpoint", "exit.json", "bundle"
    }  # fmt: skip
    epochs = [row for row in rows_of(tmp_path) if row["kind"] == "epoch"]
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    assert epochs[-1]["n_passes"] == 3 * 80
    assert epochs[-1]["valid_mse"] == pytest.approx(np.mean(epochs[-1]["valid_mse_per_latent"]), rel=1e-5)
    assert epochs[-1]["valid_rmse"] == pytest.approx(math.sqrt(epochs[-1]["valid_mse"]))
    assert len(seen) == len(rows_of(tmp_path))
    end = json.loads((tmp_path / "exit.json").read_text())
    assert end["state"] == "finished"
    predictor = load_predictor_bundle(bundle, vae)
    assert predictor.info["scores"]["valid_mse"] == pytest.approx(epochs[-1]["valid_mse"])
    assert predictor.info["scores"]["test_n"] == 15
    assert predictor.info["recipe"]["seed"] == CONFIG.seed
    assert predictor.info["training_survey"] == bright_set.survey


def test_shipped_bundle_predicts_what_the_network_was_measured_on(
    bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path
):
    predictor = load_predictor_bundle(train_cnn(bright_set, vae, CONFIG, tmp_path), vae)
    rows = bright_set.rows("valid")
    predicted = predictor.predict_latents(np.asarray(bright_set.images[rows], np.float32) * 100.0)
    mse = np.mean((predicted - bright_set.latents[rows]) ** 2)
    assert mse == pytest.approx(predictor.info["scores"]["valid_mse"], rel=5e-3)  # float16 weights


@pytest.mark.parametrize("n_batches", [2, 5, 7])
def test_interrupted_run_is_bit_equal_to_an_uninterrupted_one(
    bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path, n_batches: int
):
    config = CnnConfig(**{**vars(CONFIG), "ema_decay": 0.9})
    train_cnn(bright_set, vae, config, tmp_path / "whole")
    with pytest.raises(RunStopped, match="after batch"):
        train_cnn(bright_set, vae, config, tmp_path / "parts", stop=StopAfter(n_batches))
    assert json.loads((tmp_path / "parts" / "exit.json").read_text())["state"] == "stopped"
    train_cnn(bright_set, vae, config, tmp_path / "parts")
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
    epochs = [
        [
            (row["epoch"], row["train_mse"], row["valid_mse"])
            for row in rows_of(tmp_path / run)
            if row["kind"] == "epoch"
        ]
        for run in ("whole", "parts")
    ]
    assert epochs[0] == epochs[1]


def test_finished_run_is_not_trained_again(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    train_cnn(bright_set, vae, CONFIG, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    train_cnn(bright_set, vae, CONFIG, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_checkpoint_of_another_run_is_refused_and_untouched(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    train_cnn(bright_set, vae, CONFIG, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = CnnConfig(**{**vars(CONFIG), "model": "simple-cnn"})
    with pytest.raises(RunError, match="model is 'simple-deconv' there and 'simple-cnn' here"):
        train_cnn(bright_set, vae, other, tmp_path)
    moved = TrainingSet(bright_set.images, bright_set.latents * 2, bright_set.split, bright_set.ids)
    with pytest.raises(RunError, match="data is"):
        train_cnn(moved, vae, CONFIG, tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    train_cnn(bright_set, vae, other, tmp_path, resume=False)


def test_loss_that_is_not_finite_stops_the_run_and_names_the_batch(
    bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path
):
    images = bright_set.images.copy()
    images[bright_set.rows("train")[7]] = np.inf
    broken = TrainingSet(images, bright_set.latents, bright_set.split, bright_set.ids, bright_set.survey)
    with pytest.raises(RunError, match=r"loss is nan in epoch 1 for the batch with sim1-"):
        train_cnn(broken, vae, CONFIG, tmp_path)
    assert json.loads((tmp_path / "exit.json").read_text())["state"] == "failed"


def test_best_weights_are_kept_beside_the_last(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    config = CnnConfig(**{**vars(CONFIG), "max_lr": 0.5, "n_epochs": 4})
    last = load_predictor_bundle(train_cnn(bright_set, vae, config, tmp_path)).info["scores"]
    best_config = CnnConfig(**{**vars(config), "ship": "best"})
    best = load_predictor_bundle(train_cnn(bright_set, vae, best_config, tmp_path)).info["scores"]
    assert last["shipped_weights"] == "last"
    assert last["valid_mse"] == pytest.approx(last["valid_mse_per_epoch"][-1])
    assert best["valid_mse"] == pytest.approx(min(last["valid_mse_per_epoch"]))
    assert best["best_epoch"] == last["best_epoch"] == 1 + int(np.argmin(last["valid_mse_per_epoch"]))


def test_early_stopping_ends_a_run_that_gets_no_better(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    noise = np.random.default_rng(5).normal(size=bright_set.latents.shape).astype(np.float32)
    hopeless = TrainingSet(bright_set.images, noise, bright_set.split, bright_set.ids, bright_set.survey)
    config = CnnConfig(**{**vars(CONFIG), "n_epochs": 30, "early_stopping": 2, "max_lr": 0.05})
    scores = load_predictor_bundle(train_cnn(hopeless, vae, config, tmp_path)).info["scores"]
    assert scores["epochs"] < 30
    assert scores["epochs"] == scores["best_epoch"] + 2


def test_recalibrated_statistics_are_those_of_the_final_weights(bright_set: TrainingSet):
    config = CnnConfig(model="simple-cnn", batch_size=90, is_augmented=False, precision="fp32")
    device = torch.device("cpu")
    loader = make_loader(bright_set, fit_image_scaler(bright_set), device)
    torch.manual_seed(1)
    training = CnnTraining(build_network("simple-cnn"), bright_set, loader, config, device)
    recalibrate_statistics(training, 1)
    conv, norm = training.network[0], training.network[1]
    (batch,) = loader.batches([select_all(bright_set)])
    expected = conv(batch.images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1


def select_all(data: TrainingSet) -> Selection:
    (selection,) = plan_in_order(data.rows("train"), len(data.rows("train")))
    return selection


def test_bf16_gives_nearly_the_same_losses(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    mixed = CnnConfig(**{**vars(CONFIG), "precision": "bf16"})
    scores = [
        load_predictor_bundle(train_cnn(bright_set, vae, config, tmp_path / config.precision)).info["scores"]
        for config in (CONFIG, mixed)
    ]
    assert scores[0]["valid_mse"] == pytest.approx(scores[1]["valid_mse"], rel=0.05)


@pytest.mark.slow
def test_two_epochs_of_the_hybrid_beat_the_mean(large_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    config = CnnConfig(n_epochs=2, batch_size=32, max_lr=0.003)
    scores = load_predictor_bundle(train_cnn(large_set, vae, config, tmp_path)).info["scores"]
    assert scores["valid_mse"] < 0.8


def test_config_file_is_strict(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text('[cnn]\nmodel = "simple-cnn"\nmax_lr = 1\n')
    assert load_config(CnnConfig, path, "cnn") == CnnConfig(model="simple-cnn", max_lr=1.0)
    path.write_text("[cnn]\nepochs = 3\n")
    with pytest.raises(ConfigError, match=r"unknown setting\(s\) epochs"):
        load_config(CnnConfig, path, "cnn")
    path.write_text('[cnn]\nn_epochs = "3"\n')
    with pytest.raises(ConfigError, match="must be of type int"):
        load_config(CnnConfig, path, "cnn")
    with pytest.raises(ConfigError, match=r"no table \[vae\]"):
        load_config(CnnConfig, path, "vae")
    with pytest.raises(ConfigError, match="precision is 'fp8'"):
        CnnConfig(precision="fp8")


def test_shipped_settings_load():
    config = load_config(CnnConfig, REPOSITORY_DIR / "configs" / "hybrid.toml", "cnn")
    assert config.peak_lr == 0.03
    assert config.n_epochs == 50


def test_identity_names_ablations_only_where_they_are_not_the_papers():
    names = CnnConfig().identity.keys()
    assert not {"activation", "image_form", "optimiser", "groups"} & names
    changed = CnnConfig(activation="relu", image_form="grey", deconv_eps=1e-3).identity
    assert changed.keys() - names == {"activation", "image_form", "deconv_eps"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": "sgd"}, "optimiser is 'sgd'"),
        ({"image_form": "blue"}, "image_form is 'blue', but must be one of full, colour, grey"),
        ({"image_scaling": "log"}, "image_scaling is 'log'"),
        ({"model": "simple-cnn", "groups": 1}, "does not change a simple-cnn"),
    ],
)
def test_settings_of_ablations_are_checked(changes: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        CnnConfig(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_form": "grey", "image_scaling": "arcsinh"},
        {"image_form": "colour", "optimiser": "adam", "deconv_iterations": 7},
    ],
)
def test_an_ablation_is_trained_shipped_and_not_continued_as_another(
    bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path, changes: dict[str, object]
):
    config = dataclasses.replace(CONFIG, n_epochs=1, **changes)
    predictor = load_predictor_bundle(train_cnn(bright_set, vae, config, tmp_path), vae)
    assert predictor.image_scaler.form == config.image_form
    assert predictor.image_scaler.scaling == config.image_scaling
    assert predictor.info.get("network_args", {}) == config.network_options
    rows = bright_set.rows("valid")
    predicted = predictor.predict_latents(np.asarray(bright_set.images[rows], np.float32) * 100.0)
    mse = np.mean((predicted - bright_set.latents[rows]) ** 2)
    assert mse == pytest.approx(predictor.info["scores"]["valid_mse"], rel=5e-3)
    with pytest.raises(RunError, match=f"image_form is '{config.image_form}' there and not set here"):
        train_cnn(bright_set, vae, dataclasses.replace(CONFIG, n_epochs=1), tmp_path)


def test_progress_tells_the_time_of_each_epoch(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    with pytest.raises(RunStopped):
        train_cnn(bright_set, vae, CONFIG, tmp_path, stop=StopAfter(7))
    train_cnn(bright_set, vae, CONFIG, tmp_path)
    epochs = [row for row in rows_of(tmp_path) if row["kind"] == "epoch"]
    assert sum(row["epoch_seconds"] for row in epochs) <= epochs[-1]["seconds"] + 0.2
    for row in epochs:
        assert row["images_per_s"] * row["epoch_seconds"] == pytest.approx(80, rel=0.5, abs=0.06 * row["images_per_s"])


def _save_predictor(bright_set: TrainingSet, vae: VaeBundle, folder: Path) -> Path:
    return train_cnn(bright_set, vae, dataclasses.replace(CONFIG, n_epochs=1), folder)


def test_training_starts_from_a_bundle_and_says_so(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    first = _save_predictor(bright_set, vae, tmp_path / "first")
    start = load_predictor_bundle(first, fold=False)
    network = build_network("simple-deconv")
    start_from(network, start, "simple-deconv", vae.sha256)
    for name, value in start.network.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    second = load_predictor_bundle(train_cnn(bright_set, vae, CONFIG, tmp_path / "second", start=start))
    assert second.info["recipe"]["start"]["sha256"] == start.sha256
    assert second.info["recipe"]["start"]["passes"] == 80
    assert (second.image_scaler.mean == start.image_scaler.mean).all()
    # The first epoch begins where the other run ended, not at random weights.
    begins = next(row for row in rows_of(tmp_path / "second") if row["kind"] == "epoch")["train_mse"]
    scratch = next(row for row in rows_of(tmp_path / "first") if row["kind"] == "epoch")["train_mse"]
    assert begins < scratch


def test_latents_of_another_vae_get_a_new_last_layer(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    start = load_predictor_bundle(_save_predictor(bright_set, vae, tmp_path), fold=False)
    torch.manual_seed(5)
    network = build_network("simple-deconv")
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    start_from(network, start, "simple-deconv", "0" * 64)
    last = list(dict(network.named_children()))[-1]
    for name, value in network.state_dict().items():
        expected = fresh if name.startswith(f"{last}.") else start.network.state_dict()
        assert torch.equal(value, expected[name]), name


def test_another_network_or_a_shared_loader_cannot_be_started_from(
    bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path
):
    start = load_predictor_bundle(_save_predictor(bright_set, vae, tmp_path), fold=False)
    with pytest.raises(ConfigError, match="is a simple-deconv, but a simple-cnn is to be trained"):
        train_cnn(bright_set, vae, dataclasses.replace(CONFIG, model="simple-cnn"), tmp_path / "a", start=start)
    loader = make_loader(bright_set, fit_image_scaler(bright_set), torch.device("cpu"))
    with pytest.raises(ConfigError, match="cannot share a loader"):
        train_cnn(bright_set, vae, CONFIG, tmp_path / "b", start=start, loader=loader)
    grey = dataclasses.replace(CONFIG, image_form="grey")
    with pytest.raises(ConfigError, match="the images given are full and scaled linear, but image_form is 'grey'"):
        train_cnn(bright_set, vae, grey, tmp_path / "c", start=start)
    with pytest.raises(ConfigError, match="the images given are full"):
        train_cnn(bright_set, vae, grey, tmp_path / "d", loader=loader)
    other = dataclasses.replace(CONFIG, deconv_iterations=9)
    with pytest.raises(ConfigError, match="differs from the published one in nothing, the one to train in"):
        train_cnn(bright_set, vae, other, tmp_path / "e", start=start)

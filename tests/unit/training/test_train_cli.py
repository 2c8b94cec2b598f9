import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from galspec.cli.main import main
from galspec.core.bands import CUTOUT_SHAPE
from galspec.core.splits import split_of
from galspec.core.wavelength import N_WAVE, wave_grid
from galspec.models.bundle import load_predictor_bundle


class SmallSurvey:
    """Forty galaxies in memory with the interface of a survey folder."""

    name, source, data_hash = "small", "SIMULATED", "0" * 64

    def __init__(self, folder: Path, has_images: bool = True):
        self.folder, self.has_images = folder, has_images
        generator = np.random.default_rng(2)
        self.catalog = pd.DataFrame({"id": [f"sim9-{i:08d}" for i in range(40)], "redshift": 0.1})
        self.catalog["split"] = self.catalog["id"].map(split_of)
        self.slope = generator.normal(size=40)

    def __len__(self) -> int:
        return 40

    def spectra_block(self, rows):
        flux = 1.0 + 0.2 * self.slope[rows, None] * np.linspace(-1, 1, N_WAVE)
        flux[np.asarray(rows) == 1] = -1.0  # cannot be normalised
        return flux.astype(np.float32), np.full((len(rows), N_WAVE), 100.0, np.float32)

    def images_block(self, rows):
        generator = np.random.default_rng(3)
        return np.stack([generator.normal(self.slope[row], 1.0, CUTOUT_SHAPE) for row in rows]).astype(np.float16)


@pytest.fixture
def survey(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SmallSurvey:
    """The small survey, opened whatever folder is named."""
    small = SmallSurvey(tmp_path)
    monkeypatch.setattr("galspec.store.survey.open_survey", lambda _folder: small)
    return small


def train(tmp_path: Path, vae_dir: Path, *words: str) -> int:
    command = ["train", "cnn", "--survey", str(tmp_path), "--out", str(tmp_path / "run"), "--vae", str(vae_dir)]
    return main([*command, "--model", "simple-cnn", "--batch-size", "8", *words])


@pytest.mark.usefixtures("survey")
def test_train_cnn_makes_a_bundle(vae_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert train(tmp_path, vae_dir, "--passes", "50", "--threads", "1", "--precision", "fp32") == 0
    assert "bundle:" in capsys.readouterr().out
    info = load_predictor_bundle(tmp_path / "run" / "bundle").info
    n_train = info["recipe"]["n_train"]
    assert info["recipe"]["n_epochs"] == -(-50 // n_train)
    assert info["training_survey"]["name"] == "small"
    assert info["training_survey"]["ranges"]["redshift"] == [0.1, 0.1]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["cnn"]["num_threads"] == 1


def test_images_that_are_not_on_disk_are_rendered_once(survey: SmallSurvey, vae_dir: Path, tmp_path: Path, monkeypatch):
    # The rendering itself runs in other processes, which would not know this survey.
    survey.has_images = False
    blocks: list[int] = []

    def here(work, n_blocks, done_dir, _n_jobs, _progress=None):
        for block in range(n_blocks):
            if not (done_dir / str(block)).exists():
                work(block)
                blocks.append(block)
                done_dir.mkdir(exist_ok=True)
                (done_dir / str(block)).touch()

    monkeypatch.setattr("galspec.training.survey_set.run_blocks", here)
    monkeypatch.setattr("galspec.training.survey_set.open_survey", lambda _folder: survey)
    assert train(tmp_path, vae_dir, "--epochs", "1", "--max-galaxies", "32") == 0
    assert train(tmp_path, vae_dir, "--epochs", "1", "--max-galaxies", "32", "--restart") == 0
    assert blocks == [0]


@pytest.mark.usefixtures("survey")
def test_ablations_are_options_of_the_command_line(vae_dir: Path, tmp_path: Path):
    words = ("--epochs", "1", "--image-form", "colour", "--image-scaling", "arcsinh", "--optimiser", "adam")
    assert train(tmp_path, vae_dir, *words) == 0
    recipe = load_predictor_bundle(tmp_path / "run" / "bundle").info["recipe"]
    assert (recipe["image_form"], recipe["image_scaling"], recipe["optimiser"]) == ("colour", "arcsinh", "adam")
    assert (recipe["self_attention"], recipe["groups"]) == (True, 64)


@pytest.mark.usefixtures("survey")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--max-galaxies", "41"), "has 40 galaxies"),
        (("--epochs", "0"), "n_epochs is 0"),
        (("--model", "resnet"), "no network is called 'resnet'"),
        (("--vae", "nowhere"), "not a model bundle"),
        (("--no-self-attention",), "self_attention = False does not change a simple-cnn"),
        (("--image-form", "sepia"), "must be one of full, colour, grey"),
    ],
)
def test_bad_input_gives_one_sentence(
    vae_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
):
    assert train(tmp_path, vae_dir, *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_vae_is_trained_from_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    n = 300
    generator = np.random.default_rng(4)
    shape = np.sin(wave_grid() / 500.0)
    small = SmallSurvey(tmp_path)
    small.catalog = pd.DataFrame({"id": [f"sim9-{i:08d}" for i in range(n)], "redshift": 0.1})
    small.catalog["split"] = small.catalog["id"].map(split_of)
    small.slope = generator.normal(size=n)
    monkeypatch.setattr(SmallSurvey, "__len__", lambda _self: n)
    monkeypatch.setattr(
        SmallSurvey,
        "spectra_block",
        lambda self, rows: (
            (1.0 + 0.1 * self.slope[rows, None] * shape + generator.normal(0, 0.1, (len(rows), N_WAVE))).astype("f4"),
            np.full((len(rows), N_WAVE), 100.0, np.float32),
        ),
    )
    monkeypatch.setattr("galspec.store.survey.open_survey", lambda _folder: small)
    assert main(["train", "vae", "--survey", str(tmp_path), "--out", str(tmp_path / "run"), "--epochs", "2"]) == 0
    assert (tmp_path / "run" / "bundle" / "model.json").is_file()

"""Scores of a survey: the same numbers as the Galaxy page, resumable, honest about what cannot be computed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from galspec.cli.main import main
from galspec.core.errors import BundleError, ScoresError
from galspec.inference import scores
from galspec.inference.scores import ModelPair, score_rows, score_survey
from galspec.models.bundle import load_predictor_bundle, load_vae_bundle
from galspec.models.novelty import calibrate_novelty
from galspec.store import layout
from galspec.store.scores import NOVELTY_COLUMNS, ScoreTable, read_scores
from galspec.store.survey import open_survey
from galspec.ui.comparison import compare
from galspec.ui.models import Models
from tests.toy_survey import write_toy_models, write_toy_survey

N = 26
BLIND, EMPTY = 5, 9


@pytest.fixture(scope="module")
def survey_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey in which one galaxy has no z image and another no spectrum."""
    folder = write_toy_survey(tmp_path_factory.mktemp("scores") / "survey", n_galaxies=N)
    zarr.open_array(folder / layout.IMAGES, mode="r+")[BLIND, 3] = np.nan
    zarr.open_group(folder / layout.SPECTRA, mode="r+")["ivar"][EMPTY] = 0.0
    return folder


@pytest.fixture(scope="module")
def model_dirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_toy_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def pair(survey_dir, model_dirs) -> ModelPair:
    """The toy models, with a novelty calibration made of the survey's own spectra."""
    vae = load_vae_bundle(model_dirs[0])
    rows = [row for row in range(N) if row != EMPTY]
    flux, ivar = open_survey(survey_dir).spectra_block(rows)
    vae.novelty = calibrate_novelty(vae, vae.latents(flux, ivar), flux, ivar)
    return ModelPair(load_predictor_bundle(model_dirs[1]), vae)


@pytest.fixture(scope="module")
def table(survey_dir, pair, tmp_path_factory) -> ScoreTable:
    return score_survey(pair, open_survey(survey_dir), tmp_path_factory.mktemp("out") / "toy-cnn.parquet")


@pytest.mark.parametrize("row", [0, 3, 17])
def test_they_are_the_numbers_of_the_galaxy_page(row, survey_dir, pair, table):
    survey = open_survey(survey_dir)
    shown = compare(survey.spectrum(row), survey.cutout(row), Models(None, pair.predictor, pair.vae))
    values = table.frame.iloc[row]
    predicted, rebuilt = shown.scores(shown.prediction), shown.scores(shown.reconstruction)
    assert values["chi2_predicted"] == pytest.approx(predicted.chi2_nu, rel=1e-4)
    assert values["rmse_predicted"] == pytest.approx(predicted.rmse, rel=1e-4)
    assert values["chi2_vae"] == pytest.approx(rebuilt.chi2_nu, rel=1e-4)
    assert values["rmse_ratio"] == pytest.approx(predicted.rmse / rebuilt.rmse, rel=1e-4)
    difference = shown.prediction - shown.reconstruction
    assert values["rmse_to_vae"] == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-3)
    assert table.latents[row] == pytest.approx(shown.latent_predicted, abs=1e-4)
    assert table.latents_observed[row] == pytest.approx(shown.latent_true, abs=1e-4)
    latent_rmse = np.sqrt(np.mean((shown.latent_predicted - shown.latent_true) ** 2))
    assert values["latent_rmse"] == pytest.approx(latent_rmse, rel=1e-3)


def test_what_cannot_be_computed_is_nan_and_named(table):
    flags = table.frame["flag"]
    assert (flags[BLIND], flags[EMPTY]) == ("no-image", "no-spectrum")
    assert (flags != "").sum() == 2
    assert np.isnan(table.latents[BLIND]).all()
    assert np.isnan(table.embedding[BLIND]).all()
    assert np.isfinite(table.frame["chi2_vae"][BLIND])
    assert np.isnan(table.frame.loc[BLIND, ["latent_rmse", "rmse_predicted", "rmse_ratio", "chi2_predicted"]]).all()
    assert np.isnan(table.latents_observed[EMPTY]).all()
    assert np.isfinite(table.latents[EMPTY]).all()
    assert np.isnan(table.frame.loc[EMPTY, ["chi2_predicted", "rmse_vae", "novelty", "p_novel"]].to_numpy(float)).all()


def test_novelty_is_a_share(table):
    known = table.frame.drop(index=EMPTY)
    assert table.has_novelty
    assert known[["p_reconstruction", "p_feature", "p_latent", "p_novel"]].to_numpy().min() > 0
    assert known[["p_reconstruction", "p_feature", "p_latent", "p_novel"]].to_numpy().max() <= 1
    assert (known["novelty"] > 0).all()


def test_the_embedding_is_the_principal_components_of_the_features(survey_dir, pair, table):
    survey = open_survey(survey_dir)
    rows = np.delete(np.arange(N), BLIND)
    features = pair.predictor.features(np.stack([survey.cutout(int(row)) for row in rows])).astype(np.float64)
    centred = features - features.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    expected = (u * s)[:, :16]
    found = table.embedding[rows]
    assert found.shape == (N - 1, 16)
    tolerance = 2e-3 * s[0]
    assert np.abs(found[:, :5]) == pytest.approx(np.abs(expected[:, :5]), abs=tolerance)
    shares = table.provenance["embedding"]["explained_variance"]
    assert shares[:5] == pytest.approx((s**2 / (s**2).sum())[:5], abs=1e-4)
    assert table.frame["embedding_1"].dtype == np.float16


def test_an_interrupted_run_goes_on(monkeypatch, tmp_path, survey_dir, pair, table):
    monkeypatch.setattr(layout, "SHARD", 8)
    done: list[int] = []

    def stop(n_done: int) -> None:
        done.append(n_done)
        if n_done >= 16:
            raise KeyboardInterrupt

    path = tmp_path / "toy-cnn.parquet"
    with pytest.raises(KeyboardInterrupt):
        score_survey(pair, open_survey(survey_dir), path, progress=stop)
    assert done == [8, 16]
    assert not path.exists()
    computed: list[int] = []
    monkeypatch.setattr(
        scores, "score_rows", lambda models, survey, rows: computed.append(rows[0]) or score_rows(models, survey, rows)
    )
    again = score_survey(pair, open_survey(survey_dir), path)
    assert computed == [16, 24]
    assert list(tmp_path.iterdir()) == [path]
    # A share of 13 spectra jumps by 0.08 where rounding moves a score past another.
    numbers = [name for name in again.frame if name not in {"id", "flag"} and not name.startswith("p_")]
    assert again.frame[numbers].to_numpy(float) == pytest.approx(
        table.frame[numbers].to_numpy(float), abs=2e-2, rel=2e-3, nan_ok=True
    )


def test_a_damaged_part_is_one_sentence_and_made_again(monkeypatch, tmp_path, survey_dir, pair):
    monkeypatch.setattr(layout, "SHARD", 20)
    path = tmp_path / "toy-cnn.parquet"

    def damage(n_done: int) -> None:
        if n_done == N:
            next(tmp_path.glob(".*.parts/rows-000000000.npz")).write_bytes(b"PK\x03\x04 torn")

    with pytest.raises(ScoresError, match="was damaged"):
        score_survey(pair, open_survey(survey_dir), path, progress=damage)
    assert len(score_survey(pair, open_survey(survey_dir), path).frame) == N


def test_models_that_do_not_belong_together_are_refused(tmp_path, model_dirs):
    other, _ = write_toy_models(tmp_path / "other", seed=7)
    with pytest.raises(BundleError, match="its latents cannot be compared"):
        ModelPair(load_predictor_bundle(model_dirs[1]), load_vae_bundle(other))


def test_a_survey_without_any_usable_image_is_refused(tmp_path, pair):
    folder = write_toy_survey(tmp_path / "dark", n_galaxies=3)
    zarr.open_array(folder / layout.IMAGES, mode="r+")[:] = np.nan
    with pytest.raises(ScoresError, match="no galaxy of the survey has an image"):
        score_survey(pair, open_survey(folder))


def test_the_command_writes_scores_and_guards_them(tmp_path, capsys, survey_dir, model_dirs):
    folder = tmp_path / "survey"
    shutil.copytree(survey_dir, folder)
    command = ["predict", "--survey", str(folder), "--model", str(model_dirs[1])]
    assert main([*command, "--scores"]) == 0
    printed = capsys.readouterr().out
    assert "26 galaxies scored, 2 of them without usable image or spectrum" in printed
    assert "has no novelty calibration" in printed
    path = folder / "predictions" / "toy-cnn.parquet"
    stored = json.loads(pq.read_schema(path).metadata[b"galspec"])
    survey = open_survey(folder)
    model = json.loads((model_dirs[1] / "model.json").read_text())
    assert stored["sha256"] == model["sha256"]
    assert stored["vae_sha256"] == model["vae_sha256"]
    assert (stored["source"], stored["catalog_sha256"]) == ("SIMULATED", survey.data_hash)
    found = read_scores(survey, "toy-cnn", model_sha256=model["sha256"], vae_sha256=model["vae_sha256"])
    assert not found.has_novelty
    assert not set(NOVELTY_COLUMNS) & set(found.frame)
    assert main(command) == 2
    assert "add --scores, or name another file with --out" in capsys.readouterr().err
    assert len(read_scores(survey, "toy-cnn").frame) == N


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--images", "a.fits", "--scores"], "--scores belongs to --survey"),
        (["--survey", "DIR", "--vae", "v"], "--vae belongs to --scores"),
    ],
)
def test_options_that_do_not_go_together(capsys, arguments, words):
    assert main(["predict", *arguments]) == 2
    assert words in capsys.readouterr().err

"""Table 1 on a toy survey: same galaxies for all, an untouched test split, and clear refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from galspec.cli.main import main
from galspec.core.errors import BundleError, ConfigError
from galspec.evaluation import table1, table1_report
from galspec.evaluation.baselines import BASELINES, neighbour_predictions
from galspec.evaluation.held_out import SurveyImageSource, measure_images, read_split, require_same_galaxies
from galspec.evaluation.paired import load_errors
from galspec.evaluation.table1 import Evaluation, add_baselines, add_networks, read_galaxies, read_sources
from galspec.evaluation.table1_rows import differences, epoch_scores, score_errors
from galspec.models.bundle import VaeBundle, load_vae_bundle
from galspec.store.images import from_stored
from galspec.store.survey import Survey, open_survey
from galspec.training.compressors import ComparisonConfig
from galspec.training.targets import describe_survey
from tests.toy_survey import write_toy_models, write_toy_survey

N = 160
CONFIG = ComparisonConfig(dims=(6,), seeds=(1,), n_train=80, n_valid=10, n_nmf=60, n_epochs=1)


def rewrite(folder: Path, **entries: object) -> None:
    """Change what a bundle says of itself."""
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folders of a survey, of a VAE, and of a predictor that says it was trained on that survey."""
    folder = tmp_path_factory.mktemp("toy")
    survey = write_toy_survey(folder / "survey", n_galaxies=N)
    vae, predictor = write_toy_models(folder / "models")
    opened = open_survey(survey)
    told = describe_survey(opened.catalog, "toy", "SIMULATED", opened.data_hash)
    recipe = {"model": "simple-cnn", "n_epochs": 10, "seed": 5, "batch_size": 64, "n_train": 100, "device": "cpu"}
    scores = {"passes": 1000, "epochs": 10, "train_seconds": 3.5, "valid_mse_per_epoch": [0.9, 0.7, 0.8]}
    scores |= {"valid_mse": 0.8, "valid_n": 16, "test_mse": 0.85, "test_n": 15, "shipped_weights": "last"}
    rewrite(predictor, training_survey=told, recipe=recipe, scores=scores)
    return survey, vae, predictor


@pytest.fixture
def survey(toy: tuple[Path, Path, Path]) -> Survey:
    return open_survey(toy[0])


@pytest.fixture(scope="module")
def vae(toy: tuple[Path, Path, Path]) -> VaeBundle:
    return load_vae_bundle(toy[1])


def evaluation(survey: Survey, vae: VaeBundle, path: Path, with_test: bool = False) -> Evaluation:
    return Evaluation(survey, vae, SurveyImageSource(survey), read_galaxies(survey, vae, with_test), path)


def test_a_network_is_measured_on_the_galaxies_of_the_splits(toy, survey, vae, tmp_path):
    path = tmp_path / "table1.json"
    (source,) = read_sources(toy[2], survey, vae, "toy-a")
    seen = []
    table = add_networks(evaluation(survey, vae, path, with_test=True), [source], progress=seen.append)
    assert json.loads(path.read_text()) == json.loads(json.dumps(table))
    row = table["rows"]["toy-a"]
    for split in ("valid", "test"):
        rows = survey.rows_in_split(split)
        images = np.stack([survey.cutout(int(one)) for one in rows])
        expected = source.predictor.predict_latents(images) - vae.latents(*survey.spectra_block(rows))
        assert row["scores"][split]["mse"] == pytest.approx((expected**2).mean(), abs=2e-4)
        assert row["scores"][split]["n"] == len(rows) == table["data"]["galaxies"][split]["n"]
        errors, _ = load_errors(tmp_path / row["errors"], split)
        np.testing.assert_allclose(errors, expected, rtol=2e-3, atol=2e-3)
    assert seen[-1] == len(survey.rows_in_split("valid", "test"))
    told = row["training"]
    assert (told["seed"], told["passes"], told["n_train"], told["seconds"]) == (5, 1000, 100, 3.5)
    assert told["data_match"] == "same catalogue file"
    assert told["differs_from_paper"] == {"batch_size": 64}
    assert row["epochs"]["last"] == {"epoch": 3, "valid_mse": 0.8, "valid_rmse": pytest.approx(0.8**0.5)}
    assert row["epochs"]["best"]["epoch"] == 2
    assert sum(one["n"] for one in row["scores"]["valid"]["by_class"].values()) <= row["scores"]["valid"]["n"]
    assert row["spectra"]["valid"]["chi2_median"] > 0


def test_without_the_flag_the_test_split_is_not_read(toy, survey, vae, tmp_path, monkeypatch):
    held_out = set(survey.rows_in_split("test", "calibration").tolist())
    images_block, spectra_block = survey.images_block, survey.spectra_block
    for name, read in (("images_block", images_block), ("spectra_block", spectra_block)):

        def guarded(rows, read=read):
            assert not held_out & set(np.asarray(rows).tolist())
            return read(rows)

        monkeypatch.setattr(survey, name, guarded)
    (source,) = read_sources(toy[2], survey, vae)
    made = evaluation(survey, vae, tmp_path / "table1.json")
    table = add_networks(made, [source])
    add_baselines(made, config=CONFIG)
    assert table["rows"]["toy-cnn"]["scores"].keys() == {"valid"}


def test_ablations_are_rows_of_their_own(toy, survey, vae, tmp_path):
    (source,) = read_sources(toy[2], survey, vae, "toy")
    table = add_networks(evaluation(survey, vae, tmp_path / "table1.json"), [source], ["greyscale", "colour-only"])
    assert list(table["rows"]) == ["toy", "toy+greyscale", "toy+colour-only"]
    mse = {name: row["scores"]["valid"]["mse"] for name, row in table["rows"].items()}
    assert len(set(mse.values())) == 3
    assert table["rows"]["toy+greyscale"]["of"] == "toy"
    assert table["rows"]["toy+greyscale"]["kind"] == "ablation"


def test_baselines_and_oracles(survey, vae, tmp_path):
    made = evaluation(survey, vae, tmp_path / "table1.json", with_test=True)
    rows = add_baselines(made, config=CONFIG)["rows"]
    assert set(BASELINES) <= rows.keys()
    train, valid = read_split(survey, vae, "train"), made.galaxies["valid"]
    expected = ((train.latents.mean(axis=0) - valid.latents) ** 2).mean()
    assert rows["train-mean"]["scores"]["valid"]["mse"] == pytest.approx(expected, abs=1e-3)
    assert rows["train-mean"]["scores"]["valid"]["r2"] <= 0
    # The toy's classes decide colours and spectra: whoever sees colours beats the mean.
    for name in ("knn-colours", "trees-colours", "trees-annuli"):
        assert rows[name]["scores"]["test"]["mse"] < rows["train-mean"]["scores"]["test"]["mse"], name
        assert rows[name]["training"]["n_train"] == len(train)
    assert rows["vae-oracle"]["scores"]["test"]["mse"] == 0.0
    assert "mse" not in rows["pca6-oracle"]["scores"]["test"]
    oracle = rows["pca6-oracle"]["spectra"]["test"]
    assert oracle["chi2_median"] < rows["trees-colours"]["spectra"]["test"]["chi2_median"]


def test_neighbours_find_a_function_of_two_features(rng):
    features = rng.normal(size=(1500, 2)) * [1.0, 1000.0]
    targets = np.column_stack([features[:, 0], np.sin(features[:, 1] / 1000.0)])
    features[0, 1] = np.nan
    predicted, n_neighbours = neighbour_predictions(features[:1200], targets[:1200], features[1200:])
    assert ((predicted - targets[1200:]) ** 2).mean() < 0.02
    assert n_neighbours in {5, 10, 20}


def test_scores_are_means_over_galaxies_latents_and_classes(survey, vae, rng):
    valid = read_split(survey, vae, "valid")
    errors = rng.normal(size=valid.latents.shape)
    scores = score_errors(errors, valid)
    assert scores["mse"] == pytest.approx((errors**2).mean(), abs=1e-4)
    assert scores["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), abs=1e-4)
    r2 = 1 - (errors**2).mean(axis=0) / valid.latents.var(axis=0)
    np.testing.assert_allclose(scores["r2_per_latent"], r2, atol=1e-4)
    for name, row in scores["by_class"].items():
        assert row["mse"] == pytest.approx((errors[valid.classes[name]] ** 2).mean(), abs=1e-4)


def test_metrics_of_a_run_are_told_per_latent():
    rows = [{"kind": "progress", "epoch": 1}]
    rows += [
        {"kind": "epoch", "epoch": n, "valid_mse": mse, "valid_mse_per_latent": [mse] * 6, "seconds": 1.0}
        for n, mse in ((1, 0.9), (2, 0.6), (3, 0.7))
    ]
    found = epoch_scores({"scores": {}}, rows)
    assert found["best"] == {"epoch": 2, "valid_mse": 0.6, "valid_mse_per_latent": [0.6] * 6}
    assert found["last"]["epoch"] == 3
    assert epoch_scores({"scores": {}}, []) == {}


def test_settings_of_the_paper_make_no_difference():
    recipe = {"max_lr": 0.03, "batch_size": 128, "seed": 9, "n_epochs": 3, "channels_last": True, "weight_decay": 0.01}
    assert differences({"architecture": "xresnet18", "recipe": recipe}) == {}
    recipe |= {"max_lr": 0.02, "start": {"name": "other"}, "n_recalibration": 20}
    found = differences({"architecture": "xresnet18", "recipe": recipe})
    assert found == {"max_lr": 0.02, "n_recalibration": 20, "start": "other"}


def test_a_survey_simulated_once_more_is_known_by_its_galaxies(survey):
    told = describe_survey(survey.catalog.iloc[:120], "toy", "SIMULATED", "f" * 64)
    info = {"name": "gpu", "training_survey": told}
    assert require_same_galaxies(info, survey) == "same counts and ranges"
    low, high = told["ranges"]["mag_r"]
    moved = {**told, "ranges": {**told["ranges"], "mag_r": [low * (1 + 1e-9), high]}}
    assert require_same_galaxies({"name": "gpu", "training_survey": moved}, survey) == "same counts and ranges"
    moved["ranges"]["mag_r"] = [low + 0.001, high]
    with pytest.raises(ConfigError, match="data hash ffffffffffff, but 'toy' has"):
        require_same_galaxies({"name": "gpu", "training_survey": moved}, survey)
    with pytest.raises(ConfigError, match="may have seen what it would be tested on"):
        require_same_galaxies({"name": "gpu", "training_survey": {**told, "n_galaxies": N}}, survey)


def test_networks_of_another_vae_or_survey_are_refused(toy, survey, vae, tmp_path):
    _, predictor = write_toy_models(tmp_path / "models", seed=2)
    with pytest.raises(BundleError, match="belongs to VAE"):
        read_sources(predictor, survey, vae)
    other = load_vae_bundle(tmp_path / "models" / "vae6")
    with pytest.raises(ConfigError, match="'toy-cnn' was trained on survey 'toy' with data hash None"):
        read_sources(predictor, survey, other)
    with pytest.raises(ConfigError, match="is no name of a row"):
        read_sources(toy[2], survey, vae, "../row")


def test_a_table_of_other_galaxies_is_left_alone(toy, survey, vae, tmp_path):
    path = tmp_path / "table1.json"
    (source,) = read_sources(toy[2], survey, vae)
    add_networks(evaluation(survey, vae, path), [source])
    before = path.read_text()
    few = read_galaxies(survey, vae, with_test=False, n_max=5)
    with pytest.raises(ConfigError, match="rows of another valid galaxies"):
        Evaluation(survey, vae, SurveyImageSource(survey), few, path)
    other = open_survey(write_toy_survey(tmp_path / "other", n_galaxies=60, seed=3))
    with pytest.raises(ConfigError, match="rows of another survey"):
        evaluation(other, vae, path)
    assert path.read_text() == before


def test_rows_are_not_lost_by_accident(toy, survey, vae, tmp_path):
    path = tmp_path / "table1.json"
    (source,) = read_sources(toy[2], survey, vae, "a")
    table = add_networks(evaluation(survey, vae, path, with_test=True), [source])
    with pytest.raises(ConfigError, match="pass --test again"):
        add_networks(evaluation(survey, vae, path), [source])
    table["rows"]["a"]["sha256"] = "0" * 64
    path.write_text(json.dumps(table))
    made = evaluation(survey, vae, path, with_test=True)
    with pytest.raises(ConfigError, match="row 'a' holds other weights"):
        add_networks(made, [source])
    assert add_networks(made, [source], replace=True)["rows"]["a"]["sha256"] == source.info["sha256"]
    with pytest.raises(ConfigError, match="would share a row"):
        add_networks(made, [source, source])


def test_items_of_the_queue_are_quoted_until_they_are_measured(toy, survey, vae, tmp_path):
    info = json.loads((toy[2] / "model.json").read_text())
    queue = tmp_path / "gpu_queue.json"
    queue.write_text(json.dumps({"items": {"hybrid-10-a": info}}))
    path = tmp_path / "table1.json"
    made = evaluation(survey, vae, path)
    row = add_networks(made, read_sources(queue, survey, vae))["rows"]["hybrid-10-a"]
    assert row["scores"] == {"valid": {"mse": 0.8, "n": 16}}
    assert row["evaluated"] is None
    measured = add_networks(made, read_sources(toy[2], survey, vae, "hybrid-10-a"))["rows"]["hybrid-10-a"]
    assert measured["evaluated"]["device"] == "cpu"
    again = add_networks(made, read_sources(queue, survey, vae))["rows"]["hybrid-10-a"]
    assert again["errors"] == measured["errors"]
    queue.write_text("[]")
    with pytest.raises(ConfigError, match="does not list finished items"):
        read_sources(queue, survey, vae)
    queue.write_text(json.dumps({"items": {"x": {**info, "vae_sha256": "1" * 64}}}))
    with pytest.raises(ConfigError, match=r"items x of .* another VAE"):
        read_sources(queue, survey, vae)


def test_cached_and_other_images_are_those_of_the_survey(survey, tmp_path):
    rows = np.array([1, 2, 5, 9])
    source = SurveyImageSource(survey, n_cached=4, n_jobs=1)
    assert source.shape == (N, 5, 224, 224)
    np.testing.assert_array_equal(source[rows], survey.images_block(rows))
    with pytest.raises(ConfigError, match="--cached cannot be 161"):
        SurveyImageSource(survey, N + 1)
    found = measure_images(source, rows, {"mean": lambda flux: np.nanmean(flux, axis=(2, 3))})
    expected = np.nanmean(from_stored(survey.images_block(rows)), axis=(2, 3))
    np.testing.assert_allclose(found["mean"], expected, rtol=1e-5)


def test_the_verb_measures_reports_and_compares(toy, tmp_path, capsys, monkeypatch):
    path = tmp_path / "table1.json"
    command = ["table1", "--survey", str(toy[0]), "--vae", str(toy[1]), "--out", str(path), "--n-max", "8"]
    assert main([*command, "--add", str(toy[2]), "--ablation", "d4"]) == 0
    assert "toy-cnn+d4" in capsys.readouterr().out
    assert main(["table1", "--compare", "toy-cnn", "toy-cnn+d4", "--out", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["split"] == "valid"
    monkeypatch.setattr(table1_report, "TABLE_PATH", path)
    monkeypatch.setattr("galspec.evaluation.report.REPORTS", {"table1": lambda: table1_report.report_table1(path)})
    assert main(["report", "table1"]) == 0
    printed = capsys.readouterr().out
    assert "Table 1 on SIMULATED galaxies" in printed
    assert "Not yet measured:" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--add", "DIR"], "give --survey DIR"),
        (["--survey", "DIR"], "give --survey DIR with --add"),
        (["--survey", "DIR", "--add", "A", "B", "--label", "x"], "--label names one row, but --add names 2"),
        (["--survey", "DIR", "--baselines", "--n-max", "-1"], "neither may be negative"),
        (["--survey", "DIR", "--add", "A", "--ablation", "blurred"], "no ablation blurred"),
        (["--compare", "a", "b", "--out", "none.json"], "there is no Table 1 none.json yet"),
    ],
)
def test_bad_arguments_are_refused(words, message, capsys):
    assert main(["table1", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_default_table_is_the_one_of_the_repository():
    assert table1.TABLE_PATH.parts[-3:] == ("docs", "results", "table1.json")

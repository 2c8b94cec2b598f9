"""What is printed of a stored table: the paper's order, missing rows, seeds together, and a model card."""

import json
from pathlib import Path

import numpy as np
import pytest

from galspec.cli.main import main
from galspec.core.errors import ConfigError
from galspec.evaluation.model_card import card_markdown, make_model_card
from galspec.evaluation.paired import paired_bootstrap, save_errors
from galspec.evaluation.table1_report import PAPER_LABEL, PAPER_MSE, compare_rows, report_table1, table1_text
from galspec.models.bundle import shipped_predictor_dir, shipped_vae_dir
from galspec.models.catalog import TRAINABLE_PARAMETERS

DATA = {
    "survey": {"name": "sim1", "source": "SIMULATED", "data_hash": "d" * 64, "n_galaxies": 100},
    "vae": {"name": "vae6", "sha256": "e" * 64},
    "galaxies": {"valid": {"n": 40, "ids_sha256": "f" * 64}, "test": {"n": 40, "ids_sha256": "f" * 64}},
}


def scores(mse: float) -> dict:
    by_class = {"quiescent": {"n": 9, "mse": mse / 2, "mse_per_latent": [mse / 2] * 6}}
    per_latent = {"mse_per_latent": [mse] * 6, "rmse_per_latent": [mse**0.5] * 6, "r2_per_latent": [1 - mse] * 6}
    return {"mse": mse, "rmse": mse**0.5, "r2": 1 - mse, "n": 40, "by_class": by_class, **per_latent}


def network_row(network: str, n_epochs: int, seed: int, errors: np.ndarray, label: str, **training: object) -> dict:
    mse = float((errors**2).mean())
    told = {"n_epochs": n_epochs, "passes": 1000 * n_epochs, "seed": seed, "n_train": 1000, "seconds": 60.0}
    told |= {"device": "some GPU", "commit": "abc1234", "differs_from_paper": {}, **training}
    return {
        "kind": "network",
        "network": network,
        "sha256": "0" * 64,
        "training": told,
        "epochs": {"last": {"epoch": n_epochs, "valid_mse": mse}, "best": {"epoch": 7, "valid_mse": mse - 0.01}},
        "evaluated": {"commit": "def5678"},
        "scores": {"valid": scores(mse), "test": scores(mse)},
        "spectra": {"test": {"chi2_median": 2.5, "chi2_softened_mean": 1.5, "mse": 0.01}},
        "errors": f"table1/{label}.npz",
    }


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A stored table: hybrid twice and xresnet18 once after 10 epochs, an ablation of training, trees."""
    rng = np.random.default_rng(4)
    rows = {}
    base = rng.normal(size=(40, 6))
    for label, network, seed, factor, told in (
        ("hybrid-10-a", "xresnet18-hybrid", 1, 0.70, {}),
        ("hybrid-10-b", "xresnet18-hybrid", 2, 0.71, {}),
        ("xresnet18-10-a", "xresnet18", 1, 0.75, {}),
        ("hybrid-10-relu", "xresnet18-hybrid", 1, 0.9, {"differs_from_paper": {"activation": "relu"}}),
    ):
        errors = base * factor + 0.05 * rng.normal(size=(40, 6))
        save_errors(
            tmp_path / "table1" / f"{label}.npz",
            dict.fromkeys(("valid", "test"), errors),
            dict.fromkeys(("valid", "test"), "f" * 64),
        )
        rows[label] = network_row(network, 10, seed, errors, label, **told)
    trees = {"kind": "baseline", "sees": "annuli", "training": {}, "scores": {"test": scores(0.9)}, "evaluated": {}}
    rows["trees-annuli"] = trees
    path = tmp_path / "table1.json"
    path.write_text(
        json.dumps({"format": "galspec-table1", "version": 1, "measure": "MSE", "data": DATA, "rows": rows})
    )
    return path


def test_rows_stand_in_the_papers_order_and_missing_ones_are_named(table):
    report = report_table1(table)
    slots = [(one["network"], one["n_epochs"]) for one in report["table"]]
    assert list(dict.fromkeys(slots)) == list(PAPER_MSE)
    assert {network for network, _ in PAPER_MSE} == TRAINABLE_PARAMETERS.keys()
    missing = [one for one in report["table"] if one["status"] == "not yet measured"]
    assert len(missing) == len(PAPER_MSE) - 2
    assert report["source"] == "SIMULATED"
    assert report["order_of_10_epochs"]["is_reproduced"] is None


def test_seeds_are_put_together_and_other_settings_are_not(table):
    hybrids = [one for one in report_table1(table)["table"] if one["network"] == "xresnet18-hybrid" and "labels" in one]
    assert [one["labels"] for one in hybrids] == [["hybrid-10-a", "hybrid-10-b"], ["hybrid-10-relu"]]
    rows = json.loads(table.read_text())["rows"]
    values = [rows[label]["scores"]["test"]["mse"] for label in ("hybrid-10-a", "hybrid-10-b")]
    assert hybrids[0]["test"]["mse"]["mean"] == pytest.approx(np.mean(values), abs=1e-4)
    assert hybrids[0]["test"]["mse"]["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert hybrids[1]["test"]["mse"]["sd"] is None
    assert "10,000 passes, 2 % of the paper's 510,000" in hybrids[0]["note"]
    assert "activation relu; one seed" in hybrids[1]["note"]


def test_trainings_of_other_lengths_say_that_they_are_short(table):
    content = json.loads(table.read_text())
    content["rows"]["hybrid-10-a"]["training"] |= {"n_epochs": 3, "passes": 3000}
    table.write_text(json.dumps(content))
    (other,) = report_table1(table)["other_networks"]
    assert other["labels"] == ["hybrid-10-a"]
    assert "3,000 passes, 1 % of the paper's 510,000" in other["note"]


def test_the_order_is_that_of_trainings_nearest_to_the_papers(table):
    content = json.loads(table.read_text())
    rows = content["rows"]
    for place, network in enumerate(
        ("xresnet18-hybrid", "xresnet18", "xresnet18-deconv", "simple-deconv", "simple-cnn")
    ):
        row = json.loads(json.dumps(rows["xresnet18-10-a"]))
        row |= {"network": network, "scores": {"valid": scores(0.1 * (1 + place))}, "errors": "table1/none.npz"}
        rows[network] = {**row, "training": {**row["training"], "n_train": 2000}}
    del rows["hybrid-10-a"], rows["hybrid-10-b"], rows["xresnet18-10-a"]
    for network in ("xresnet18-hybrid", "xresnet18"):
        del rows[network]["errors"]
    table.write_text(json.dumps(content))
    assert report_table1(table)["order_of_10_epochs"]["is_reproduced"] is True
    rows["simple-cnn"]["scores"]["valid"] = scores(0.01)
    table.write_text(json.dumps(content))
    order = report_table1(table)["order_of_10_epochs"]
    assert order["is_reproduced"] is False
    assert order["ours"][0] == "simple-cnn"


def test_hybrid_and_xresnet18_are_compared_from_stored_errors(table):
    report = report_table1(table)
    assert [(one["n_epochs"], one["split"]) for one in report["comparisons"]] == [(10, "valid"), (10, "test")]
    found = report["comparisons"][1]
    assert found["first"] == ["hybrid-10-a", "hybrid-10-b"]
    squared = [
        np.load(table.parent / "table1" / f"{label}.npz")["errors_test"].astype(float) ** 2
        for label in ("hybrid-10-a", "hybrid-10-b", "xresnet18-10-a")
    ]
    expected = paired_bootstrap((squared[0] + squared[1]).mean(axis=1) / 2, squared[2].mean(axis=1))
    assert {key: found[key] for key in expected} == expected
    assert found["difference"] < 0
    assert report["requirement"]["pass"] is True


def test_the_printed_table_says_what_it_must(table, capsys, monkeypatch):
    text = table1_text(report_table1(table))
    for words in ("SIMULATED", "d" * 12, "some GPU", "abc1234", "def5678", PAPER_LABEL, "0.506", "% of the paper's"):
        assert words in text, words
    assert "Not yet measured: simple-cnn 10, simple-deconv 10, xresnet18-deconv 10, xresnet18 50" in text
    assert "order flips in" in text
    assert "Requirement, test MSE of the hybrid below trees-annuli" in text
    monkeypatch.setattr("galspec.evaluation.report.REPORTS", {"table1": lambda: report_table1(table)})
    assert main(["report", "table1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == DATA


def test_a_row_that_cannot_be_compared_is_refused(table):
    with pytest.raises(ConfigError, match="there is no row 'none'"):
        compare_rows(table, ["none"], ["hybrid-10-a"], "test")
    with pytest.raises(ConfigError, match="'trees-annuli' holds quoted scores"):
        compare_rows(table, ["trees-annuli"], ["hybrid-10-a"], "test")
    (table.parent / "table1" / "hybrid-10-b.npz").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        report_table1(table)


def test_the_report_says_how_to_make_a_missing_table(tmp_path):
    with pytest.raises(ConfigError, match="make it with `python -m galspec table1"):
        report_table1(tmp_path / "table1.json")


def test_a_model_card_quotes_the_bundle_and_the_table(table, capsys):
    info = json.loads((shipped_predictor_dir() / "model.json").read_text())
    content = json.loads(table.read_text())
    content["rows"]["hybrid-10-a"]["sha256"] = info["sha256"]
    table.write_text(json.dumps(content))
    card = make_model_card(table_path=table)
    assert card["scores"]["test"] == content["rows"]["hybrid-10-a"]["scores"]["test"]
    text = card_markdown(card)
    mse = content["rows"]["hybrid-10-a"]["scores"]["test"]["mse"]
    for words in ("**Trained on SIMULATED galaxies.**", "| test | quiescent | 9 |", f"{mse:.3f}", "## Known failures"):
        assert words in text, words
    assert f"{info['scores']['passes']:,} passes" in text
    low, high = info["training_survey"]["ranges"]["redshift"]
    assert f"redshift {low:.3f}-{high:.3f}" in text


def test_a_bundle_that_was_not_measured_quotes_its_training(tmp_path, capsys):
    text = card_markdown(make_model_card(table_path=tmp_path / "none.json"))
    mse = json.loads((shipped_predictor_dir() / "model.json").read_text())["scores"]["valid_mse"]
    assert f"valid MSE {mse:.3f}" in text
    assert "Not measured in Table 1 yet" in text
    assert main(["report", "model-card", "--bundle", str(shipped_vae_dir())]) == 2
    assert "a model card is written of a predictor" in capsys.readouterr().err
    assert main(["report", "models", "--bundle", str(shipped_vae_dir())]) == 2
    assert "--bundle goes with model-card" in capsys.readouterr().err

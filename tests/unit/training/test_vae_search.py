"""The random search: settings that depend on the trial's number only, a table that survives, trial 0 as published."""

import dataclasses

import numpy as np
import pytest

from galspec.core.errors import ConfigError, RunError
from galspec.models.vae import HIDDEN
from galspec.training.run_folder import RunStopped
from galspec.training.vae import VaeTraining
from galspec.training.vae_data import SpectrumSet, VaeConfig
from galspec.training.vae_search import COLUMNS, SearchConfig, draw_trial, read_search, search_vae

CONFIG = SearchConfig(n_train=120, n_valid=30, n_epochs=1, max_hidden=40)
BASE = VaeConfig()


@pytest.fixture(scope="module")
def spectra() -> SpectrumSet:
    rng = np.random.default_rng(1)
    n = 200
    flux = (1.0 + 0.2 * rng.normal(size=(n, 1)) * np.linspace(-1, 1, 1000) + 0.05 * rng.normal(size=(n, 1000))) * 10
    split = np.array(["train"] * 140 + ["valid"] * 40 + ["test"] * 20)
    ivar = np.full((n, 1000), 4.0, np.float32)
    return SpectrumSet(flux.astype(np.float32), ivar, split, {"name": "toy", "source": "SIMULATED", "data_hash": "a"})


def test_trials_are_reproducible_and_cover_their_ranges():
    config = SearchConfig()
    trials = [draw_trial(config, BASE, trial) for trial in range(1, 200)]
    assert trials[4] == draw_trial(config, BASE, 5)
    lambdas = np.array([trial.mmd_lambda for trial in trials])
    assert lambdas.min() < 10
    assert lambdas.max() > 1e4
    widths = np.array([trial.hidden for trial in trials])
    assert (widths[:, 1] <= np.maximum(widths[:, 0], BASE.n_latent + 2)).all()
    assert (widths > BASE.n_latent).all()
    assert widths.max() <= config.max_hidden
    # Log-uniform: as many below as above the geometric middle.
    assert abs(np.median(np.log(lambdas)) - 0.5 * np.log(1e5)) < 0.15 * np.log(1e5)


def test_the_first_trial_has_the_published_settings():
    first = draw_trial(SearchConfig(), BASE, 0)
    assert (first.hidden, first.mmd_lambda) == (HIDDEN, BASE.mmd_lambda)


def test_a_search_writes_its_table_and_continues(tmp_path, spectra):
    whole = search_vae(spectra, BASE, CONFIG, tmp_path / "whole", 3)
    assert [row["valid_elbo"] for row in whole] == sorted(row["valid_elbo"] for row in whole)
    with pytest.raises(RunStopped, match="after trial 0"):
        search_vae(spectra, BASE, CONFIG, tmp_path / "parts", 3, stop=lambda: True)
    assert len(read_search(tmp_path / "parts" / "search.csv")) == 1
    seen = []
    parts = search_vae(spectra, BASE, CONFIG, tmp_path / "parts", 3, progress=seen.append)
    assert [row["trial"] for row in seen] == [1, 2]  # the first is not done again
    same = [name for name in COLUMNS if name != "seconds"]
    assert [[row[name] for name in same] for row in parts] == [[row[name] for name in same] for row in whole]


def test_a_diverging_trial_is_the_worst_and_stops_nothing(tmp_path, spectra, monkeypatch):
    def diverge(*_):
        raise RunError("the loss is not finite in epoch 1; lower max_lr.")

    real = VaeTraining.train_epoch
    monkeypatch.setattr(VaeTraining, "train_epoch", diverge)
    search_vae(spectra, BASE, CONFIG, tmp_path, 1)
    monkeypatch.setattr(VaeTraining, "train_epoch", real)
    rows = search_vae(spectra, BASE, CONFIG, tmp_path, 2)
    assert [row["trial"] for row in rows] == [1, 0]
    assert np.isinf(rows[1]["valid_elbo"])
    again = search_vae(spectra, BASE, CONFIG, tmp_path, 1, resume=False)
    assert np.isfinite(again[0]["valid_elbo"])


def test_a_table_without_its_settings_is_refused(tmp_path, spectra):
    search_vae(spectra, BASE, CONFIG, tmp_path, 1)
    (tmp_path / "search.json").unlink()
    with pytest.raises(RunError, match=r"without search\.json"):
        search_vae(spectra, BASE, CONFIG, tmp_path, 2)


def test_another_search_is_refused(tmp_path, spectra):
    search_vae(spectra, BASE, CONFIG, tmp_path, 1)
    with pytest.raises(RunError, match="search is"):
        search_vae(spectra, BASE, dataclasses.replace(CONFIG, n_epochs=2), tmp_path, 1)


def test_test_spectra_are_not_looked_at(tmp_path, spectra):
    changed = spectra.flux.copy()
    changed[spectra.split == "test"] = np.nan
    first = search_vae(spectra, BASE, CONFIG, tmp_path / "a", 1)
    second = search_vae(dataclasses.replace(spectra, flux=changed), BASE, CONFIG, tmp_path / "b", 1)
    assert first[0]["valid_elbo"] == second[0]["valid_elbo"]


@pytest.mark.parametrize("bad", [{"n_train": 0}, {"max_lambda": 0.5}, {"max_hidden": 1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ConfigError, match="at least"):
        SearchConfig(**bad)


def test_no_trial_is_no_search(tmp_path, spectra):
    with pytest.raises(ConfigError, match="--search is 0"):
        search_vae(spectra, BASE, CONFIG, tmp_path, 0)


def test_a_damaged_table_says_what_to_do(tmp_path):
    path = tmp_path / "search.csv"
    path.write_text("trial,nonsense\n1,2\n")
    with pytest.raises(RunError, match="delete it to search anew"):
        read_search(path)

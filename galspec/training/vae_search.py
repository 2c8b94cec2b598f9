"""Random search over the VAE's widths and the weight of its discrepancy, as Portillo et al. (2020) did with 100 trials.

Trials are short and on part of the train split: they rank settings, they are not models. The table is the result.
"""

import csv
import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from galspec.core.errors import ConfigError, RunError
from galspec.core.files import atomic_path, write_json
from galspec.models.vae import HIDDEN
from galspec.training.run_folder import Row, RunFolder, RunStopped, require_same
from galspec.training.vae import VaeTraining
from galspec.training.vae_data import PreparedSpectra, SpectrumSet, VaeConfig

TABLE: Final = "search.csv"
_SETTINGS: Final = "search.json"
COLUMNS: Final = (
    "trial",
    "mmd_lambda",
    "hidden1",
    "hidden2",
    "n_parameters",
    "epochs",
    "best_epoch",
    "valid_elbo",
    "valid_reconstruction",
    "valid_kl",
    "valid_mmd",
    "valid_chi2_softened",
    "seconds",
)


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """How the search is done.

    Parameters
    ----------
    n_train, n_valid : int
        Spectra of the train and valid splits that every trial uses, the first ones.
    n_epochs, batch_size : int
        Of every trial.
    seed : int
        Of the draws; every trial starts from the VAE's own seed.
    max_lambda : float
        lambda is drawn log-uniformly from 1 to this.
    max_hidden : int
        The first hidden width is drawn log-uniformly from the number of latents + 1 to this, the second up to the
        first.
    """

    n_train: int = 8000
    n_valid: int = 2000
    n_epochs: int = 20
    batch_size: int = 128
    seed: int = 12345
    max_lambda: float = 1e5
    max_hidden: int = 2000

    def __post_init__(self) -> None:
        for name in ("n_train", "n_valid", "n_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        if self.max_lambda < 1.0 or self.max_hidden < 2:
            raise ConfigError("max_lambda must be at least 1 and max_hidden at least 2.")


def draw_trial(config: SearchConfig, base: VaeConfig, trial: int) -> VaeConfig:
    """Return the settings of a trial, which depend on its number only; trial 0 has the published widths.

    Parameters
    ----------
    config : SearchConfig
    base : VaeConfig
        Everything that is not searched.
    trial : int
    """
    base = dataclasses.replace(base, n_epochs=config.n_epochs, batch_size=config.batch_size)
    if trial == 0:
        return dataclasses.replace(base, hidden=HIDDEN, mmd_lambda=VaeConfig.mmd_lambda)
    rng = np.random.default_rng([config.seed, trial])

    def log_uniform(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    mmd_lambda = log_uniform(1.0, config.max_lambda)
    first = round(log_uniform(base.n_latent + 1, config.max_hidden))
    second = round(log_uniform(base.n_latent + 1, max(first, base.n_latent + 2)))
    return dataclasses.replace(base, mmd_lambda=mmd_lambda, hidden=(first, second))


def search_vae(
    data: SpectrumSet,
    base: VaeConfig,
    config: SearchConfig,
    run_dir: Path,
    n_trials: int,
    progress: Callable[[Row], None] | None = None,
    stop: Callable[[], bool] | None = None,
    resume: bool = True,
) -> list[Row]:
    """Run trials that the folder's table does not hold yet; return all rows, best first.

    Parameters
    ----------
    data : SpectrumSet
        Trials see its train and valid splits only.
    base : VaeConfig
    config : SearchConfig
    run_dir : Path
        Gets `search.csv` after every trial; an interrupted search continues.
    n_trials : int
        In all, the published widths included.
    progress, stop : callable, optional
        Called with each new row; asked after each trial.
    resume : bool
        If False, forget the trials of an earlier search in the folder.

    Returns
    -------
    list of dict
        `COLUMNS`, by rising valid_elbo: the loss without the discrepancy, so that lambdas can be compared. A trial
        whose loss was not finite has infinite scores.

    Raises
    ------
    ConfigError
        If ``n_trials`` is below 1.
    RunError
        If the folder holds a search of other settings or data.
    RunStopped
        If ``stop`` turned true.
    """
    if n_trials < 1:
        raise ConfigError(f"--search is {n_trials}, but at least 1 trial is needed.")
    folder = RunFolder(run_dir)
    identity: Row = {
        "search": dataclasses.asdict(config),
        "vae": {**dataclasses.asdict(base), "hidden": list(base.hidden)},
        "data_hash": data.survey.get("data_hash"),
        "n": len(data.split),
    }
    if not resume:
        for name in (TABLE, _SETTINGS):
            (folder.path / name).unlink(missing_ok=True)
    rows = _read_table(folder, identity)
    missing = [trial for trial in range(n_trials) if trial not in {row["trial"] for row in rows}]
    if missing:
        prepared = PreparedSpectra(_part(data, config), base.softening)
        for trial in missing:
            rows.append(_run_trial(prepared, draw_trial(config, base, trial), trial))
            _write_table(folder, rows)
            if progress:
                progress(rows[-1])
            if stop and stop() and trial != missing[-1]:
                raise RunStopped(f"stopped after trial {trial}; run again to go on")
    return sorted(rows, key=lambda row: row["valid_elbo"])


def _part(data: SpectrumSet, config: SearchConfig) -> SpectrumSet:
    rows = np.concatenate(
        [
            np.flatnonzero(data.split == name)[:count]
            for name, count in (("train", config.n_train), ("valid", config.n_valid))
        ]
    )
    return SpectrumSet(data.flux[rows], data.ivar[rows], data.split[rows], data.survey)


def _run_trial(prepared: PreparedSpectra, config: VaeConfig, trial: int) -> Row:
    started = time.perf_counter()
    training = VaeTraining(config)
    best: Row = {}
    try:
        while not training.is_finished:
            training.train_epoch(prepared)
            scores = training.validate(prepared)
            training.judge(scores["valid_loss"])
            training.epoch += 1
            if training.best_epoch == training.epoch - 1:
                best = scores
    except RunError:
        # Settings that diverge are a result too: the worst one.
        best = {}
    if not best:
        best = dict.fromkeys(("valid_reconstruction", "valid_kl", "valid_mmd"), math.inf)
    training.model.load_state_dict(training.best)
    with torch.no_grad():
        residual = training.model.decode(training.model.encode(prepared.valid_x)[0]) - prepared.valid_x
        weight = prepared.valid_weight
        chi2 = (weight * residual.square()).sum(dim=1) / (weight > 0).sum(dim=1)
    return {
        "trial": trial,
        "mmd_lambda": round(config.mmd_lambda, 3),
        "hidden1": config.hidden[0],
        "hidden2": config.hidden[1],
        "n_parameters": sum(value.numel() for value in training.model.parameters()),
        "epochs": training.epoch,
        "best_epoch": training.best_epoch + 1,
        "valid_elbo": round(best["valid_reconstruction"] + best["valid_kl"], 4),
        "valid_reconstruction": round(best["valid_reconstruction"], 4),
        "valid_kl": round(best["valid_kl"], 4),
        "valid_mmd": round(best["valid_mmd"], 6),
        "valid_chi2_softened": round(float(chi2.mean()), 4) if math.isfinite(best["valid_kl"]) else math.inf,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _write_table(folder: RunFolder, rows: list[Row]) -> None:
    with atomic_path(folder.path / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _read_table(folder: RunFolder, identity: Row) -> list[Row]:
    """Return the finished trials; refuse those of another search."""
    table, settings = folder.path / TABLE, folder.path / _SETTINGS
    if not table.is_file():
        write_json(settings, identity)
        return []
    if not settings.is_file():
        raise RunError(f"{table} stands without {_SETTINGS}, so what was searched is unknown; choose another folder.")
    require_same(json.loads(settings.read_text(encoding="utf-8")), json.loads(json.dumps(identity)), folder.path)
    return read_search(table)


def read_search(path: Path) -> list[Row]:
    """Read a table of trials.

    Raises
    ------
    RunError
        If the file is absent or no such table.
    """
    kinds: dict[str, Callable[[str], Any]] = dict.fromkeys(COLUMNS, float)
    kinds |= dict.fromkeys(("trial", "hidden1", "hidden2", "n_parameters", "epochs", "best_epoch"), int)
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return [{name: kinds[name](row[name]) for name in COLUMNS} for row in csv.DictReader(handle)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is no table of a VAE search ({error}); delete it to search anew.") from None

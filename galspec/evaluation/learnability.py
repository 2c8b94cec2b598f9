"""How hard a survey is: what trees on colours and on aperture photometry can tell of the latents, and the network.

A simulation is too easy if four colours give the spectrum away, and too hard if no image can tell it; the network has
something to learn between the two. Everything is fitted on the train split and measured on the valid split, so that
the ledger may be looked at as often as the simulation changes, and the test split stays unseen.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec import __version__
from galspec.core.errors import ConfigError, ShapeError
from galspec.evaluation.photometric_features import annulus_features, annulus_fluxes, colour_features
from galspec.evaluation.stored import RESULTS_DIR, StoredFile
from galspec.inference.predict import MAX_LATENT
from galspec.models.bundle import PredictorBundle, VaeBundle
from galspec.store.images import from_stored
from galspec.store.survey import Survey
from galspec.training.data import ImageArray
from galspec.training.targets import encode_targets

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

N_BOOTSTRAP: Final = 1000
#: One standard deviation either way.
_INTERVAL_PERCENT: Final = (16.0, 84.0)
_BLOCK: Final = 64
_FILE: Final = StoredFile(
    "ledger of learnability",
    "`python -m galspec learnability --survey DIR --label TEXT`",
    "galspec-learnability",
)


@dataclasses.dataclass(frozen=True)
class LearnabilitySettings:
    """Sizes and seeds of one measurement.

    Parameters
    ----------
    n_train, n_valid : int
        The first so many galaxies of the train and of the valid split that have targets.
    seed : int
        Of the trees and of the bootstrap.
    """

    n_train: int = 6000
    n_valid: int = 1500
    seed: int = 12345

    def __post_init__(self) -> None:
        if self.n_train < 50 or self.n_valid < 10:
            raise ConfigError(
                f"--n-train is {self.n_train} and --n-valid is {self.n_valid}, but trees need at least 50 galaxies to "
                "learn from and 10 to be judged on."
            )
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}, but must not be negative.")


def ledger_path() -> Path:
    """Return where the ledger of the project lies."""
    return RESULTS_DIR / "learnability.json"


def tree_errors(
    train_features: Floats, train_targets: Floats, valid_features: Floats, valid_targets: Floats, seed: int
) -> Floats:
    """Fit gradient-boosted trees to each target; return their squared errors.

    Parameters
    ----------
    train_features, valid_features : ndarray, shape (N, F) and (M, F)
        NaN = not measured.
    train_targets, valid_targets : ndarray, shape (N, D) and (M, D)
        Standardised latents.
    seed : int
        Decides which tenth of the train galaxies stops the growth.

    Returns
    -------
    ndarray, shape (M, D), float64
        Squared errors on the valid galaxies.

    Raises
    ------
    ShapeError
        If features and targets do not match.
    """
    shapes = [array.shape for array in (train_features, train_targets, valid_features, valid_targets)]
    is_matched = shapes[0][0] == shapes[1][0] and shapes[2][0] == shapes[3][0]
    if not is_matched or shapes[0][1:] != shapes[2][1:] or shapes[1][1:] != shapes[3][1:]:
        raise ShapeError(f"features and targets of train and valid galaxies do not match: shapes {shapes}.")
    predicted = tree_predictions(train_features, train_targets, valid_features, seed)
    return np.asarray((predicted - valid_targets) ** 2)


def tree_predictions(train_features: Floats, train_targets: Floats, features: Floats, seed: int) -> Floats:
    """Fit gradient-boosted trees to each target and predict other galaxies, (M, D); see `tree_errors`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    predicted = np.empty((len(features), train_targets.shape[1]))
    for latent in range(train_targets.shape[1]):
        trees = HistGradientBoostingRegressor(
            max_iter=500,
            learning_rate=0.06,
            max_leaf_nodes=15,
            l2_regularization=1.0,
            early_stopping=True,
            random_state=seed,
        )
        trees.fit(train_features, train_targets[:, latent])
        predicted[:, latent] = trees.predict(features)
    return predicted


def summarise_errors(squared: Floats, is_usual: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Return the mean squared errors with 68 % intervals from bootstrapped galaxies.

    Parameters
    ----------
    squared : ndarray, shape (N, D)
        Squared errors by galaxy and latent.
    is_usual : ndarray, shape (N,), bool
        Galaxies without an outlying latent: one at 20 deviations counts as much as 400 others in a mean of squares.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``mse``, ``mse_interval`` (low, high), ``mse_per_latent``, ``mse_per_latent_interval``, ``n``; ``mse_usual``
        of the usual galaxies alone, None if there are none.
    """
    n = len(squared)
    # How often each galaxy is drawn is all that a resampling is: one matrix product makes all means.
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=N_BOOTSTRAP)
    means = counts @ squared / n
    low, high = np.percentile(means, _INTERVAL_PERCENT, axis=0)
    return {
        "mse": round(float(squared.mean()), 4),
        "mse_interval": np.percentile(means.mean(axis=1), _INTERVAL_PERCENT).round(4).tolist(),
        "mse_per_latent": squared.mean(axis=0).round(4).tolist(),
        "mse_per_latent_interval": np.column_stack([low, high]).round(4).tolist(),
        "mse_usual": round(float(squared[is_usual].mean()), 4) if is_usual.any() else None,
        "n": n,
    }


def measure_learnability(
    survey: Survey,
    vae: VaeBundle,
    settings: LearnabilitySettings,
    images: ImageArray,
    predictor: PredictorBundle | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measure how well colours, photometry and the network predict the latents of a survey.

    Parameters
    ----------
    survey : Survey
    vae : VaeBundle
        Encodes the observed spectra into the targets.
    settings : LearnabilitySettings
    images : ImageArray
        Stored images of the survey's galaxies, or of its first ones.
    predictor : PredictorBundle, optional
        A network of the same VAE. If it was trained on another survey, the scores stored with it are quoted.
    progress : callable, optional
        Called with the number of galaxies measured.

    Returns
    -------
    dict
        One stage of the ledger: provenance, and under ``results`` the errors of ``train_mean``, ``colours``,
        ``annuli`` and ``network``.

    Raises
    ------
    ConfigError
        If the survey has too few galaxies with targets, or the network is of another survey and has no scores.
    SurveyError
        If its catalogue lacks magnitudes.
    """
    seed = settings.seed
    on_this_survey = predictor is not None and _was_trained_on(predictor, survey)
    if predictor is not None and not on_this_survey:
        _require_scores(predictor, survey)
    latents = encode_targets(vae, survey.spectra_block, images.shape[0]).astype(np.float64)
    train = _first_rows(survey, latents, "train", settings.n_train)
    valid = _first_rows(survey, latents, "valid", settings.n_valid)
    colours = colour_features(survey.catalog)
    annuli, predicted = _measure_images(
        images, np.concatenate([train, valid]), len(train), predictor if on_this_survey else None, progress
    )
    truth = latents[valid]
    errors = {
        "train_mean": (latents[train].mean(axis=0) - truth) ** 2,
        "colours": tree_errors(colours[train], latents[train], colours[valid], truth, seed),
        "annuli": tree_errors(annuli[: len(train)], latents[train], annuli[len(train) :], truth, seed),
    }
    if len(predicted):
        errors["network"] = (predicted - truth) ** 2
    is_usual = np.asarray(np.abs(truth).max(axis=1) <= MAX_LATENT)
    results = {name: summarise_errors(squared, is_usual, seed) for name, squared in errors.items()}
    if predictor is not None:
        results["network"] = _network_row(predictor, results.get("network"))
    return {
        "survey": _describe(survey),
        "vae_sha256": vae.sha256,
        "galspec": __version__,
        "n_train": len(train),
        "n_valid": len(valid),
        "n_valid_usual": int(is_usual.sum()),
        "seed": seed,
        "n_bootstrap": N_BOOTSTRAP,
        "results": results,
    }


def _first_rows(survey: Survey, latents: Floats, split: str, n: int) -> Rows:
    rows = survey.rows_in_split(split)
    rows = rows[rows < len(latents)]
    rows = rows[np.isfinite(latents[rows]).all(axis=1)]
    if len(rows) < n:
        raise ConfigError(
            f"survey {survey.name!r} has {len(rows)} usable galaxies in its {split} split, but --n-{split} is {n}; "
            "use a smaller number or a larger survey."
        )
    return np.asarray(rows[:n])


def _was_trained_on(predictor: PredictorBundle, survey: Survey) -> bool:
    return bool(predictor.info["training_survey"].get("data_hash") == survey.data_hash)


def _require_scores(predictor: PredictorBundle, survey: Survey) -> None:
    if not {"valid_mse", "valid_mse_per_latent"} <= predictor.info["scores"].keys():
        raise ConfigError(
            f"network {predictor.info['name']!r} was not trained on survey {survey.name!r}, and its bundle stores no "
            "valid scores to quote; name another with --run-or-bundle, or use --no-network."
        )


def _blocks(rows: Rows) -> Iterator[Rows]:
    for first in range(0, len(rows), _BLOCK):
        yield rows[first : first + _BLOCK]


def _measure_images(
    images: ImageArray,
    rows: Rows,
    n_train: int,
    predictor: PredictorBundle | None,
    progress: Callable[[int], None] | None,
) -> tuple[Floats, Floats]:
    """Return annulus features of all rows and the network's latents of the valid ones, each image made once."""
    features, predicted, done = [], [], 0
    # Train and valid rows apart: a block is either shown to the network or not.
    for is_valid, part in ((False, rows[:n_train]), (True, rows[n_train:])):
        for block in _blocks(part):
            flux = from_stored(np.asarray(images[block]))
            features.append(annulus_features(annulus_fluxes(flux)))
            if is_valid and predictor is not None:
                predicted.append(predictor.predict_latents(flux).astype(np.float64))
            done += len(block)
            if progress is not None:
                progress(done)
    return np.concatenate(features), np.concatenate(predicted) if predicted else np.empty((0, 0))


def _network_row(predictor: PredictorBundle, measured: dict[str, Any] | None) -> dict[str, Any]:
    """Return the network's errors: measured on the same galaxies, or as stored when it was trained."""
    info, scores = predictor.info, predictor.info["scores"]
    row = {
        "name": info["name"],
        "sha256": predictor.sha256,
        "trained_on": info["training_survey"]["name"],
        "n_train": info["recipe"].get("n_train"),
        "n_passes": scores.get("passes"),
    }
    if measured is not None:
        return {**row, "galaxies": "the same", **measured}
    stored = {"mse": scores["valid_mse"], "mse_per_latent": scores["valid_mse_per_latent"]}
    return {**row, "galaxies": "the valid split of its own survey", **stored, "n": scores.get("valid_n")}


def _describe(survey: Survey) -> dict[str, Any]:
    settings = survey.metadata.get("settings", {})
    keys = ("n_galaxies", "seed", "recipe_version", "calibration_scatter")
    return {
        "name": survey.name,
        "source": survey.source,
        "data_hash": survey.data_hash,
        **{key: settings.get(key) for key in keys},
    }


def read_ledger(path: Path) -> dict[str, Any]:
    """Read a ledger.

    Raises
    ------
    ConfigError
        If there is none, or the file is not one.
    """
    return _FILE.read(path)


def record_stage(path: Path, label: str, stage: dict[str, Any]) -> None:
    """Add a stage to a ledger, or replace the one of the same label in its place.

    Raises
    ------
    ConfigError
        If the file exists and is not a ledger.
    """
    ledger = _FILE.read_or_start(
        path,
        measure="mean squared error of standardised latents on the valid split; intervals hold 68 %; "
        f"usual galaxies have no latent beyond {MAX_LATENT:.0f} deviations",
        stages=[],
    )
    entry = {"label": label, **stage}
    labels = [old["label"] for old in ledger["stages"]]
    if label in labels:
        ledger["stages"][labels.index(label)] = entry
    else:
        ledger["stages"].append(entry)
    _FILE.write(path, ledger)


def report_learnability() -> dict[str, Any]:
    """Return the stored ledger of the project.

    Raises
    ------
    ConfigError
        If there is none yet.
    """
    return read_ledger(ledger_path())

"""Rows of Table 1: what a bundle says of its training, and the scores of its errors."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.evaluation.held_out import HeldOut
from galspec.evaluation.learnability import summarise_errors
from galspec.inference.predict import MAX_LATENT
from galspec.training.config import CnnConfig
from galspec.training.run_folder import Row

Floats = NDArray[np.float64]

SEED: Final = 12345
#: What a row is of, not how it was trained; and what changes speed more than results.
_NOT_SETTINGS: Final = frozenset({"model", "n_epochs", "seed", "channels_last", "tf32"})
_EPOCH_SCORES: Final = ("valid_mse", "valid_rmse", "valid_mse_per_latent", "valid_r2_per_latent", "train_mse")
_QUOTED: Final = ("mse", "rmse", "mse_per_latent", "r2_per_latent", "n")


def score_errors(errors: Floats, galaxies: HeldOut) -> Row:
    """Return the scores of a prediction of standardised latents.

    Parameters
    ----------
    errors : ndarray, shape (N, D)
        Predicted minus target.
    galaxies : HeldOut

    Returns
    -------
    dict
        ``mse``, ``rmse``, ``r2`` over all latents and galaxies and ``..._per_latent``; 68 % intervals of the MSE over
        resampled galaxies; ``mse_usual`` without galaxies with an outlying latent; ``by_class``: mse, mse_per_latent
        and n of each class; ``bias_per_latent``. R2 = 1 - MSE / variance of the same galaxies' latents; over all
        latents the means of both are taken first.
    """
    squared = errors**2
    is_usual = np.asarray(np.abs(galaxies.latents).max(axis=1) <= MAX_LATENT)
    mse, variance = squared.mean(axis=0), np.maximum(galaxies.latents.var(axis=0), 1e-12)
    return {
        **summarise_errors(squared, is_usual, SEED),
        "rmse": round(float(np.sqrt(squared.mean())), 4),
        "rmse_per_latent": np.sqrt(mse).round(4).tolist(),
        "r2": round(float(1.0 - mse.mean() / variance.mean()), 4),
        "r2_per_latent": (1.0 - mse / variance).round(4).tolist(),
        "bias_per_latent": errors.mean(axis=0).round(4).tolist(),
        "by_class": {
            name: {
                "n": int(chosen.sum()),
                "mse": round(float(squared[chosen].mean()), 4),
                "mse_per_latent": squared[chosen].mean(axis=0).round(4).tolist(),
            }
            for name, chosen in galaxies.classes.items()
            if chosen.any()
        },
    }


def training_facts(info: Mapping[str, Any], data_match: str) -> Row:
    """Return what a bundle, or an entry of the queue's results, says of its training; None where it does not.

    Parameters
    ----------
    info : mapping
        With architecture, recipe, scores, training_survey.
    data_match : str
        How the training galaxies are known to be the survey's.
    """
    recipe, scores, survey = info["recipe"], info["scores"], info["training_survey"]
    return {
        "n_epochs": recipe.get("n_epochs"),
        "epochs_done": scores.get("epochs"),
        "passes": scores.get("passes"),
        "seed": recipe.get("seed"),
        "n_train": recipe.get("n_train"),
        "seconds": scores.get("train_seconds"),
        "device": recipe.get("device_name") or recipe.get("device"),
        "commit": recipe.get("commit"),
        "survey": survey["name"],
        "source": survey["source"],
        "data_hash": survey.get("data_hash"),
        "data_match": data_match,
        "weights": scores.get("shipped_weights"),
        "differs_from_paper": differences(info),
    }


def differences(info: Mapping[str, Any]) -> Row:
    """Return the settings that are not those of Wu & Peek (2020) for this network, number of epochs aside."""
    recipe = info["recipe"]
    paper = CnnConfig(model=str(info["architecture"]))
    found: Row = {}
    for name in paper.identity.keys() - _NOT_SETTINGS | {"n_recalibration"}:
        expected = paper.peak_lr if name == "max_lr" else getattr(paper, name)
        if name in recipe and recipe[name] != expected:
            found[name] = recipe[name]
    if recipe.get("start"):
        found["start"] = recipe["start"].get("name")
    return dict(sorted(found.items()))


def epoch_scores(info: Mapping[str, Any], metrics: list[Row]) -> Row:
    """Return the valid scores at the last and the best epoch, from metrics.jsonl if there is one, else the bundle's.

    Returns
    -------
    dict
        ``last`` and ``best``: epoch, valid_mse, valid_rmse, and from metrics.jsonl also valid_mse_per_latent,
        valid_r2_per_latent and train_mse; empty if nothing is known.
    """
    rows = [row for row in metrics if row.get("kind") == "epoch"]
    if not rows:
        per_epoch = info["scores"].get("valid_mse_per_epoch") or []
        rows = [
            {"epoch": index + 1, "valid_mse": mse, "valid_rmse": math.sqrt(mse)} for index, mse in enumerate(per_epoch)
        ]
    if not rows:
        return {}
    chosen = {"last": rows[-1], "best": min(rows, key=lambda row: row["valid_mse"])}
    return {
        name: {"epoch": row["epoch"], **{key: row[key] for key in _EPOCH_SCORES if key in row}}
        for name, row in chosen.items()
    }


def quoted_scores(info: Mapping[str, Any], split: str) -> Row | None:
    """Return the scores that a training measured itself, for networks whose weights were not kept; None if absent."""
    scores = info["scores"]
    if f"{split}_mse" not in scores:
        return None
    found = {name: scores[f"{split}_{name}"] for name in _QUOTED if f"{split}_{name}" in scores}
    mse, r2 = np.array(found.get("mse_per_latent", [])), np.array(found.get("r2_per_latent", []))
    if len(mse) and len(mse) == len(r2) and (r2 < 1).all():
        found["rmse_per_latent"] = np.sqrt(mse).round(4).tolist()
        variance = mse / (1.0 - r2)
        found["r2"] = round(float(1.0 - mse.mean() / variance.mean()), 4)
    return found

"""Predictions of a few fixed galaxies at each epoch, so that one can watch a network learn."""

import numpy as np
import torch
from numpy.typing import NDArray

from galspec.training.data import TrainingSet, plan_in_order
from galspec.training.loop import CnnTraining, judged_weights
from galspec.training.run_folder import Row


def sample_rows(data: TrainingSet, n: int) -> NDArray[np.int64]:
    """Return n rows spread evenly over the valid split, the same ones in every run on the same data."""
    rows = data.rows("valid")
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(np.int64))]


def _rounded(values: NDArray[np.float32]) -> list[list[float]]:
    rounded: list[list[float]] = values.astype(np.float64).round(4).tolist()
    return rounded


@torch.no_grad()
def predict_samples(training: CnnTraining, rows: NDArray[np.int64]) -> Row:
    """Return a row for metrics.jsonl: standardised latents of the galaxies, predicted and of their spectra.

    Parameters
    ----------
    training : CnnTraining
        After an epoch; the weights that validation judges are used.
    rows : ndarray of int64, shape (n,)
    """
    with judged_weights(training):
        training.network.eval()
        batches = training.loader.batches(plan_in_order(rows, training.config.batch_size))
        predicted = [training.predict(batch.images).cpu().numpy() for batch in batches]
        training.network.train()
    return {
        "kind": "samples",
        "epoch": training.at.epoch,
        "step": training.ranger.n_done,
        "ids": training.data.ids[rows].tolist(),
        "latents": _rounded(np.concatenate(predicted)),
        "targets": _rounded(training.data.latents[rows]),
    }

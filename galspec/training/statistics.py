"""Measure the statistics of the normalisation layers anew, with the weights held fixed."""

import torch
from torch import nn

from galspec.training.data import plan_epoch
from galspec.training.loop import CnnTraining


@torch.no_grad()
def recalibrate_statistics(training: CnnTraining, n_batches: int) -> None:
    """Replace the running statistics by averages over whole batches at the final weights.

    During training the statistics trail behind the weights as moving averages of about ten
    batches; Lookahead and weight averaging also move the weights without a forward pass.

    Parameters
    ----------
    training : CnnTraining
        Its network is changed in place; the order of the batches follows from the run's seed.
    n_batches : int
        Training batches to average over, with augmentation.
    """
    config = training.config
    layers = [layer for layer in training.network.modules() if _momentum_of(layer) is not None]
    before = [_momentum_of(layer) for layer in layers]
    plan = plan_epoch(training.train_rows, config.batch_size, config.seed, config.n_epochs, config.is_augmented)
    training.network.train()
    try:
        for index, batch in enumerate(training.batches(plan[:n_batches])):
            for layer in layers:
                # Momentum 1/(k+1) turns the moving average into the plain mean of k+1 batches.
                layer.momentum = 1.0 / (index + 1)
            training.predict(batch.images)
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def _momentum_of(layer: nn.Module) -> float | None:
    """Return the share of the newest batch in a layer's moving average, None for a layer without one."""
    momentum = getattr(layer, "momentum", None)
    return float(momentum) if isinstance(momentum, float | int) else None

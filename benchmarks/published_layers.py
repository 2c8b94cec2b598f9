"""The hybrid as it was published, for comparison: written from the description of its layers, not from their code.

At inference the published FastDeconv multiplies its weights by the running whitening matrix in every call and then
convolves (patches are gathered for statistics in training only); batch norm and the spectral norm of self-attention
are applied call by call, images lie in memory channel by channel, numbers are float32.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from galspec.models.deconv import FastDeconv2d
from galspec.models.xresnet import conv_batch_norm, xresnet18


class PublishedDeconv(nn.Module):
    """FastDeconv of Ye et al. (2020) at inference, for at most 64 channels: one whitening matrix."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int):
        super().__init__()
        n_features = n_in * kernel**2
        self.weight = nn.Parameter(torch.zeros(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("running_mean", torch.zeros(1, n_features))
        self.register_buffer("running_root", torch.zeros(1, n_features, n_features))
        self.stride, self.padding = stride, kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) with w' = w D and b' = b - w' mu."""
        rows = self.weight.flatten(1) @ self.running_root[0]
        bias = self.bias - rows @ self.running_mean[0]
        return F.conv2d(x, rows.view(self.weight.shape), bias, self.stride, self.padding)


def _published(n_in: int, n_out: int, kernel: int, stride: int, groups: int, zero_init: bool) -> list[nn.Module]:
    del groups, zero_init  # the stem has one group, and a deconvolution no gain that could start at zero
    return [PublishedDeconv(n_in, n_out, kernel, stride)]


def published_hybrid(unfolded: nn.Module, device: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the published hybrid with the weights of an unfolded xresnet18-hybrid, as an eager loop over batches."""
    if not any(isinstance(layer, FastDeconv2d) for layer in unfolded.modules()):
        raise SystemExit("the reference needs the unfolded network of an xresnet18-hybrid bundle")
    network = xresnet18(_published, conv_batch_norm)
    network.load_state_dict(unfolded.state_dict())
    network = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def run(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(network(torch.from_numpy(scaled).to(device)).cpu().numpy())

    return run

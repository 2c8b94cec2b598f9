"""xresnet18 (He et al. 2018, "bag of tricks") in the three forms of Wu & Peek (2020).

One block definition serves all forms: a convolution with its normalisation is either
convolution + batch norm or one FastDeconv, and the stem and the body choose separately.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from galspec.core.bands import N_BANDS
from galspec.models.deconv import FastDeconv2d

#: (in, out, kernel size, stride, groups, zero_init) -> modules that convolve and normalise
ConvNorm = Callable[[int, int, int, int, int, bool], list[nn.Module]]

STEM_WIDTHS = (32, 32, 64)
STAGE_WIDTHS = (64, 128, 256, 512)
BLOCKS_PER_STAGE = 2
GROUPS = 64
REDUCTION = 8


def conv_batch_norm(n_in: int, n_out: int, kernel: int, stride: int, groups: int, zero_init: bool) -> list[nn.Module]:
    """Return convolution without bias + batch norm; ``zero_init`` starts a block as the identity."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    norm = nn.BatchNorm2d(n_out)
    if zero_init:
        nn.init.zeros_(norm.weight)
    return [conv, norm]


def conv_deconv(n_in: int, n_out: int, kernel: int, stride: int, groups: int, zero_init: bool) -> list[nn.Module]:
    """Return one FastDeconv with bias, which normalises by whitening; it has no gain to start at zero."""
    del zero_init
    return [FastDeconv2d(n_in, n_out, kernel, stride, kernel // 2, groups)]


class SqueezeExcite(nn.Module):
    """Channel gates from globally pooled features (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = REDUCTION):
        super().__init__()
        hidden = math.ceil(channels / reduction / 8) * 8
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.Mish(),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )
        for layer in self.gate:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # a Conv2d made with its bias

    def forward(self, x: Tensor) -> Tensor:
        """Gate (N, C, H, W)."""
        return x * self.gate(x)


class SimpleSelfAttention(nn.Module):
    """Self-attention by the channel covariance of the positions: x + gamma (x x^T) W x.

    Zhang et al. (2018, SAGAN) in the linear form used by the xresnet of the published code;
    gamma starts at zero, W is spectrally normalised.
    """

    def __init__(self, channels: int):
        super().__init__()
        conv = nn.Conv1d(channels, channels, 1, bias=False)
        nn.init.kaiming_normal_(conv.weight)
        self.conv = spectral_norm(conv)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Attend over (N, C, H, W)."""
        positions = x.flatten(2)  # (N, C, H W)
        similarity = positions @ positions.transpose(1, 2)  # (N, C, C)
        return (self.gamma * (similarity @ self.conv(positions)) + positions).reshape(x.shape)


class ResBlock(nn.Module):
    """Residual block: grouped 3x3, 3x3, squeeze-excite, optional self-attention; pooled identity path."""

    def __init__(self, n_in: int, n_out: int, stride: int, conv_norm: ConvNorm, attention: bool):
        super().__init__()
        path: list[nn.Module] = [
            *conv_norm(n_in, n_out, 3, stride, GROUPS, False),
            nn.Mish(),
            *conv_norm(n_out, n_out, 3, 1, 1, True),
            SqueezeExcite(n_out),
        ]
        if attention:
            path.append(SimpleSelfAttention(n_out))
        self.conv_path = nn.Sequential(*path)
        identity: list[nn.Module] = []
        if stride != 1:
            identity.append(nn.AvgPool2d(2, ceil_mode=True))
        if n_in != n_out:
            identity += conv_norm(n_in, n_out, 1, 1, 1, False)
        self.identity_path = nn.Sequential(*identity)
        self.activation = nn.Mish()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        return self.activation(self.conv_path(x) + self.identity_path(x))


def _head(n_features: int, n_out: int) -> nn.Linear:
    head = nn.Linear(n_features, n_out)
    nn.init.kaiming_normal_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def xresnet18(stem: ConvNorm, body: ConvNorm, n_latent: int = 6, n_bands: int = N_BANDS) -> nn.Sequential:
    """Build an 18-layer xresnet that maps images (N, 5, H, W) to latents (N, 6).

    Parameters
    ----------
    stem, body : callable
        What the convolutions of the stem and of the residual blocks are: `conv_batch_norm` or `conv_deconv`.
    n_latent, n_bands : int
        Outputs and input channels.
    """
    layers: list[nn.Module] = []
    n_in = n_bands
    for index, width in enumerate(STEM_WIDTHS):
        layers += [*stem(n_in, width, 3, 2 if index == 0 else 1, 1, False), nn.Mish()]
        n_in = width
    layers.append(nn.MaxPool2d(3, 2, 1))
    for stage, width in enumerate(STAGE_WIDTHS):
        for block in range(BLOCKS_PER_STAGE):
            stride = 2 if stage > 0 and block == 0 else 1
            attention = stage == 0 and block == BLOCKS_PER_STAGE - 1
            layers.append(ResBlock(n_in, width, stride, body, attention))
            n_in = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), _head(n_in, n_latent)]
    return nn.Sequential(*layers)


def simple_cnn(conv_norm: ConvNorm, n_latent: int = 6, n_bands: int = N_BANDS) -> nn.Sequential:
    """Build the small baseline: three 3x3 convolutions (32 stride 2, 32 stride 2, 64), pool, linear."""
    layers: list[nn.Module] = []
    n_in = n_bands
    for width, stride in ((32, 2), (32, 2), (64, 1)):
        layers += [*conv_norm(n_in, width, 3, stride, 1, False), nn.ReLU()]
        n_in = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), _head(n_in, n_latent)]
    return nn.Sequential(*layers)


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "xresnet18-hybrid": partial(xresnet18, conv_deconv, conv_batch_norm),
    "xresnet18": partial(xresnet18, conv_batch_norm, conv_batch_norm),
    "xresnet18-deconv": partial(xresnet18, conv_deconv, conv_deconv),
    "simple-cnn": partial(simple_cnn, conv_batch_norm),
    "simple-deconv": partial(simple_cnn, conv_deconv),
}

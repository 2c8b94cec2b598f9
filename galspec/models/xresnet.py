"""xresnet18 (He et al. 2018, "bag of tricks") in the three forms of Wu & Peek (2020).

One block definition serves all forms: a convolution with its normalisation is either
convolution + batch norm or one FastDeconv, and the stem and the body choose separately.
What the published networks have beyond He et al. can be left out, one by one (`NetworkOptions`).
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from galspec.core.bands import N_BANDS
from galspec.core.errors import ConfigError
from galspec.models.deconv import FastDeconv2d

#: (in, out, kernel size, stride, groups, zero_init) -> modules that convolve and normalise
ConvNorm = Callable[[int, int, int, int, int, bool], list[nn.Module]]

STEM_WIDTHS = (32, 32, 64)
STAGE_WIDTHS = (64, 128, 256, 512)
BLOCKS_PER_STAGE = 2
REDUCTION = 8
ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"mish": nn.Mish, "relu": nn.ReLU}


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """What may differ from the published networks; the defaults are theirs.

    Parameters
    ----------
    deconv_iterations : int
        Newton-Schulz iterations of FastDeconv.
    deconv_eps : float
        Added to the diagonal of FastDeconv's covariance.
    activation : str
        "mish" or "relu", of the xresnets; the simple networks have ReLU.
    self_attention : bool
        Self-attention in the last block of the first stage.
    groups : int
        Groups of the first convolution of each block.
    squeeze_excite : bool
        Channel gates at the end of each block.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """

    deconv_iterations: int = 5
    deconv_eps: float = 1e-5
    activation: str = "mish"
    self_attention: bool = True
    groups: int = 64
    squeeze_excite: bool = True

    def __post_init__(self) -> None:
        if self.deconv_iterations < 1 or self.deconv_eps <= 0.0:
            raise ConfigError(
                f"deconv_iterations is {self.deconv_iterations} and deconv_eps {self.deconv_eps}; they must be at "
                "least 1 and above 0."
            )
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"activation is {self.activation!r}, but must be one of {', '.join(ACTIVATIONS)}.")
        if self.groups < 1 or STAGE_WIDTHS[0] % self.groups:
            raise ConfigError(f"groups is {self.groups}, but must divide {STAGE_WIDTHS[0]}, the narrowest stage.")

    @property
    def conv_deconv(self) -> ConvNorm:
        """`conv_deconv` with these iterations and eps."""
        return partial(conv_deconv, n_iter=self.deconv_iterations, eps=self.deconv_eps)


PUBLISHED: Final = NetworkOptions()


def conv_batch_norm(n_in: int, n_out: int, kernel: int, stride: int, groups: int, zero_init: bool) -> list[nn.Module]:
    """Return convolution without bias + batch norm; ``zero_init`` starts a block as the identity."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    norm = nn.BatchNorm2d(n_out)
    if zero_init:
        nn.init.zeros_(norm.weight)
    return [conv, norm]


def conv_deconv(
    n_in: int,
    n_out: int,
    kernel: int,
    stride: int,
    groups: int,
    zero_init: bool,
    *,
    n_iter: int = 5,
    eps: float = 1e-5,
) -> list[nn.Module]:
    """Return one FastDeconv with bias, which normalises by whitening; it has no gain to start at zero."""
    del zero_init
    return [FastDeconv2d(n_in, n_out, kernel, stride, kernel // 2, groups, n_iter=n_iter, eps=eps)]


class SqueezeExcite(nn.Module):
    """Channel gates from globally pooled features (Hu et al. 2018)."""

    def __init__(self, channels: int, activation: type[nn.Module] = nn.Mish, reduction: int = REDUCTION):
        super().__init__()
        hidden = math.ceil(channels / reduction / 8) * 8
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            activation(),
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

    def __init__(
        self,
        n_in: int,
        n_out: int,
        stride: int,
        conv_norm: ConvNorm,
        attention: bool,
        options: NetworkOptions = PUBLISHED,
    ):
        super().__init__()
        activation = ACTIVATIONS[options.activation]
        path: list[nn.Module] = [
            *conv_norm(n_in, n_out, 3, stride, options.groups, False),
            activation(),
            *conv_norm(n_out, n_out, 3, 1, 1, True),
        ]
        if options.squeeze_excite:
            path.append(SqueezeExcite(n_out, activation))
        if attention:
            path.append(SimpleSelfAttention(n_out))
        self.conv_path = nn.Sequential(*path)
        identity: list[nn.Module] = []
        if stride != 1:
            identity.append(nn.AvgPool2d(2, ceil_mode=True))
        if n_in != n_out:
            identity += conv_norm(n_in, n_out, 1, 1, 1, False)
        self.identity_path = nn.Sequential(*identity)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        return self.activation(self.conv_path(x) + self.identity_path(x))


def _head(n_features: int, n_out: int) -> nn.Linear:
    head = nn.Linear(n_features, n_out)
    nn.init.kaiming_normal_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def xresnet18(
    stem: ConvNorm,
    body: ConvNorm,
    options: NetworkOptions = PUBLISHED,
    n_latent: int = 6,
    n_bands: int = N_BANDS,
) -> nn.Sequential:
    """Build an 18-layer xresnet that maps images (N, 5, H, W) to latents (N, 6).

    Parameters
    ----------
    stem, body : callable
        What the convolutions of the stem and of the residual blocks are: `conv_batch_norm` or `conv_deconv`.
    options : NetworkOptions
    n_latent, n_bands : int
        Outputs and input channels.
    """
    layers: list[nn.Module] = []
    n_in = n_bands
    for index, width in enumerate(STEM_WIDTHS):
        layers += [*stem(n_in, width, 3, 2 if index == 0 else 1, 1, False), ACTIVATIONS[options.activation]()]
        n_in = width
    layers.append(nn.MaxPool2d(3, 2, 1))
    for stage, width in enumerate(STAGE_WIDTHS):
        for block in range(BLOCKS_PER_STAGE):
            stride = 2 if stage > 0 and block == 0 else 1
            attention = options.self_attention and stage == 0 and block == BLOCKS_PER_STAGE - 1
            layers.append(ResBlock(n_in, width, stride, body, attention, options))
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


NETWORKS: dict[str, Callable[[NetworkOptions], nn.Sequential]] = {
    "xresnet18-hybrid": lambda options: xresnet18(options.conv_deconv, conv_batch_norm, options),
    "xresnet18": lambda options: xresnet18(conv_batch_norm, conv_batch_norm, options),
    "xresnet18-deconv": lambda options: xresnet18(options.conv_deconv, options.conv_deconv, options),
    "simple-cnn": lambda _options: simple_cnn(conv_batch_norm),
    "simple-deconv": lambda options: simple_cnn(options.conv_deconv),
}
_XRESNET_OPTIONS: Final = ("activation", "self_attention", "groups", "squeeze_excite")
_DECONV_OPTIONS: Final = ("deconv_iterations", "deconv_eps")
#: The options that change each network.
OPTIONS_OF: Final[dict[str, tuple[str, ...]]] = {
    "xresnet18-hybrid": (*_DECONV_OPTIONS, *_XRESNET_OPTIONS),
    "xresnet18": _XRESNET_OPTIONS,
    "xresnet18-deconv": (*_DECONV_OPTIONS, *_XRESNET_OPTIONS),
    "simple-cnn": (),
    "simple-deconv": _DECONV_OPTIONS,
}

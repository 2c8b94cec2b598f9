"""Networks by name, with the number of trainable parameters each must have (Wu & Peek 2020, notebook cells 43-47)."""

from typing import Final

from torch import nn

from galspec.core.errors import ConfigError
from galspec.models.xresnet import NETWORKS

TRAINABLE_PARAMETERS: Final = {
    "xresnet18-hybrid": 6_734_743,
    "xresnet18": 6_734_871,
    "xresnet18-deconv": 6_730_007,
    "simple-cnn": 29_734,
    "simple-deconv": 29_606,
}


def build_network(name: str) -> nn.Sequential:
    """Build a network with random weights (Kaiming on every convolution and linear layer).

    Parameters
    ----------
    name : str
        A key of `TRAINABLE_PARAMETERS`.

    Returns
    -------
    nn.Sequential
        Maps scaled images (N, 5, H, W) to standardised latents (N, 6).

    Raises
    ------
    ConfigError
        If no network has this name; the message lists them.
    """
    if name not in NETWORKS:
        raise ConfigError(f"no network is called {name!r}; the networks are {', '.join(NETWORKS)}.")
    return NETWORKS[name]()


def count_trainable(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)

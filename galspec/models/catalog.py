"""Networks by name, with the number of trainable parameters each must have (Wu & Peek 2020, notebook cells 43-47)."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from galspec.core.errors import ConfigError
from galspec.models.xresnet import NETWORKS, OPTIONS_OF, PUBLISHED, NetworkOptions

TRAINABLE_PARAMETERS: Final = {
    "xresnet18-hybrid": 6_734_743,
    "xresnet18": 6_734_871,
    "xresnet18-deconv": 6_730_007,
    "simple-cnn": 29_734,
    "simple-deconv": 29_606,
}


def network_args(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of a network that are not the published ones, checked.

    Parameters
    ----------
    name : str
        A key of `TRAINABLE_PARAMETERS`.
    options : mapping
        Fields of `galspec.models.xresnet.NetworkOptions`.

    Raises
    ------
    ConfigError
        If no network has this name, or an option is unknown, has a wrong value, or does not change this network.
    """
    if name not in NETWORKS:
        raise ConfigError(f"no network is called {name!r}; the networks are {', '.join(NETWORKS)}.")
    published = dataclasses.asdict(PUBLISHED)
    if unknown := sorted(options.keys() - published.keys()):
        raise ConfigError(f"unknown option(s) of networks: {', '.join(unknown)}; known are {', '.join(published)}.")
    if wrong := [key for key, value in options.items() if type(value) is not type(published[key])]:
        raise ConfigError(
            f"option {wrong[0]} = {options[wrong[0]]!r} must be of type {type(published[wrong[0]]).__name__}."
        )
    NetworkOptions(**options)
    changed = {key: value for key, value in options.items() if value != published[key]}
    if idle := [key for key in changed if key not in OPTIONS_OF[name]]:
        raise ConfigError(
            f"{idle[0]} = {changed[idle[0]]!r} does not change a {name}; its options are "
            f"{', '.join(OPTIONS_OF[name]) or 'none'}."
        )
    return changed


def build_network(name: str, options: Mapping[str, Any] | None = None) -> nn.Sequential:
    """Build a network with random weights (Kaiming on every convolution and linear layer).

    Parameters
    ----------
    name : str
        A key of `TRAINABLE_PARAMETERS`.
    options : mapping, optional
        What differs from the published network, as `network_args` returns it.

    Returns
    -------
    nn.Sequential
        Maps scaled images (N, 5, H, W) to standardised latents (N, 6).

    Raises
    ------
    ConfigError
        If no network has this name, or an option is not allowed; the message lists what is.
    """
    changed = network_args(name, options or {})
    return NETWORKS[name](NetworkOptions(**changed))


def count_trainable(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)

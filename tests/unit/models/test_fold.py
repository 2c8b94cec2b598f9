import copy
from typing import Any

import pytest
import torch
from torch import nn

from galspec.models.catalog import TRAINABLE_PARAMETERS
from galspec.models.deconv import FastDeconv2d
from galspec.models.fold import fold_network
from tests.unit.models.conftest import settled_network


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in TRAINABLE_PARAMETERS),
        ("xresnet18-hybrid", {"activation": "relu", "self_attention": False, "deconv_iterations": 9}),
        ("xresnet18-hybrid", {"groups": 1, "squeeze_excite": False, "deconv_eps": 1e-3}),
    ],
)
def test_folded_network_is_plain_and_equal(name: str, options: dict[str, Any]):
    network = settled_network(name, options=options)
    before = copy.deepcopy(network.state_dict())
    folded = fold_network(network)
    kinds = {type(module) for module in folded.modules()}
    assert not kinds & {FastDeconv2d, nn.BatchNorm2d}
    assert not any("parametrizations" in key or "running" in key for key in folded.state_dict())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    network.eval()
    images = torch.randn(4, 5, 32, 32) * 2.0 + 0.5
    with torch.no_grad():
        expected, found = network(images), folded(images)
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) < 1e-4 * scale
    assert float(expected.std()) > 0.01  # a network that says the same of every image proves nothing
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_folded_network_ignores_training_mode():
    folded = fold_network(settled_network("simple-cnn"))
    images = torch.randn(4, 5, 32, 32)
    alone = folded(images[:1])
    assert torch.allclose(folded.train()(images)[:1], alone, atol=1e-5)


def test_original_network_still_trains():
    network = settled_network("xresnet18-hybrid", size=32)
    fold_network(network)
    network.train()
    network(torch.randn(4, 5, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())

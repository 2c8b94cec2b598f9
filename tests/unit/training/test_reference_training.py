"""The peer of benchmarks/bench_train.py does what it stands for: the same layers, step by step."""

import pytest
import torch
from torch import nn

from benchmarks.reference_training import ReferenceDeconv, ReferenceStep, reference_hybrid
from galspec.models.catalog import TRAINABLE_PARAMETERS, build_network, count_trainable
from galspec.models.deconv import FastDeconv2d
from galspec.training.optim import Ranger


def test_reference_is_the_hybrid():
    network = reference_hybrid()
    assert count_trainable(network) == TRAINABLE_PARAMETERS["xresnet18-hybrid"]
    shapes = sorted(tuple(parameter.shape) for parameter in network.parameters())
    assert shapes == sorted(tuple(parameter.shape) for parameter in build_network("xresnet18-hybrid").parameters())


def test_reference_layer_is_our_layer():
    torch.manual_seed(4)
    reference, ours = ReferenceDeconv(5, 8, 2), FastDeconv2d(5, 8, 3, 2, 1)
    ours.weight.data = reference.weight.data.clone()
    x = torch.randn(4, 5, 24, 24).cumsum(-1)
    torch.testing.assert_close(reference(x), ours(x), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(reference.root, ours.running_root[0], rtol=1e-3, atol=1e-3)


def test_reference_step_is_radam_with_lookahead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Ranger, "lr", 1e-3)
    monkeypatch.setattr(Ranger, "momentum", 0.95)
    torch.manual_seed(4)
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(4, 6, bias=False))
    ours = nn.Sequential(nn.Flatten(), nn.Linear(4, 6, bias=False))
    ours.load_state_dict(theirs.state_dict())
    step, ranger = ReferenceStep(theirs), Ranger(ours, 100, 1e-3)
    for _ in range(12):
        images, targets = torch.randn(8, 1, 2, 2), torch.randn(8, 6)
        ranger.zero_grad()
        (ours(images) - targets).square().mean().backward()
        step(images, targets)
        ranger.step()
        torch.testing.assert_close(theirs[1].weight, ours[1].weight, rtol=1e-5, atol=1e-6)

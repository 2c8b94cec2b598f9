import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from galspec.core.errors import ConfigError, RunError
from galspec.training.optim import AveragedWeights, Ranger, default_max_lr, one_cycle, parameter_groups


def small_network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def take_steps(network: nn.Module, ranger: Ranger, first: int, last: int) -> None:
    for step in range(first, last):
        x = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(step))
        ranger.zero_grad()
        network(x).square().mean().backward()
        ranger.step()


def test_only_weights_decay():
    decaying, free = parameter_groups(small_network(), 0.01)
    assert [p.ndim for p in decaying["params"]] == [4, 2]
    assert decaying["weight_decay"] == 0.01
    assert len(free["params"]) == 4
    assert free["weight_decay"] == 0.0


def test_cycle_is_the_papers():
    ranger = Ranger(small_network(), n_steps=400, max_lr=0.03)
    lr, momentum = [], []
    for _ in range(400):
        lr.append(ranger.lr)
        momentum.append(ranger.momentum)
        ranger.step()
    assert lr[0] == pytest.approx(0.03 / 25)
    assert max(lr) == pytest.approx(0.03)
    assert int(np.argmax(lr)) == 99  # the last step of the first quarter
    assert lr[-1] == pytest.approx(0.03 / 1e5)
    assert momentum[0] == pytest.approx(0.95)
    assert min(momentum) == pytest.approx(0.85)
    assert momentum[-1] == pytest.approx(0.95)


@pytest.mark.parametrize("n_steps", [*range(2, 12), 399, 400, 401])
def test_cycle_is_torchs(n_steps: int):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=0.03, total_steps=n_steps, pct_start=0.25 if n_steps != 4 else 0.3,
        base_momentum=0.85, max_momentum=0.95, div_factor=25.0, final_div_factor=4000.0,
    )  # fmt: skip
    for step in range(n_steps):
        group = optimiser.param_groups[0]
        assert one_cycle(step, n_steps, 0.03 / 25, 0.03, 0.03 / 25 / 4000) == pytest.approx(group["lr"], rel=1e-12)
        assert one_cycle(step, n_steps, 0.95, 0.85, 0.95) == pytest.approx(group["momentum"], rel=1e-12)
        optimiser.step()
        if step < n_steps - 1:
            schedule.step()


def test_rule_is_torchs_radam():
    ours, theirs = small_network(), small_network()
    ranger = Ranger(ours, 20, lookahead_steps=0)
    radam = torch.optim.RAdam(parameter_groups(theirs, 0.01), betas=(0.95, 0.99), eps=1e-6, decoupled_weight_decay=True)
    for step in range(20):
        for group in radam.param_groups:
            group["lr"], group["betas"] = ranger.lr, (ranger.momentum, 0.99)
        take_steps(ours, ranger, step, step + 1)
        x = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(step))
        radam.zero_grad()
        theirs(x).square().mean().backward()
        radam.step()
    for found, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(found, expected)


def test_first_step_imports_no_compiler():
    code = (
        "import sys, torch; from galspec.training.optim import Ranger; n = torch.nn.Linear(2, 1); r = Ranger(n, 9);\n"
        "n(torch.ones(3, 2)).sum().backward(); r.step(); r.zero_grad(); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("n_steps", range(1, 10))
def test_shortest_cycles_rise_and_fall_or_fall(n_steps: int):
    ranger = Ranger(small_network(), n_steps, max_lr=0.03)
    lr = []
    for _ in range(n_steps):
        lr.append(ranger.lr)
        ranger.step()
    assert np.isfinite(lr).all()
    assert 0 < lr[-1] <= max(lr) <= 0.03 * (1 + 1e-6)


def test_lookahead_pulls_back_half_way_every_sixth_step():
    network, plain = small_network(), small_network()
    ranger, inner = Ranger(network, 100), Ranger(plain, 100, lookahead_steps=0)
    start = [p.detach().clone() for p in network.parameters()]
    take_steps(network, ranger, 0, 5)
    take_steps(plain, inner, 0, 5)
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    take_steps(network, ranger, 5, 6)
    take_steps(plain, inner, 5, 6)
    for ours, fast, slow in zip(network.parameters(), plain.parameters(), start, strict=True):
        torch.testing.assert_close(ours, (fast + slow) / 2)


def test_state_continues_bit_for_bit():
    whole, first = small_network(), small_network()
    ranger = Ranger(whole, 20)
    take_steps(whole, ranger, 0, 20)
    half = Ranger(first, 20)
    take_steps(first, half, 0, 11)
    tensors, numbers = half.state()
    saved = {name: value.clone() for name, value in tensors.items()}
    second = small_network()
    second.load_state_dict(first.state_dict())
    resumed = Ranger(second, 20)
    resumed.load_state(saved, numbers)
    assert (resumed.lr, resumed.momentum) == (half.lr, half.momentum)
    take_steps(second, resumed, 11, 20)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_state_of_another_run_is_refused():
    tensors, numbers = Ranger(small_network(), 20).state()
    with pytest.raises(RunError, match="run of 20 batches, not of 30"):
        Ranger(small_network(), 30).load_state(tensors, numbers)
    with pytest.raises(RunError, match="another network"):
        Ranger(nn.Linear(2, 2), 20).load_state(tensors, numbers)


def test_adam_has_no_lookahead_and_continues_bit_for_bit():
    whole, first = small_network(), small_network()
    plain = small_network()
    ranger, ours = Ranger(whole, 20, rule="adam"), Ranger(first, 20, rule="adam")
    adam = torch.optim.AdamW(parameter_groups(plain, 0.01), lr=ranger.lr, betas=(ranger.momentum, 0.99), eps=1e-5)
    take_steps(whole, ranger, 0, 1)
    x = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    plain(x).square().mean().backward()
    adam.step()
    for found, expected in zip(whole.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected)
    take_steps(whole, ranger, 1, 20)
    take_steps(first, ours, 0, 12)
    saved, numbers = ours.state()
    second = small_network()
    second.load_state_dict(first.state_dict())
    resumed = Ranger(second, 20, rule="adam")
    resumed.load_state({name: value.clone() for name, value in saved.items()}, numbers)
    take_steps(second, resumed, 12, 20)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_impossible_run_is_refused():
    with pytest.raises(ConfigError, match="optimiser is 'sgd', but must be one of ranger, adam"):
        Ranger(small_network(), 20, rule="sgd")
    with pytest.raises(ConfigError, match="at least 1 batch"):
        Ranger(small_network(), 0)
    with pytest.raises(ConfigError, match="ema_decay"):
        AveragedWeights(small_network(), 1.0)


def test_full_deconvolution_gets_a_lower_rate():
    assert default_max_lr("xresnet18-deconv") == 0.003
    assert default_max_lr("xresnet18-hybrid") == 0.03


def test_average_of_constant_weights_is_those_weights():
    network = small_network()
    average = AveragedWeights(network, 0.99)
    for _ in range(5):
        average.update(network)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(average.average[name], value)


def test_average_lags_behind_moving_weights():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = AveragedWeights(network, 0.5)
    nn.init.ones_(network.weight)
    average.update(network)
    assert float(average.average["weight"]) == pytest.approx(1.0 - 2.0 / 11.0)
    for _ in range(20):
        average.update(network)
    assert math.isclose(float(average.average["weight"]), 1.0, abs_tol=1e-4)

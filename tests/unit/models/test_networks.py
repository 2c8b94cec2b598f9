import dataclasses
import math

import pytest
import torch
from torch import nn

from galspec.core.errors import ConfigError
from galspec.models.catalog import TRAINABLE_PARAMETERS, build_network, count_trainable, network_args
from galspec.models.deconv import FastDeconv2d
from galspec.models.xresnet import NetworkOptions, ResBlock, SimpleSelfAttention, SqueezeExcite

XRESNETS = ["xresnet18-hybrid", "xresnet18", "xresnet18-deconv"]
PUBLISHED = {
    "xresnet18-hybrid": 6_734_743,
    "xresnet18": 6_734_871,
    "xresnet18-deconv": 6_730_007,
    "simple-cnn": 29_734,
    "simple-deconv": 29_606,
}


def blocks_of(network: nn.Module) -> list[ResBlock]:
    return [module for module in network.modules() if isinstance(module, ResBlock)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_exactly_as_published(name: str):
    assert TRAINABLE_PARAMETERS[name] == PUBLISHED[name]
    assert count_trainable(build_network(name)) == PUBLISHED[name]


def test_unknown_network_is_named():
    with pytest.raises(ConfigError, match="xresnet19"):
        build_network("xresnet19")


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("size", [32, 49])
def test_images_become_six_numbers(name: str, size: int):
    network = build_network(name)
    output = network(torch.randn(2, 5, size, size))
    assert output.shape == (2, 6)
    output.square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


def test_hybrid_whitens_in_the_stem_only():
    deconvs = [module for module in build_network("xresnet18-hybrid").modules() if isinstance(module, FastDeconv2d)]
    assert [layer.running_root.shape[-1] for layer in deconvs] == [45, 288, 288]
    assert [layer.sampling_stride for layer in deconvs] == [6, 3, 3]
    for layer in deconvs:
        assert (layer.n_iter, layer.eps, layer.momentum) == (5, 1e-5, 0.1)


def test_full_deconvolution_has_no_batch_norm_and_batch_norm_no_deconvolution():
    kinds = {name: {type(module) for module in build_network(name).modules()} for name in XRESNETS}
    assert nn.BatchNorm2d not in kinds["xresnet18-deconv"]
    assert FastDeconv2d not in kinds["xresnet18"]


@pytest.mark.parametrize("name", XRESNETS)
def test_blocks_are_as_published(name: str):
    blocks = blocks_of(build_network(name))
    assert len(blocks) == 8
    attention = [any(isinstance(module, SimpleSelfAttention) for module in block.modules()) for block in blocks]
    assert attention == [False, True, False, False, False, False, False, False]
    assert all(block.conv_path[0].groups == 64 for block in blocks)
    gates = [next(module for module in block.modules() if isinstance(module, SqueezeExcite)) for block in blocks]
    assert [gate.gate[1].out_channels for gate in gates] == [8, 8, 16, 16, 32, 32, 64, 64]
    pools = [isinstance(next(iter(block.identity_path), None), nn.AvgPool2d) for block in blocks]
    assert pools == [False, False, True, False, True, False, True, False]
    assert all(isinstance(block.activation, nn.Mish) for block in blocks)


def test_new_batch_norm_block_is_its_identity_path():
    block = blocks_of(build_network("xresnet18"))[1].eval()
    x = torch.randn(2, 64, 8, 8)
    torch.testing.assert_close(block(x), block.activation(x), rtol=0, atol=0)


def test_attention_starts_as_the_identity_and_follows_its_formula():
    torch.manual_seed(2)
    attention = SimpleSelfAttention(8).eval()
    x = torch.randn(2, 8, 4, 5)
    torch.testing.assert_close(attention(x), x, rtol=0, atol=0)
    nn.init.constant_(attention.gamma, 0.3)
    flat = x.flatten(2)
    weight = attention.conv.weight[:, :, 0]
    expected = flat + 0.3 * (flat @ flat.transpose(1, 2)) @ (weight @ flat)
    torch.testing.assert_close(attention(x).flatten(2), expected, rtol=1e-5, atol=1e-5)


def test_attention_weight_has_unit_spectral_norm():
    torch.manual_seed(2)
    attention = SimpleSelfAttention(16)
    for _ in range(200):
        attention(torch.randn(1, 16, 2, 2))
    weight = attention.eval().conv.weight[:, :, 0].detach()
    assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_convolutions_and_linears_start_kaiming_with_zero_bias(name: str):
    torch.manual_seed(1)
    for module in build_network(name).modules():
        if not isinstance(module, nn.Conv2d | nn.Linear | FastDeconv2d):
            continue
        fan_in = module.weight[0].numel()
        if module.weight.numel() > 3000:
            assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2.0 / fan_in), rel=0.06)
        if module.bias is not None:
            assert (module.bias == 0).all()


#: One setting each away from the published hybrid, with the parameters that are then left.
ABLATIONS = [
    ({"activation": "relu"}, 6_734_743),
    ({"self_attention": False}, 6_734_743 - 64 * 64 - 1),
    ({"deconv_iterations": 15}, 6_734_743),
    ({"deconv_eps": 1e-3}, 6_734_743),
    ({"groups": 1, "squeeze_excite": False}, 11_203_367),
]


@pytest.mark.parametrize(("options", "n_parameters"), ABLATIONS)
def test_options_change_the_network_as_they_say(options: dict[str, object], n_parameters: int):
    assert network_args("xresnet18-hybrid", {**dataclasses.asdict(NetworkOptions()), **options}) == options
    network = build_network("xresnet18-hybrid", options)
    assert count_trainable(network) == n_parameters
    kinds = {type(module) for module in network.modules()}
    assert (nn.Mish in kinds) == ("activation" not in options)
    assert (SimpleSelfAttention in kinds) == ("self_attention" not in options)
    assert (SqueezeExcite in kinds) == ("squeeze_excite" not in options)
    deconv = next(module for module in network.modules() if isinstance(module, FastDeconv2d))
    assert (deconv.n_iter, deconv.eps) == (options.get("deconv_iterations", 5), options.get("deconv_eps", 1e-5))
    assert network(torch.randn(2, 5, 32, 32)).shape == (2, 6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("xresnet18", {"deconv_iterations": 7}, "does not change a xresnet18; its options are activation"),
        ("simple-cnn", {"activation": "relu"}, "its options are none"),
        ("xresnet18", {"activation": "gelu"}, "must be one of mish, relu"),
        ("xresnet18", {"groups": 48}, "must divide 64"),
        ("xresnet18-hybrid", {"deconv_eps": 0.0}, "above 0"),
        ("xresnet18", {"width": 2}, r"unknown option\(s\) of networks: width"),
        ("xresnet18", {"self_attention": 1}, "must be of type bool"),
    ],
)
def test_options_that_are_not_allowed_are_refused(name: str, options: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        build_network(name, options)

"""Fold normalisation into convolutions for inference: fewer operations, the same numbers to rounding."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from galspec.models.deconv import FastDeconv2d
from galspec.models.xresnet import SimpleSelfAttention


def _plain_convolution(deconv: FastDeconv2d) -> nn.Conv2d:
    conv = nn.Conv2d(
        deconv.in_channels,
        deconv.out_channels,
        deconv.kernel_size,
        deconv.stride,
        deconv.padding,
        groups=deconv.groups,
    )
    weight, bias = deconv.folded()
    conv.weight.data, conv.bias.data = weight.detach().clone(), bias.detach().clone()  # type: ignore[union-attr]  # made with bias
    return conv


def _plain_attention(conv: nn.Module) -> nn.Conv1d:
    # Not torch's remove_parametrizations: on a deep copy it edits the class the original shares.
    weight = conv.weight
    if not isinstance(weight, torch.Tensor):  # for the type checker
        raise TypeError("the self-attention's layer has no weight")
    plain = nn.Conv1d(weight.shape[1], weight.shape[0], 1, bias=False)
    plain.weight.data = weight.detach().clone()
    return plain


def _fold_sequential(sequence: nn.Sequential) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in sequence:
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
        elif isinstance(layer, FastDeconv2d):
            layers.append(_plain_convolution(layer))
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def fold_network(network: nn.Module) -> nn.Module:
    """Return a copy of a network for inference with plain convolutions only.

    FastDeconv's whitening (running mean and root) and BatchNorm's running statistics go into the
    weights; the spectral norm of self-attention is applied once. Equal to the network in ``eval()``
    to 1e-4.

    Parameters
    ----------
    network : nn.Module
        Of `galspec.models.catalog`.

    Returns
    -------
    nn.Module
        In ``eval()``, without gradients.
    """
    folded = copy.deepcopy(network).eval()
    with torch.no_grad():
        for module in list(folded.modules()):
            if isinstance(module, SimpleSelfAttention):
                module.conv = _plain_attention(module.conv)
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Sequential):
                    setattr(module, name, _fold_sequential(child))
        result: nn.Module = _fold_sequential(folded) if isinstance(folded, nn.Sequential) else folded
    return result.eval().requires_grad_(False)

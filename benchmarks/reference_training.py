"""The published layers and training step, written anew from their description as the peer of bench_train.py.

Wu & Peek (2020) and Ye et al. (2020): float32, eager, contiguous layout; FastDeconv unfolds its patches, centres
them, multiplies them with themselves, iterates with one product at a time and normalises anew for every group;
Lookahead goes over the parameters one by one. Nothing is imported from galspec: the two must not share a fault.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (64, 128, 256, 512)


class ReferenceDeconv(nn.Module):
    """FastDeconv for up to 64 channels, as the stem needs it."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.n_in, self.n_out, self.stride = n_in, n_out, stride
        self.weight = nn.Parameter(torch.empty(n_out, n_in, 3, 3))
        nn.init.kaiming_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("mean", torch.zeros(9 * n_in))
        self.register_buffer("root", torch.eye(9 * n_in))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve whitened patches of (N, C, H, W)."""
        patches = F.unfold(x, 3, 1, 1, 3 * self.stride).transpose(1, 2).contiguous().reshape(-1, 9 * self.n_in)
        mean = patches.mean(0)
        patches = patches - mean.unsqueeze(0)
        identity = torch.eye(9 * self.n_in, device=x.device)
        covariance = patches.t() @ patches / patches.shape[0] + 1e-5 * identity
        norm = covariance.norm(p="fro")
        y, z = covariance / norm, identity
        for _ in range(5):
            t = 0.5 * (3.0 * identity - z @ y)
            y, z = y @ t, t @ z
        root = z / norm.sqrt()
        self.mean.mul_(0.9).add_(mean.detach() * 0.1)
        self.root.mul_(0.9).add_(root.detach() * 0.1)
        weight = self.weight.reshape(self.n_out, -1) @ root
        bias = self.bias - (weight @ mean.unsqueeze(1)).squeeze(1)
        return F.conv2d(x, weight.view_as(self.weight), bias, self.stride, 1)


class _Gate(nn.Module):
    def __init__(self, n: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(n, n // 8, 1), nn.Mish(), nn.Conv2d(n // 8, n, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.layers(x)


class _Attention(nn.Module):
    def __init__(self, n: int):
        super().__init__()
        self.conv = nn.utils.parametrizations.spectral_norm(nn.Conv1d(n, n, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.view(*x.shape[:2], -1)
        out = torch.bmm(torch.bmm(flat, flat.permute(0, 2, 1).contiguous()), self.conv(flat))
        return (self.gamma * out + flat).view_as(x)


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, has_attention: bool):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, groups=64, bias=False),
            nn.BatchNorm2d(n_out),
            nn.Mish(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(n_out),
            _Gate(n_out),
            *([_Attention(n_out)] if has_attention else []),
        )
        skip: list[nn.Module] = [nn.AvgPool2d(2, ceil_mode=True)] if stride == 2 else []
        if n_in != n_out:
            skip += [nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)]
        self.skip = nn.Sequential(*skip)

    def forward(self, x: Tensor) -> Tensor:
        return F.mish(self.path(x) + self.skip(x))


def reference_hybrid() -> nn.Sequential:
    """Build xresnet18-hybrid from the layers above: 6,734,743 parameters."""
    layers: list[nn.Module] = []
    for n_in, n_out, stride in ((5, 32, 2), (32, 32, 1), (32, 64, 1)):
        layers += [ReferenceDeconv(n_in, n_out, stride), nn.Mish()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    n_in = 64
    for stage, width in enumerate(WIDTHS):
        for index in range(2):
            stride = 2 if stage and not index else 1
            layers.append(_Block(n_in, width, stride, stage == 0 and index == 1))
            n_in = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, 6))


class ReferenceStep:
    """One step of the published loop: float32 forward and backward, RAdam, Lookahead every sixth step."""

    def __init__(self, network: nn.Module):
        self.network = network.train()
        self.optimiser = torch.optim.RAdam(
            network.parameters(), 1e-3, (0.95, 0.99), 1e-6, 0.01, foreach=False, decoupled_weight_decay=True
        )
        self.slow = [parameter.detach().clone() for parameter in network.parameters()]
        self.n_done = 0

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """Train on images (B, 5, H, H) float32 and targets (B, 6); return the loss."""
        self.optimiser.zero_grad()
        loss = F.mse_loss(self.network(images), targets)
        loss.backward()
        self.optimiser.step()
        self.n_done += 1
        if self.n_done % 6 == 0:
            with torch.no_grad():
                for slow, fast in zip(self.slow, self.network.parameters(), strict=True):
                    slow.add_(fast - slow, alpha=0.5)
                    fast.copy_(slow)
        return loss.detach()

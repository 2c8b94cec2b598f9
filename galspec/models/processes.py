"""Normalisation over the batches of all processes of a distributed training.

With it N processes of B galaxies compute what one process of N B galaxies computes, to rounding: the result
of a run then does not depend on the number of GPUs. The published code keeps each GPU's statistics to itself,
so that a network trained on eight GPUs normalises by an eighth of the batch; FastDeconv needs the whole batch
all the more, as it estimates covariances of up to 576 x 576 numbers. Each layer costs two exchanges of its
moments forward and two backward.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _MeanOverProcesses(torch.autograd.Function):
    """Mean of a tensor over all processes; its gradient is the mean of the gradients, as the map is symmetric."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()


def mean_over_processes(x: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes, with gradients."""
    mean: Tensor = _MeanOverProcesses.apply(x)
    return mean


def moments_of_all(mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Combine mean (..., K) and covariance (..., K, K) of equally many samples in every process.

    The scatter of the means is added to the mean of the covariances: no difference of large squares.
    """
    mean_of_all = mean_over_processes(mean)
    offset = mean - mean_of_all
    return mean_of_all, mean_over_processes(covariance + offset[..., :, None] * offset[..., None, :])


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, on CPUs as on GPUs.

    torch's SyncBatchNorm refuses tensors on CPUs, where distributed training is tested.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W); N H W must be the same in every process."""
        if not self.training:
            return super().forward(x)
        full = x.float()
        mean = mean_over_processes(full.mean(dim=(0, 2, 3)))
        centred = full - mean[:, None, None]
        variance = mean_over_processes(centred.square().mean(dim=(0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), dist.get_world_size() * x[:, 0].numel())
        gain = self.weight * (variance + self.eps).rsqrt()
        return (centred * gain[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, n: int) -> None:
        """Move the running statistics, the variance without bias as torch keeps it."""
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (n / max(n - 1, 1)), momentum)
        self.num_batches_tracked += 1


def synchronise_statistics(network: nn.Module) -> None:
    """Make every normalisation of a network use the batches of all processes; weights and their names stay."""
    for module in list(network.modules()):
        if isinstance(getattr(module, "is_synchronised", None), bool):
            vars(module)["is_synchronised"] = True
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, _synchronised(child))


def _synchronised(norm: nn.BatchNorm2d) -> SynchronisedBatchNorm2d:
    new = SynchronisedBatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    new.load_state_dict(norm.state_dict())
    return new.to(norm.weight.device)

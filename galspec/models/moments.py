"""Mean and covariance of image patches, with the gradient written out: a third of a training step otherwise."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def at_least_float32(x: Tensor) -> Tensor:
    """Return half precision as float32; float32 and float64 as they are."""
    return x if x.dtype == torch.float64 else x.float()


def sample_patches(x: Tensor, kernel_size: int, padding: int, stride: int) -> Tensor:
    """Return the k x k patches at every ``stride``-th pixel, (N, C k^2, P), as `torch.nn.functional.unfold`.

    Patches that touch without overlapping are a mere rearrangement of the image, whose gradient
    is ten times faster on CPUs than that of the general case.
    """
    if stride != kernel_size or padding >= kernel_size:
        return F.unfold(x, kernel_size, padding=padding, stride=stride)
    n, channels, height, width = x.shape
    rows, columns = ((size + 2 * padding - kernel_size) // stride + 1 for size in (height, width))
    # A negative pad cuts off the last pixels, which no whole patch covers.
    x = F.pad(x, (padding, columns * stride - width - padding, padding, rows * stride - height - padding))
    x = x.reshape(n, channels, rows, stride, columns, stride)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(n, channels * stride**2, rows * columns)


class PatchMoments(torch.autograd.Function):
    """Mean (G, K) and covariance (G, K, K) of patches (N, G, B, K, P) over N, B and P.

    The gradient of the covariance C is (dC + dC^T) (x - mean) / n: one matrix product, where
    the recorded operations would make two and copy the patches five times.
    """

    @staticmethod
    def forward(ctx: Any, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and covariance (divided by the number of samples)."""
        n_samples = patches.shape[0] * patches.shape[2] * patches.shape[4]
        mean = patches.mean(dim=(0, 2, 4))
        centred = patches - mean[None, :, None, :, None]
        if patches.shape[1] == 1:
            covariance = (centred @ centred.transpose(-1, -2)).sum(dim=(0, 2))
        else:  # many small groups: one long product each instead of N short ones
            flat = centred.permute(1, 3, 0, 2, 4).flatten(2)
            covariance = flat @ flat.transpose(-1, -2)
        ctx.save_for_backward(centred)
        ctx.n_samples = n_samples
        return mean, covariance / n_samples

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Return the gradient with respect to the patches; the mean's own share in C vanishes."""
        grad_mean, grad_covariance = grads
        (centred,) = ctx.saved_tensors
        symmetric = (grad_covariance + grad_covariance.transpose(-1, -2)) / ctx.n_samples
        grad = symmetric[None, :, None] @ centred
        grad += (grad_mean / ctx.n_samples)[None, :, None, :, None]
        return grad

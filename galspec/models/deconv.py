"""Network deconvolution (Ye et al. 2020, ICLR): a convolution that whitens its input first.

The whitening matrix and the mean are estimated from the batch in training and kept as running
averages for inference, where they fold into an ordinary convolution (`galspec.models.fold`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from galspec.core.errors import ShapeError
from galspec.models.moments import PatchMoments, at_least_float32, sample_patches
from galspec.models.processes import moments_of_all


def inverse_square_root(matrix: Tensor, n_iter: int) -> Tensor:
    """Return about ``matrix**-1/2`` by coupled Newton-Schulz iteration.

    Parameters
    ----------
    matrix : Tensor, shape (..., K, K)
        Symmetric and positive definite.
    n_iter : int
        Iterations. Five, as published, whiten large eigenvalues only: directions with less
        than a hundredth of the largest variance stay small, which regularises.

    Returns
    -------
    Tensor, shape (..., K, K)

    Notes
    -----
    Ye et al. (2020), section 3.2: Y = A/||A||_F, Z = I; T = (3 I - Z Y)/2; Y <- Y T; Z <- T Z.
    """
    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
    y, z = matrix / norm, identity
    for _ in range(n_iter):
        t = 1.5 * identity - 0.5 * (z @ y)
        y, z = y @ t, t @ z
    return z / norm.sqrt()


class FastDeconv2d(nn.Module):
    """2-D convolution on whitened patches, "FastDeconv".

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, groups : int
        As `torch.nn.Conv2d`.
    block : int
        Channels whitened together; the covariance has (block k^2)^2 entries. If there are more
        channels, blocks of contiguous channels share one whitening matrix.
    n_iter : int
        Newton-Schulz iterations.
    eps : float
        Added to the diagonal of the covariance.
    momentum : float
        Weight of a new batch in the running mean and the running inverse root.
    sampling_stride : int
        Patches for the covariance are taken every ``sampling_stride * stride`` pixels of rows and columns.

    Notes
    -----
    As published but for two choices that leave the method as it is: blocks hold contiguous channels, where the
    published code interleaves those of more than ``block`` channels; kernels of one pixel are sampled every third
    row and column like all others, where it takes every ninth pixel of the flattened batch.

    Raises
    ------
    ShapeError
        If the channels do not divide into groups and blocks, or the input is not (N, C, H, W).
    """

    running_mean: Tensor
    running_root: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        *,
        block: int = 64,
        n_iter: int = 5,
        eps: float = 1e-5,
        momentum: float = 0.1,
        sampling_stride: int = 3,
    ):
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ShapeError(f"{in_channels} and {out_channels} channels do not divide into {groups} groups")
        self.block = in_channels // groups if groups > 1 else min(block, in_channels)
        if in_channels % self.block:
            raise ShapeError(f"{in_channels} channels do not divide into blocks of {self.block}")
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.groups = stride, padding, groups
        self.n_iter, self.eps, self.momentum = n_iter, eps, momentum
        self.sampling_stride = sampling_stride * stride
        #: Estimate the covariance from the batches of all processes (`galspec.models.processes`).
        self.is_synchronised = False
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_normal_(self.weight)
        n_features = self.block * kernel_size**2
        # Each group whitens on its own; blocks of one group share a matrix.
        self.register_buffer("running_mean", torch.zeros(groups, n_features))
        self.register_buffer("running_root", torch.eye(n_features).repeat(groups, 1, 1))

    def extra_repr(self) -> str:
        """Show the settings that decide the shape."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"groups={self.groups}, block={self.block}, n_iter={self.n_iter}"
        )

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (G, K) and inverse root of the covariance (G, K, K) of sampled patches, K = block k^2."""
        x = at_least_float32(x)
        patches = sample_patches(x, self.kernel_size, self.padding, self.sampling_stride)  # (N, C k^2, P)
        n_features = self.block * self.kernel_size**2
        mean, covariance = PatchMoments.apply(patches.view(len(x), self.groups, -1, n_features, patches.shape[-1]))
        if self.is_synchronised:
            mean, covariance = moments_of_all(mean, covariance)
        identity = torch.eye(n_features, dtype=covariance.dtype, device=covariance.device)
        return mean, inverse_square_root(covariance + self.eps * identity, self.n_iter)

    def folded(self, mean: Tensor | None = None, root: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the equivalent plain convolution: w' = w D, b' = b - w' mu."""
        mean = self.running_mean if mean is None else mean
        root = self.running_root if root is None else root
        # (O, C/G, k, k) -> (G, O/G * blocks, block k^2): the rows that are multiplied by the whitening matrix
        rows = at_least_float32(self.weight).reshape(self.groups, -1, mean.shape[-1])
        rows = rows @ root
        shift = (rows @ mean[..., None]).reshape(self.out_channels, -1).sum(dim=1)
        return rows.reshape(self.weight.shape), at_least_float32(self.bias) - shift

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(f"expected (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        # Covariance and Newton-Schulz lose all small directions in bfloat16: always float32.
        with torch.autocast(x.device.type, enabled=False):
            if self.training:
                mean, root = self._statistics(x)
                with torch.no_grad():
                    self.running_mean.lerp_(mean.detach(), self.momentum)
                    self.running_root.lerp_(root.detach(), self.momentum)
                weight, bias = self.folded(mean, root)
            else:
                weight, bias = self.folded()
        return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), self.stride, self.padding, 1, self.groups)

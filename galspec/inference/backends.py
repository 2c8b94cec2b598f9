"""Backends behind one interface: float32 scaled images (n, 5, 224, 224) in, standardised latents (n, 6) out."""

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from galspec.inference.plan import InferencePlan

Floats32 = NDArray[np.float32]
#: Scaled images (n, 5, 224, 224), at most `batch_size` of them, to standardised latents (n, D).
Backend = Callable[[Floats32], Floats32]


def batch_size(plan: InferencePlan) -> int:
    """Return how many images a backend is given at once."""
    if plan.device == "cuda":
        return 128
    # Eager layers write each activation to memory: those of 8 images still come back from the cache.
    return 8 if plan.backend == "eager" else 32


def build_backend(network: nn.Module, plan: InferencePlan) -> Backend:
    """Prepare a folded network for predictions.

    Parameters
    ----------
    network : nn.Module
        From `galspec.models.fold.fold_network`, on the CPU; not changed.
    plan : InferencePlan
        From `galspec.inference.plan.plan_inference`.

    Raises
    ------
    ConfigError
        If OpenVINO does not keep the plan's precision on this CPU.
    """
    if plan.backend == "openvino":
        return _openvino(network, plan)
    return _torch(network, plan)


def _openvino(network: nn.Module, plan: InferencePlan) -> Backend:
    from galspec.inference.openvino_network import compile_network

    compiled = compile_network(network, plan.precision, torch.get_num_threads())

    def run(scaled: Floats32) -> Floats32:
        return np.array(compiled(np.ascontiguousarray(scaled))[0], np.float32)

    return run


def _torch(network: nn.Module, plan: InferencePlan) -> Backend:
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[plan.precision]
    prepared = network
    if plan.mode == "fast" or plan.device != "cpu":
        prepared = copy.deepcopy(network).to(plan.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    full_batch = batch_size(plan) if plan.backend == "compile" else 0
    forward = _compiled(prepared) if full_batch else prepared

    @torch.inference_mode()
    def run(scaled: Floats32) -> Floats32:
        n_images = len(scaled)
        if n_images < full_batch:  # another shape would be compiled anew
            scaled = np.concatenate([scaled, np.zeros((full_batch - n_images, *scaled.shape[1:]), np.float32)])
        images = torch.from_numpy(np.ascontiguousarray(scaled))
        # Channels last is the faster layout of convolutions on CPUs and of bfloat16 on GPUs.
        images = images.to(plan.device, dtype, memory_format=torch.channels_last)
        with _no_tf32(plan.device), warnings.catch_warnings():
            if full_batch:
                warnings.simplefilter("ignore")  # of the compiler, about torch's own deprecated names
            latents = forward(images)
        return np.asarray(latents[:n_images].float().cpu().numpy(), np.float32)

    return run


def _compiled(network: nn.Module) -> Callable[..., torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's import uses torch's own deprecated names
        return torch.compile(network)


@contextlib.contextmanager
def _no_tf32(device: str) -> Iterator[None]:
    """Let float32 be float32 on GPUs: by default cuDNN rounds the factors of convolutions to 10 bits."""
    if device != "cuda":
        yield
        return
    convolution, matmul = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolution
        torch.set_float32_matmul_precision(matmul)

"""How a network is run for predictions: backend, mode and device, chosen once, checked, and said in every output."""

import dataclasses
import importlib.metadata
import importlib.util
import os
import shutil
from typing import Any, Final

import torch

from galspec.core.errors import ConfigError
from galspec.preprocess.symmetry import N_ELEMENTS

BACKENDS: Final = ("eager", "compile", "openvino")
AUTO: Final = "auto"
#: mode -> number format of convolutions. exact: equal to the eager float32 network to 1e-4 of the latents; fast: root
#: mean square difference of at most 0.03 standard deviations of the latents.
MODES: Final = {"exact": "float32", "fast": "bfloat16"}
DEVICES: Final = ("cpu", "cuda")
#: The range of pyproject.toml's extra.
OPENVINO_REQUIREMENT: Final = "openvino>=2026.2,<2027"
#: Below this many galaxies "auto" stays with eager: preparing another backend takes seconds (OpenVINO) to minutes
#: (torch.compile), see set_up_s in benchmarks/results/*-inference.json.
FEW_GALAXIES: Final = 256
#: On CUDA, where torch.compile is the alternative, whose set-up takes about a minute.
_FEW_GALAXIES_CUDA: Final = 20_000


@dataclasses.dataclass(frozen=True)
class InferencePlan:
    """A checked way to run a network; made by `plan_inference`.

    Parameters
    ----------
    backend : str
        "eager", "compile" (torch.compile) or "openvino".
    mode : str
        "exact" or "fast", see `MODES`.
    device : str
        "cpu" or "cuda".
    n_symmetries : int
        1, or 8 for the mean of the latents over the eight symmetries of the image (test-time averaging).
    """

    backend: str = "eager"
    mode: str = "exact"
    device: str = "cpu"
    n_symmetries: int = 1

    @property
    def precision(self) -> str:
        """Number format of the convolutions: float32 or bfloat16."""
        return MODES[self.mode]

    @property
    def facts(self) -> dict[str, Any]:
        """What the provenance of a prediction says about how the network was run."""
        package = "openvino" if self.backend == "openvino" else "torch"
        return {
            "backend": self.backend,
            "backend_version": f"{package} {importlib.metadata.version(package)}",
            "mode": self.mode,
            "precision": self.precision,
            "device": self.device,
            "n_symmetries": self.n_symmetries,
        }

    def __str__(self) -> str:
        averaged = f", mean over {self.n_symmetries} symmetries" if self.n_symmetries > 1 else ""
        return f"{self.mode} mode ({self.precision}), {self.backend} on {self.device}{averaged}"


def plan_inference(
    backend: str = AUTO,
    mode: str = "exact",
    n_galaxies: int | None = None,
    *,
    device: str = AUTO,
    average_symmetries: bool = False,
) -> InferencePlan:
    """Choose and check how to run a network. The mode is never changed, only refused.

    Parameters
    ----------
    backend : str
        "auto" takes the fastest one here that keeps the mode: on a CPU OpenVINO if it is installed, else eager
        (torch.compile gains nothing over it there: convolutions take the time); on CUDA eager, and for tens of
        thousands of galaxies torch.compile. For a few galaxies it is always eager, which needs no preparation.
    mode : str
        "exact" or "fast".
    n_galaxies : int, optional
        How many galaxies will be predicted; many if None.
    device : str
        "auto" (CUDA if there is one), "cpu" or "cuda".
    average_symmetries : bool
        Average the latents over the eight symmetries of the image.

    Raises
    ------
    ConfigError
        If backend, mode or device are unknown or not available here, or if the device has no bfloat16 arithmetic,
        so that fast mode would be slower than exact mode.
    """
    if mode not in MODES:
        raise ConfigError(f"no inference mode is called {mode!r}; the modes are {', '.join(MODES)}.")
    if backend != AUTO and backend not in BACKENDS:
        raise ConfigError(f"no inference backend is called {backend!r}; the backends are auto, {', '.join(BACKENDS)}.")
    device = _choose_device(device, backend)
    if backend == AUTO:
        backend = _fastest(device, n_galaxies)
    elif missing := missing_for(backend, device):
        raise ConfigError(missing)
    if mode == "fast" and not has_bfloat16(device):
        raise ConfigError(
            f"this {'GPU' if device == 'cuda' else 'CPU'} has no bfloat16 arithmetic (on CPUs the flags avx512_bf16 or "
            "amx_bf16), so fast mode would be slower than exact mode here; use --mode exact."
        )
    return InferencePlan(backend, mode, device, N_ELEMENTS if average_symmetries else 1)


def has_bfloat16(device: str) -> bool:
    """Return True if a device multiplies bfloat16 numbers in hardware."""
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.13
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return any(found is True and "bf16" in name for name, found in torch.cpu.get_capabilities().items())


def missing_for(backend: str, device: str) -> str | None:
    """Return what a backend lacks on this machine, as a sentence that says what to install, or None."""
    if backend == "openvino":
        if importlib.util.find_spec("openvino") is None:
            return (
                "the openvino backend needs the package openvino: install it with "
                f'`.venv/bin/python -m pip install "{OPENVINO_REQUIREMENT}"`, or use --backend auto.'
            )
        if device != "cpu":
            return "the openvino backend runs on CPUs only here; use --device cpu, or --backend eager for the GPU."
    if backend == "compile" and device == "cuda" and importlib.util.find_spec("triton") is None:
        return (
            "torch.compile needs triton on a GPU: install it with `.venv/bin/python -m pip install triton`, "
            "or use --backend eager."
        )
    if backend == "compile" and device == "cpu" and not _has_compiler():
        return "torch.compile needs a C++ compiler: install it with `apt-get install g++`, or use --backend eager."
    return None


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++") if name)


def _choose_device(device: str, backend: str) -> str:
    if device == AUTO:
        return "cuda" if torch.cuda.is_available() and backend != "openvino" else "cpu"
    if device not in DEVICES:
        raise ConfigError(f"no device is called {device!r}; the devices are auto, {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("this machine has no CUDA device that torch can use; leave --device out, or say cpu.")
    return device


def _fastest(device: str, n_galaxies: int | None) -> str:
    few = FEW_GALAXIES if device == "cpu" else _FEW_GALAXIES_CUDA
    preferred = "openvino" if device == "cpu" else "compile"
    is_worth_it = n_galaxies is None or n_galaxies >= few
    return preferred if is_worth_it and missing_for(preferred, device) is None else "eager"

"""A folded network in OpenVINO (optional extra): the fastest way to run it on a CPU."""

import importlib
import sys
import warnings
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from galspec.core.bands import CUTOUT_SHAPE
from galspec.core.errors import ConfigError

_TELEMETRY: Final = "openvino_telemetry"
_PRECISION: Final = {"float32": "f32", "bfloat16": "bf16"}


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which would report each import and conversion over the network."""
    if "openvino" in sys.modules or _TELEMETRY in sys.modules:
        return importlib.import_module("openvino")
    # A module that is None cannot be imported: OpenVINO then takes its own stand-in that sends nothing.
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[_TELEMETRY]


def convert_network(network: nn.Module) -> Any:
    """Return the `openvino.Model` of a folded network for cutouts (n, 5, 224, 224), any n."""
    openvino = import_openvino()
    example = torch.zeros(2, *CUTOUT_SHAPE)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        # The exporter and OpenVINO's reader of its graphs use each other's deprecated names.
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
        return openvino.convert_model(program)


def compile_network(network: nn.Module, precision: str, n_threads: int) -> Any:
    """Return a compiled model that maps float32 arrays (n, 5, 224, 224) to a list with one array (n, 6).

    Parameters
    ----------
    network : nn.Module
        Folded, on the CPU.
    precision : str
        "float32" or "bfloat16".
    n_threads : int

    Raises
    ------
    ConfigError
        If OpenVINO does not keep the precision on this CPU.
    """
    wanted = _PRECISION[precision]
    # Without the hint OpenVINO would take bfloat16 wherever the CPU has it.
    options = {"INFERENCE_PRECISION_HINT": wanted, "INFERENCE_NUM_THREADS": n_threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = import_openvino().Core().compile_model(convert_network(network), "CPU", options)
    kept = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if kept != wanted:
        raise ConfigError(f"OpenVINO would compute in {kept} instead of {wanted} here; use --backend eager.")
    return compiled

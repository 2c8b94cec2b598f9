"""Where a job is to run: this machine or Slurm, processors or GPUs, and what is free."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any, Final

import streamlit as st

from galspec.core.errors import JobError
from galspec.core.home import home_dir
from galspec.jobs import slurm
from galspec.jobs.folder import runs_dir
from galspec.jobs.job import DEVICES, Resources
from galspec.jobs.places import QUEUE_LIMIT, Gpu, Queue, list_gpus, n_processor_places
from galspec.ui import address

DEVICE: Final = "train_device"
#: Of processors that multiply bfloat16 numbers, on x86 and on ARM.
_BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
_PREFIX: Final = "train_res_"
_LABELS: Final = {
    "nodes": ("Nodes", 1, 256),
    "cpus": ("Cores a node (0 = default)", 0, 1024),
    "memory_gb": ("Memory a node [GB] (0 = default)", 0, 16384),
    "time_min": ("Time limit [minutes] (0 = partition's)", 0, 86400),
}


@st.cache_data(show_spinner=False, ttl=5.0)
def _gpus() -> list[Gpu]:
    return list_gpus()


@st.cache_data(show_spinner=False, ttl=60.0)
def _partitions() -> list[str] | str:
    try:
        return slurm.partitions()
    except JobError as error:
        return str(error).removeprefix(f"{error.field}: ")


def resources_form() -> Resources | JobError:
    """Draw the choice; return it, or what is wrong with it."""
    backends = ["local", "slurm"] if slurm.has_slurm() else ["local"]
    if st.session_state.get(f"{_PREFIX}backend") not in backends:
        st.session_state[f"{_PREFIX}backend"] = "local"
    if st.session_state.get(DEVICE) not in DEVICES:
        st.session_state[DEVICE] = "auto"
    left, right = st.columns(2)
    with left:
        backend = st.segmented_control(
            "Runs on",
            backends,
            key=f"{_PREFIX}backend",
            required=True,
            format_func=lambda name: {"local": "this machine", "slurm": "Slurm"}[name],
            on_change=address.touch,
            help=None if len(backends) > 1 else "Slurm is offered where sbatch is installed.",
        )
    with right:
        device = st.segmented_control(
            "Device",
            list(DEVICES),
            key=DEVICE,
            required=True,
            on_change=address.touch,
            help="auto: a GPU if there is one.",
        )
    values: dict[str, Any] = {"backend": backend, "device": device}
    values["processes"] = _number("processes", "Processes a node, one a GPU", 1, 64)
    if backend == "slurm":
        values |= _slurm_form()
    try:
        resources = Resources(**values)
        if backend == "slurm" and isinstance(silence := _partitions(), str):
            raise JobError(silence, "backend")
        if resources.backend == "local":
            from galspec.jobs.places import kind_of_place

            kind_of_place(resources, _gpus())
    except JobError as error:
        return error
    return resources


def _slurm_form() -> dict[str, Any]:
    values: dict[str, Any] = {}
    known = _partitions()
    if isinstance(known, str):
        values["partition"] = _text("partition", "Partition")
    else:
        options = ["", *known]
        if st.session_state.get(f"{_PREFIX}partition", "") not in options:
            st.session_state[f"{_PREFIX}partition"] = ""
        values["partition"] = st.selectbox(
            "Partition",
            options,
            key=f"{_PREFIX}partition",
            format_func=lambda name: name or "the cluster's default",
            on_change=address.touch,
        )
    columns = st.columns(2)
    with columns[0]:
        values["account"] = _text("account", "Account")
    with columns[1]:
        values["gres"] = _text("gres", "GPUs (gres), e.g. gpu:2")
    for index, (name, (label, low, high)) in enumerate(_LABELS.items()):
        with columns[index % 2]:
            values[name] = _number(name, label, low, high)
    if f"{_PREFIX}is_requeued" not in st.session_state:
        st.session_state[f"{_PREFIX}is_requeued"] = True
    values["is_requeued"] = st.toggle(
        "Start again after preemption and time limit",
        key=f"{_PREFIX}is_requeued",
        on_change=address.touch,
        help="The job writes a checkpoint before and continues from it.",
    )
    return values


def _number(name: str, label: str, low: int, high: int) -> int:
    key = f"{_PREFIX}{name}"
    st.session_state.setdefault(key, low)
    return int(st.number_input(label, low, high, step=1, key=key, on_change=address.touch))


def _text(name: str, label: str) -> str:
    return str(st.text_input(label, key=f"{_PREFIX}{name}", max_chars=100, on_change=address.touch) or "").strip()


def precision_note(precision: str, resources: Resources) -> str:
    """Return what is wrong with a precision on this machine's processor, in words; empty if nothing is."""
    is_here = resources.backend == "local" and (
        resources.device == "cpu" or (resources.device == "auto" and not _gpus())
    )
    if precision != "bf16" or not is_here or _BF16_FLAGS & _processor_flags():
        return ""
    return (
        "This machine's processor has no bfloat16 arithmetic (flags avx512_bf16, amx_bf16): with precision bf16 a "
        "network trains several times slower than with fp32."
    )


def _processor_flags() -> set[str]:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return set(next(line for line in lines if line.startswith(("flags", "Features"))).split(":", 1)[1].split())
    return set(_BF16_FLAGS)  # unknown: no warning


def free_line() -> str:
    """Return what is free on this machine, in words."""
    memory = _meminfo()
    root = next(path for path in (runs_dir(), home_dir(), *home_dir().parents) if path.exists())
    disk = shutil.disk_usage(root)
    gpus = _gpus()
    parts = [
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        f"memory {memory['MemAvailable']:.0f} of {memory['MemTotal']:.0f} GB free",
        f"disk {disk.free / 1e9:.0f} of {disk.total / 1e9:.0f} GB free",
        f"GPUs: {', '.join(f'{gpu.name} ({_use(gpu)})' for gpu in gpus)}" if gpus else "no GPU",
    ]
    waiting = sum(Queue(runs_dir(), kind).length() for kind in ("cpu", "gpu"))
    places = n_processor_places()
    at_a_time = f"{places} processor job{'s' if places > 1 else ''} at a time, one job a GPU"
    return f"This machine: {'; '.join(parts)}. {at_a_time}; {waiting} of at most {QUEUE_LIMIT} wait."


def _use(gpu: Gpu) -> str:
    return f"{gpu.memory_gb - gpu.used_gb:.0f} of {gpu.memory_gb:.0f} GB free"


def _meminfo() -> dict[str, float]:
    """Return memory in GB."""
    with open("/proc/meminfo", encoding="utf-8") as handle:  # noqa: PTH123  a kernel's file
        pairs = (line.split(":") for line in handle)
        return {name: float(value.split()[0]) * 1024 / 1e9 for name, value in pairs}

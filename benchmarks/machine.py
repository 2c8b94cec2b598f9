"""What machine a benchmark ran on, and where its result goes."""

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

RESULTS_DIR = Path(__file__).resolve().parent / "results"


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory and versions."""
    from importlib.metadata import version

    packages = ("numpy", "scipy", "torch", "zarr", "streamlit", "pandas")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def store_result(name: str, result: dict[str, Any]) -> Path:
    """Print a result and keep it as ``results/<date>-<name>.json``."""
    record = {"benchmark": name, "date": datetime.date.today().isoformat(), "machine": describe_machine(), **result}
    text = json.dumps(record, indent=2)
    sys.stdout.write(text + "\n")
    RESULTS_DIR.mkdir(exist_ok=True)
    path = RESULTS_DIR / f"{record['date']}-{name}.json"
    path.write_text(text + "\n", encoding="utf-8")
    return path

"""A real Slurm of one node on this machine, for one test run."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import one_node_slurm, why_no_slurm


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start the cluster; give its slurm.conf. Skips where Slurm is not installed, fails on CI."""
    if reason := why_no_slurm():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with one_node_slurm(tmp_path_factory.mktemp("slurm")) as config:
        yield config


@pytest.fixture
def slurm(slurm_cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cluster, known to every command of a test; its jobs are cancelled at the end."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster))
    yield slurm_cluster
    subprocess.run(["scancel", "--user=root"], capture_output=True, check=False, timeout=30)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=False, timeout=30)
        if done.returncode == 0 and not done.stdout.strip():
            return
        time.sleep(0.1)

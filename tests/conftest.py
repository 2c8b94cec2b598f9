"""Fixtures shared by all tests: no network, a private GALSPEC_HOME, and the optional data folders."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

REPOSITORY_DIR = Path(__file__).resolve().parents[1]
REAL_DIR = REPOSITORY_DIR.parent / "shared" / "real"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test reach past this machine: the survey services are faked, never called."""
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "localhost", "::1")):
            raise AssertionError(f"a test tried to reach {address}: fake the survey, or mark the test real_data")
        real_connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def _private_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test out of the user's own folder."""
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path / "galspec-home"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20201109)


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder of real PS1 and SDSS files; tests skip where a clone has none."""
    if not REAL_DIR.is_dir():
        pytest.skip("no folder of real survey files (shared/real beside the checkout)")
    return REAL_DIR


@pytest.fixture(scope="session")
def basis() -> object:
    """The real spectral basis; tests skip where `make simulate` has not built it."""
    from galspec.simulation.basis import default_basis_path, load_basis

    if not default_basis_path().is_file():
        pytest.skip("no spectral basis in .cache: run `make simulate`")
    return load_basis()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder and skip GPU tests where there is no GPU."""
    for item in items:
        folder = Path(str(item.fspath)).parent.name
        if folder in {"app", "browser"}:
            item.add_marker(getattr(pytest.mark, folder))
        if item.get_closest_marker("gpu") and not _has_cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(autouse=True)
def _torch_state_unchanged() -> Iterator[None]:
    """Fail the test that leaves torch's global state changed behind it."""
    yield
    import sys

    torch = sys.modules.get("torch")
    if torch is not None:
        assert torch.get_default_dtype() == torch.float32, "a test changed torch's default dtype"
        assert torch.is_grad_enabled(), "a test left gradients switched off"


os.environ.setdefault("OMP_NUM_THREADS", "2")
# No form of a test leaves a process behind that loads torch; the tests of that turn it on.
os.environ["GALSPEC_STANDBY"] = "0"

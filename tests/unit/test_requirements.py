"""requirements.txt names what the project promises, inside the ranges of pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY_DIR = Path(__file__).resolve().parents[2]


def _pins(name: str) -> dict[str, str]:
    lines = (REPOSITORY_DIR / name).read_text().splitlines()
    entries = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-zA-Z0-9_.-]+==[0-9][0-9a-z.]*", entry) for entry in entries), entries
    return {entry.split("==")[0].lower(): entry.split("==")[1] for entry in entries}


def _declared() -> dict[str, list[Requirement]]:
    project = tomllib.loads((REPOSITORY_DIR / "pyproject.toml").read_text())["project"]
    return {
        "requirements.txt": [Requirement(text) for text in project["dependencies"]],
        "requirements-dev.txt": [Requirement(text) for text in project["optional-dependencies"]["dev"]],
    }


def test_torch_is_the_plain_release():
    assert "torch==2.13.0" in (REPOSITORY_DIR / "requirements.txt").read_text().splitlines()


def test_streamlit_is_1_67():
    assert _pins("requirements.txt")["streamlit"].startswith("1.67.")


def test_all_eight_packages_are_named():
    eight = {"streamlit", "torch", "astropy", "plotly", "numpy", "pandas", "captum", "pytest"}
    assert eight <= _pins("requirements.txt").keys()


def test_no_cuda_package_is_named():
    assert not [name for name in _pins("requirements.txt") if name.startswith(("nvidia", "cuda", "triton"))]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_pins_lie_in_the_declared_ranges(name):
    pins, declared = _pins(name), _declared()[name]
    assert pins.keys() == {requirement.name.lower() for requirement in declared}
    for requirement in declared:
        assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement


def test_every_declared_dependency_has_its_reason():
    lines = (REPOSITORY_DIR / "pyproject.toml").read_text().splitlines()
    start = lines.index("dependencies = [")
    block = lines[start + 1 : lines.index("]", start)]
    assert all("#" in line for line in block), [line for line in block if "#" not in line]

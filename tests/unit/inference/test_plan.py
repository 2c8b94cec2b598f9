"""The choice of backend, mode and device: what is refused, what is chosen, and that the mode is never changed."""

import tomllib
from pathlib import Path

import pytest
import torch

from galspec.core.errors import ConfigError
from galspec.inference import plan
from galspec.inference.plan import FEW_GALAXIES, MODES, InferencePlan, plan_inference

REPOSITORY_DIR = Path(__file__).resolve().parents[3]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with bfloat16, without OpenVINO, CUDA, triton or a compiler."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(plan.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(plan.shutil, "which", lambda name: None)
    monkeypatch.setattr(plan, "has_bfloat16", lambda device: True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"backend": "tensorrt"},
            "no inference backend is called 'tensorrt'; the backends are auto, eager, compile, open",
        ),
        ({"mode": "approximate"}, "no inference mode is called 'approximate'; the modes are exact, fast"),
        ({"device": "tpu"}, "no device is called 'tpu'; the devices are auto, cpu, cuda"),
        ({"device": "cuda"}, "has no CUDA device"),
        ({"backend": "openvino"}, r"needs the package openvino: install it with .*pip install \"openvino"),
        ({"backend": "compile"}, r"needs a C\+\+ compiler: install it with `apt-get install g\+\+`"),
    ],
)
def test_what_is_unknown_or_missing_is_refused(bare, arguments, words):
    with pytest.raises(ConfigError, match=words):
        plan_inference(**arguments)


def test_fast_mode_needs_bfloat16_arithmetic(bare, monkeypatch):
    monkeypatch.setattr(plan, "has_bfloat16", lambda device: False)
    with pytest.raises(ConfigError, match=r"this CPU has no bfloat16 arithmetic .*use --mode exact"):
        plan_inference(mode="fast")
    assert plan_inference().mode == "exact"


@pytest.mark.parametrize("mode", MODES)
def test_auto_takes_openvino_for_many_galaxies_and_keeps_the_mode(bare, monkeypatch, mode):
    assert plan_inference(mode=mode) == InferencePlan("eager", mode)
    monkeypatch.setattr(plan.importlib.util, "find_spec", lambda name: name)
    assert plan_inference(mode=mode) == InferencePlan("openvino", mode)
    assert plan_inference(mode=mode, n_galaxies=FEW_GALAXIES) == InferencePlan("openvino", mode)
    assert plan_inference(mode=mode, n_galaxies=FEW_GALAXIES - 1) == InferencePlan("eager", mode)


def test_auto_takes_the_gpu_for_everything_but_openvino(bare, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(plan.importlib.util, "find_spec", lambda name: name)
    assert plan_inference(n_galaxies=1000) == InferencePlan("eager", device="cuda")
    assert plan_inference(n_galaxies=64_000) == InferencePlan("compile", device="cuda")
    assert plan_inference("openvino") == InferencePlan("openvino", device="cpu")
    with pytest.raises(ConfigError, match="runs on CPUs only"):
        plan_inference("openvino", device="cuda")


def test_a_plan_says_what_it_is():
    averaged = plan_inference("eager", device="cpu", average_symmetries=True)
    assert str(averaged) == "exact mode (float32), eager on cpu, mean over 8 symmetries"
    assert averaged.facts == {
        "backend": "eager",
        "backend_version": f"torch {torch.__version__}",
        "mode": "exact",
        "precision": "float32",
        "device": "cpu",
        "n_symmetries": 8,
    }


def test_the_message_names_the_extra_of_pyproject():
    project = tomllib.loads((REPOSITORY_DIR / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["openvino"] == [plan.OPENVINO_REQUIREMENT]

"""Checkpoints keep every bit of every kind of tensor, and the older one until the newer is whole."""

import json
from pathlib import Path

import pytest
import torch

from galspec.core.errors import RunError
from galspec.training import checkpoint
from galspec.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([1.0, float("nan"), float("inf"), -0.0, 1e-45]),
        torch.tensor([1.5, -2.25], dtype=torch.bfloat16),
        torch.tensor([0.1], dtype=torch.float64),
        torch.tensor(2**62),
        torch.tensor([True, False]),
        torch.empty(0, 3),
        torch.arange(12.0).reshape(3, 4).T,
        torch.Generator().manual_seed(1).get_state(),
    ],
    ids=["special", "bfloat16", "float64", "int64", "bool", "empty", "transposed", "generator"],
)
def test_every_bit_comes_back(tmp_path: Path, value: torch.Tensor):
    save_checkpoint(tmp_path / "c", {"a": value}, {"lr": 0.1 + 0.2, "none": None})
    tensors, numbers = load_checkpoint(tmp_path / "c")
    found = tensors["a"]
    assert (found.dtype, found.shape) == (value.dtype, value.shape)
    assert found.contiguous().flatten().view(torch.uint8).equal(value.contiguous().flatten().view(torch.uint8))
    assert numbers == {"lr": 0.1 + 0.2, "none": None}


def test_tensors_that_share_memory_are_both_kept(tmp_path: Path):
    whole = torch.arange(6.0)
    save_checkpoint(tmp_path / "c", {"whole": whole, "part": whole[2:4], "same": whole}, {})
    tensors, _ = load_checkpoint(tmp_path / "c")
    assert tensors["part"].tolist() == [2.0, 3.0]
    assert torch.equal(tensors["whole"], tensors["same"])


def test_optimiser_continues_bit_for_bit(tmp_path: Path):
    def take_steps(layer: torch.nn.Linear, optimiser: torch.optim.Optimizer, n: int) -> None:
        for step in range(n):
            optimiser.zero_grad()
            layer(torch.full((4, 3), 1.0 + step)).square().sum().backward()
            optimiser.step()

    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    take_steps(layer, optimiser, 3)
    state = optimiser.state_dict()["state"]
    tensors = {f"adam.{index}.{name}": value for index, own in state.items() for name, value in own.items()}
    save_checkpoint(tmp_path / "c", {**layer.state_dict(), **tensors}, {})
    take_steps(layer, optimiser, 2)

    found, _ = load_checkpoint(tmp_path / "c")
    again = torch.nn.Linear(3, 2)
    again.load_state_dict({name: found[name] for name in ("weight", "bias")})
    second = torch.optim.Adam(again.parameters(), lr=0.1)
    own = {index: {name: found[f"adam.{index}.{name}"] for name in state[index]} for index in state}
    second.load_state_dict({**second.state_dict(), "state": own})
    take_steps(again, second, 2)
    assert torch.equal(again.weight, layer.weight)
    assert torch.equal(again.bias, layer.bias)


def test_a_new_checkpoint_replaces_the_old_and_leaves_nothing_behind(tmp_path: Path):
    save_checkpoint(tmp_path / "c", {"old": torch.ones(1)}, {"epoch": 1})
    save_checkpoint(tmp_path / "c", {"new": torch.ones(1)}, {"epoch": 2})
    tensors, numbers = load_checkpoint(tmp_path / "c")
    assert (list(tensors), numbers) == (["new"], {"epoch": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("numbers", [{"loss": float("nan")}, {"object": object()}], ids=["nan", "object"])
def test_failed_writing_leaves_the_older_checkpoint(tmp_path: Path, numbers: dict):
    save_checkpoint(tmp_path / "c", {"a": torch.ones(1)}, {"epoch": 1})
    with pytest.raises((ValueError, TypeError)):
        save_checkpoint(tmp_path / "c", {"a": torch.zeros(1)}, numbers)
    assert load_checkpoint(tmp_path / "c")[1] == {"epoch": 1}


def test_no_space_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_checkpoint(tmp_path / "c", {"a": torch.ones(1)}, {"epoch": 1})

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(tmp_path / "c", {"a": torch.zeros(1)}, {"epoch": 2})
    assert has_checkpoint(tmp_path / "c")
    assert load_checkpoint(tmp_path / "c")[1] == {"epoch": 1}


def test_another_version_is_refused_with_both_named(tmp_path: Path):
    save_checkpoint(tmp_path / "c", {"a": torch.ones(1)}, {"epoch": 1})
    path = tmp_path / "c" / "numbers.json"
    numbers = json.loads(path.read_text())
    assert numbers["version"] == 1
    path.write_text(json.dumps({**numbers, "version": 7}))
    with pytest.raises(RunError, match="is of version 7, this galspec reads version 1"):
        load_checkpoint(tmp_path / "c")
    del numbers["version"]  # as checkpoints were before versions were counted
    path.write_text(json.dumps(numbers))
    assert load_checkpoint(tmp_path / "c")[1] == {"epoch": 1}


@pytest.mark.parametrize("damage", ["numbers.json", "tensors.safetensors"])
def test_damage_is_named(tmp_path: Path, damage: str):
    save_checkpoint(tmp_path / "c", {"a": torch.ones(1)}, {"epoch": 1})
    (tmp_path / "c" / damage).write_bytes(b"\xff\xfe{")
    with pytest.raises(RunError, match="is damaged"):
        load_checkpoint(tmp_path / "c")

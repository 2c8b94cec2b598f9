"""Checkpoints: tensors in safetensors, numbers in JSON, in one folder that appears whole; nothing is pickled."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from galspec.core.errors import RunError
from galspec.core.files import atomic_path, write_json

_TENSORS: Final = "tensors.safetensors"
_NUMBERS: Final = "numbers.json"
#: Of the layout of checkpoints; those written before it was counted are of version 1.
VERSION: Final = 1


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], numbers: dict[str, Any]) -> None:
    """Write a checkpoint; the one before it stays until the new one is whole.

    Parameters
    ----------
    folder : Path
        Replaced as a whole.
    tensors : mapping of Tensor
        Any dtypes, kept exactly.
    numbers : dict
        What JSON can hold.
    """
    folder = Path(folder)
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    with atomic_path(new) as temporary:
        temporary.mkdir()
        save_file(
            {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, temporary / _TENSORS
        )
        write_json(temporary / _NUMBERS, {"version": VERSION, **numbers})
    # Two renames: a crash between them leaves .new, which has_checkpoint puts in place.
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def has_checkpoint(folder: Path) -> bool:
    """Return True if there is a whole checkpoint, finishing a replacement that a crash cut short."""
    folder = Path(folder)
    new = folder.with_name(folder.name + ".new")
    if not folder.exists() and new.exists():
        new.rename(folder)
    return (folder / _NUMBERS).is_file()


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint.

    Returns
    -------
    tensors, numbers : dict, dict

    Raises
    ------
    RunError
        If the checkpoint is missing, damaged, or of another version.
    """
    folder = Path(folder)
    if not has_checkpoint(folder):
        raise RunError(f"{folder} holds no checkpoint; start the run anew.")
    try:
        numbers = dict(json.loads((folder / _NUMBERS).read_text(encoding="utf-8")))
        version = numbers.pop("version", 1)
        tensors = load_file(folder / _TENSORS) if version == VERSION else {}
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"the checkpoint {folder} is damaged ({error}); delete it and start the run anew.") from None
    if version != VERSION:
        raise RunError(
            f"the checkpoint {folder} is of version {version!r}, this galspec reads version {VERSION}; continue it "
            "with the galspec that wrote it, or start anew without resuming."
        )
    return tensors, numbers

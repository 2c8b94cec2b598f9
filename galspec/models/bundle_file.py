"""The bundle format: a folder with weights.safetensors and model.json, written whole, checked on reading."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from galspec import __version__
from galspec.core.bands import BANDS, CUTOUT_SIZE_PIX, PIXEL_SCALE_ARCSEC
from galspec.core.errors import BundleError
from galspec.core.files import atomic_path, sha256_of, write_json
from galspec.core.wavelength import LOGLAM_START, LOGLAM_STEP, N_WAVE, NORM_WINDOW

FORMAT: Final = "galspec-bundle"
VERSION: Final = 1
WEIGHTS: Final = "weights.safetensors"
METADATA: Final = "model.json"
KINDS: Final = ("vae", "predictor")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_JSON_BYTES: Final = 1_000_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

#: What model.json must say, with its type: all bundles, then each kind.
_REQUIRED: Final[dict[str, type]] = {
    "name": str,
    "architecture": str,
    "trainable_parameters": int,
    "training_survey": dict,
    "recipe": dict,
    "scores": dict,
    "sha256": str,
}
_REQUIRED_BY_KIND: Final[dict[str, dict[str, type]]] = {
    "vae": {"architecture_args": dict},
    "predictor": {"vae_sha256": str, "vae_name": str, "vae_args": dict},
}

#: What model.json may say: without them, the published network on whole images.
_OPTIONAL: Final[dict[str, type]] = {"network_args": dict, "image_form": str}

#: Scalers, means, components and running statistics stay float32: they are small, and their range is large.
_FLOAT32_WORDS: Final = ("scaler", "latent", "preprocessor", "running_", "novelty")

CONVENTIONS: Final = {
    "bands": list(BANDS),
    "cutout_size_pix": CUTOUT_SIZE_PIX,
    "pixel_scale_arcsec": PIXEL_SCALE_ARCSEC,
    "image_unit": "nJy per pixel (AB)",
    "grid": {
        "loglam_start": LOGLAM_START,
        "loglam_step": LOGLAM_STEP,
        "n_wave": N_WAVE,
        "frame": "rest",
        "medium": "vacuum",
    },
    "flux": f"F_lambda / median({NORM_WINDOW[0]:.0f}-{NORM_WINDOW[1]:.0f} Angstrom), dimensionless",
}


def _stored(name: str, value: Tensor) -> Tensor:
    keep = not value.is_floating_point() or any(word in name for word in _FLOAT32_WORDS)
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value.clone()
    stored = value.to(torch.float32 if keep else torch.float16).clone()
    if not bool(torch.isfinite(stored).all()):
        raise BundleError(
            f"{name!r} holds a number that is not finite or too large for {stored.dtype}: no bundle was written; "
            "train again with a lower learning rate."
        )
    return stored


def _require_replaceable(folder: Path) -> None:
    """Refuse to delete anything but an older bundle or an empty folder."""
    if not folder.exists() or (folder / METADATA).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise BundleError(f"{folder} exists and is no model bundle; it is left alone: choose another place.")


def _put_in_place(new: Path, folder: Path) -> None:
    """Swap folders by two renames, so that a crash never leaves half a bundle under the name."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_bundle(folder: Path, tensors: dict[str, Tensor], info: dict[str, Any]) -> dict[str, Any]:
    """Write a bundle folder, replacing one of the same name as a whole; return the complete metadata.

    Parameters
    ----------
    folder : Path
    tensors : dict of Tensor
        Weights, stored as float16, and small tables, stored as float32.
    info : dict
        kind, name, architecture, scores, ...: what model.json says beside format and checksum.

    Raises
    ------
    BundleError
        If the name has other characters than letters, digits, dot, dash and underscore, if a weight is
        not finite as stored, or if the folder holds something else than a bundle.
    """
    folder = Path(folder)
    _require_replaceable(folder)
    if not _NAME.fullmatch(str(info["name"])):
        raise BundleError(f"{info['name']!r} is no bundle name; use letters, digits, '.', '-' and '_'.")
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    with atomic_path(new) as temporary:
        temporary.mkdir()
        save_file({name: _stored(name, value) for name, value in tensors.items()}, temporary / WEIGHTS)
        complete = {
            "format": FORMAT,
            "version": VERSION,
            "galspec": __version__,
            **info,
            "conventions": CONVENTIONS,
            "sha256": sha256_of(temporary / WEIGHTS),
        }
        write_json(temporary / METADATA, complete)
    _put_in_place(new, folder)
    return complete


def _require_entries(info: dict[str, Any], path: Path) -> None:
    """Refuse metadata that lacks an entry, or has one of another type."""
    required = {**_REQUIRED, **_REQUIRED_BY_KIND[info["kind"]]}
    wrong = [name for name, kind in required.items() if type(info.get(name)) is not kind]
    wrong += [name for name, kind in _OPTIONAL.items() if name in info and type(info[name]) is not kind]
    survey = info.get("training_survey")
    if isinstance(survey, dict):
        wrong += [f"training_survey.{name}" for name in ("name", "source") if not isinstance(survey.get(name), str)]
    hashes = [name for name in ("sha256", "vae_sha256") if name in required and name not in wrong]
    wrong += [name for name in hashes if not _SHA256.fullmatch(info[name])]
    if wrong:
        kind = "VAE" if info["kind"] == "vae" else info["kind"]
        raise BundleError(f"{path} lacks a part of a {kind} bundle ({', '.join(wrong)}); restore the bundle.")


def _read_info(folder: Path) -> dict[str, Any]:
    """Read model.json as far as format, version, kind, name and conventions go."""
    path = folder / METADATA
    if not path.is_file():
        raise BundleError(f"{folder} is not a model bundle: it holds no {METADATA}.")
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise BundleError(f"{path} has {path.stat().st_size} bytes; a bundle's {METADATA} is below {_MAX_JSON_BYTES}.")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not valid JSON ({error}); restore the bundle.") from None
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise BundleError(f"{path} does not describe a galspec bundle (format is not {FORMAT!r}).")
    if info.get("version") != VERSION:
        raise BundleError(
            f"{folder} is a bundle of version {info.get('version')!r}; this galspec reads version {VERSION}."
        )
    kind, name = info.get("kind"), info.get("name")
    if not isinstance(kind, str) or kind not in KINDS or not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BundleError(f"{path} lacks a valid kind ({' or '.join(KINDS)}) or name; restore the bundle.")
    if info.get("conventions") != CONVENTIONS:
        raise BundleError(
            f"{folder} was made for other bands, pixels or wavelengths than this galspec's; train it anew."
        )
    return info


def read_bundle_info(folder: Path) -> dict[str, Any]:
    """Read and check model.json, without the weights.

    Raises
    ------
    BundleError
        If the folder is no bundle, or of another version, or of other conventions than this galspec,
        or lacks an entry.
    """
    folder = Path(folder)
    info = _read_info(folder)
    _require_entries(info, folder / METADATA)
    return info


def read_bundle(folder: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a bundle of a kind after checking its SHA-256; floating tensors come back as float32.

    Raises
    ------
    BundleError
        If the bundle is missing, damaged, or of another kind.
    """
    folder = Path(folder)
    info = _read_info(folder)
    if info["kind"] != kind:
        raise BundleError(f"{folder} is a {info['kind']} bundle, but a {kind} bundle is needed here.")
    _require_entries(info, folder / METADATA)
    path = folder / WEIGHTS
    if not path.is_file():
        raise BundleError(f"{folder} holds no {WEIGHTS}; restore the bundle.")
    found = sha256_of(path)
    if found != info.get("sha256"):
        raise BundleError(
            f"{path} is corrupt: its SHA-256 is {found[:12]}..., but {METADATA} says "
            f"{str(info.get('sha256'))[:12]}...; restore the bundle."
        )
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read ({error}); restore the bundle.") from None
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}, info


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name starts with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def from_arrays(prefix: str, arrays: dict[str, Any]) -> dict[str, Tensor]:
    """Return numpy arrays as tensors under a prefix."""
    return {f"{prefix}{name}": torch.from_numpy(np.array(value, np.float32)) for name, value in arrays.items()}

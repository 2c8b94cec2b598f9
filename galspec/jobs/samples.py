"""Predicted spectra of a training's fixed galaxies, epoch by epoch, decoded without torch."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from galspec.core.errors import BundleError
from galspec.core.home import shipped_weights_dir
from galspec.jobs.job import Job
from galspec.store.decoder import StoredDecoder

Floats32 = NDArray[np.float32]

_WEIGHT: Final = re.compile(r"vae\.decoder\.(\d+)\.weight")


@dataclasses.dataclass(frozen=True)
class SampleEpoch:
    """What a network predicts for the fixed galaxies after one epoch.

    Parameters
    ----------
    epoch : int
    ids : tuple of str
    latents, targets : ndarray, shape (n, D), float32
        Standardised, predicted from the image and of the observed spectrum.
    """

    epoch: int
    ids: tuple[str, ...]
    latents: Floats32
    targets: Floats32


def sample_epochs(rows: Sequence[dict[str, Any]]) -> list[SampleEpoch]:
    """Return the epochs of which predictions were kept; damaged rows are left out."""
    found = []
    for row in rows:
        if row.get("kind") != "samples":
            continue
        try:
            latents, targets = (np.asarray(row[name], np.float32) for name in ("latents", "targets"))
            one = SampleEpoch(int(row["epoch"]), tuple(map(str, row["ids"])), latents, targets)
        except (KeyError, TypeError, ValueError):
            continue
        if latents.ndim == 2 and latents.shape == targets.shape and len(one.ids) == len(latents):
            found.append(one)
    return found


def vae_dir(job: Job) -> Path:
    """Return the bundle of the VAE whose latents a job predicts."""
    return Path(str(job.settings.get("vae") or shipped_weights_dir() / "vae6"))


def read_vae_decoder(folder: Path) -> StoredDecoder:
    """Read the decoder of a VAE bundle.

    Raises
    ------
    BundleError
        If the bundle is missing, damaged, or no VAE.
    """
    path = folder / "weights.safetensors"
    try:
        with safe_open(path, framework="numpy") as stored:
            names = list(stored.keys())
            numbers = sorted(int(found[1]) for name in names if (found := _WEIGHT.fullmatch(name)))

            def read(name: str) -> Floats32:
                return np.asarray(stored.get_tensor(name), np.float32)

            layers = tuple((read(f"vae.decoder.{n}.weight"), read(f"vae.decoder.{n}.bias")) for n in numbers)
            return StoredDecoder(layers, read("latent_mean"), read("latent_std"), read("preprocessor.mean_flux"))
    except (OSError, SafetensorError) as error:
        raise BundleError(f"the VAE {folder} cannot be read ({error}).") from None

"""Targets and provenance of a training set; needs neither Zarr nor a survey folder."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.models.bundle import VaeBundle
from galspec.preprocess.spectra import is_encodable

#: Spectra encoded at once.
_ENCODE_ROWS: Final = 4096


def encode_targets(
    vae: VaeBundle, spectra: Callable[[NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.float32]]], n: int
) -> NDArray[np.float32]:
    """Return the standardised latents (N, D) of N spectra, block by block; NaN where it cannot be encoded."""
    latents = np.full((n, vae.n_latent), np.nan, np.float32)
    for first in range(0, n, _ENCODE_ROWS):
        rows = np.arange(first, min(first + _ENCODE_ROWS, n))
        flux, ivar = spectra(rows)
        is_usable = is_encodable(flux, ivar)
        if is_usable.any():
            latents[rows[is_usable]] = vae.latents(flux[is_usable], ivar[is_usable])
    return latents


def leave_out_unusable(
    latents: NDArray[np.float32], split: NDArray[np.str_]
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Take galaxies without targets out of every split, keeping their rows."""
    has_target = np.asarray(np.isfinite(latents).all(axis=1))
    return np.where(has_target[:, None], latents, np.float32(0.0)), np.where(has_target, split, "unusable")


def describe_survey(catalog: pd.DataFrame, name: str, source: str, data_hash: str) -> dict[str, Any]:
    """Return what a bundle says of its training data; ranges are those of the train split."""
    train = catalog[catalog["split"] == "train"]
    columns = [column for column in ("redshift", "mag_r") if column in catalog]
    ranges = {column: [float(train[column].min()), float(train[column].max())] for column in columns}
    counts = {str(split): int(count) for split, count in catalog["split"].value_counts().items()}
    return {
        "name": name,
        "source": source,
        "n_galaxies": len(catalog),
        "splits": counts,
        "data_hash": data_hash,
        "ranges": ranges,
    }

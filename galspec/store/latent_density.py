"""How far latents lie from those of train galaxies: distance to the nearest ones, as a percentile; no torch."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from scipy.spatial import cKDTree

from galspec.core.errors import BundleError, ShapeError

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: Mean distance to so many nearest train galaxies: the measure of `galspec.models.novelty`.
N_NEIGHBOURS: Final = 8
#: A sample of this size stands for the train galaxies where a bundle holds none.
N_REFERENCE: Final = 4000
#: Beyond this percentile latents count as outside what was trained on.
OUTSIDE_PERCENT: Final = 99.0
_SEED: Final = 1
_PERCENTS: Final = np.concatenate([np.arange(0.0, 99.0), [99.0, 99.5, 99.9, 100.0]])


@dataclasses.dataclass(frozen=True)
class LatentDensity:
    """Distances of latents to reference galaxies, and what is usual among these.

    Parameters
    ----------
    reference : ndarray, shape (M, D), float32
        Standardised latents.
    source : str
        What they are, in words.
    """

    reference: Floats32
    source: str

    def __post_init__(self) -> None:
        if self.reference.ndim != 2 or len(self.reference) <= N_NEIGHBOURS:
            raise ShapeError(
                f"a density of latents needs more than {N_NEIGHBOURS} reference galaxies, (M, D); got "
                f"{self.reference.shape}"
            )

    @functools.cached_property
    def _tree(self) -> "cKDTree[None]":
        return cKDTree(self.reference.astype(np.float64))

    @functools.cached_property
    def table(self) -> Floats:
        """Percents and the distances that so many reference galaxies do not exceed, shape (2, T).

        Each is compared with the others, not with itself.
        """
        distance = np.asarray(self._tree.query(self.reference, k=N_NEIGHBOURS + 1)[0])[:, 1:].mean(axis=1)
        return np.stack([_PERCENTS, np.percentile(distance, _PERCENTS)])

    def distance(self, latent: ArrayLike) -> Floats:
        """Return the mean distance to the 8 nearest reference galaxies, (N,), in standard deviations.

        Raises
        ------
        ShapeError
            If ``latent`` is not (N, D).
        """
        values = np.asarray(latent, np.float64)
        if values.ndim != 2 or values.shape[1] != self.reference.shape[1]:
            raise ShapeError(f"expected latents of shape (N, {self.reference.shape[1]}), got {values.shape}")
        return np.asarray(np.mean(self._tree.query(values, k=N_NEIGHBOURS)[0], axis=1), np.float64)

    def percentile(self, latent: ArrayLike) -> Floats:
        """Return the share of reference galaxies, percent, that are less isolated than latents (N, D) are."""
        percents, distances = self.table
        return np.asarray(np.interp(self.distance(latent), distances, percents), np.float64)


def bundle_density(folder: Path, sha256: str) -> LatentDensity:
    """Read the train latents that a VAE bundle keeps for its novelty scores.

    Parameters
    ----------
    folder : Path
        A VAE bundle.
    sha256 : str
        Of the weights that are wanted.

    Raises
    ------
    BundleError
        If it is another VAE, cannot be read, or holds no train latents.
    """
    try:
        info: dict[str, Any] = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"the VAE {folder} cannot be read ({error}); restore the bundle.") from None
    if info.get("sha256") != sha256:
        raise BundleError(f"{folder} is VAE {str(info.get('sha256'))[:12]}, but {sha256[:12]} is wanted.")
    try:
        with safe_open(Path(folder) / "weights.safetensors", framework="numpy") as stored:
            if "novelty.reference" not in stored.keys():  # noqa: SIM118  # no mapping: only keys() is there
                raise BundleError(f"VAE {info.get('name')!r} keeps no train latents: it has no novelty calibration.")
            reference = np.asarray(stored.get_tensor("novelty.reference"), np.float32)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"the VAE {folder} cannot be read ({error}); restore the bundle.") from None
    return LatentDensity(reference, f"{len(reference):,} train galaxies of {info.get('name')}")


def survey_density(latents: Floats32, survey_name: str) -> LatentDensity:
    """Let a seeded sample of a survey's latents stand for the train galaxies.

    Parameters
    ----------
    latents : ndarray, shape (N, D)
        Of observed spectra, standardised; rows with NaN are left out.
    survey_name : str

    Raises
    ------
    ShapeError
        If fewer than nine galaxies have latents.
    """
    known = latents[np.isfinite(latents).all(axis=1)]
    if len(known) > N_REFERENCE:
        known = known[np.sort(np.random.default_rng(_SEED).choice(len(known), N_REFERENCE, replace=False))]
    return LatentDensity(known, f"{len(known):,} galaxies of survey {survey_name}, not the train galaxies")

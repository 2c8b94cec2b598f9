"""Held-out galaxies with their targets and classes, and proof that a network was not trained on them."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import CUTOUT_SHAPE
from galspec.core.errors import ConfigError
from galspec.evaluation.vae_comparison import galaxy_classes
from galspec.models.bundle import VaeBundle
from galspec.store.images import from_stored
from galspec.store.survey import Survey
from galspec.training.data import ImageArray
from galspec.training.survey_set import cached_images
from galspec.training.targets import describe_survey, encode_targets

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Rows = NDArray[np.int64]
#: Measures a block of cutouts (n, 5, 224, 224) in nJy: one row of numbers a galaxy.
Measure = Callable[[Floats32], NDArray[np.floating]]

_BLOCK: Final = 64
#: Magnitudes of the same galaxies, simulated on two machines, agree to 1e-8.
_RANGE_TOLERANCE: Final = 1e-6


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Usable galaxies of one split.

    Parameters
    ----------
    split : str
    rows : ndarray, shape (N,)
        In the survey, ascending.
    latents : ndarray, shape (N, D), float64
        Targets: the standardised latents of the observed spectra.
    classes : dict of str to ndarray, shape (N,)
        Which galaxies are in each class of `galaxy_classes`.
    sha256 : str
        Of their ids: errors may be compared galaxy by galaxy where it agrees.
    """

    split: str
    rows: Rows
    latents: Floats
    classes: dict[str, NDArray[np.bool_]]
    sha256: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def identity(self) -> dict[str, Any]:
        """Number of galaxies and SHA-256 of their ids."""
        return {"n": len(self), "ids_sha256": self.sha256}


def read_split(survey: Survey, vae: VaeBundle, split: str, n_max: int = 0) -> HeldOut:
    """Read the galaxies of a split whose spectra can be encoded.

    Parameters
    ----------
    survey : Survey
    vae : VaeBundle
        Encodes the observed spectra into the targets.
    split : str
    n_max : int
        Use the first so many only; 0 means all.

    Raises
    ------
    ConfigError
        If the split has no usable galaxy.
    """
    rows = survey.rows_in_split(split)
    if n_max:
        rows = rows[:n_max]
    latents = encode_targets(vae, lambda block: survey.spectra_block(rows[block]), len(rows)).astype(np.float64)
    is_usable = np.isfinite(latents).all(axis=1)
    rows, latents = rows[is_usable], latents[is_usable]
    if not len(rows):
        raise ConfigError(
            f"survey {survey.name!r} has no usable galaxy in its {split} split; use a larger survey, or one that was "
            "not cut down (the embedded demo survey holds calibration and test galaxies only)."
        )
    catalog = survey.catalog.iloc[rows]
    digest = hashlib.sha256("\n".join(catalog["id"]).encode()).hexdigest()
    return HeldOut(split, rows, latents, galaxy_classes(catalog), digest)


def require_same_galaxies(info: Mapping[str, Any], survey: Survey) -> str:
    """Refuse a network that was not trained on this survey's train split, as far as its bundle can tell.

    A network trained on other galaxies may have seen these, and its scores could not stand in one table with the
    others'.

    Parameters
    ----------
    info : mapping
        Content of model.json, or an entry of the GPU queue's results.
    survey : Survey

    Returns
    -------
    str
        How it is known: "same catalogue file", or "same counts and ranges" where the survey was simulated once more
        (on a GPU machine, say): the same numbers of galaxies by split among the survey's first ones, and the same
        smallest and largest redshift and magnitude of its train split to 1e-6.

    Raises
    ------
    ConfigError
        If neither holds.
    """
    told = info["training_survey"]
    if told.get("data_hash") == survey.data_hash:
        return "same catalogue file"
    n = told.get("n_galaxies")
    if told.get("splits") and told.get("ranges") and isinstance(n, int) and 0 < n <= len(survey):
        found = describe_survey(survey.catalog.iloc[:n], survey.name, survey.source, survey.data_hash)
        if told["splits"] == found["splits"] and _same_ranges(told["ranges"], found["ranges"]):
            return "same counts and ranges"
    raise ConfigError(
        f"{info.get('name', info.get('architecture'))!r} was trained on survey {told.get('name')!r} with data hash "
        f"{str(told.get('data_hash'))[:12]}, but {survey.name!r} has {survey.data_hash[:12]}, and the galaxies by "
        "split and their ranges differ too: it may have seen what it would be tested on. Name the survey it was "
        "trained on, or train it on this one."
    )


def _same_ranges(told: Mapping[str, list[float]], found: Mapping[str, list[float]]) -> bool:
    return told.keys() == found.keys() and all(
        math.isclose(one, other, rel_tol=_RANGE_TOLERANCE)
        for name in found
        for one, other in zip(told[name], found[name], strict=True)
    )


class SurveyImageSource:
    """All images of a survey, the first ones from training's cache if there is one, the others on demand.

    Parameters
    ----------
    survey : Survey
    n_cached : int
        Of `galspec.training.survey_set.cached_images`, which fills the cache if it is not there; 0 = no cache.
    n_jobs : int
        Processes that fill it.

    Raises
    ------
    ConfigError
        If the survey has fewer galaxies than the cache would.
    """

    def __init__(self, survey: Survey, n_cached: int = 0, n_jobs: int = 1):
        if not 0 <= n_cached <= len(survey):
            raise ConfigError(f"survey {survey.name!r} has {len(survey)} galaxies, so --cached cannot be {n_cached}.")
        self._survey, self._n_cached = survey, n_cached
        self._cached: ImageArray | None = cached_images(survey, n_cached, n_jobs) if n_cached else None
        self.shape = (len(survey), *CUTOUT_SHAPE)

    def __getitem__(self, rows: Rows) -> NDArray[np.float16]:
        rows = np.asarray(rows, np.int64)
        images = np.empty((len(rows), *CUTOUT_SHAPE), np.float16)
        is_cached = rows < self._n_cached
        if self._cached is not None and is_cached.any():
            images[is_cached] = self._cached[rows[is_cached]]
        if not is_cached.all():
            images[~is_cached] = self._survey.images_block(rows[~is_cached])
        return images


def measure_images(
    images: ImageArray, rows: Rows, measures: Mapping[str, Measure], progress: Callable[[int], None] | None = None
) -> dict[str, Floats]:
    """Apply several measures to the images of some rows, each image read or rendered once.

    Parameters
    ----------
    images : ImageArray
        As stored; see `galspec.training.data`.
    rows : ndarray, shape (N,)
    measures : mapping of str to callable
        Each gets cutouts (n, 5, 224, 224) in nJy, NaN = no data, and returns (n, K).
    progress : callable, optional
        Called with the number of galaxies done.

    Returns
    -------
    dict of str to ndarray, shape (N, K), float64
    """
    parts: dict[str, list[NDArray[np.floating]]] = {name: [] for name in measures}
    for where in blocks(len(rows), _BLOCK):
        flux = from_stored(np.asarray(images[rows[where]]))
        for name, measure in measures.items():
            parts[name].append(measure(flux))
        if progress is not None:
            progress(min(where.stop, len(rows)))
    return {name: np.concatenate(part).astype(np.float64) for name, part in parts.items()}


def blocks(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` that cover n rows."""
    for first in range(0, n, size):
        yield slice(first, min(first + size, n))

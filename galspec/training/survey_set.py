"""Training sets from survey folders; images that are not on disk are rendered once into a cache."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import CUTOUT_SHAPE
from galspec.core.errors import ConfigError
from galspec.core.home import home_dir
from galspec.models.bundle import VaeBundle
from galspec.store.survey import Survey, open_survey
from galspec.training.blocks import BLOCK, create_array, run_blocks, write_rows
from galspec.training.data import ImageArray, TrainingSet
from galspec.training.targets import describe_survey, encode_targets, leave_out_unusable
from galspec.training.vae_data import SpectrumSet, usable_split


class SurveyImages:
    """The first n images of a survey, read from its folder on demand.

    Parameters
    ----------
    survey : Survey
    n_galaxies : int
    """

    def __init__(self, survey: Survey, n_galaxies: int):
        self._survey = survey
        self.shape = (n_galaxies, *CUTOUT_SHAPE)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        return self._survey.images_block(rows)


def image_cache_path(survey: Survey, n_galaxies: int) -> Path:
    """Return where the rendered images of a survey are kept between runs."""
    return home_dir() / "cache" / f"images-{survey.name}-{survey.data_hash[:12]}-{n_galaxies}.npy"


def _render_block(survey_dir: Path, path: Path, n_galaxies: int, block: int) -> None:
    rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, n_galaxies))
    write_rows(path, int(rows[0]), open_survey(survey_dir).images_block(rows))


def cached_images(
    survey: Survey, n_galaxies: int, n_jobs: int, progress: Callable[[int, int], None] | None = None
) -> ImageArray:
    """Return the first n images as a memory map, rendering or unpacking those that are not there yet.

    Takes 0.5 MB of disk a galaxy. An interrupted rendering continues where it stopped.
    """
    path = image_cache_path(survey, n_galaxies)
    create_array(path, (n_galaxies, *CUTOUT_SHAPE), "float16")
    work = functools.partial(_render_block, survey.folder.resolve(), path, n_galaxies)
    run_blocks(work, -(-n_galaxies // BLOCK), path.with_suffix(".done"), n_jobs, progress)
    images: ImageArray = np.load(path, mmap_mode="r")
    return images


def training_set(
    survey: Survey,
    vae: VaeBundle,
    max_galaxies: int = 0,
    use_cache: bool = False,
    n_jobs: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingSet:
    """Make a training set of a survey's first galaxies.

    Parameters
    ----------
    survey : Survey
    vae : VaeBundle
        Encodes the observed spectra into the targets.
    max_galaxies : int
        Use the first so many galaxies; 0 means all.
    use_cache : bool
        Unpack images that are on disk into the cache too: training reads them ten times faster.
    n_jobs : int
        Processes that render; 0 means all cores.
    progress : callable, optional
        Called with (blocks rendered, all blocks).

    Raises
    ------
    ConfigError
        If the survey has fewer galaxies than asked for, or none to train or validate on.
    """
    n_galaxies = _count(survey, max_galaxies)
    catalog = survey.catalog.iloc[:n_galaxies]
    latents = encode_targets(vae, survey.spectra_block, n_galaxies)
    latents, split = leave_out_unusable(latents, catalog["split"].to_numpy(dtype=str))
    images: ImageArray = SurveyImages(survey, n_galaxies)
    if use_cache or not survey.has_images:
        images = cached_images(survey, n_galaxies, n_jobs or os.cpu_count() or 1, progress)
    return TrainingSet(
        images=images,
        latents=latents,
        split=split,
        ids=catalog["id"].to_numpy(dtype=str),
        survey=describe_survey(catalog, survey.name, survey.source, survey.data_hash),
    )


def spectrum_set(survey: Survey, max_galaxies: int = 0) -> SpectrumSet:
    """Make a training set of spectra for the VAE, leaving out those that cannot be normalised or are mostly gaps.

    Raises
    ------
    ConfigError
        If the survey has fewer galaxies than asked for.
    """
    n_galaxies = _count(survey, max_galaxies)
    catalog = survey.catalog.iloc[:n_galaxies]
    flux, ivar = survey.spectra_block(np.arange(n_galaxies))
    split = usable_split(flux, ivar, catalog["split"].to_numpy(dtype=str))
    return SpectrumSet(flux, ivar, split, describe_survey(catalog, survey.name, survey.source, survey.data_hash))


def _count(survey: Survey, max_galaxies: int) -> int:
    if max_galaxies < 0 or max_galaxies > len(survey):
        raise ConfigError(
            f"survey {survey.name!r} has {len(survey)} galaxies, so --max-galaxies cannot be {max_galaxies}."
        )
    return max_galaxies or len(survey)

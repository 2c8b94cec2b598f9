"""Compute the derived columns of a survey: predictions, how good they are, how unusual and what like each galaxy is.

The work is done shard by shard; each finished shard is a file, so that an interrupted run goes on where it stopped.
"""

import dataclasses
import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec import __version__
from galspec.core.errors import BundleError, ScoresError
from galspec.core.files import atomic_path
from galspec.core.wavelength import N_WAVE
from galspec.models.bundle import PredictorBundle, VaeBundle
from galspec.models.novelty import SCORES, spectrum_novelty
from galspec.preprocess.spectra import is_encodable, spectrum_norms
from galspec.store import layout, scores
from galspec.store.images import from_stored
from galspec.store.scores import N_EMBEDDING, ScoreTable, scores_path
from galspec.store.survey import Survey

Floats = NDArray[np.float64]
Block = dict[str, NDArray[np.generic]]

_BATCH_IMAGES: Final = 64
_FEATURES: Final = "features"


@dataclasses.dataclass(frozen=True)
class ModelPair:
    """A predictor and the VAE whose latents it predicts.

    Parameters
    ----------
    predictor : PredictorBundle
    vae : VaeBundle

    Raises
    ------
    BundleError
        If they do not belong together.
    """

    predictor: PredictorBundle
    vae: VaeBundle

    def __post_init__(self) -> None:
        wanted = self.predictor.info["vae_sha256"]
        if self.vae.sha256 != wanted:
            raise BundleError(
                f"predictor {self.predictor.info['name']!r} belongs to VAE {wanted[:12]}..., but the VAE given is "
                f"{self.vae.sha256[:12]}...: its latents cannot be compared with the predicted ones."
            )


def score_survey(
    models: ModelPair, survey: Survey, path: Path | None = None, progress: Callable[[int], None] | None = None
) -> ScoreTable:
    """Compute and write the scores of every galaxy of a survey.

    Parameters
    ----------
    models : ModelPair
    survey : Survey
    path : Path, optional
        File to write; default ``predictions/<model>.parquet`` in the survey folder.
    progress : callable, optional
        Called with the number of galaxies finished, those of an interrupted run included.

    Returns
    -------
    ScoreTable
        As written.

    Raises
    ------
    ScoresError
        If the file cannot be written.
    SurveyError
        If the survey has neither images nor what it takes to render them.
    """
    made_by = models.predictor.provenance
    path = path or scores_path(survey, made_by["name"], made_by["sha256"])
    parts = _parts_folder(models, survey, path)
    files = []
    for start in range(0, len(survey), layout.SHARD):
        rows = np.arange(start, min(start + layout.SHARD, len(survey)))
        files.append(parts / f"rows-{start:09d}.npz")
        if not files[-1].is_file():
            _save(score_rows(models, survey, rows), files[-1])
        if progress is not None:
            progress(int(rows[-1]) + 1)
    frame, embedding = _assemble(survey, files)
    provenance = scores.scores_provenance(
        models.predictor.provenance, survey, models.vae.novelty is not None, embedding
    )
    scores.write_scores(frame, path, provenance)
    for old in path.parent.glob(f".{path.stem}.*.parts"):
        shutil.rmtree(old, ignore_errors=True)
    return ScoreTable(frame, provenance)


def _parts_folder(models: ModelPair, survey: Survey, path: Path) -> Path:
    """Return the folder of finished shards; its name says what they were made of."""
    what = (models.predictor.sha256, models.vae.sha256, survey.data_hash, __version__, scores.VERSION)
    key = hashlib.sha256(repr(what).encode()).hexdigest()[:12]
    folder = path.parent / f".{path.stem}.{key}.parts"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoresError(f"{path.parent} cannot be written ({error}); name another file with --out.") from None
    return folder


def _save(block: Block, path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **block)  # type: ignore[arg-type]  # numpy's stub takes the names for allow_pickle


def score_rows(models: ModelPair, survey: Survey, rows: NDArray[np.int64]) -> Block:
    """Compute the columns of some galaxies, and the features of their images.

    Parameters
    ----------
    models : ModelPair
    survey : Survey
    rows : ndarray of int, shape (N,)

    Returns
    -------
    dict of ndarray, N rows each
        The columns of `galspec.store.scores` but id and embedding, and "features" (N, F), float32.
    """
    latent, features = _predicted(models.predictor, survey, rows)
    flux, ivar = survey.spectra_block(rows)
    is_usable = is_encodable(flux, ivar)
    n_latent = latent.shape[1]
    observed = np.full((len(rows), n_latent), np.nan, np.float32)
    rebuilt = np.full((len(rows), N_WAVE), np.nan, np.float32)
    if is_usable.any():
        observed[is_usable] = models.vae.latents(flux[is_usable], ivar[is_usable])
        rebuilt[is_usable] = models.vae.decode_standardised(observed[is_usable])
    predicted = models.predictor.decode(latent)
    block: Block = dict(zip(scores.predicted_columns(n_latent), latent.T, strict=True))
    block |= dict(zip(scores.observed_columns(n_latent), observed.T, strict=True))
    block["latent_rmse"] = np.sqrt(np.square(latent - observed).mean(axis=1))
    block |= _spectrum_errors(predicted, rebuilt, flux, ivar)
    has_image = np.isfinite(latent).all(axis=1)
    flags = np.stack([~has_image, ~is_usable], axis=1)
    words = np.array(["no-image", "no-spectrum"])
    block["flag"] = np.array([" ".join(words[flag]) for flag in flags], dtype="U24")
    if models.vae.novelty is not None:
        block |= _novelty(models.vae, flux, ivar, is_usable)
    return block | {_FEATURES: features}


def _predicted(
    predictor: PredictorBundle, survey: Survey, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return latents and features; NaN for a galaxy with a band without any pixel, which `predict_cutout` refuses."""
    found = []
    for start in range(0, len(rows), _BATCH_IMAGES):
        images = from_stored(survey.images_block(rows[start : start + _BATCH_IMAGES]))
        latent, features = predictor.latents_and_features(images)
        has_data: NDArray[np.bool_] = np.asarray(np.isfinite(images).any(axis=(2, 3)), bool)
        is_blind = ~has_data.all(axis=1)
        latent[is_blind], features[is_blind] = np.nan, np.nan
        found.append((latent, features))
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])


def _spectrum_errors(
    predicted: NDArray[np.float32], rebuilt: NDArray[np.float32], flux: NDArray[np.float32], ivar: NDArray[np.float32]
) -> Block:
    """Compare both curves with the observed pixels, as the Galaxy page does, and with each other."""
    norm = spectrum_norms(flux, ivar)[:, None]
    has_data = (ivar > 0) & np.isfinite(ivar) & np.isfinite(flux) & np.isfinite(norm)
    count = np.where(has_data.any(axis=1), has_data.sum(axis=1), np.nan)
    observed = np.where(has_data, flux, 0.0) / norm
    weight = np.where(has_data, ivar, 0.0) * norm**2

    def compare(curve: NDArray[np.float32]) -> tuple[Floats, Floats]:
        square = np.where(has_data, np.square(curve - observed), 0.0)
        square[~np.isfinite(curve).all(axis=1)] = np.nan
        return np.sqrt(square.sum(axis=1) / count), (square * weight).sum(axis=1) / count

    rmse_predicted, chi2_predicted = compare(predicted)
    rmse_vae, chi2_vae = compare(rebuilt)
    columns = {
        "rmse_predicted": rmse_predicted,
        "rmse_vae": rmse_vae,
        "rmse_ratio": rmse_predicted / rmse_vae,
        "rmse_to_vae": np.sqrt(np.square(predicted - rebuilt).mean(axis=1)),
        "chi2_predicted": chi2_predicted,
        "chi2_vae": chi2_vae,
    }
    return {name: values.astype(np.float32) for name, values in columns.items()}


def _novelty(
    vae: VaeBundle, flux: NDArray[np.float32], ivar: NDArray[np.float32], is_usable: NDArray[np.bool_]
) -> Block:
    found = {name: np.full(len(flux), np.nan, np.float32) for name in scores.NOVELTY_COLUMNS}
    if is_usable.any():
        novelty = spectrum_novelty(vae, flux[is_usable], ivar[is_usable])
        for column, name in enumerate(SCORES):
            found[f"p_{name}"][is_usable] = novelty.p_value[:, column]
        found["p_novel"][is_usable] = novelty.p_combined
        found["novelty"][is_usable] = novelty.severity.max(axis=1)
    return dict(found)


def _blocks(files: list[Path]) -> Iterator[Block]:
    for path in files:
        try:
            with path.open("rb") as handle, np.load(handle) as stored:
                block = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            path.unlink(missing_ok=True)
            raise ScoresError(f"the unfinished part {path} was damaged ({error}); run the command again.") from None
        yield block


def _assemble(survey: Survey, files: list[Path]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Join the shards and reduce the features of all images to their first principal components."""
    mean, vectors, explained = _principal_components(block[_FEATURES] for block in _blocks(files))
    columns: list[Block] = []
    names = scores.embedding_columns(len(vectors))
    for block in _blocks(files):
        features = np.asarray(block.pop(_FEATURES), np.float64)
        reduced = ((features - mean) @ vectors.T).astype(np.float16)
        columns.append(block | dict(zip(names, reduced.T, strict=True)))
    joined = {name: np.concatenate([block[name] for block in columns]) for name in columns[0]}
    frame = pd.DataFrame(joined)
    frame["flag"] = frame["flag"].astype(str)
    frame.insert(0, "id", survey.catalog["id"].to_numpy())
    return frame, {
        "method": "principal components of what the network's last layer reads",
        "n_features": len(mean),
        "explained_variance": [round(float(share), 5) for share in explained],
    }


def _principal_components(blocks: Iterator[NDArray[np.generic]]) -> tuple[Floats, Floats, Floats]:
    """Return mean (F,), components (D, F) and shares of the variance (D,) of features that come in blocks.

    Sums are taken about the first block's mean, so that no digits are lost; the sign of a component makes its largest
    entry positive, so that the same features always give the same embedding.
    """
    n_rows, shift, total, square = 0, None, np.zeros(1), np.zeros(1)
    for block in blocks:
        values = np.asarray(block, np.float64)
        values = values[np.isfinite(values).all(axis=1)]
        if shift is None:
            shift = values.mean(axis=0) if len(values) else np.zeros(values.shape[1])
            total, square = np.zeros(len(shift)), np.zeros((len(shift), len(shift)))
        values = values - shift
        n_rows, total, square = n_rows + len(values), total + values.sum(axis=0), square + values.T @ values
    if shift is None or n_rows == 0:
        raise ScoresError("no galaxy of the survey has an image that can be used; there is nothing to score.")
    mean = total / n_rows
    variance, vectors = np.linalg.eigh(square / n_rows - np.outer(mean, mean))
    order = np.argsort(variance)[::-1][:N_EMBEDDING]
    chosen = vectors[:, order].T
    chosen = chosen * np.sign(chosen[np.arange(len(chosen)), np.abs(chosen).argmax(axis=1)])[:, None]
    share = np.maximum(variance[order], 0.0) / max(float(np.maximum(variance, 0.0).sum()), 1e-30)
    return shift + mean, chosen, share

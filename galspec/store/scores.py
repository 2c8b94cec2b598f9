"""Derived columns of a survey for one pair of models: how good each prediction is, and how unusual the galaxy.

They lie beside the survey as ``predictions/<model>.parquet`` (written by `galspec.inference.scores`) and are read
here without torch.
"""

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galspec.core.errors import ScoresError
from galspec.core.files import atomic_path
from galspec.core.home import demo_survey_dir, home_dir
from galspec.store.survey import Survey

Floats32 = NDArray[np.float32]

KIND: Final = "galspec-scores"
VERSION: Final = 1
#: Dimensions that the features of the network are reduced to.
N_EMBEDDING: Final = 16

#: Columns beside id, the latents and the embedding, with what they mean.
COLUMNS: Final = {
    "latent_rmse": "root mean squared difference of predicted and observed latents, standard deviations",
    "rmse_predicted": "RMSE of the prediction against the observed pixels, F_lambda / norm, noise included",
    "rmse_vae": "RMSE of the VAE reconstruction against the observed pixels, F_lambda / norm, noise included",
    "rmse_ratio": "rmse_predicted / rmse_vae: 1 = as good as this decoder can do",
    "rmse_to_vae": "RMSE of the prediction against the VAE reconstruction over all 1000 pixels, F_lambda / norm",
    "chi2_predicted": "mean ((prediction - observed) / sigma)^2 over pixels with data",
    "chi2_vae": "mean ((VAE reconstruction - observed) / sigma)^2 over pixels with data",
    "flag": "why numbers are missing: no-image, no-spectrum, both, or empty",
}
#: Only where the VAE has a novelty calibration.
NOVELTY_COLUMNS: Final = {
    "p_reconstruction": "share of usual spectra reconstructed as badly",
    "p_feature": "share of usual spectra with a feature that is reproduced as badly",
    "p_latent": "share of usual spectra with latents as rare",
    "p_novel": "share of usual spectra as unusual in the worst of the three",
    "novelty": "largest of the three scores over what 1 % of usual spectra exceed",
}


def predicted_columns(n_latent: int) -> list[str]:
    """Return the names of the predicted latents: latent_1, ..."""
    return [f"latent_{index + 1}" for index in range(n_latent)]


def observed_columns(n_latent: int) -> list[str]:
    """Return the names of the latents of the observed spectra: latent_observed_1, ..."""
    return [f"latent_observed_{index + 1}" for index in range(n_latent)]


def embedding_columns(n_embedding: int) -> list[str]:
    """Return the names of the embedding's dimensions: embedding_1, ..."""
    return [f"embedding_{index + 1}" for index in range(n_embedding)]


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """Scores of every galaxy of a survey, in the survey's order.

    Parameters
    ----------
    frame : DataFrame, N rows
        id, latent_1 ..., latent_observed_1 ... (standardised), `COLUMNS`, `NOVELTY_COLUMNS` where known, and
        embedding_1 ... (float16). What cannot be computed is NaN.
    provenance : dict
        Models, survey, version: what the file's metadata say.
    """

    frame: pd.DataFrame
    provenance: dict[str, Any]

    def _block(self, pattern: str) -> Floats32:
        names = [name for name in self.frame.columns if re.fullmatch(pattern, name)]
        return np.ascontiguousarray(self.frame[names].to_numpy(np.float32))

    @functools.cached_property
    def latents(self) -> Floats32:
        """Predicted latents (N, D), standardised."""
        return self._block(r"latent_\d+")

    @functools.cached_property
    def latents_observed(self) -> Floats32:
        """Latents of the observed spectra (N, D), standardised."""
        return self._block(r"latent_observed_\d+")

    @functools.cached_property
    def embedding(self) -> Floats32:
        """The network's view of the image, reduced (N, 16)."""
        return self._block(r"embedding_\d+")

    @property
    def has_novelty(self) -> bool:
        """True if the VAE had a novelty calibration."""
        return "novelty" in self.frame

    @functools.cached_property
    def columns(self) -> pd.DataFrame:
        """The columns that galaxies can be filtered and sorted by: no ids, no embedding."""
        return self.frame[
            [name for name in self.frame.columns if name != "id" and not str(name).startswith("embedding_")]
        ]

    def joined(self, catalog: pd.DataFrame) -> pd.DataFrame:
        """Return the catalogue of the same survey with these columns added; a name it has already is kept as it is."""
        new = self.columns[[name for name in self.columns if name not in catalog]]
        return pd.concat([catalog.reset_index(drop=True), new], axis=1)

    def percentile(self, column: str, row: int, among: NDArray[np.int64] | None = None) -> float:
        """Return the share of galaxies, in percent, whose value is at most that of a row; NaN if it has none.

        Parameters
        ----------
        column : str
            A column of numbers.
        row : int
        among : ndarray of int, optional
            Rows to compare with, e.g. the held-out ones; all if None.
        """
        values = self.frame[column].to_numpy(np.float64)
        known = values if among is None else values[among]
        known = known[np.isfinite(known)]
        if not len(known) or not np.isfinite(values[row]):
            return float("nan")
        return float(100.0 * (known <= values[row]).mean())


def scores_provenance(
    model: dict[str, Any], survey: Survey, has_novelty: bool, embedding: dict[str, Any]
) -> dict[str, Any]:
    """Return what a table of scores says of itself.

    Parameters
    ----------
    model : dict
        `PredictorBundle.provenance`: name, sha256, vae_sha256, ...
    survey : Survey
    has_novelty : bool
    embedding : dict
        How the embedding was made.
    """
    from galspec import __version__

    return {
        "kind": KIND,
        "version": VERSION,
        **model,
        "survey": survey.name,
        "source": survey.source,
        "n_galaxies": len(survey),
        "catalog_sha256": survey.data_hash,
        "novelty": has_novelty,
        "embedding": embedding,
        "columns": COLUMNS | (NOVELTY_COLUMNS if has_novelty else {}),
        "galspec": __version__,
    }


def write_scores(frame: pd.DataFrame, path: Path, provenance: dict[str, Any]) -> None:
    """Write a table of scores with its provenance in the file's metadata, atomically.

    Raises
    ------
    ScoresError
        If the folder cannot be written, as that of an installed demo survey may be.
    """
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    stored = json.dumps(provenance, allow_nan=False).encode()
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"galspec": stored})
    try:
        with atomic_path(path) as temporary:
            pq.write_table(arrow, temporary, compression="zstd")
    except OSError as error:
        raise ScoresError(f"the scores {path} cannot be written ({error}); name another file with --out.") from None


def stored_provenance(path: Path) -> dict[str, Any] | None:
    """Return the provenance in a Parquet file of predictions or scores, or None if it holds none.

    Raises
    ------
    ScoresError
        If the file cannot be read.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise ScoresError(f"the scores {path} cannot be read ({error}); compute them again.") from None
    try:
        content = json.loads(metadata.get(b"galspec", b"null"))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def is_scores_file(path: Path) -> bool:
    """Return True if a file exists and is a table of scores, of any model, survey or version."""
    return path.is_file() and (stored_provenance(path) or {}).get("kind") == KIND


def scores_path(survey: Survey, model_name: str, model_sha256: str | None = None) -> Path:
    """Return where the scores of a model lie: in the survey folder.

    What is shipped is not written over: scores of the demo survey by other weights than the shipped ones lie in
    ``GALSPEC_HOME/predictions``.
    """
    path = survey.prediction_path(model_name)
    if model_sha256 is None or survey.folder.resolve() != demo_survey_dir().resolve():
        return path
    if path.is_file() and (stored_provenance(path) or {}).get("sha256") == model_sha256:
        return path
    folder = home_dir() / "predictions" / f"{survey.name}-{survey.data_hash[:12]}"
    return folder / f"{model_name}-{model_sha256[:12]}.parquet"


def read_scores(
    survey: Survey,
    model_name: str,
    *,
    model_sha256: str | None = None,
    vae_sha256: str | None = None,
    path: Path | None = None,
) -> ScoreTable:
    """Read the scores of a survey; torch is not needed.

    Parameters
    ----------
    survey : Survey
    model_name : str
        Name of the predictor bundle.
    model_sha256, vae_sha256 : str, optional
        Of the weights in use; scores of others are refused.
    path : Path, optional
        Where the table lies, if not at `scores_path`.

    Returns
    -------
    ScoreTable

    Raises
    ------
    ScoresError
        If there is none, or it is damaged, of another version, or belongs to other weights or another survey.
    """
    path = path or scores_path(survey, model_name, model_sha256)
    again = f"compute them with `python -m galspec predict --survey {survey.folder} --scores`"
    if not path.is_file():
        raise ScoresError(f"survey {survey.name!r} has no scores of model {model_name!r}: {again}.")
    provenance = stored_provenance(path)
    if provenance is None or provenance.get("kind") != KIND:
        raise ScoresError(f"{path} holds predictions without scores; {again}.")
    if provenance.get("version") != VERSION:
        raise ScoresError(
            f"{path} holds scores of version {provenance.get('version')!r}; this galspec reads {VERSION}: {again}."
        )
    wanted = {"name": model_name, "sha256": model_sha256, "vae_sha256": vae_sha256}
    for name, value in wanted.items():
        if value is not None and provenance.get(name) != value:
            what = {"name": "the model called", "sha256": "the weights", "vae_sha256": "the VAE"}[name]
            raise ScoresError(
                f"{path} holds scores of {what} {str(provenance.get(name))[:12]}, but {value[:12]} is in use; {again}."
            )
    if provenance.get("catalog_sha256") != survey.data_hash:
        raise ScoresError(
            f"{path} holds scores of survey {provenance.get('survey')!r} with another catalogue "
            f"({str(provenance.get('catalog_sha256'))[:12]}, here {survey.data_hash[:12]}); {again}."
        )
    return ScoreTable(_read_frame(path, survey, again), provenance)


def _read_frame(path: Path, survey: Survey, again: str) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise ScoresError(f"the scores {path} cannot be read ({error}); {again}.") from None
    missing = [name for name in ("id", "latent_1", "latent_observed_1", "embedding_1", *COLUMNS) if name not in frame]
    if missing:
        raise ScoresError(f"{path} lacks the columns {', '.join(missing)}; {again}.")
    if len(frame) != len(survey) or not np.array_equal(frame["id"].to_numpy(), survey.catalog["id"].to_numpy()):
        raise ScoresError(f"{path} does not hold the galaxies of survey {survey.name!r} in their order; {again}.")
    return frame

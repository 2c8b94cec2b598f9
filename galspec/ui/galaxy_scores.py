"""Stored scores on the Galaxy page: where this galaxy's errors stand among held-out galaxies."""

import math
from typing import Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import GalspecError
from galspec.store.scores import ScoreTable
from galspec.store.survey import Survey
from galspec.ui.cache import survey_key
from galspec.ui.labels import number
from galspec.ui.scored_catalog import score_table

#: Split whose galaxies the weights were fitted to.
_TRAIN: Final = "train"
_IN_TRAIN: Final = " This galaxy is in the train split: its own error is not held out."
_ERRORS: Final = {"rmse_ratio": "RMSE ÷ that of the VAE", "latent_rmse": "RMSE of the six latents"}


@st.cache_resource(show_spinner=False, max_entries=4)
def _held_out(_survey: Survey, key: str) -> tuple[NDArray[np.int64], str]:  # noqa: ARG001
    """Return the rows of the held-out galaxies and the names of their splits."""
    splits = _survey.catalog["split"].astype(str).to_numpy()
    rows = np.flatnonzero(splits != _TRAIN)
    return rows, ", ".join(np.unique(splits[rows]))


def percentile_words(survey: Survey, scores: ScoreTable, row: int) -> str:
    """Say where the errors of a galaxy's prediction stand among the held-out galaxies of its survey.

    Parameters
    ----------
    survey : Survey
        Its catalogue has the column split.
    scores : ScoreTable
        Of the survey.
    row : int
    """
    held_out, names = _held_out(survey, survey_key(survey))
    parts = []
    for column, name in _ERRORS.items():
        percentile = scores.percentile(column, row, held_out)
        if math.isfinite(percentile):
            value = number(float(scores.frame[column].iloc[row]), 2)
            parts.append(f"{name} {value}, {percentile:.0f} % have at most that")
    if not len(held_out) or not parts:
        return "No percentile: the stored scores have no error of this galaxy, or the survey no held-out galaxies."
    text = f"Among {len(held_out):,} held-out galaxies (split {names}; 100 % = worst): {'; '.join(parts)}."
    return text + ("" if survey.catalog["split"].iloc[row] != _TRAIN else _IN_TRAIN)


def percentile_line(survey: Survey, galaxy_id: str) -> None:
    """Draw the line under the numbers, or say what it needs."""
    if "split" not in survey.catalog:
        return
    try:
        words = percentile_words(survey, score_table(survey), survey.row(galaxy_id))
    except GalspecError:
        command = f"python -m galspec predict --survey {survey.folder} --scores"
        words = f"Percentiles among held-out galaxies need scores of this model: `{command}`."
    st.caption(words)

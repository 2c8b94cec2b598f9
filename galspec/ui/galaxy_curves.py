"""The curves of a galaxy: decoded from stored latents where the model in use has left some, else computed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from galspec.core.errors import GalspecError
from galspec.ui.cache import cutout, survey_key
from galspec.ui.comparison import Comparison, compare, compare_stored
from galspec.ui.models import is_loaded, load_models
from galspec.ui.stored_scores import stored_predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from galspec.store.survey import SpectrumRecord, Survey


def are_stored(survey: Survey, galaxy_id: str) -> bool:
    """Return True if the curves of a galaxy need no network: its latents of the model in use are stored."""
    return _stored(survey, galaxy_id) is not None


def needs_model(survey: Survey, galaxy_id: str) -> bool:
    """Return True if the curves of a galaxy wait for the model to be loaded."""
    return not is_loaded() and not are_stored(survey, galaxy_id)


def curves_key(survey: Survey, galaxy_id: str) -> str:
    """Return what `comparison` made the curves of, for caches of what is derived from them."""
    if are_stored(survey, galaxy_id):
        card = stored_predictions(survey).card
        return f"stored:{card.sha256 if card else ''}"
    return load_models().key


def comparison(survey: Survey, galaxy_id: str) -> Comparison:
    """Return the curves of a galaxy, with one sentence for each that is missing.

    Stored latents are those of the model in use and of this survey's data (`galspec.store.scores` checks both), so
    neither torch nor the image is needed; a test compares them with computed ones, to 1e-3 of a standard deviation.
    """
    if (curves := _stored(survey, galaxy_id)) is not None:
        return curves
    models = load_models()
    found = _computed(survey, survey_key(survey), galaxy_id, models.key)
    problems = tuple(dict.fromkeys((*models.problems, *found.problems)))
    return dataclasses.replace(found, problems=problems)


def _stored(survey: Survey, galaxy_id: str) -> Comparison | None:
    stored = stored_predictions(survey)
    if stored.card is None or stored.scores is None or stored.decoder is None:
        return None
    return _decoded(survey, survey_key(survey), galaxy_id, stored.card.sha256)


@st.cache_data(show_spinner=False, max_entries=512)
def _decoded(_survey: Survey, key: str, galaxy_id: str, sha256: str) -> Comparison | None:  # noqa: ARG001
    """Return the curves of stored latents; None where one is missing, so that the reason is found by computing."""
    stored = stored_predictions(_survey)
    if stored.scores is None or stored.decoder is None:
        return None
    row = _survey.row(galaxy_id)
    predicted, observed = stored.scores.latents[row], stored.scores.latents_observed[row]
    if not np.isfinite([predicted, observed]).all():
        return None
    try:
        curves = compare_stored(_survey.spectrum(galaxy_id), stored.decoder, predicted, observed)
    except GalspecError:
        return None
    how = stored.scores.provenance.get("inference", "")
    return dataclasses.replace(curves, inference=f"stored latents{f' ({how})' if how else ''}")


@st.cache_data(show_spinner=False, max_entries=512)
def _computed(_survey: Survey, key: str, galaxy_id: str, models_key: str) -> Comparison:  # noqa: ARG001
    problems: list[str] = []
    record: SpectrumRecord | None = None
    image: NDArray[np.float32] | None = None
    try:
        record = _survey.spectrum(galaxy_id)
    except GalspecError as error:
        problems.append(str(error))
    try:
        image = cutout(_survey, key, galaxy_id)
    except GalspecError as error:
        problems.append(str(error))
    return compare(record, image, load_models(), tuple(problems))

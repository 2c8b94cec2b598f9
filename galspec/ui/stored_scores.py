"""The stored scores of the model in use, and its decoder without torch, read once per server for all pages."""

import dataclasses

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.store.decoder import StoredDecoder, read_decoder
from galspec.store.scores import ScoreTable, read_scores, scores_path
from galspec.store.survey import Survey
from galspec.ui.cache import survey_key
from galspec.ui.model_card import ModelCard, model_dir, read_model_card


def stored_scores(survey: Survey) -> ScoreTable:
    """Return the scores of a survey for the model in use, read anew when the file changes.

    Raises
    ------
    GalspecError
        If there is no model, or there are no scores of it that fit this survey.
    """
    card = read_model_card(model_dir())
    path = scores_path(survey, card.name, card.sha256)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _read(survey, survey_key(survey), stamp, card)


@st.cache_resource(show_spinner=False, max_entries=2)
def _read(_survey: Survey, key: str, stamp: int, card: ModelCard) -> ScoreTable:  # noqa: ARG001
    return read_scores(_survey, card.name, model_sha256=card.sha256, vae_sha256=card.vae_sha256)


@dataclasses.dataclass(frozen=True)
class Stored:
    """What stored predictions need: the scores of a survey and the decoder, or why they are missing.

    Parameters
    ----------
    card : ModelCard or None
    scores : ScoreTable or None
    decoder : StoredDecoder or None
    problem : str
        One sentence if a part is missing, else empty.
    """

    card: ModelCard | None = None
    scores: ScoreTable | None = None
    decoder: StoredDecoder | None = None
    problem: str = ""


@st.cache_resource(show_spinner=False, max_entries=2)
def _read_decoder(_card: ModelCard, folder: str, sha256: str) -> StoredDecoder:  # noqa: ARG001
    return read_decoder(_card.folder)


def stored_predictions(survey: Survey | None) -> Stored:
    """Return the stored predictions of the app's model for a survey."""
    card, scores = None, None
    try:
        card = read_model_card(model_dir())
        if survey is None:
            return Stored(card)
        scores = stored_scores(survey)
        return Stored(card, scores, _read_decoder(card, str(card.folder), card.sha256))
    except GalspecError as error:
        return Stored(card, scores, None, str(error))

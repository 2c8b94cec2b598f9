"""The stored scores of the model in use, read once per server for all pages."""

import streamlit as st

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

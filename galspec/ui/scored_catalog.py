"""The catalogue that pages filter, sort and show: with the scores of the model in use and the reader's verdicts."""

import dataclasses

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import GalspecError, VerdictError
from galspec.store.scores import ScoreTable
from galspec.store.survey import Survey
from galspec.store.verdicts import VerdictLog
from galspec.ui.cache import survey_key
from galspec.ui.stored_scores import stored_scores
from galspec.ui.verdict_panel import verdict_log, verdict_stamp

#: Columns that are no properties of a galaxy: what vectors for likeness are made of.
VECTOR_PREFIX = "embedding_"


@dataclasses.dataclass(frozen=True)
class ScoredCatalog:
    """A survey's catalogue with everything that is joined to it.

    Parameters
    ----------
    frame : DataFrame, N rows
        The catalogue; latents, errors, novelty and embedding_1 ... where there are scores; verdict ("given" or
        "none"), has_verdict, verdict_score and verdict_flags.
    scores : ScoreTable or None
    problem : str
        Why there are no scores; empty if there are.
    repeats : ndarray of int, shape (N,)
        How many observations of the same galaxy (within 3 arcsec) the survey has.
    """

    frame: pd.DataFrame
    scores: ScoreTable | None
    problem: str = ""
    repeats: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))


def scored_catalog(survey: Survey) -> ScoredCatalog:
    """Return the catalogue with scores and verdicts; it is put together again only when one of them changes."""
    key, problem = survey_key(survey), ""
    scores: ScoreTable | None = None
    try:
        scores = stored_scores(survey)
    except GalspecError as error:
        problem = str(error)
    try:
        log = verdict_log(survey.name)
    except VerdictError:
        log = VerdictLog()  # the verdict row says it
    scores_key = "" if scores is None else f"{scores.provenance['sha256']}:{scores.provenance.get('vae_sha256')}"
    frame = _joined(survey, key, scores_key, scores)
    frame = _with_verdicts(survey, f"{key}|{scores_key}|{verdict_stamp(survey.name)}", frame, log)
    return ScoredCatalog(frame, scores, problem, _repeats(survey, key))


@st.cache_resource(show_spinner=False, max_entries=2)
def _repeats(_survey: Survey, key: str) -> NDArray[np.int64]:  # noqa: ARG001
    if "group_id" not in _survey.catalog:
        return np.ones(len(_survey), np.int64)
    groups = _survey.catalog["group_id"]
    return np.asarray(groups.map(groups.value_counts()).fillna(1).to_numpy(np.int64))


@st.cache_resource(show_spinner=False, max_entries=2)
def _joined(_survey: Survey, key: str, scores_key: str, _scores: ScoreTable | None) -> pd.DataFrame:  # noqa: ARG001
    if _scores is None:
        return _survey.catalog
    vectors = [name for name in _scores.frame.columns if str(name).startswith(VECTOR_PREFIX)]
    return pd.concat([_scores.joined(_survey.catalog), _scores.frame[vectors]], axis=1)


@st.cache_resource(show_spinner=False, max_entries=4)
def _with_verdicts(_survey: Survey, key: str, _frame: pd.DataFrame, _log: VerdictLog) -> pd.DataFrame:  # noqa: ARG001
    score = np.full(len(_frame), np.nan)
    flags = np.full(len(_frame), "", dtype=object)
    has_verdict = np.zeros(len(_frame))
    for galaxy_id, verdict in _log.latest.items():
        try:
            row = _survey.row(galaxy_id)
        except GalspecError:
            continue  # of an older survey of the same name
        has_verdict[row] = 1.0
        score[row] = np.nan if verdict.score is None else verdict.score
        flags[row] = " ".join(verdict.flags)
    return _frame.assign(
        verdict=np.where(has_verdict > 0, "given", "none"),
        has_verdict=has_verdict,
        verdict_score=score,
        verdict_flags=flags,
    )

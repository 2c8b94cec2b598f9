"""What is kept between reruns: the open survey, thumbnails and cutouts, keyed by identity not content."""

from __future__ import annotations

import base64
import threading

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import GalspecError
from galspec.store.survey import Survey, open_survey
from galspec.ui.model_card import survey_dir

#: One reader at a time: two sessions may open the same Parquet file for the first time.
READING = threading.Lock()


def current_survey() -> Survey:
    """Return the app's survey, opened once per server and anew when its survey.json changes.

    Raises
    ------
    SurveyError
        If the folder is no survey.
    """
    folder = survey_dir()
    path = folder / "survey.json"
    return _open(str(folder), path.stat().st_mtime_ns if path.is_file() else 0)


@st.cache_resource(show_spinner=False, max_entries=2)
def _open(folder: str, stamp: int) -> Survey:  # noqa: ARG001  # the stamp is part of the cache's key
    survey = open_survey(folder)
    _ = survey.catalog
    return survey


def has_galaxy(survey: Survey, galaxy_id: str) -> bool:
    """Return True if the survey has a galaxy of this id."""
    try:
        survey.row(galaxy_id)
    except GalspecError:
        return False
    return True


def survey_key(survey: Survey) -> str:
    """Return the identity of an open survey for caches: its folder and its age."""
    return f"{survey.folder}:{(survey.folder / 'survey.json').stat().st_mtime_ns}"


@st.cache_data(show_spinner=False, max_entries=20_000)
def thumbnail_uri(_survey: Survey, key: str, row: int) -> str:  # noqa: ARG001
    """Return a thumbnail as a data URI; stored ones are read, others rendered. Empty if there is no image."""
    with READING:
        try:
            webp = _survey.thumbnail(row)
            if webp is None:
                from galspec.store.thumbnails import thumbnail_webp

                webp = thumbnail_webp(_survey.cutout(row))
        except GalspecError:
            return ""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


@st.cache_data(show_spinner=False, max_entries=64)
def cutout(_survey: Survey, key: str, galaxy_id: str) -> NDArray[np.float32]:  # noqa: ARG001
    """Return a cutout (5, 224, 224) in nJy per pixel, read or rendered.

    Raises
    ------
    SurveyError
        If the survey has neither images nor what it takes to render them.
    """
    with READING:
        return _survey.cutout(galaxy_id)

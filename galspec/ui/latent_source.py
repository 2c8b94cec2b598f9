"""What the Latents page stands on: the decoder, the galaxies' latents, names and density; all of it without torch."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import BundleError, GalspecError
from galspec.store.decoder import StoredDecoder, read_decoder
from galspec.store.latent_density import LatentDensity, bundle_density, survey_density
from galspec.store.scores import ScoreTable
from galspec.store.survey import Survey
from galspec.ui.cache import survey_key
from galspec.ui.galaxy_curves import comparison
from galspec.ui.latent_lab import model_bytes
from galspec.ui.model_card import ModelCard, model_dir, read_model_card
from galspec.ui.stored_scores import stored_scores

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: Where latents of a galaxy come from: key in the URL -> words.
KINDS: Final = {"predicted": "predicted from the image", "observed": "of the observed spectrum"}
#: Percentiles of the galaxies that are marked at each slider.
USUAL: Final = (1.0, 99.0)


@dataclasses.dataclass(frozen=True)
class LatentSource:
    """Everything of one survey and one model that the page reads.

    Parameters
    ----------
    survey : Survey
    card : ModelCard
    decoder : StoredDecoder
    scores : ScoreTable or None
        Stored latents of all galaxies.
    scores_problem : str
        Why there are none.
    density : LatentDensity or None
    density_problem : str
        Why there is none.
    meanings : tuple of str
        What each latent does, from the VAE's bundle; "no name is stored" without one.
    """

    survey: Survey
    card: ModelCard
    decoder: StoredDecoder
    scores: ScoreTable | None
    scores_problem: str
    density: LatentDensity | None
    density_problem: str
    meanings: tuple[str, ...]

    @property
    def n_latent(self) -> int:
        """Number of latents of the decoder."""
        return len(self.decoder.latent_mean)

    @property
    def names(self) -> list[str]:
        """L1, L2, ..."""
        return [f"L{index + 1}" for index in range(self.n_latent)]

    @property
    def data_source(self) -> str:
        """SIMULATED if the survey or the galaxies the model learned from are, REAL if both are, else empty."""
        sources = {self.survey.source, self.card.trained_on}
        return "SIMULATED" if "SIMULATED" in sources else "REAL" if sources == {"REAL"} else ""

    @property
    def bytes_key(self) -> str:
        """Names the decoder and the density together."""
        return f"{self.card.sha256}-{self.density.source if self.density else 'none'}"

    def latents(self, kind: str) -> Floats32 | None:
        """Return the latents (N, D) of all galaxies, or None if no scores are stored."""
        if self.scores is None:
            return None
        return self.scores.latents if kind == "predicted" else self.scores.latents_observed

    @property
    def scores_key(self) -> str:
        """Names survey and model for caches."""
        return f"{survey_key(self.survey)}:{self.card.sha256}"

    @property
    def usual(self) -> Floats | None:
        """The 1 and 99 percentiles of the observed spectra's latents, shape (2, D), or None without scores."""
        return None if self.scores is None else _usual(self.scores, self.scores_key)

    def galaxy_latent(self, galaxy_id: str, kind: str) -> tuple[Floats | None, str]:
        """Return the latents (D,) of a galaxy, stored or computed, or None and why.

        Parameters
        ----------
        galaxy_id : str
            Of the survey.
        kind : str
            A key of `KINDS`.
        """
        latents = self.latents(kind)
        if latents is not None:
            latent = latents[self.survey.row(galaxy_id)].astype(np.float64)
            if np.isfinite(latent).all():
                return latent, ""
            flag = "" if self.scores is None else str(self.scores.frame["flag"].iloc[self.survey.row(galaxy_id)])
            return None, f"{galaxy_id} has no latents {KINDS[kind]} ({flag or 'not computed'})."
        found = comparison(self.survey, galaxy_id)
        computed = found.latent_predicted if kind == "predicted" else found.latent_true
        if computed is not None and computed.shape == (self.n_latent,):
            return np.asarray(computed, np.float64), ""
        reason = " ".join(found.problems) or "the models in use do not give them"
        return None, f"{galaxy_id} has no latents {KINDS[kind]}: {reason}"


def read_source(survey: Survey) -> LatentSource:
    """Read the app's model and the survey's scores.

    Raises
    ------
    BundleError
        If there is no model, or its decoder cannot be read.
    """
    card = read_model_card(model_dir())
    decoder = _decoder(card, card.sha256)
    scores, scores_problem = None, ""
    try:
        scores = stored_scores(survey)
        if scores.latents.shape[1] != len(decoder.latent_mean):
            n_stored, n_latent = scores.latents.shape[1], len(decoder.latent_mean)
            scores, scores_problem = None, f"the scores hold {n_stored} latents, the decoder reads {n_latent}."
    except GalspecError as error:
        scores_problem = str(error)
    density, density_problem = _density(card, survey, scores, len(decoder.latent_mean))
    meanings = _meanings(card, len(decoder.latent_mean))
    return LatentSource(survey, card, decoder, scores, scores_problem, density, density_problem, meanings)


@st.cache_resource(show_spinner=False, max_entries=2)
def _decoder(_card: ModelCard, sha256: str) -> StoredDecoder:  # noqa: ARG001
    return read_decoder(_card.folder)


def _vae_folder(card: ModelCard) -> Path | None:
    return next((folder for folder in card.vae_folders() if (folder / "model.json").is_file()), None)


@st.cache_resource(show_spinner=False, max_entries=2)
def _bundle_density(folder: str, vae_sha256: str) -> LatentDensity:
    return bundle_density(Path(folder), vae_sha256)


@st.cache_resource(show_spinner=False, max_entries=2)
def _survey_density(_scores: ScoreTable, key: str, name: str) -> LatentDensity:  # noqa: ARG001
    return survey_density(_scores.latents_observed, name)


def _density(
    card: ModelCard, survey: Survey, scores: ScoreTable | None, n_latent: int
) -> tuple[LatentDensity | None, str]:
    """Return the density of the train galaxies, else of the survey's, else why there is none."""
    folder = _vae_folder(card)
    try:
        if folder is None:
            raise BundleError(f"VAE {card.vae_name!r} of this model was not found.")
        found = _bundle_density(str(folder), card.vae_sha256)
        if found.reference.shape[1] == n_latent:
            return found, ""
        problem = "the train latents and the decoder differ in number."
    except GalspecError as error:
        problem = str(error)
    if scores is None:
        return None, problem
    try:
        return _survey_density(scores, f"{survey_key(survey)}:{card.sha256}", survey.name), ""
    except GalspecError as error:
        return None, f"{problem} {error}"


def _meanings(card: ModelCard, n_latent: int) -> tuple[str, ...]:
    names: list[Any] = []
    folder = _vae_folder(card)
    if folder is not None:
        try:
            info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            names = info.get("latent_names") or [] if info.get("sha256") == card.vae_sha256 else []
        except (OSError, ValueError):
            names = []
    if len(names) != n_latent:
        return ("no name is stored",) * n_latent
    return tuple(str(name).partition(": ")[2].replace("<->", "↔") or "no name is stored" for name in names)


@st.cache_resource(show_spinner=False, max_entries=2)
def _usual(_scores: ScoreTable, key: str) -> Floats | None:  # noqa: ARG001
    latents = _scores.latents_observed
    known = latents[np.isfinite(latents).all(axis=1)]
    return np.asarray(np.percentile(known, USUAL, axis=0), np.float64) if len(known) else None


@st.cache_resource(show_spinner=False, max_entries=2)
def _model_bytes(_source: LatentSource, key: str) -> bytes:
    return model_bytes(_source.decoder, _source.density, key)


def browser_model(source: LatentSource) -> bytes:
    """Return what the browser decodes with, made once per model."""
    return _model_bytes(source, source.bytes_key)

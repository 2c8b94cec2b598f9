"""Simulating a survey and predicting one, as jobs on the same engine."""

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from galspec.core.errors import GalspecError, JobError
from galspec.core.home import home_dir, shipped_weights_dir
from galspec.jobs import engine
from galspec.jobs.job import Resources
from galspec.jobs.request import require_bundle, require_inside, require_survey
from galspec.ui import address, train_state
from galspec.ui.model_card import model_dir, survey_dir
from galspec.ui.train_access import require_jobs_allowed

_PROBLEM: Final = "train_other_problem"


def other_form() -> None:
    """Draw two small forms; they run with the defaults of their commands."""
    st.markdown("**Simulate a survey**")
    name = st.text_input("Name of the survey", "sim-new", key="train_sim_name", max_chars=40, on_change=address.touch)
    n = int(st.number_input("Galaxies", 1, 1_000_000, 2000, key="train_sim_n", on_change=address.touch))
    seed = int(st.number_input("Seed", 0, 2**31 - 1, 1, key="train_sim_seed", on_change=address.touch))
    images = st.toggle("Store images (0.5 MB a galaxy)", True, key="train_sim_images", on_change=address.touch)
    st.button("Simulate", key="train_simulate", on_click=_simulate, args=(name, n, seed, images))
    st.markdown("**Predict the app's survey with the app's model**")
    st.caption("Predictions, errors and novelty of every galaxy, for the other pages.")
    st.button("Predict", key="train_predict", on_click=_predict)
    if problem := st.session_state.pop(_PROBLEM, ""):
        st.error(problem)


def simulate_words(name: str, n: int, seed: int, has_images: bool) -> tuple[str, ...]:
    """Return the command of a simulation, checked.

    Raises
    ------
    JobError
        If the spectral basis is missing, or the name leads out of the workspace.
    """
    from galspec.simulation.basis import default_basis_path

    if not default_basis_path().is_file():
        raise JobError("the spectral basis is missing: run `make simulate` once on a terminal.", "basis")
    if name != name.strip() or not name or "/" in name or name.startswith("~"):
        raise JobError(f"{name!r} is no name of a survey.", "name")
    out = require_inside(name, "name", "surveys")
    words = ("simulate", "--n", str(n), "--seed", str(seed), "--out", str(out))
    return words if has_images else (*words, "--no-images")


def predict_words() -> tuple[str, ...]:
    """Return the command that scores the app's survey, checked.

    Raises
    ------
    JobError
        If survey or model are missing, or the shipped demo would be written to.
    """
    survey = require_survey(survey_dir())
    if home_dir() not in survey.parents:
        raise JobError(f"{survey} lies outside the workspace; a job writes only inside it.", "survey")
    model = require_bundle(model_dir(), "model")
    words = ("predict", "--survey", str(survey), "--scores", "--model", str(model))
    vae = model.parent / "vae6"
    return (*words, "--vae", str(vae if vae.is_dir() else shipped_weights_dir() / "vae6"))


def _simulate(name: str, n: int, seed: int, has_images: bool) -> None:
    settings = {"survey": name, "n": n, "seed": seed, "images": has_images}
    _submit("simulate", lambda: simulate_words(name, n, seed, has_images), settings)


def _predict() -> None:
    _submit("predict", predict_words, {"survey": str(survey_dir()), "model": str(model_dir())})


def _submit(name: str, words: Callable[[], tuple[str, ...]], settings: dict[str, Any]) -> None:
    address.touch()
    try:
        require_jobs_allowed()
        folder = engine.submit(name, words(), Resources(device="auto" if name == "predict" else "cpu"), settings)
    except GalspecError as error:
        st.session_state[_PROBLEM] = str(error)
        return
    train_state.show_job(folder.id)

"""The line on top of every page: what is shown, simulated or real, by which model."""

import streamlit as st

from galspec.core.errors import BundleError
from galspec.store.survey import Survey
from galspec.ui.model_card import model_dir, read_model_card


def badges(survey: Survey) -> None:
    """Draw the badges: source of the data, survey, model with the start of its checksum."""
    simulated = survey.source == "SIMULATED"
    st.badge(
        "SIMULATED DATA" if simulated else "REAL DATA",
        icon=":material/experiment:" if simulated else ":material/visibility:",
        color="orange" if simulated else "blue",
        help="Galaxies, images and spectra are computed, not observed." if simulated else "Observed galaxies.",
    )
    st.badge(f"survey {survey.name}", color="gray", help=f"{len(survey):,} galaxies")
    try:
        card = read_model_card(model_dir())
    except BundleError as error:
        st.badge("no model", icon=":material/block:", color="gray", help=str(error))
        return
    help_text = f"Trained on {card.trained_on} galaxies ({card.training_survey}). SHA-256 of its weights: {card.sha256}"
    st.badge(f"model {card.short}", color="gray", help=help_text)

"""Panels of the Galaxy page that cost time: they are computed only while they are open."""

from typing import Any

import streamlit as st

from galspec.core.errors import GalspecError
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import galaxy_state as state
from galspec.ui.cache import survey_key
from galspec.ui.comparison import Comparison
from galspec.ui.measured import (
    Measured,
    bpt_figure,
    bpt_sentences,
    fluxes_table,
    measure_curves,
    widths_table,
)
from galspec.ui.models import load_models


def panel_choice() -> str | None:
    """Draw the choice of panel and return its key, or None if none is open."""
    st.segmented_control(
        "More of this galaxy",
        list(state.PANELS),
        format_func=lambda key: state.PANELS[key],
        key=state.PANEL,
        on_change=address.touch,
        label_visibility="collapsed",
        width="content",
    )
    return state.current_panel()


@st.cache_data(show_spinner=False, max_entries=128)
def _measured(
    _comparison: Comparison,
    redshift: float,
    key: str,  # noqa: ARG001
    galaxy_id: str,  # noqa: ARG001
    models_key: str,  # noqa: ARG001
) -> Measured:
    return measure_curves(_comparison, redshift)


def measured_panel(survey: Survey, comparison: Comparison, values: dict[str, Any]) -> None:
    """Draw lines, indices and BPT positions of the three curves."""
    with st.spinner("Measuring …"):
        try:
            measured = _measured(
                comparison, float(values["redshift"]), survey_key(survey), str(values["id"]), load_models().key
            )
        except GalspecError as error:
            st.error(f"The lines cannot be measured: {error}")
            return
    if not measured.by_curve:
        st.info("There is no curve to measure.")
        return
    left, right = st.columns([2, 1], gap="medium")
    with left:
        st.table(
            widths_table(measured), border="horizontal", hide_index=True, alt="Lines and indices of the three curves"
        )
        st.table(
            fluxes_table(measured), border="horizontal", hide_index=True, alt="Line fluxes, observed and reconstructed"
        )
        flags = str(measured.by_curve["observed"]["flag"]) if "observed" in measured.by_curve else ""
        st.caption(
            "Equivalent widths: rest frame, positive in emission; HδA and Mg b: positive in absorption. One code for "
            "all curves; the models have no noise, hence no errors. Fluxes: observed frame, calibration in the error; "
            "the prediction has no flux scale. Unsmoothed pixels."
            + (f" Flags of the observed fit: {flags}." if flags else "")
        )
    with right:
        sentences = bpt_sentences(measured)
        st.plotly_chart(
            bpt_figure(measured),
            key="galaxy_bpt",
            config={"displayModeBar": False},
            alt=f"BPT diagram, log [N II]/Hα and log [O III]/Hβ. {' '.join(sentences)}",
        )
        st.caption(" ".join(sentence[0].upper() + sentence[1:] for sentence in sentences))

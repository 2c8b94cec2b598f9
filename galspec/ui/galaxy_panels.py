"""Panels of the Galaxy page that cost time: they are computed only while they are open."""

from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import GalspecError
from galspec.store.similar import similar_galaxies
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import galaxy_state as state
from galspec.ui.cache import survey_key, thumbnail_uri
from galspec.ui.comparison import Comparison
from galspec.ui.galaxy_curves import curves_key
from galspec.ui.gallery import gallery
from galspec.ui.labels import class_word, number
from galspec.ui.measured import (
    Measured,
    bpt_figure,
    bpt_sentences,
    fluxes_table,
    measure_curves,
    widths_table,
)
from galspec.ui.query import like_sort
from galspec.ui.stored_scores import stored_scores

_N_SIMILAR: Final = 8
_SIMILAR: Final = {
    "latents": ("By the spectrum predicted from the image", "d: distance in standardised latents", "galaxy_similar"),
    "embedding": (
        "By the network's view of the image",
        "d: distance in its reduced last layer",
        "galaxy_similar_image",
    ),
}


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
    made_of: str,  # noqa: ARG001
) -> Measured:
    return measure_curves(_comparison, redshift)


def measured_panel(survey: Survey, comparison: Comparison, values: dict[str, Any]) -> None:
    """Draw lines, indices and BPT positions of the three curves."""
    with st.spinner("Measuring …"):
        try:
            galaxy_id = str(values["id"])
            made_of = curves_key(survey, galaxy_id)
            measured = _measured(comparison, float(values["redshift"]), survey_key(survey), galaxy_id, made_of)
        except GalspecError as error:
            st.error(f"The lines cannot be measured: {error}")
            return
    if not measured.by_curve:
        st.info("There is no curve to measure.")
        return
    left, right = st.columns([3, 2], gap="medium")
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
            bpt_figure(measured, source=survey.source),
            key="galaxy_bpt",
            config={"displayModeBar": False},
            alt=f"BPT diagram, log [N II]/Hα and log [O III]/Hβ. {' '.join(sentences)}",
        )
        st.caption(" ".join(sentence[0].upper() + sentence[1:] for sentence in sentences))


def similar_panel(survey: Survey, galaxy_id: str) -> None:
    """Draw the galaxies nearest in predicted latents and in the network's view of the image; a click opens one."""
    try:
        table = stored_scores(survey)
    except GalspecError as error:
        st.info(f"Nearest galaxies need scores of the model in use: {error}", icon=":material/info:")
        return
    for name, (title, unit, key) in _SIMILAR.items():
        st.markdown(f"**{title}** ({unit})")
        _similar_row(survey, galaxy_id, getattr(table, name), key)
        if st.button("All galaxies in this order", key=f"{key}_all", icon=":material/grid_view:"):
            by = "latents" if name == "latents" else "image"
            st.switch_page("pages/browse.py", query_params={"sort": like_sort(galaxy_id, by)})
    st.caption(f"The {_N_SIMILAR} nearest of {len(survey):,}, nearest first; the galaxy itself is left out.")


def _similar_row(survey: Survey, galaxy_id: str, vectors: NDArray[np.float32], key: str) -> None:
    catalog = survey.catalog
    try:
        found = similar_galaxies(
            survey.row(galaxy_id), vectors, catalog["id"], catalog["ra_deg"], catalog["dec_deg"], _N_SIMILAR
        )
    except GalspecError as error:
        st.info(str(error), icon=":material/info:")
        return
    cards = []
    records = catalog.iloc[found.rows].to_dict("records")
    for row, distance, values in zip(found.rows.tolist(), found.distance.tolist(), records, strict=True):
        facts = f"z {number(values['redshift'], 4)}"
        word = class_word("galaxy_class", values.get("galaxy_class", ""))
        cards.append(
            {
                "id": values["id"],
                "src": thumbnail_uri(survey, survey_key(survey), row),
                "facts": f"d {number(distance, 2)} · {facts}",
                "class": word,
                "label": f"Open galaxy {values['id']}, distance {distance:.2f}, {facts}, {word}",
            }
        )
    opened = gallery(cards, key=key, on_open=address.touch)
    if found.note:
        st.caption(found.note[0].upper() + found.note[1:])
    if opened:
        state.go_to(opened)
        st.rerun()

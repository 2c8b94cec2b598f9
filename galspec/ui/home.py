"""Parts of the Home page: what this is, an example, limits, state of the installation, citations, help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import streamlit as st

from galspec.core.errors import GalspecError
from galspec.store.survey import Survey
from galspec.ui import address, home_facts
from galspec.ui.cache import cutout, survey_key
from galspec.ui.citations import CITATIONS
from galspec.ui.copy_link import copy_link
from galspec.ui.galaxy_state import keep_galaxy
from galspec.ui.header import badges
from galspec.ui.help import help_button
from galspec.ui.labels import class_word, number
from galspec.ui.stored_scores import Stored

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from galspec.ui.comparison import Comparison

_SEED: Final = "home_seed_kept"
_URL_NAMES: Final = ("seed",)
_FIRST_SEED: Final = 1
_HEIGHT: Final = 380
_WAS_DRAWN: Final = "home_example_drawn"

WHAT: Final = (
    "galspec predicts the optical spectrum of a galaxy from its five-band image: a convolutional network reads six "
    "latent variables off a Pan-STARRS cutout (grizy, 224 × 224 pixels), and the decoder of a variational autoencoder "
    "turns them into a rest-frame spectrum."
)


def read_seed() -> str:
    """Take the example's seed from the URL, else from the session; return what was wrong with the URL."""
    problem = ""
    if address.is_navigation("home", _URL_NAMES):
        st.session_state.pop(_SEED, None)
        if "seed" in st.query_params:
            try:
                st.session_state[_SEED] = home_facts.seed_of(st.query_params["seed"])
            except ValueError as error:
                problem = f"The URL's seed is ignored: {error}. Seed {_FIRST_SEED} is shown."
    st.session_state.setdefault(_SEED, _FIRST_SEED)
    return problem


def _another() -> None:
    address.touch()
    st.session_state[_SEED] = (st.session_state[_SEED] + 1) % 1_000_000_000


def title_line(survey: Survey | None) -> None:
    """Draw title, badges, the ways on and the help button; then what this is."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("galspec", width="content", anchor=False)
        if survey is not None:
            badges(survey)
        st.space("stretch")
        if st.button("Browse", key="home_browse", shortcut="B", icon=":material/grid_view:", type="primary"):
            st.switch_page("pages/browse.py")
        copy_link()
        help_button("Home", "home_help")
    st.markdown(WHAT)


def no_survey(message: str) -> None:
    """Say why there is no survey, and the way on."""
    st.error(message)
    st.caption("Start the app with `--survey DIR` to show another survey folder; without it, the demo survey is shown.")


def example(survey: Survey, stored: Stored) -> None:
    """Draw a held-out galaxy: image, spectra, residual; written below the text, which is painted first."""
    seed = int(st.session_state[_SEED])
    try:
        rows = home_facts.held_out_rows(survey, stored.scores)
    except GalspecError as error:
        st.info(str(error))
        return
    row = home_facts.example_row(rows, seed)
    values = survey.catalog.iloc[row].to_dict()
    galaxy_id = str(values["id"])
    left, right = st.columns([1, 3.2], gap="small")
    with right:
        note = _spectrum(survey, stored, row, values)  # first: the browser takes longer for it than for the image
    with left:
        _image(survey, galaxy_id)
        word = class_word("galaxy_class", values.get("galaxy_class", ""))
        st.markdown(f"**{galaxy_id}**  \nz {number(float(values['redshift']), 5)}{f', {word}' if word else ''}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Open this galaxy", key="home_open", shortcut="G", icon=":material/ssid_chart:"):
            keep_galaxy(galaxy_id)
            st.switch_page("pages/galaxy.py", query_params={"id": galaxy_id})
        st.button(
            "Another galaxy",
            key="home_another",
            shortcut="N",
            icon=":material/shuffle:",
            on_click=_another,
            help=f"One of {len(rows):,} held-out galaxies, drawn with seed {seed}; the address keeps it.",
        )
        st.caption(f"Split {values['split']}: no weights were fitted to it. {note}", width=720)
    if stored.problem:
        st.info(f"Only the observed spectrum is shown: {stored.problem}", icon=":material/info:")
    address.write("home", _URL_NAMES, {"seed": str(seed)} if seed != _FIRST_SEED else {})


@st.cache_data(show_spinner=False, max_entries=64)
def _composite(_survey: Survey, key: str, galaxy_id: str) -> bytes:
    from galspec.ui.images import composite_image

    return composite_image(cutout(_survey, key, galaxy_id))


def _image(survey: Survey, galaxy_id: str) -> None:
    try:
        picture = _composite(survey, survey_key(survey), galaxy_id)
    except GalspecError as error:
        st.error(str(error))
        return
    kind = "simulated galaxy" if survey.source == "SIMULATED" else "galaxy"
    st.image(
        picture,
        width="stretch",
        alt=f"Colour composite (R = z, G = i, B = g) of {kind} {galaxy_id}; 56 arcsec on a side, north up, east left, "
        "10 arcsec scale bar, circle: 3 arcsec fibre.",
    )


def _comparison(survey: Survey, stored: Stored, row: int) -> Comparison:
    from galspec.ui.comparison import compare_stored

    has_latents = stored.scores is not None and stored.decoder is not None
    predicted = stored.scores.latents[row] if has_latents and stored.scores else None
    observed = stored.scores.latents_observed[row] if has_latents and stored.scores else None
    return compare_stored(survey.spectrum(row), stored.decoder, predicted, observed)


def _spectrum(survey: Survey, stored: Stored, row: int, values: Mapping[Hashable, Any]) -> str:
    slot = st.empty()
    if not st.session_state.get(_WAS_DRAWN):
        slot.skeleton(height=_HEIGHT)  # the first plot of a server waits for Plotly's import
    from galspec.ui.charts import spectrum_figure
    from galspec.ui.galaxy_frame import Frame
    from galspec.ui.line_marks import lines_in_window

    try:
        curves = _comparison(survey, stored, row)
    except GalspecError as error:
        slot.error(str(error))
        return ""
    redshift, is_simulated = float(values["redshift"]), survey.source == "SIMULATED"
    window = (float(curves.wave[0]), float(curves.wave[-1]))
    figure = spectrum_figure(
        curves,
        frame=Frame.of_catalog(redshift),
        window=window,
        marks=lines_in_window("major", window),
        source=survey.source,
        dragmode=False,
        height=_HEIGHT,
    )
    slot.plotly_chart(
        figure,
        key="home_spectrum",
        config={"displayModeBar": False, "scrollZoom": False, "doubleClick": False},
        alt=home_facts.example_alt(str(values["id"]), redshift, is_simulated, curves),
    )
    st.session_state[_WAS_DRAWN] = True
    numbers = home_facts.example_numbers(curves)
    return f"{numbers} (noise included). Residual: (predicted − observed) / σ." if numbers else ""


def limits_box(survey: Survey | None, stored: Stored) -> None:
    """Draw what the model cannot do, and which classes it predicts worst, each with an example."""
    st.markdown("**Limits**")
    if stored.card is None:
        st.info(stored.problem or "There is no model, so there is nothing to limit.", icon=":material/block:")
        return
    info = home_facts.read_model_info(stored.card)
    st.markdown("\n".join(f"- {line}" for line in home_facts.limits(stored.card, info)))
    if survey is None or stored.scores is None:
        return
    try:
        failures = home_facts.failure_classes(survey, stored.scores, home_facts.held_out_rows(survey, stored.scores))
    except GalspecError:  # the example has said it
        return
    if failures:
        st.markdown(
            "Predicted worst, error of the class ÷ error of all:",
            help="Median RMSE of the prediction against the VAE reconstruction, held-out galaxies of this survey. "
            "The link shows the galaxy with the class's median error.",
        )
    with st.container(horizontal=True, gap="small"):
        for entry in failures:
            st.page_link(
                "pages/galaxy.py",
                icon=":material/arrow_forward:",
                label=f"{entry.word} {number(entry.ratio, 2)} (n = {entry.n_galaxies:,})",
                query_params={"id": entry.example_id},
                help=f"Open {entry.example_id}.",
            )


def state_cards(survey: Survey | None, stored: Stored) -> None:
    """Draw the state of the installation: data, model, stored predictions, device."""
    st.markdown("**State of this installation**")
    with st.container(border=True, gap="xsmall"):
        if survey is None:
            st.markdown("**Data**: no survey is open.")
        else:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(
                    f"**Data**: survey {survey.name}, {survey.source}, {len(survey):,} galaxies", width="content"
                )
                st.space("stretch")
                st.page_link("pages/browse.py", label="Look at them", icon=":material/grid_view:")
            st.caption(home_facts.split_counts(survey))
    with st.container(border=True, gap="xsmall"):
        if stored.card is None:
            st.markdown("**Model**: none is installed.")
            st.caption(f"{stored.problem} Start the app with `--model DIR` to use another one.")
        else:
            card = stored.card
            st.markdown(f"**Model**: {card.name}, SHA-256 {card.sha256[:8]}, trained on {card.trained_on} galaxies")
            st.caption("  \n".join(home_facts.held_out_scores(home_facts.read_model_info(card))))
    with st.container(border=True, gap="xsmall"):
        if stored.scores is None:
            st.markdown("**Stored predictions**: none of this model for this survey.")
        else:
            ratio = float(np.nanmedian(stored.scores.frame["rmse_ratio"]))
            st.markdown(f"**Stored predictions**: {len(stored.scores.frame):,} galaxies")
            st.caption(f"Median RMSE of the prediction ÷ that of the VAE reconstruction: {number(ratio, 2)}")
        st.markdown(f"**Device**: {home_facts.device_text()}")
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Jobs**: {home_facts.jobs_text()}", width="content")
        st.space("stretch")
        st.page_link("pages/train.py", label="All jobs", icon=":material/model_training:")


def citations() -> None:
    """Draw what to cite, as BibTeX with copy buttons."""
    st.markdown("**Cite**")
    for tab, (why, bibtex) in zip(st.tabs(list(CITATIONS)), CITATIONS.values(), strict=True):
        with tab:
            st.caption(why[0].upper() + why[1:])
            st.code(bibtex, language="bibtex")

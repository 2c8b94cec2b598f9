"""Parts of the Galaxy page: images, spectra, numbers, truths, latents."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import GalspecError
from galspec.core.lines import LINES as LINE_TABLE
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import galaxy_state as state
from galspec.ui.cache import cutout, survey_key
from galspec.ui.charts import CHART_CONFIG, spectrum_figure
from galspec.ui.comparison import Comparison
from galspec.ui.copy_link import copy_link
from galspec.ui.galaxy_state import GalaxyView
from galspec.ui.header import badges
from galspec.ui.help import help_button
from galspec.ui.images import band_images, composite_image, missing_share
from galspec.ui.labels import number
from galspec.ui.latent_chart import latent_figure
from galspec.ui.smoothing import MAX_SMOOTH, SMOOTH_STEP, smoothed, smoothing_words
from galspec.ui.truths import CLASSES, OBSERVATION, truth_table
from galspec.ui.windows import PRESETS


def unknown_galaxy(survey: Survey, view: GalaxyView) -> None:
    """Say that the survey has no such galaxy and offer some that it has."""
    ids = survey.catalog["id"].tolist()
    st.error(f"Survey {survey.name!r} has no galaxy “{view.galaxy_id[:80]}”.")
    st.markdown("The ids most like it:")
    with st.container(horizontal=True):
        for galaxy_id in state.nearest_ids(view.galaxy_id, ids):
            st.button(galaxy_id, key=f"near_{galaxy_id}", on_click=state.go_to, args=(galaxy_id,))
        st.button(
            "A random galaxy",
            key="galaxy_random",
            icon=":material/shuffle:",
            type="primary",
            on_click=lambda: state.go_to(state.random_id(ids)),
        )


def title_line(survey: Survey, view: GalaxyView) -> None:
    """Draw id, badges, the place in the list, and the way to its neighbours."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(view.galaxy_id, width="content", anchor=False)
        badges(survey)
        st.space("stretch")
        place = "not in the list" if view.position is None else f"**{view.position + 1:,}** of {len(view.ids):,}"
        st.markdown(place, width="content", help=f"Filters: {view.query.text or 'none'}")
        for label, step, shortcut in (("Previous", -1, "Left"), ("Next", 1, "Right")):
            target = view.neighbour(step)
            st.button(
                label,
                key=f"galaxy_{label.lower()}",
                shortcut=shortcut,
                disabled=target is None,
                on_click=state.go_to,
                args=(target or view.galaxy_id,),
            )
        if st.button("Browse", key="galaxy_browse", shortcut="B", icon=":material/grid_view:"):
            address.touch()  # Browse comes back as it was left, its page number included
            st.switch_page("pages/browse.py", query_params=view.query.url)
        copy_link()
        help_button("Galaxy", "galaxy_help")


def image_panel(survey: Survey, view: GalaxyView) -> None:
    """Draw the colour composite and the five bands, or say why there are none."""
    try:
        image = cutout(survey, survey_key(survey), view.galaxy_id)
    except GalspecError as error:
        st.error(str(error))
        return
    composite, bands = _pictures(image, survey_key(survey), view.galaxy_id)
    gaps = ", ".join(f"{band} {100 * share:.0f} %" for band, share in missing_share(image).items())
    what = f"{'simulated ' if survey.source == 'SIMULATED' else ''}galaxy {view.galaxy_id}"
    frame = "56 arcsec on a side, north up, east left, 10 arcsec scale bar, circle: 3 arcsec fibre"
    st.image(composite, width="stretch", alt=f"Colour composite (R = z, G = i, B = g) of {what}; {frame}.")
    st.image(
        bands,
        width="stretch",
        alt=f"The bands g, r, i, z, y of {what}, each in grey; {frame}. No data: {gaps or 'none'}.",
    )
    st.caption(
        "R = z, G = i, B = g; bands asinh, linear below 3 sky σ. Yellow circle: 3″ fibre."
        + (f" Hatched: no data ({gaps})." if gaps else "")
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _pictures(_image: NDArray[np.float32], key: str, galaxy_id: str) -> tuple[bytes, bytes]:  # noqa: ARG001
    return composite_image(_image), band_images(_image)


def plot_controls() -> None:
    """Draw the choice of window, of smoothing and flux axis, and of line markers."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.segmented_control(
            "Wavelength window",
            list(PRESETS),
            format_func=lambda key: PRESETS[key][0],
            key=state.PRESET,
            on_change=state.on_preset,
            label_visibility="collapsed",
            width="content",
        )
        st.button(
            "Back",
            key="galaxy_zoom_back",
            icon=":material/undo:",
            shortcut="Esc",
            help="Return to the wavelength window before this one.",
            on_click=state.zoom_back,
        )
        st.space("stretch")
        smooth = state.current_smoothing()
        with st.popover(f"Smooth: {smooth:g} px" if smooth else "Display", key="galaxy_display"):
            _display_controls(smooth)
        st.segmented_control(
            "Line markers",
            state.LINE_CHOICES,
            format_func=lambda choice: {"major": "Major lines", "all": "All", "none": "None"}[choice],
            key=state.LINES,
            on_change=address.touch,
            label_visibility="collapsed",
            width="content",
        )


def _display_controls(smooth: float) -> None:
    st.slider(
        "Smoothing: Gaussian, σ in pixels",
        0.0,
        MAX_SMOOTH,
        step=SMOOTH_STEP,
        format="%.1f px",
        key=state.SMOOTH,
        on_change=address.touch,
    )
    st.caption(
        f"Now {smoothing_words(smooth)}. All curves alike, errors propagated; numbers, measured lines and downloads "
        "stay those of the pixels as they are."
    )
    st.toggle(
        "All pixels",
        key=state.INCLUDE_ALL,
        on_change=address.touch,
        help="Scale the flux axis to every observed pixel in the window.",
    )


def spectrum_panel(survey: Survey, comparison: Comparison, values: dict[str, Any]) -> None:
    """Draw the spectra; a box drawn in the plot becomes the window."""
    redshift = float(values["redshift"])
    figure = spectrum_figure(
        smoothed(comparison, state.current_smoothing()),
        redshift=redshift,
        window=state.current_window(),
        lines=state.current_lines(),
        is_simulated=survey.source == "SIMULATED",
        include_all=bool(st.session_state.get(state.INCLUDE_ALL)),
    )
    st.plotly_chart(
        figure,
        key=state.CHART,
        on_select=state.on_box,
        selection_mode="box",
        config=CHART_CONFIG,
        alt=spectrum_alt(survey, comparison, values),
    )
    smooth = state.current_smoothing()
    note = f"All curves smoothed, {smoothing_words(smooth)}. " if smooth else ""
    st.caption(
        f"{note}The prediction has no error bar and no flux scale: it is a shape, divided by its median. A pixel is "
        "269 km/s: line widths mean nothing. Residual: (predicted − observed) / σ, guides at ±1 dashed, ±3 dotted. "
        "Drag over a range to zoom, Esc goes back."
    )


def spectrum_alt(survey: Survey, comparison: Comparison, values: dict[str, Any]) -> str:
    """Describe the plot from its data, for readers who cannot see it."""
    kind = "simulated galaxy" if survey.source == "SIMULATED" else "galaxy"
    text = f"Spectrum of {kind} {values['id']}, z {float(values['redshift']):.4f}."
    scores = comparison.scores(comparison.prediction)
    if scores is not None:
        text += f" Prediction against observation: chi squared per pixel {scores.chi2_nu:.2f}, rms {scores.rmse:.3f}."
    if comparison.prediction is not None and comparison.reconstruction is not None:
        difference = comparison.prediction - comparison.reconstruction
        index = int(np.argmax(np.abs(difference)))
        percent = 100.0 * difference[index] / max(abs(comparison.reconstruction[index]), 1e-6)
        wave = comparison.wave[index]
        nearest = min(LINE_TABLE, key=lambda line: abs(line.wave_vac - wave))
        near = f" near {nearest.name}" if abs(nearest.wave_vac - wave) < 10.0 else ""
        text += f" Prediction and VAE reconstruction differ most at {wave:.0f} angstrom{near}: {percent:+.0f} %."
    return text


def numbers(comparison: Comparison) -> None:
    """Draw the numbers that compare prediction and observation."""
    predicted = comparison.scores(comparison.prediction)
    rebuilt = comparison.scores(comparison.reconstruction)
    n_pixels = int(comparison.has_data.sum())
    columns = st.columns(4)
    columns[0].metric(
        "χ²/ν of the prediction",
        number(predicted.chi2_nu, 2) if predicted else "–",
        help=f"Mean of ((predicted − observed)/σ)² over {n_pixels} unmasked pixels; no parameter is fitted to them.",
    )
    columns[1].metric(
        "χ²/ν of the VAE",
        number(rebuilt.chi2_nu, 2) if rebuilt else "–",
        help="The same for the observed spectrum through the VAE: the best that six latents can do.",
    )
    columns[2].metric(
        "RMSE of normalised flux",
        number(predicted.rmse, 4) if predicted else "–",
        help="Root of the mean squared difference between prediction and observed pixels, noise included.",
    )
    columns[3].metric(
        "RMSE ÷ that of the VAE",
        number(predicted.rmse / rebuilt.rmse, 3) if predicted and rebuilt else "–",
        help="1 = as good as this decoder can do for this spectrum.",
    )


def tables(survey: Survey, values: dict[str, Any]) -> None:
    """Draw true classes and truths, and what was observed, with units."""
    is_simulated = survey.source == "SIMULATED"
    left, right = st.columns(2)
    with left:
        st.markdown("**True classes and truths** (known because simulated)" if is_simulated else "**Classes**")
        st.table(truth_table(values, CLASSES), border="horizontal", hide_index=True, alt="True classes and truths")
    with right:
        st.markdown("**Position, redshift, photometry**")
        st.table(truth_table(values, OBSERVATION), border="horizontal", hide_index=True, alt="Position and photometry")


def latents(comparison: Comparison) -> None:
    """Draw true and predicted latents."""
    if comparison.latent_true is None and comparison.latent_predicted is None:
        return
    st.markdown("**Latents: which one is wrong**")
    pairs = [
        f"{name} {', '.join(f'{value:+.2f}' for value in values)}"
        for name, values in (("observed", comparison.latent_true), ("predicted", comparison.latent_predicted))
        if values is not None
    ]
    st.plotly_chart(
        latent_figure(comparison),
        key="galaxy_latents",
        config={"displayModeBar": False},
        alt=f"Six latents in standard deviations of the training set: {'; '.join(pairs)}.",
    )

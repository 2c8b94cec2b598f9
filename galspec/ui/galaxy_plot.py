"""The spectrum plot of the Galaxy page: its controls, the figure, its description."""

from functools import partial
from typing import Any, Final

import numpy as np
import streamlit as st

from galspec.core.lines import LINES as LINE_TABLE
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import galaxy_state as state
from galspec.ui.charts import CHART_CONFIG, spectrum_figure
from galspec.ui.comparison import Comparison
from galspec.ui.galaxy_frame import Frame, redshift_text
from galspec.ui.galaxy_line_box import line_controls, own_marks
from galspec.ui.galaxy_pins import pin_controls, pinned_curves
from galspec.ui.galaxy_redshift import frame_controls
from galspec.ui.labels import number
from galspec.ui.line_marks import lines_in_window
from galspec.ui.smoothing import MAX_SMOOTH, SMOOTH_STEP, smoothed, smoothed_prediction, smoothing_words
from galspec.ui.windows import PRESETS

_PICTURE: Final = "galaxy_picture_format"
_PICTURE_FORMATS: Final = {"PNG": {"format": "png", "scale": 3}, "SVG": {"format": "svg", "scale": 1}}


def plot_controls(frame: Frame, galaxy_id: str) -> None:
    """Draw the choices of window and line markers, of frame and redshift, of pinned galaxies, smoothing, flux axis."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
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
            shortcut="Esc",
            help="Return to the wavelength window before this one.",
            on_click=state.zoom_back,
        )
        st.space("stretch")
        line_controls(frame.z)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        frame_controls(frame, galaxy_id)
        pin_controls(galaxy_id)
        st.space("stretch")
        smooth = state.current_smoothing()
        name = f"Smooth: {smooth:g} px" if smooth else "Display"
        with st.popover(name, key="galaxy_display"), st.container(width=340):
            _display_controls(smooth)


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
    st.segmented_control(
        "The plot's camera saves",
        list(_PICTURE_FORMATS),
        default="PNG",
        key=_PICTURE,
        required=True,
        on_change=address.touch,
        help="PNG with three times the pixels of the screen, SVG with lines that can be edited; in the page's theme.",
    )


def _chart_config() -> dict[str, Any]:
    """Return the tool bar's settings with the picture format of the reader's choice."""
    how = _PICTURE_FORMATS[str(st.session_state.get(_PICTURE) or "PNG")]
    return CHART_CONFIG | {"toImageButtonOptions": {"filename": "galspec-spectrum", **how}}


def spectrum_panel(survey: Survey, comparison: Comparison, values: dict[str, Any], frame: Frame) -> None:
    """Draw the spectra; a box drawn in the plot becomes the window."""
    window = state.current_window()
    pinned, problems = pinned_curves(survey, str(values["id"]))
    for problem in problems:
        st.warning(problem)
    smooth = state.current_smoothing()
    if smooth:
        pinned = [(name, smoothed_prediction(comparison, curve, smooth)) for name, curve in pinned]
    figure = spectrum_figure(
        smoothed(comparison, smooth),
        frame=frame,
        window=window,
        marks=lines_in_window(state.current_lines(), window, frame.z, own_marks()),
        source=survey.source,
        pinned=pinned,
        include_all=bool(st.session_state.get(state.INCLUDE_ALL)),
    )
    st.plotly_chart(
        figure,
        key=state.CHART,
        on_select=partial(state.on_box, frame.scale),
        selection_mode="box",
        config=_chart_config(),
        alt=spectrum_alt(survey, comparison, values, frame),
    )
    notes = [
        trial_note(comparison, frame),
        f"All curves smoothed, {smoothing_words(smooth)}." if smooth else "",
        "Pinned: predictions from other galaxies' images, each at rest." if pinned else "",
        "The prediction is a shape without error bar or flux scale; a pixel is 269 km/s, so line widths mean nothing. "
        "Residual: (predicted − observed) / σ, guides at ±1, ±3.",
    ]
    st.caption(" ".join(filter(None, notes)))


def trial_note(comparison: Comparison, frame: Frame) -> str:
    """Say what a trial redshift moves and what it does not; empty at the catalogue's redshift."""
    if not frame.is_trial:
        return ""
    moves = (
        "observed pixels are shifted against prediction, reconstruction and lines, which are at rest"
        if frame.is_rest
        else "prediction, reconstruction and lines, which are at rest, are shifted against the observed pixels"
    )
    wave = comparison.wave[comparison.has_data] * frame.shift
    n_outside = int(((wave < comparison.wave[0]) | (wave > comparison.wave[-1])).sum())
    outside = f" {n_outside:,} of {len(wave):,} pixels lie outside the prediction's range." if n_outside else ""
    return (
        f"Trial z = {redshift_text(frame.z)}, Δv = {number(frame.velocity_kms, 0, signed=True)} km/s: {moves}; the "
        f"residual follows, the numbers below stay those at the catalogue's z.{outside}"
    )


def spectrum_alt(survey: Survey, comparison: Comparison, values: dict[str, Any], frame: Frame) -> str:
    """Describe the plot from its data, for readers who cannot see it."""
    kind = "simulated galaxy" if survey.source == "SIMULATED" else "galaxy"
    text = f"Spectrum of {kind} {values['id']}, z {frame.catalog_z:.4f}."
    text += f" Drawn at the trial redshift {redshift_text(frame.z)}." if frame.is_trial else ""
    text += f" Horizontal axis: {'rest-frame' if frame.is_rest else 'observed'} wavelength."
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

"""Spectra of a few held-out galaxies as the network predicts them, epoch by epoch."""

import time
from typing import Final

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st
from plotly.subplots import make_subplots

from galspec.core.errors import BundleError
from galspec.core.wavelength import wave_grid
from galspec.jobs.metrics import MetricsReader
from galspec.jobs.samples import SampleEpoch, read_vae_decoder, sample_epochs, vae_dir
from galspec.jobs.view import JobView
from galspec.store.decoder import StoredDecoder
from galspec.ui.figures import FLUX_TITLE_SHORT, WAVE_TITLE_SHORT, source_mark
from galspec.ui.labels import number
from galspec.ui.theme import DASHES, SERIES
from galspec.ui.train_words import source_of

_EPOCH: Final = "train_epoch"
_COLUMNS: Final = 3


@st.cache_resource(show_spinner=False, max_entries=4)
def _decoder(folder: str, stamp: int) -> StoredDecoder:  # noqa: ARG001  # the stamp is part of the cache's key
    from pathlib import Path

    return read_vae_decoder(Path(folder))


def spectra_panel(view: JobView, reader: MetricsReader) -> None:
    """Draw predicted spectra of the job's fixed galaxies at one epoch, over the VAE reconstruction of the observed."""
    epochs = sample_epochs(reader.rows)
    if not epochs:
        st.caption(
            "No predictions were kept: a network keeps them after each epoch if it was started with --samples 6, "
            "as jobs of this page are."
        )
        return
    numbers = [one.epoch for one in epochs]
    chosen = numbers[-1]
    if len(numbers) > 1:
        if st.session_state.get(_EPOCH) not in numbers:
            st.session_state[_EPOCH] = numbers[-1]
        chosen = st.select_slider("After epoch", numbers, key=_EPOCH)  # in a fragment: it draws no other part anew
    shown = epochs[numbers.index(chosen)]
    folder = vae_dir(view.job)
    weights = folder / "weights.safetensors"
    try:
        decoder = _decoder(str(folder), weights.stat().st_mtime_ns if weights.is_file() else time.time_ns())
    except BundleError as error:
        st.error(str(error))
        return
    errors = np.sqrt(np.mean((shown.latents - shown.targets) ** 2, axis=1))
    figure = samples_figure(shown, decoder, errors, source=source_of(view.job))
    st.plotly_chart(figure, key="train_spectra_chart", config={"displayModeBar": False}, alt=_alt(shown, errors))
    st.caption(
        "Held-out galaxies of the valid split, the same ones at every epoch. F_λ / median(4200–6700 Å) against "
        "rest-frame wavelength in vacuum. RMSE: of the six standardised latents."
    )


def samples_figure(
    shown: SampleEpoch, decoder: StoredDecoder, errors: "np.ndarray[tuple[int], np.dtype[np.float32]]", *, source: str
) -> go.Figure:
    """Draw a small panel a galaxy: the predicted spectrum over the VAE reconstruction of the observed one.

    Parameters
    ----------
    shown : SampleEpoch
    decoder : StoredDecoder
    errors : ndarray, shape (n,)
        RMSE of the standardised latents of each galaxy.
    source : str
        Of the galaxies: SIMULATED or REAL; empty where it is not known.
    """
    predicted, observed = decoder.decode(shown.latents), decoder.decode(shown.targets)
    wave = wave_grid()
    n_rows = -(-len(shown.ids) // _COLUMNS)
    titles = [f"{name}, RMSE {number(float(error), 2)}" for name, error in zip(shown.ids, errors, strict=True)]
    figure = make_subplots(n_rows, _COLUMNS, subplot_titles=titles, horizontal_spacing=0.05, vertical_spacing=0.2)
    for index in range(len(shown.ids)):
        row, column = index // _COLUMNS + 1, index % _COLUMNS + 1
        for name, values, series in (
            ("VAE reconstruction of the observed", observed[index], "reconstruction"),
            ("predicted from the image", predicted[index], "predicted"),
        ):
            figure.add_trace(
                {
                    "type": "scatter",
                    "name": name,
                    "legendgroup": name,
                    "showlegend": index == 0,
                    "x": wave[::2],
                    "y": values[::2],
                    "line": {"dash": DASHES[series], "width": 1.4, "color": _colour(series)},
                    "hoverinfo": "skip",
                },
                row=row,
                col=column,
            )
    figure.update_layout(
        height=165 * n_rows + 100,
        margin={"l": 48, "r": 8, "t": 56, "b": 44},
        legend={"orientation": "h", "x": 0, "y": 1.0 + 22 / (165 * n_rows), "yanchor": "bottom", "font": {"size": 13}},
        dragmode=False,
    )
    figure.update_xaxes(title={"text": WAVE_TITLE_SHORT, "font": {"size": 12}}, row=n_rows)
    figure.update_yaxes(title={"text": FLUX_TITLE_SHORT, "font": {"size": 12}}, col=1)
    figure.update_annotations(font={"size": 12})
    for mark in source_mark(source):
        figure.add_annotation(mark)
    return figure


def _colour(series: str) -> str:
    """Return what Streamlit replaces by the theme's colour of a series; six panels need the same two colours."""
    return str(pio.templates["streamlit"].layout.colorway[SERIES.index(series)])


def _alt(shown: SampleEpoch, errors: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> str:
    parts = [f"{name} RMSE {number(float(error), 2)}" for name, error in zip(shown.ids, errors, strict=True)]
    return f"Predicted spectra of {len(shown.ids)} held-out galaxies after epoch {shown.epoch}: {', '.join(parts)}."

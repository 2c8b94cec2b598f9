"""What a reader takes away from the Latents page: the decoded curve, a traverse, Python code that makes them."""

import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec import __version__
from galspec.core.home import shipped_weights_dir
from galspec.core.table_file import FORMATS, Column, write_table
from galspec.core.wavelength import wave_grid
from galspec.ui import latent_state as state
from galspec.ui.latent_panels import TRAVERSE_STEPS, traverse
from galspec.ui.latent_source import LatentSource
from galspec.ui.model_card import ModelCard

Floats = NDArray[np.float64]


def files_panel(source: LatentSource, latent: tuple[float, ...]) -> None:
    """Offer the decoded curve in every format, a traverse, and code."""
    facts = curve_facts(source, latent, _link(latent))
    st.markdown("**The decoded curve as a file**")
    with st.container(horizontal=True, gap="small"):
        for name, (suffix, mime) in FORMATS.items():
            st.download_button(
                name,
                data=partial(curve_file, source, latent, facts, name),
                file_name=f"decoded-latents{suffix}",
                mime=mime,
                key=f"latents_download_{name}",
                icon=":material/download:",
                on_click="ignore",
            )
    st.markdown("**13 spectra along one latent as ECSV**, the others as the sliders are")
    with st.container(horizontal=True, gap="small"):
        for index, name in enumerate(source.names):
            st.download_button(
                name,
                data=partial(traverse_file, source, latent, index, facts),
                file_name=f"traverse-{name}.ecsv",
                mime=FORMATS["ECSV"][1],
                key=f"latents_traverse_file_{index}",
                icon=":material/download:",
                on_click="ignore",
            )
    st.markdown("**Use in Python**")
    st.code(python_snippet(source.card, latent), language="python", wrap_lines=True)


def _link(latent: tuple[float, ...]) -> str:
    page = (st.context.url or "").split("?")[0]
    view = state.current_view()
    query = {"lat": state.latents_text(latent), "from": view.galaxy_id, "start": view.start}
    return f"{page}?{urlencode(query, safe=',')}" if page else ""


def curve_facts(source: LatentSource, latent: tuple[float, ...], link: str = "") -> dict[str, Any]:
    """Return what a reader of a decoded curve must know, as flat text and numbers."""
    card = source.card
    facts: dict[str, Any] = {
        "note": "decoded from latents, not observed and not predicted from an image",
        "norm": "F_lambda / median(4200-6700 Angstrom), dimensionless; rest frame, vacuum; no error is known",
        "source": source.data_source or "not known",
        "latent": [round(float(value), 5) for value in latent],
        "latent_unit": "standard deviations of the train split",
        "model": card.name,
        "model_sha256": card.sha256,
        "model_trained_on": f"{card.trained_on} ({card.training_survey})",
        "vae": card.vae_name,
        "vae_sha256": card.vae_sha256,
        "creator": f"galspec {__version__}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if source.density is not None:
        facts["density_percentile"] = round(float(source.density.percentile([latent])[0]), 2)
        facts["density_reference"] = source.density.source
    return facts | ({"link": link} if link else {})


def _wave_column() -> Column:
    return Column("wavelength_rest", np.round(wave_grid(), 5), "Angstrom", "em.wl", "rest frame, vacuum")


def curve_file(source: LatentSource, latent: tuple[float, ...], facts: dict[str, Any], file_format: str) -> bytes:
    """Return the decoded curve as the content of a file; see `galspec.core.table_file.write_table`."""
    flux = source.decoder.decode([latent])[0]
    described = "decoded from latents, F_lambda / norm; not observed"
    columns = [_wave_column(), Column("flux_decoded", flux, "", "phot.flux.density;em.wl", described)]
    return write_table(columns, facts, file_format)


def traverse_file(source: LatentSource, latent: tuple[float, ...], index: int, facts: dict[str, Any]) -> bytes:
    """Return 13 spectra along one latent as the content of an ECSV file."""
    columns = [_wave_column()]
    for number, (step, flux) in enumerate(zip(TRAVERSE_STEPS, traverse(source, latent, index), strict=True), start=1):
        described = f"decoded with {source.names[index]} = {step:+.1f} sigma, F_lambda / norm; not observed"
        columns.append(
            Column(f"flux_{number}", flux.astype(np.float32), "", "phot.flux.density;em.wl", described)
        )  # fmt: skip
    extra = {"traversed": source.names[index], "steps": [float(step) for step in TRAVERSE_STEPS]}
    return write_table(columns, facts | extra, "ECSV")


def python_snippet(card: ModelCard, latent: tuple[float, ...]) -> str:
    """Return a script that decodes the curve and measures it."""
    is_shipped = card.folder.resolve().parent == shipped_weights_dir().resolve()
    folder = f"shipped_weights_dir() / {card.folder.name!r}" if is_shipped else f"Path({str(card.folder.resolve())!r})"
    imports = ["from galspec.core.home import shipped_weights_dir"] if is_shipped else ["from pathlib import Path", ""]
    values = ", ".join(f"{round(float(value), 4) + 0.0:g}" for value in latent)
    return "\n".join(
        [
            *imports,
            "from galspec.core.files import sha256_of",
            "from galspec.core.wavelength import wave_grid",
            "from galspec.measurement.model_lines import measure_models",
            "from galspec.store.decoder import read_decoder",
            "",
            f"folder = {folder}",
            f"assert sha256_of(folder / 'weights.safetensors') == {card.sha256!r}",
            f"latent = [{values}]  # standard deviations of the train split",
            "flux = read_decoder(folder).decode([latent])[0]  # F_lambda / median(4200-6700 A); decoded, not observed",
            "wave = wave_grid()  # vacuum angstrom, rest frame",
            "values = measure_models(flux[None])  # EW(Halpha), Dn4000, log10 of line ratios",
        ]
    )

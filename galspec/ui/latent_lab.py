"""The live part of the Latents page: sliders, decoder and plot in the browser, without iframe, library or network.

Two components: one holds the model (1.7 MB, sent once), the other what belongs to a galaxy (some kB).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.measurement.model_lines import browser_recipe
from galspec.store.decoder import LEAKY_SLOPE, StoredDecoder
from galspec.store.latent_density import N_NEIGHBOURS, LatentDensity

_ASSETS: Final = Path(__file__).parent / "assets"


def _asset(*names: str) -> str:
    return "\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in names)


_model = st.components.v2.component("galspec_latent_model", html="<span></span>", js=_asset("latent_model.js"))
_lab = st.components.v2.component(
    "galspec_latent_lab",
    html='<div class="latent-lab"></div>',
    css=_asset("latent_lab.css"),
    js=_asset("latent_plot.js", "latent_lab.js"),
)


def pack(header: dict[str, Any], arrays: dict[str, NDArray[np.floating]]) -> bytes:
    """Return arrays and a header as one block of bytes for the browser.

    Parameters
    ----------
    header : dict
        Plain JSON.
    arrays : dict of ndarray
        float16 and float32 as they are, other types as float32.

    Returns
    -------
    bytes
        Length of the header (uint32, little endian), the header with the arrays' dtype, shape and offset, the arrays;
        each part on a multiple of four bytes.
    """
    places: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, values in arrays.items():
        stored = np.ascontiguousarray(values if values.dtype == np.float16 else values.astype("<f4"))
        raw = stored.tobytes()
        raw += b"\0" * (-len(raw) % 4)
        places[name] = {"dtype": stored.dtype.name, "shape": stored.shape, "offset": offset}
        parts.append(raw)
        offset += len(raw)
    head = json.dumps({**header, "arrays": places}, allow_nan=False).encode()
    head += b" " * (-len(head) % 4)
    return b"".join([len(head).to_bytes(4, "little"), head, *parts])


def _small(values: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return float16 if that loses nothing: weights are stored so."""
    half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values


def model_bytes(decoder: StoredDecoder, density: LatentDensity | None, model_key: str) -> bytes:
    """Return what the browser computes with: decoder, train latents, matrices of the line measurement.

    Parameters
    ----------
    decoder : StoredDecoder
    density : LatentDensity or None
    model_key : str
        SHA-256 of the model: the lab asks for it by this name.
    """
    recipe, arrays = browser_recipe()
    shapes = [list(weight.shape) for weight, _ in decoder.layers]
    header: dict[str, Any] = {"model": model_key, "decoder": {"layers": shapes, "slope": LEAKY_SLOPE}, "recipe": recipe}
    found: dict[str, NDArray[np.floating]] = {**arrays}
    for index, (weight, bias) in enumerate(decoder.layers):
        found |= {f"weight{index}": _small(weight), f"bias{index}": bias}
    found |= {name: getattr(decoder, name) for name in ("latent_mean", "latent_std", "mean_flux")}
    if density is not None:
        header["density"] = {"n_neighbours": N_NEIGHBOURS}
        found |= {"reference": density.reference, "percents": density.table[0], "distances": density.table[1]}
    return pack(header, found)


def mount_model(data: bytes, key: str) -> None:
    """Send the model to the browser; nothing is seen."""
    _model(key=key, data=data, height=1)


def mount_lab(data: dict[str, Any], key: str, on_moved: Callable[[], None]) -> None:
    """Draw sliders, plot and readouts.

    Parameters
    ----------
    data : dict
        Plain JSON: model, token, start, latent, limit, latents, lines, windows, labels; see `galspec.ui.latent_page`.
    key : str
        Identity of the component; ``st.session_state[key]["moved"]`` is {"token", "latent"} of the last release.
    on_moved : callable
        Called when a slider is let go of.
    """
    _lab(key=key, data=data, on_moved_change=on_moved)

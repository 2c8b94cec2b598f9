"""A crosshair on the latent map that follows the sliders while they move, without the server."""

from pathlib import Path
from typing import Final

import streamlit as st

from galspec.store.latent_map import Plane

_ASSETS: Final = Path(__file__).parent / "assets"
_pin = st.components.v2.component(
    "galspec_latent_pin", html="<span></span>", js=(_ASSETS / "latent_pin.js").read_text(encoding="utf-8")
)


def mount_pin(plane: Plane, latent: tuple[float, ...], *, chart: str, key: str) -> None:
    """Mark the sliders on a Plotly chart of the page.

    Parameters
    ----------
    plane : Plane
        Of the chart's axes.
    latent : tuple of float
        Where the sliders are until they move.
    chart : str
        Key of the chart.
    key : str
        Identity of the component.
    """
    data = {"chart": chart, "matrix": plane.matrix.tolist(), "offset": plane.offset.tolist(), "latent": list(latent)}
    _pin(key=key, data=data, height=1)

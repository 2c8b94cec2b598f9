"""What Plotly figures of the pages share: titles of axes, and how they are made."""

from typing import Any, Final

import plotly.graph_objects as go

#: Titles of the axes of a spectrum; the short ones are for small panels, where the caption says the rest.
WAVE_TITLE: Final = "Rest-frame wavelength, vacuum [Å]"
WAVE_TITLE_SHORT: Final = "rest, vacuum [Å]"
FLUX_TITLE: Final = "F<sub>λ</sub> / median(4200–6700 Å)"
FLUX_TITLE_SHORT: Final = "F<sub>λ</sub> / median"


def figure_of(data: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """Return a figure of traces and a layout as they are; tests check the figures that the pages draw.

    Plotly's own checks would take most of the time of a figure.

    Parameters
    ----------
    data : list of dict
        Traces.
    layout : dict
    """
    return go.Figure({"data": data, "layout": layout}, _validate=False)

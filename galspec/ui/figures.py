"""What Plotly figures of the pages share: titles of axes, the mark of their source, and how they are made."""

from typing import Any, Final

import plotly.graph_objects as go

#: Titles of the axes of a spectrum; the short ones are for small panels, where the caption says the rest.
WAVE_TITLE: Final = "Rest-frame wavelength, vacuum [Å]"
WAVE_TITLE_SHORT: Final = "rest, vacuum [Å]"
FLUX_TITLE: Final = "F<sub>λ</sub> / median(4200–6700 Å)"
FLUX_TITLE_SHORT: Final = "F<sub>λ</sub> / median"

SIMULATED: Final = "SIMULATED"
#: Neither has a colour: the theme's text colour is told from its background in a downloaded picture too.
_LARGE: Final = {"xref": "paper", "yref": "paper", "x": 0.5, "showarrow": False, "opacity": 0.17}
#: Right below the plot, beside the title of its axis: neither data nor legend are there.
_SMALL: Final = {
    "xref": "paper",
    "yref": "paper",
    "x": 1.0,
    "xanchor": "right",
    "y": 0.0,
    "yanchor": "top",
    "yshift": -28,
    "showarrow": False,
    "borderpad": 0,
    "opacity": 0.75,
}


def source_mark(source: str, large_at: float | None = None) -> list[dict[str, Any]]:
    """Return the annotation that says whether a figure shows simulated or real data.

    Parameters
    ----------
    source : str
        "SIMULATED" or "REAL", as a survey has it; empty where it is not known.
    large_at : float, optional
        Writes SIMULATED faintly across the plot, its middle at this share of the plot's height. Without it, and for
        any other word, the mark is small and stands in the corner below the plot; the figure's lower margin has to
        be at least 42 pixels for it.

    Returns
    -------
    list of dict
        For the layout's annotations; empty if the source is not known.

    Examples
    --------
    >>> [mark["text"] for mark in source_mark("SIMULATED", large_at=0.5)]
    ['SIMULATED']
    >>> source_mark("")
    []
    """
    if not source:
        return []
    if source == SIMULATED and large_at is not None:
        return [{**_LARGE, "y": large_at, "text": source, "font": {"size": 46}}]
    return [{**_SMALL, "text": source, "font": {"size": 12}}]


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

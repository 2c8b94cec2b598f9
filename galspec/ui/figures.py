"""Plotly figures of the pages, made without Plotly's own checks: they take most of the time of a figure."""

from typing import Any

import plotly.graph_objects as go


def figure_of(data: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """Return a figure of traces and a layout as they are; tests check the figures that the pages draw.

    Parameters
    ----------
    data : list of dict
        Traces.
    layout : dict
    """
    return go.Figure({"data": data, "layout": layout}, _validate=False)

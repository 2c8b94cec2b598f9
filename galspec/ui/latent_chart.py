"""The latents behind the curves: of the observed spectrum, and predicted from the image."""

import plotly.graph_objects as go

from galspec.ui.comparison import Comparison
from galspec.ui.figures import figure_of


def latent_figure(comparison: Comparison, height: int = 250) -> go.Figure:
    """Draw the latents of the spectrum and those predicted from the image, in standard deviations."""
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": [f"L{index + 1}" for index in range(len(values))],
            "y": values,
            "marker": {"pattern": {"shape": pattern, "fillmode": "overlay", "solidity": 0.35}},
            "hovertemplate": "%{y:+.2f} σ",
        }
        for name, values, pattern in (
            ("of the observed spectrum", comparison.latent_true, ""),
            ("predicted from the image", comparison.latent_predicted, "/"),
        )
        if values is not None
    ]
    layout = {
        "height": height,
        "barmode": "group",
        "margin": {"l": 52, "r": 8, "t": 36, "b": 28},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 13}},
        "yaxis": {
            "title": {"text": "latent [σ of training set]"},
            "zeroline": True,
            "tickfont": {"size": 12},
            "ticklabeloverflow": "allow",
        },
        "xaxis": {"tickfont": {"size": 12}, "fixedrange": True, "ticklabeloverflow": "allow"},
        "dragmode": False,
        "font": {"size": 13},
    }
    return figure_of(traces, layout)

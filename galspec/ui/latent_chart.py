"""The latents behind the curves: of the observed spectrum, and predicted from the image."""

import plotly.graph_objects as go

from galspec.ui.comparison import Comparison
from galspec.ui.figures import figure_of, source_mark


def latent_figure(comparison: Comparison, *, source: str, height: int = 266) -> go.Figure:
    """Draw the latents of the spectrum and those predicted from the image, in standard deviations.

    Parameters
    ----------
    comparison : Comparison
    source : str
        Of the survey: SIMULATED or REAL.
    height : int
        Pixels.
    """
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
        "margin": {"l": 52, "r": 8, "t": 36, "b": 44},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 13}},
        "yaxis": {
            "title": {"text": "latent [σ of training set]"},
            "zeroline": True,
            "tickfont": {"size": 12},
            "ticklabeloverflow": "allow",
        },
        "xaxis": {"tickfont": {"size": 12}, "fixedrange": True, "ticklabeloverflow": "allow"},
        "annotations": source_mark(source),
        "dragmode": False,
        "font": {"size": 13},
    }
    return figure_of(traces, layout)

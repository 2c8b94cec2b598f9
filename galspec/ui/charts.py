"""The spectrum figure of the Galaxy page: three curves over their residual."""

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from galspec.core.lines import SpectralLine
from galspec.core.wavelength import wave_edges
from galspec.ui.chart_axes import MAIN, RESIDUAL, spectrum_axes
from galspec.ui.comparison import Comparison
from galspec.ui.line_marks import LineChoice, LineLabel, lines_in_window, place_labels
from galspec.ui.theme import DASHES, GREY, SERIES, WIDTHS
from galspec.ui.windows import Window

Floats = NDArray[np.float64]

_GUIDES: Final = ((1.0, "dash"), (3.0, "dot"))
#: A pixel is drawn at least to this many sigmas below its value.
_CERTAIN_SIGMAS: Final = 2.0
_HEADROOM: Final = 0.08
_LABEL_ROOM: Final = 0.07
#: Of a line's name, in paper coordinates.
_LABEL_HEIGHT: Final = 0.046

#: Settings of Plotly's own tool bar: zoom is on the server, so its zoom tools would be lost at the next rerun.
CHART_CONFIG: Final = {
    "displaylogo": False,
    "doubleClick": False,
    "scrollZoom": False,
    "modeBarButtonsToRemove": [
        "select2d",
        "lasso2d",
        "zoom2d",
        "pan2d",
        "zoomIn2d",
        "zoomOut2d",
        "autoScale2d",
        "resetScale2d",
    ],
    "toImageButtonOptions": {"format": "png", "scale": 3, "filename": "galspec-spectrum"},
}


def series_names(is_simulated: bool) -> dict[str, str]:
    """Return the names of the curves in words."""
    return {
        "observed": f"observed spectrum{' (SIMULATED)' if is_simulated else ''}",
        "predicted": "predicted from the image",
        "reconstruction": "VAE reconstruction of the observed",
    }


def curve_range(comparison: Comparison, window: Window, include_all: bool = False) -> tuple[float, float]:
    """Return the y range: the noise-free curves in full, the observed pixels without their extremes.

    Parameters
    ----------
    comparison : Comparison
    window : (float, float)
        Rest-frame wavelengths in angstrom.
    include_all : bool
        Take every observed pixel, not only the 1-99 percentiles and what stands out of the noise.

    Returns
    -------
    low, high : float
        Zero is always inside; 8 % of margin.
    """
    inside = (comparison.wave >= window[0]) & (comparison.wave <= window[1])
    values = [np.zeros(1)]
    values += [curve[inside] for curve in (comparison.prediction, comparison.reconstruction) if curve is not None]
    if comparison.observed is not None:
        values.append(_pixel_range(comparison, inside & comparison.has_data, include_all))
    merged = np.concatenate(values)
    low, high = float(merged.min()), float(merged.max())
    margin = _HEADROOM * max(high - low, 1e-3)
    return (low - margin if low < 0 else 0.0), high + margin


def _pixel_range(comparison: Comparison, chosen: NDArray[np.bool_], include_all: bool) -> Floats:
    """Return the observed values that the y range must hold: a noise spike may be cut, a line may not."""
    if comparison.observed is None or comparison.sigma is None or not chosen.any():
        return np.zeros(0)
    pixels, sigma = comparison.observed[chosen], comparison.sigma[chosen]
    if include_all:
        return pixels
    significant = [np.max(pixels - _CERTAIN_SIGMAS * sigma), np.min(pixels + _CERTAIN_SIGMAS * sigma)]
    return np.concatenate([np.percentile(pixels, [1.0, 99.0]), significant])


def spectrum_figure(
    comparison: Comparison,
    *,
    redshift: float,
    window: Window,
    lines: LineChoice,
    is_simulated: bool,
    include_all: bool = False,
    height: int = 430,
) -> go.Figure:
    """Draw observed spectrum, VAE reconstruction and prediction over their residual.

    Parameters
    ----------
    comparison : Comparison
    redshift : float
        For the top axis.
    window : (float, float)
        Rest-frame wavelengths in angstrom.
    lines : str
        Which lines to mark: major, all, none.
    is_simulated : bool
        Writes SIMULATED across the plot.
    include_all : bool
        See `curve_range`.
    height : int
        Pixels.

    Returns
    -------
    Figure
        Series colours are left to the theme, in the order of `theme.SERIES`.
    """
    marked = lines_in_window(lines, window)
    labels = place_labels(marked, window)
    low, high = curve_range(comparison, window, include_all)
    if labels:
        rows = 1 + max((label.row for label in labels if not label.is_absorption), default=-1)
        high += rows * _LABEL_ROOM * (high - low)
    limit = _residual_limit(comparison, window)
    traces = [*_curve_traces(comparison, is_simulated), _residual_trace(comparison), _mask_trace(comparison)]
    traces += [_off_scale_trace(comparison, limit), _top_axis_trace(redshift)]
    layout = {
        **spectrum_axes(redshift, window, (low, high), limit),
        "height": height,
        "margin": {"l": 58, "r": 12, "t": 78, "b": 40},
        "plot_bgcolor": "rgba(0,0,0,0)",  # else the background would cover what is drawn below the curves
        "legend": {"orientation": "h", "x": 0, "y": 1.165, "yanchor": "bottom", "font": {"size": 13}},
        "dragmode": "select",
        "selectdirection": "h",
        "hovermode": "x unified",
        "shapes": [*_guide_shapes(), *_line_shapes(marked, labels)],
        "annotations": _line_annotations(labels, redshift),
        "font": {"size": 13},
    }
    if is_simulated:
        layout["annotations"].append(_watermark())
    return go.Figure({"data": traces, "layout": layout})


def _curve_traces(comparison: Comparison, is_simulated: bool) -> list[dict[str, Any]]:
    curves = dict(zip(SERIES, (comparison.observed, comparison.prediction, comparison.reconstruction), strict=True))
    names = series_names(is_simulated)
    order = {"observed": 1, "reconstruction": 2, "predicted": 3}
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": names[key],
            "x": comparison.wave,
            "y": np.full(len(comparison.wave), np.nan) if curve is None else curve,
            "connectgaps": False,
            "line": {"width": WIDTHS[key], "dash": DASHES[key], "shape": "hvh" if key == "observed" else "linear"},
            "zorder": order[key],
            "legendrank": order[key],
            "showlegend": curve is not None,
            "hovertemplate": "%{y:.3f}",
        }
        for key, curve in curves.items()
    ]


def _residual_trace(comparison: Comparison) -> dict[str, Any]:
    residual = comparison.residual()
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "(predicted − observed) / σ",
        "x": comparison.wave,
        "y": np.full(len(comparison.wave), np.nan) if residual is None else residual,
        "yaxis": "y2",
        "connectgaps": False,
        "line": {"width": 1.0, "shape": "hvh"},
        "showlegend": False,
        "hovertemplate": "%{y:+.1f}",
    }


def _residual_limit(comparison: Comparison, window: Window) -> float:
    residual = comparison.residual()
    if residual is None:
        return 5.0
    inside = (comparison.wave >= window[0]) & (comparison.wave <= window[1]) & np.isfinite(residual)
    return max(5.0, 1.25 * float(np.percentile(np.abs(residual[inside]), 99.0))) if inside.any() else 5.0


def _off_scale_trace(comparison: Comparison, limit: float) -> dict[str, Any]:
    residual = comparison.residual()
    values = np.zeros(0) if residual is None else residual
    is_off = np.abs(np.nan_to_num(values)) > limit
    wave = comparison.wave[: len(values)][is_off]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "residual off scale",
        "x": wave,
        "y": np.sign(values[is_off]) * 0.93 * limit,
        "yaxis": "y2",
        "marker": {
            "color": GREY,
            "size": 7,
            "symbol": ["triangle-up" if value > 0 else "triangle-down" for value in values[is_off]],
        },
        "showlegend": False,
        "hoverinfo": "skip",
    }


def masked_runs(has_data: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of pixels without data as (first, one past the last).

    Examples
    --------
    >>> masked_runs(np.array([False, True, False, False]))
    [(0, 1), (2, 4)]
    """
    padded = np.concatenate([[True], has_data, [True]]).astype(np.int8)
    change = np.diff(padded)
    return list(zip(np.flatnonzero(change == -1).tolist(), np.flatnonzero(change == 1).tolist(), strict=True))


def _mask_trace(comparison: Comparison) -> dict[str, Any]:
    edges = wave_edges()
    x: list[float | None] = []
    y: list[float | None] = []
    for first, last in masked_runs(comparison.has_data):
        x += [edges[first], edges[last], edges[last], edges[first], edges[first], None]
        y += [0.0, 0.0, 1.0, 1.0, 0.0, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "no data",
        "x": x,
        "y": y,
        "yaxis": "y3",
        "fill": "toself",
        "fillcolor": "rgba(140,140,140,0.10)",
        "fillpattern": {"shape": "/", "fgcolor": GREY, "size": 7, "solidity": 0.16},
        "line": {"width": 0, "color": GREY},
        "zorder": -1,
        "legendrank": 9,
        "showlegend": bool(x),
        "hoverinfo": "skip",
    }


def _top_axis_trace(redshift: float) -> dict[str, Any]:
    # An axis without a trace is not drawn.
    return {
        "type": "scatter",
        "x": [5000.0 * (1.0 + redshift)],
        "y": [None],
        "xaxis": "x2",
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _guide_shapes() -> list[dict[str, Any]]:
    return [
        {
            "type": "line",
            "xref": "paper",
            "yref": "y2",
            "x0": 0,
            "x1": 1,
            "y0": sign * level,
            "y1": sign * level,
            "line": {"color": GREY, "width": 1, "dash": dash},
            "layer": "below",
        }
        for level, dash in _GUIDES
        for sign in (-1, 1)
    ]


def _line_shapes(lines: list[SpectralLine], labels: list[LineLabel]) -> list[dict[str, Any]]:
    label_of = {line.name: label for label in labels for line in label.lines}
    shapes = []
    for line in lines:
        for y0, y1 in _line_segments(label_of.get(line.name)):
            shapes.append(
                {
                    "type": "line",
                    "xref": "x",
                    "yref": "paper",
                    "x0": line.wave_vac,
                    "x1": line.wave_vac,
                    "y0": y0,
                    "y1": y1,
                    "line": {"color": GREY, "width": 1, "dash": "dash" if line.kind == "absorption" else "dot"},
                    "opacity": 0.7,
                    "layer": "below",
                }
            )
    return shapes


def _line_segments(label: LineLabel | None) -> list[tuple[float, float]]:
    """Return the parts of a marker in paper coordinates: it stops where its own name is written."""
    if label is None:
        return [(0.0, 1.0)]
    depth = (label.row + 1) * _LABEL_HEIGHT
    return [(0.0, RESIDUAL[1]), (MAIN[0] + depth, 1.0)] if label.is_absorption else [(0.0, 1.0 - depth)]


def _line_annotations(labels: list[LineLabel], redshift: float) -> list[dict[str, Any]]:
    annotations = []
    for label in labels:
        offset = label.row * _LABEL_HEIGHT
        facts = "<br>".join(
            f"{line.name}: {line.wave_vac:.2f} Å rest, {line.wave_vac * (1 + redshift):.2f} Å observed (vacuum)"
            for line in label.lines
        )
        annotations.append(
            {
                "x": label.wave,
                "y": MAIN[0] + 0.004 + offset if label.is_absorption else 0.996 - offset,
                "xref": "x",
                "yref": "paper",
                "yanchor": "bottom" if label.is_absorption else "top",
                "text": label.text,
                "showarrow": False,
                "font": {"size": 12},
                "hovertext": facts,
                "borderpad": 0,
            }
        )
    return annotations


def _watermark() -> dict[str, Any]:
    return {
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.4,
        "text": "SIMULATED",
        "showarrow": False,
        "font": {"size": 46, "color": GREY},
        "opacity": 0.17,
    }

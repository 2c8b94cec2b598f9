"""The spectrum figure of the Galaxy page: three curves over their residual."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from galspec.core.lines import SpectralLine
from galspec.core.wavelength import wave_edges
from galspec.ui.chart_axes import spectrum_axes
from galspec.ui.chart_lines import line_annotations, line_shapes
from galspec.ui.comparison import Comparison
from galspec.ui.figures import SIMULATED, figure_of, source_mark
from galspec.ui.galaxy_frame import Frame
from galspec.ui.line_marks import place_labels
from galspec.ui.theme import DASHES, GREY, PINNED_DASHES, SERIES, WIDTHS
from galspec.ui.windows import Window

Floats = NDArray[np.float64]
#: Id and prediction of another galaxy.
Pinned = tuple[str, Floats]

_GUIDES: Final = ((1.0, "dash"), (3.0, "dot"))
#: A pixel is drawn at least to this many sigmas below its value.
_CERTAIN_SIGMAS: Final = 2.0
_HEADROOM: Final = 0.08
_LABEL_ROOM: Final = 0.07
#: Middle of the word SIMULATED, share of the height: above the continuum where lines are strong, below it elsewhere.
_MARK_AT: Final = 0.62

#: Places of pinned predictions among the traces: the theme's colours there (green, ochre, teal) are no other curve's.
_PINNED_PLACES: Final = (4, 6, 7)

_MARGINS: Final = {"l": 58, "r": 12, "t": 68, "b": 46}
#: From the plot to its legend: ticks and title of the top axis lie between.
_LEGEND_PX: Final = 44.0

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
}


def series_names(source: str) -> dict[str, str]:
    """Return the names of the curves in words."""
    return {
        "observed": f"observed spectrum{' (SIMULATED)' if source == SIMULATED else ''}",
        "predicted": "predicted from the image",
        "reconstruction": "VAE reconstruction of the observed",
    }


def curve_range(
    comparison: Comparison,
    window: Window,
    include_all: bool = False,
    *,
    shift: float = 1.0,
    pinned: Sequence[Pinned] = (),
) -> tuple[float, float]:
    """Return the y range: the noise-free curves in full, the observed pixels without their extremes.

    Parameters
    ----------
    comparison : Comparison
    window : (float, float)
        Rest-frame wavelengths in angstrom.
    include_all : bool
        Take every observed pixel, not only the 1-99 percentiles and what stands out of the noise.
    shift : float
        Rest wavelength of the observed pixels over that on the grid; see `Frame.shift`.
    pinned : sequence of (str, ndarray)
        Predictions of other galaxies.

    Returns
    -------
    low, high : float
        Zero is always inside; 8 % of margin.
    """
    inside = _inside(comparison.wave, window)
    values = [np.zeros(1)]
    curves = (comparison.prediction, comparison.reconstruction, *(curve for _, curve in pinned))
    values += [curve[inside] for curve in curves if curve is not None]
    if comparison.observed is not None:
        pixels = _inside(comparison.wave * shift, window)
        values.append(_pixel_range(comparison, pixels & comparison.has_data, include_all))
    merged = np.concatenate(values)
    low, high = float(merged.min()), float(merged.max())
    margin = _HEADROOM * max(high - low, 1e-3)
    return (low - margin if low < 0 else 0.0), high + margin


def _inside(wave: Floats, window: Window) -> NDArray[np.bool_]:
    return (wave >= window[0]) & (wave <= window[1])


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
    frame: Frame,
    window: Window,
    marks: list[SpectralLine],
    source: str,
    pinned: Sequence[Pinned] = (),
    include_all: bool = False,
    dragmode: str | bool = "select",
    height: int = 410,
) -> go.Figure:
    """Draw observed spectrum, VAE reconstruction and prediction over their residual.

    Parameters
    ----------
    comparison : Comparison
    frame : Frame
        Of the bottom axis, and the redshift in use: the observed pixels lie where it puts them.
    window : (float, float)
        Rest-frame wavelengths in angstrom.
    marks : list of SpectralLine
        Of `lines_in_window`.
    source : str
        Of the survey: SIMULATED or REAL, see `source_mark`.
    pinned : sequence of (str, ndarray of shape (1000,))
        Ids and predictions of at most three other galaxies; with three, the reconstruction is hidden at first.
    include_all : bool
        See `curve_range`.
    dragmode : str or bool
        Plotly's.
    height : int
        Pixels.

    Returns
    -------
    Figure
        Series colours are left to the theme, in the order of `theme.SERIES`.
    """
    labels = place_labels(marks, window)
    low, high = curve_range(comparison, window, include_all, shift=frame.shift, pinned=pinned)
    if labels:
        rows = 1 + max((label.row for label in labels if not label.is_absorption), default=-1)
        high += rows * _LABEL_ROOM * (high - low)
    residual = comparison.residual(frame.shift)
    limit = _residual_limit(residual, _inside(comparison.wave * frame.shift, window))
    traces = [*_curve_traces(comparison, frame, source), _residual_trace(comparison, frame, residual)]
    traces += [_mask_trace(comparison, frame)]
    traces[2]["visible"] = "legendonly" if len(pinned) >= len(PINNED_DASHES) else True
    for place, trace in zip(_PINNED_PLACES, _pinned_traces(comparison, frame, pinned), strict=False):
        traces.insert(place, trace)
    traces += [_off_scale_trace(comparison, frame, residual, limit), _top_axis_trace(frame, window)]
    legend = 1.0 + _LEGEND_PX / (height - _MARGINS["t"] - _MARGINS["b"])  # Plotly counts in heights of the plot
    layout = {
        **spectrum_axes(frame, window, (low, high), limit),
        "height": height,
        "margin": _MARGINS,
        "plot_bgcolor": "rgba(0,0,0,0)",  # else the background would cover what is drawn below the curves
        "legend": {"orientation": "h", "x": 0, "y": legend, "yanchor": "bottom", "font": {"size": 13}},
        "dragmode": dragmode,
        "selectdirection": "h",
        "hovermode": "x unified",
        "shapes": [*_guide_shapes(), *line_shapes(marks, labels, frame)],
        "annotations": [*line_annotations(labels, frame), *source_mark(source, large_at=_MARK_AT)],
        "font": {"size": 13},
    }
    return figure_of(traces, layout)


def _curve_traces(comparison: Comparison, frame: Frame, source: str) -> list[dict[str, Any]]:
    curves = dict(zip(SERIES, (comparison.observed, comparison.prediction, comparison.reconstruction), strict=True))
    names = series_names(source)
    order = {"observed": 1, "reconstruction": 2, "predicted": 3}
    models, pixels = frame.of_rest(comparison.wave), frame.of_pixels(comparison.wave)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": names[key],
            "x": pixels if key == "observed" else models,
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


def _pinned_traces(comparison: Comparison, frame: Frame, pinned: Sequence[Pinned]) -> list[dict[str, Any]]:
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"predicted for {galaxy_id}",
            "x": frame.of_rest(comparison.wave),
            "y": curve,
            "line": {"width": 1.4, "dash": dash},
            "zorder": 2,
            "legendrank": 5 + place,
            "hovertemplate": "%{y:.3f}",
        }
        for place, ((galaxy_id, curve), dash) in enumerate(zip(pinned, PINNED_DASHES, strict=False))
    ]


def _residual_trace(comparison: Comparison, frame: Frame, residual: Floats | None) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "(predicted − observed) / σ",
        "x": frame.of_pixels(comparison.wave),
        "y": np.full(len(comparison.wave), np.nan) if residual is None else residual,
        "yaxis": "y2",
        "connectgaps": False,
        "line": {"width": 1.0, "shape": "hvh"},
        "showlegend": False,
        "hovertemplate": "%{y:+.1f}",
    }


def _residual_limit(residual: Floats | None, inside: NDArray[np.bool_]) -> float:
    values = np.zeros(0) if residual is None else np.abs(residual[inside & np.isfinite(residual)])
    return max(5.0, 1.25 * float(np.percentile(values, 99.0))) if len(values) else 5.0


def _off_scale_trace(comparison: Comparison, frame: Frame, residual: Floats | None, limit: float) -> dict[str, Any]:
    values = np.zeros(0) if residual is None else residual
    is_off = np.abs(np.nan_to_num(values)) > limit
    wave = frame.of_pixels(comparison.wave[: len(values)][is_off])
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


def _mask_trace(comparison: Comparison, frame: Frame) -> dict[str, Any]:
    edges = frame.of_pixels(wave_edges()).tolist()
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


def _top_axis_trace(frame: Frame, window: Window) -> dict[str, Any]:
    # An axis without a trace is not drawn.
    return {
        "type": "scatter",
        "x": [frame.other_window(window)[0]],
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

"""The figure of the latent map: density, points, colours, axes."""

import dataclasses
import re
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from galspec.store.catalog_columns import meaning
from galspec.store.latent_map import Plane
from galspec.ui.figures import source_mark
from galspec.ui.labels import class_word
from galspec.ui.latent_source import LatentSource
from galspec.ui.theme import GREY
from galspec.ui.truths import CLASSES, OBSERVATION

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

MAX_CLASSES: Final = 6
#: Colours run between these percentiles; what lies beyond has the end's colour.
CLIP: Final = (2.0, 98.0)
_SYMBOLS: Final = ("circle", "diamond", "square", "triangle-up", "cross", "x")
#: Categorical colours with a contrast of at least 3 on both backgrounds; told apart by shape too.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#8B6A00", "#8C8C8C")
#: Column -> (name, unit) as the Galaxy page writes them.
_NAMES: Final = {column: (name, unit) for column, name, unit, _ in (*CLASSES, *OBSERVATION)}
_HIDDEN: Final = re.compile(r"id|group_id|candidate|survey_seed|embedding_\d+")


@dataclasses.dataclass(frozen=True)
class MapPoints:
    """Where galaxies lie on a map.

    Parameters
    ----------
    plane : Plane
    points : ndarray, shape (N, 2)
        Of all galaxies; NaN = no latents.
    rows : ndarray of int
        Which of them are drawn as points.
    n_known : int
        How many have latents.
    density : tuple or None
        Counts and the middles of their cells, where not all are drawn.
    """

    plane: Plane
    points: Floats
    rows: Rows
    n_known: int
    density: tuple[NDArray[np.int64], Floats, Floats] | None


def column_values(source: LatentSource, name: str) -> "pd.Series[Any]":
    """Return a column of the catalogue or of the scores."""
    catalog = source.survey.catalog
    if name in catalog:
        return catalog[name]
    if source.scores is None:
        raise KeyError(name)
    return source.scores.frame[name]


def colour_columns(source: LatentSource) -> list[str]:
    """Return the columns a map can be coloured by: numbers, and classes of at most six values."""
    return _colour_columns(source, f"{source.scores_key}:{source.scores is None}")


@st.cache_data(show_spinner=False, max_entries=4)
def _colour_columns(_source: LatentSource, key: str) -> list[str]:  # noqa: ARG001
    source, catalog = _source, _source.survey.catalog
    names = [*catalog.columns, *([] if source.scores is None else source.scores.columns.columns)]
    return [str(name) for name in dict.fromkeys(names) if _is_colour(source, str(name))]


def _is_colour(source: LatentSource, name: str) -> bool:
    if _HIDDEN.fullmatch(name):
        return False
    values = column_values(source, name)
    return pd.api.types.is_numeric_dtype(values) or _n_classes(values) <= MAX_CLASSES


def _n_classes(values: "pd.Series[Any]") -> int:
    # Ids and notes have as many values as rows: a look at the first thousand is enough to leave them out.
    n_first = int(values.iloc[:1000].nunique())
    return n_first if n_first > MAX_CLASSES else int(values.nunique())


def colour_label(name: str) -> str:
    """Return what a column is, with its unit.

    Examples
    --------
    >>> colour_label("ew_ha_true")
    'EW(Hα), emission positive [Å]'
    """
    label, unit = _NAMES.get(name, (name.replace("_", " "), meaning(name)[0]))
    return f"{label} [{unit}]" if unit else label


def axis_title(source: LatentSource, name: str) -> str:
    """Return the title of an axis of the map."""
    if name.startswith("PC"):
        return f"{name}, principal component of the latents [σ]"
    return f"{name}: {source.meanings[int(name[1:]) - 1]} [σ]"


def map_figure(
    source: LatentSource,
    points: MapPoints,
    colour: str,
    *,
    dragmode: str,
    position: tuple[float, ...] | None,
    height: int = 470,
) -> tuple[go.Figure, dict[int, Rows]]:
    """Draw the map.

    Parameters
    ----------
    source : LatentSource
    points : MapPoints
    colour : str
        A column, or empty.
    dragmode : str
        Plotly's: pan, select or lasso.
    position : tuple of float or None
        Latents to mark: only where the browser does not mark the sliders itself.
    height : int
        Pixels.

    Returns
    -------
    figure : Figure
    trace_rows : dict of int to ndarray
        Number of a trace -> the galaxies its points are.
    """
    traces: list[dict[str, Any]] = []
    if points.density is not None:
        traces.append(_density_trace(*points.density))
    trace_rows: dict[int, Rows] = {}
    for trace, rows in _point_traces(source, points, colour):
        trace_rows[len(traces)] = rows
        traces.append(trace)
    if position is not None:
        x, y = points.plane.project([position])[0]
        traces.append(
            {"type": "scatter", "mode": "markers", "x": [x], "y": [y], "name": "sliders", "hoverinfo": "name",
             "marker": {"symbol": "cross-thin", "size": 22, "line": {"width": 3, "color": "#D55E00"}}}
        )  # fmt: skip
    ticks = {"ticks": "outside", "tickfont": {"size": 12}, "showline": True, "linecolor": GREY, "zeroline": False}
    layout = {
        "height": height,
        "margin": {"l": 58, "r": 8, "t": 26, "b": 44},
        "xaxis": {**ticks, "title": {"text": axis_title(source, points.plane.names[0]), "standoff": 6}},
        "yaxis": {**ticks, "title": {"text": axis_title(source, points.plane.names[1]), "standoff": 6}},
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"size": 12}},
        "dragmode": dragmode,
        "hovermode": "closest",
        "annotations": source_mark(source.data_source),
        "font": {"size": 13},
    }
    return go.Figure({"data": traces, "layout": layout}), trace_rows


def _density_trace(counts: NDArray[np.int64], x: Floats, y: Floats) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "x": x,
        "y": y,
        "z": np.where(counts > 0, np.log10(np.maximum(counts, 1)), np.nan).astype(np.float32),
        "colorscale": [[0.0, "rgba(140,140,140,0.12)"], [1.0, "rgba(140,140,140,0.85)"]],
        "showscale": False,
        "hoverinfo": "skip",
    }


def _point_traces(source: LatentSource, points: MapPoints, colour: str) -> list[tuple[dict[str, Any], Rows]]:
    rows = points.rows
    size = 6 if len(rows) <= 4000 else 4
    if not colour:
        return [(_points(source, points, rows, {"color": _COLOURS[0], "size": size, "opacity": 0.6}, "galaxies"), rows)]
    values = column_values(source, colour).iloc[rows]
    if pd.api.types.is_numeric_dtype(values):
        return [(_numbers_trace(source, points, colour, values.to_numpy(np.float64), size), rows)]
    traces = []
    codes = sorted(str(code) for code in values.dropna().unique())
    for code, symbol, shade in zip(codes, _SYMBOLS, _COLOURS, strict=False):
        mine = rows[(values.astype(str) == code).to_numpy()]
        marker = {"color": shade, "symbol": symbol, "size": size + 1, "opacity": 0.75}
        traces.append((_points(source, points, mine, marker, class_word(colour, code)), mine))
    return traces


def _numbers_trace(source: LatentSource, points: MapPoints, colour: str, values: Floats, size: int) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, CLIP) if len(known) else (0.0, 1.0)
    marker = {
        "color": values,
        "cmin": float(low),
        "cmax": float(high) if high > low else float(low) + 1.0,
        "colorscale": "Viridis",
        "size": size,
        "showscale": True,
        "colorbar": {
            "title": {"text": f"{colour_label(colour)}, 2–98 %", "side": "right", "font": {"size": 13}},
            "thickness": 13,
        },
    }
    return _points(source, points, points.rows, marker, colour_label(colour), values)


def _points(
    source: LatentSource,
    points: MapPoints,
    rows: Rows,
    marker: dict[str, Any],
    name: str,
    values: Floats | None = None,
) -> dict[str, Any]:
    place = points.points[rows].astype(np.float32)
    value = "" if values is None else f"<br>{name} %{{marker.color:.3g}}"
    return {
        "type": "scattergl",
        "mode": "markers",
        "name": name,
        "x": place[:, 0],
        "y": place[:, 1],
        "customdata": source.survey.catalog["id"].iloc[rows].to_numpy(),
        "marker": marker,
        "showlegend": values is None,
        "hovertemplate": f"%{{customdata}}<br>%{{x:.2f}}, %{{y:.2f}}{value}<extra></extra>",
    }

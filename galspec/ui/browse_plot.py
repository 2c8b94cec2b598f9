"""The plot of Browse: any two columns of the galaxies that pass, as points, or as a density with a sample of them."""

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from galspec.store.catalog_columns import meaning
from galspec.store.latent_map import density_grid, rows_in_box, rows_in_lasso, stratified_sample
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import browse_state as state
from galspec.ui.figures import source_mark
from galspec.ui.labels import CLASS_WORDS, class_word
from galspec.ui.scored_catalog import VECTOR_PREFIX, ScoredCatalog
from galspec.ui.theme import GREY

Floats = NDArray[np.float64]

_CHART: Final = "browse_chart"
#: More points than this are drawn as a density, with a sample that can be pointed at.
MAX_POINTS: Final = 10_000
SAMPLE_SEED: Final = 1
_BINS: Final = 160
_SYMBOLS: Final = ("circle", "diamond", "square", "cross", "triangle-up", "x")
#: Of classes: apart for every kind of colour blindness, and 3:1 on light and dark.
_CLASS_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#8C8C8C", "#B8860B")
_CONFIG: Final = {"displaylogo": False, "scrollZoom": False, "modeBarButtonsToRemove": ["autoScale2d"]}


def number_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that can be an axis."""
    names = [name for name in frame.columns if not str(name).startswith(VECTOR_PREFIX) and name != "has_verdict"]
    return [str(name) for name in names if pd.api.types.is_numeric_dtype(frame[name])]


def axis_words(name: str) -> str:
    """Return a column with its unit: "mag_r [mag]"."""
    unit = meaning(name)[0]
    return f"{name} [{unit}]" if unit else name


def rows_inside(selection: dict[str, Any], x: Floats, y: Floats, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows whose points lie in the boxes and lassos drawn, all of them, not only those of the sample.

    Parameters
    ----------
    selection : dict
        "box" and "lasso" as the chart reports them: lists of {"x": [...], "y": [...]}.
    x, y : ndarray, shape (N,)
        Of every galaxy of the survey; NaN lies in no region.
    rows : ndarray of int
        Those that are drawn.
    """
    points = np.column_stack([x[rows], y[rows]])
    found = [rows_in_box(points, box["x"][:2], box["y"][:2]) for box in selection.get("box") or []]
    found += [
        rows_in_lasso(points, lasso["x"], lasso["y"]) for lasso in selection.get("lasso") or [] if len(lasso["x"]) > 2
    ]
    return rows[np.unique(np.concatenate(found))] if found else rows[:0]


def plot_page(survey: Survey, catalog: ScoredCatalog, rows: NDArray[np.int64]) -> None:
    """Draw the plot; a region drawn in it selects all its galaxies."""
    frame = catalog.frame
    names = number_columns(frame)
    x_name, y_name, colour = _axis_choice(frame, names)
    x, y = (frame[name].to_numpy(np.float64) for name in (x_name, y_name))
    known = rows[np.isfinite(x[rows]) & np.isfinite(y[rows])]
    if not len(known):
        st.info(f"No galaxy that passes has both {x_name} and {y_name}.")
        return
    drawn = known[stratified_sample(np.column_stack([x[known], y[known]]), MAX_POINTS, SAMPLE_SEED)]
    figure = scatter_figure(frame, known, drawn, (x_name, y_name), colour, source=survey.source)
    st.plotly_chart(
        figure,
        key=_CHART,
        on_select=lambda: _on_region(x, y, known, frame["id"].to_numpy()),
        selection_mode=("points", "box", "lasso"),
        config=_CONFIG,
        alt=f"{len(known):,} galaxies, {axis_words(y_name)} against {axis_words(x_name)}, from "
        f"{np.min(x[known]):.4g} to {np.max(x[known]):.4g} and from {np.min(y[known]):.4g} to {np.max(y[known]):.4g}.",
    )
    parts = [f"{len(known):,} galaxies"]
    if len(drawn) < len(known):
        parts = [
            f"Density of all {len(known):,} galaxies; {len(drawn):,} of them as points, drawn at random, "
            f"seed {SAMPLE_SEED}"
        ]
    if len(known) < len(rows):
        parts.append(f"{len(rows) - len(known):,} that pass lack one of the two values")
    st.caption(
        f"{'; '.join(parts)}. Drag to select: every galaxy in the region counts, drawn as a point or not; with the pan "
        "tool a click selects one."
    )


def _axis_choice(frame: pd.DataFrame, names: list[str]) -> tuple[str, str, str]:
    """Draw the choice of axes and colour; return their columns."""
    kept = st.session_state.get("browse_axes", ("redshift", "mag_r", "galaxy_class"))
    classes = [name for name in CLASS_WORDS if name in frame and name != "verdict"]
    colours = ["", *classes, *names]
    fallback = (names[0], names[min(1, len(names) - 1)], "")
    keys = ("browse_x", "browse_y", "browse_colour")
    for key, value, allowed, other in zip(keys, kept, (names, names, colours), fallback, strict=True):
        if st.session_state.get(key) not in allowed:
            st.session_state[key] = value if value in allowed else other
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for key, label in (("browse_x", "Horizontal"), ("browse_y", "Vertical")):
            st.selectbox(label, names, format_func=axis_words, key=key, on_change=address.touch, width=240)
        st.selectbox("Colour", colours, format_func=_colour_words, key=keys[2], on_change=address.touch, width=240)
    chosen = tuple(str(st.session_state[key]) for key in keys)
    st.session_state["browse_axes"] = chosen
    return chosen[0], chosen[1], chosen[2]


def _colour_words(name: str) -> str:
    return axis_words(name) if name else "none"


def _on_region(x: Floats, y: Floats, rows: NDArray[np.int64], ids: NDArray[Any]) -> None:
    address.touch()
    selection = st.session_state[_CHART]["selection"]
    found = rows_inside(selection, x, y, rows)
    if len(found):
        state.select([str(galaxy_id) for galaxy_id in ids[found]])
        return
    points = [str(point["customdata"]) for point in selection.get("points") or [] if point.get("customdata")]
    if points:
        state.select(points)


def scatter_figure(
    frame: pd.DataFrame,
    rows: NDArray[np.int64],
    drawn: NDArray[np.int64],
    axes: tuple[str, str],
    colour: str,
    *,
    source: str,
) -> go.Figure:
    """Draw galaxies as points over their density.

    Parameters
    ----------
    frame : DataFrame
    rows : ndarray of int
        All that pass and have both values.
    drawn : ndarray of int
        Those that become points.
    axes : (str, str)
        Columns.
    colour : str
        A class, a column of numbers, or empty.
    source : str
        SIMULATED or REAL, see `source_mark`.
    """
    x_name, y_name = axes
    x, y = (frame[name].to_numpy(np.float64) for name in axes)
    traces: list[dict[str, Any]] = []
    if len(drawn) < len(rows):
        traces.append(_density(x[rows], y[rows]))
    traces += _points(frame, drawn, x, y, colour)
    style = {"ticks": "outside", "showline": True, "linecolor": GREY, "tickcolor": GREY, "zeroline": False}
    is_reversed = {name: name.startswith(("mag_", "apmag_")) or name == "ra_deg" for name in axes}
    layout: dict[str, Any] = {
        "xaxis": {**style, "title": {"text": axis_words(x_name)}, "autorange": _direction(is_reversed[x_name])},
        "yaxis": {**style, "title": {"text": axis_words(y_name)}, "autorange": _direction(is_reversed[y_name])},
        "height": 460,
        "margin": {"l": 60, "r": 12, "t": 30, "b": 46},
        "dragmode": "select",
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        "font": {"size": 13},
        "plot_bgcolor": "rgba(0,0,0,0)",
        "annotations": source_mark(source, large_at=0.5),
    }
    return go.Figure({"data": traces, "layout": layout})


def _direction(is_reversed: bool) -> bool | str:
    return "reversed" if is_reversed else True


def _density(x: Floats, y: Floats) -> dict[str, Any]:
    counts, middle_x, middle_y = density_grid(np.column_stack([x, y]), _BINS)
    logged = np.where(counts > 0, np.log10(np.maximum(counts, 1.0)), np.nan)
    scale = [
        [level, colour]
        for level, colour in zip((0, 0.5, 1), sample_colorscale("cividis", [0.1, 0.5, 0.95]), strict=True)
    ]
    return {
        "type": "heatmap",
        "x": middle_x,
        "y": middle_y,
        "z": logged.astype(np.float32),
        "colorscale": scale,
        "colorbar": {"title": {"text": "log₁₀ galaxies per cell"}, "thickness": 12, "len": 0.8},
        "hoverinfo": "skip",
        "showscale": True,
    }


def _points(frame: pd.DataFrame, drawn: NDArray[np.int64], x: Floats, y: Floats, colour: str) -> list[dict[str, Any]]:
    ids = frame["id"].to_numpy()
    base = {
        "type": "scattergl",
        "mode": "markers",
        "hovertemplate": "%{customdata}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
    }

    def trace(rows: NDArray[np.int64], marker: dict[str, Any], **more: Any) -> dict[str, Any]:
        marker = {"size": 6, "opacity": 0.75, **marker}
        return {**base, "x": x[rows], "y": y[rows], "customdata": ids[rows].astype(str), "marker": marker, **more}

    if colour in CLASS_WORDS:
        codes = frame[colour].to_numpy()[drawn]
        known = sorted({str(code) for code in codes})[: len(_SYMBOLS)]
        return [
            trace(
                drawn[codes == code],
                {"color": _CLASS_COLOURS[place], "symbol": _SYMBOLS[place]},
                name=class_word(colour, code),
                showlegend=True,
            )
            for place, code in enumerate(known)
        ]
    if not colour:
        return [trace(drawn, {"color": _CLASS_COLOURS[0]}, showlegend=False)]
    values = frame[colour].to_numpy(np.float64)[drawn]
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [1.0, 99.0]) if finite.size else (0.0, 1.0)
    bar = {"title": {"text": f"{axis_words(colour)}, 1–99 %"}, "thickness": 12, "len": 0.8, "x": 1.02}
    marker = {"color": values, "colorscale": "Viridis", "cmin": float(low), "cmax": float(high), "colorbar": bar}
    return [trace(drawn, marker, showlegend=False)]

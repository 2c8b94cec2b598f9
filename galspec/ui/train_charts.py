"""Curves of trainings: at most 2,000 points each, every series named, told apart by dash and colour."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import plotly.graph_objects as go
import plotly.io as pio

from galspec.jobs.metrics import thin
from galspec.jobs.progress import epochs_done
from galspec.ui.figures import figure_of, source_mark
from galspec.ui.labels import number
from galspec.ui.theme import GREY

Row = dict[str, Any]

#: Of all curves of a figure together.
MAX_POINTS: Final = 2000
_DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_AXIS_TITLES: Final = {"step": "optimiser step", "epoch": "epoch", "hours": "training time [hours]"}


@dataclasses.dataclass(frozen=True)
class Curve:
    """One curve.

    Parameters
    ----------
    name : str
    x, y : list of float
    mode : str
        "lines", or "lines+markers" where points are few.
    """

    name: str
    x: list[float]
    y: list[float]
    mode: str = "lines"


def x_of(row: Row, axis: str, started: float) -> float:
    """Return where a row stands on an axis: "step", "epoch" or "hours"."""
    if axis == "hours":
        return float(row["seconds"]) / 3600 if "seconds" in row else (float(row.get("time", started)) - started) / 3600
    if axis == "step" and "step" in row:
        return float(row["step"])
    return epochs_done(row)  # a VAE reports epochs only


def curve(
    rows: Sequence[Row], kind: str, value: Callable[[Row], Any], name: str, axis: str, mode: str = "lines"
) -> Curve:
    """Take one curve out of metrics; rows without the value are left out."""
    started = float(rows[0].get("time", 0.0)) if rows else 0.0
    points = [(x_of(row, axis, started), value(row)) for row in rows if row.get("kind") == kind]
    kept = [(x, float(y)) for x, y in points if isinstance(y, int | float)]
    return Curve(name, [x for x, _ in kept], [y for _, y in kept], mode)


def loss_curves(rows: Sequence[Row], axis: str, prefix: str = "") -> list[Curve]:
    """Return losses: train between epochs, train and valid at their end."""
    is_vae = any("train_loss" in row for row in rows)
    name = "loss" if is_vae else "mse"
    return [
        curve(rows, "progress", lambda row: row.get("train_mse"), f"{prefix}train, since the last report", axis),
        curve(rows, "epoch", lambda row: row.get(f"train_{name}"), f"{prefix}train, epoch", axis, "lines+markers"),
        curve(rows, "epoch", lambda row: row.get(f"valid_{name}"), f"{prefix}valid, epoch", axis, "lines+markers"),
    ]


def latent_curves(rows: Sequence[Row], axis: str) -> list[Curve]:
    """Return the root mean squared error of each latent on valid."""
    n = max((len(row.get("valid_mse_per_latent", ())) for row in rows), default=0)

    def rmse(index: int) -> Callable[[Row], Any]:
        return lambda row: row["valid_mse_per_latent"][index] ** 0.5 if "valid_mse_per_latent" in row else None

    return [curve(rows, "epoch", rmse(index), f"L{index + 1}", axis, "lines+markers") for index in range(n)]


def rate_curves(rows: Sequence[Row], axis: str) -> list[Curve]:
    """Return the learning rate."""
    kind = "progress" if any(row.get("kind") == "progress" for row in rows) else "epoch"
    return [curve(rows, kind, lambda row: row.get("lr"), "learning rate", axis)]


def gradient_curves(rows: Sequence[Row], axis: str) -> list[Curve]:
    """Return the norm of the gradient, before clipping, at the reported batches."""
    return [curve(rows, "progress", lambda row: row.get("gradient_norm"), "norm of the gradient", axis)]


def smoothed(one: Curve, span: int) -> Curve:
    """Average a curve over its past: an exponential moving average, debiased so that its start is not pulled to 0.

    Parameters
    ----------
    one : Curve
    span : int
        Reports; the weight of a report falls by e over about half of them.

    Examples
    --------
    >>> smoothed(Curve("loss", [0, 1, 2], [2.0, 2.0, 2.0]), 3)
    Curve(name='loss, mean of about 3 reports', x=[0, 1, 2], y=[2.0, 2.0, 2.0], mode='lines')
    """
    keep = 1.0 - 2.0 / (span + 1.0)
    total = weight = 0.0
    values = []
    for y in one.y:
        total, weight = keep * total + y, keep * weight + 1.0
        values.append(total / weight)
    return dataclasses.replace(one, name=f"{one.name}, mean of about {span} reports", y=values)


def speed_curves(rows: Sequence[Row], axis: str) -> list[Curve]:
    """Return images a second, and the GPU's use if it was measured."""
    return [
        curve(rows, "progress", lambda row: row.get("images_per_s"), "images per second", axis),
        curve(rows, "progress", lambda row: row.get("gpu_utilisation_percent"), "GPU busy [%]", axis),
        curve(rows, "progress", lambda row: row.get("gpu_memory_gb"), "GPU memory [GB]", axis),
    ]


def curves_figure(
    curves: Sequence[Curve],
    y_title: str,
    axis: str,
    is_log: bool,
    marks: Sequence[tuple[float, str]] = (),
    span: int = 0,
    *,
    source: str,
) -> go.Figure:
    """Draw curves.

    Parameters
    ----------
    curves : sequence of Curve
        Empty ones are left out; without any, axes are drawn and a note: the browser loads its plots meanwhile.
    y_title : str
        With its unit.
    axis : str
        "step", "epoch" or "hours".
    is_log : bool
        Logarithmic y axis.
    marks : sequence of (float, str)
        Vertical lines with their names: the best epoch.
    span : int
        If not 0, curves of reports get their mean of about so many drawn over them; see `smoothed`.
    source : str
        Of the galaxies trained on: SIMULATED or REAL; empty where it is not known.
    """
    drawn = [one for one in curves if one.x]
    budget = max(2, MAX_POINTS // max(len(drawn) * (2 if span else 1), 1))
    traces: list[Row] = []
    for index, one in enumerate(drawn):
        x, y = thin(one.x, one.y, budget)
        traces.append(
            {
                "type": "scatter",
                "name": one.name,
                "x": x,
                "y": y,
                "mode": one.mode,
                "line": {"dash": _DASHES[index % len(_DASHES)], "width": 1.6},
                "marker": {"size": 6, "symbol": index},
                "hovertemplate": "%{y:.4g}",
            }
        )
    if span:
        traces += _means(drawn, traces, span, budget)
    mark: Row = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 1, "dash": "dot", "color": GREY}}
    shapes = [{**mark, "x0": x, "x1": x} for x, _ in marks]
    notes: list[Row] = [
        {"x": x, "yref": "paper", "y": 1, "yanchor": "bottom", "text": text, "showarrow": False} for x, text in marks
    ]
    if not drawn:
        words = "No values yet: they come with the first steps or the first epoch."
        notes.append({"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "text": words, "showarrow": False})
        traces.append({"type": "scatter", "x": [0.0], "y": [None], "showlegend": False})
    layout = {
        "height": 380,
        "margin": {"l": 64, "r": 12, "t": 64, "b": 44},
        "legend": {"orientation": "h", "x": 0, "y": 1.08, "yanchor": "bottom", "font": {"size": 13}},
        "xaxis": {"title": {"text": _AXIS_TITLES[axis]}},
        "yaxis": {"title": {"text": y_title}, "exponentformat": "power", **_scale(drawn, is_log)},
        "hovermode": "x unified",
        "dragmode": False,
        "showlegend": True,
        "font": {"size": 13},
        "shapes": shapes,
        "annotations": [*notes, *source_mark(source)],
    }
    return figure_of(traces, layout)


def _means(drawn: Sequence[Curve], traces: Sequence[Row], span: int, budget: int) -> list[Row]:
    """Return the mean of each curve of reports as a trace of its own, and make the curve itself faint."""
    colours = pio.templates["streamlit"].layout.colorway  # Streamlit puts the theme's colours in their place
    means: list[Row] = []
    for index, (one, trace) in enumerate(zip(drawn, traces, strict=True)):
        if one.mode != "lines":
            continue
        mean = smoothed(one, span)
        x, y = thin(mean.x, mean.y, budget)
        colour = colours[index % len(colours)]
        means.append({**trace, "name": mean.name, "x": x, "y": y, "line": {"width": 2.2, "color": colour}})
        trace["line"] = {**trace["line"], "width": 1.0, "color": colour}
        trace["opacity"] = 0.4
    return means


def _scale(curves: Sequence[Curve], is_log: bool) -> dict[str, Any]:
    """Return the kind of a y axis; a short logarithmic one is labelled at 1, 2 and 5."""
    positive = [y for one in curves for y in one.y if y > 0]
    if not is_log:
        return {"type": "linear"}
    is_short = bool(positive) and max(positive) < 300 * min(positive)
    return {"type": "log", **({"dtick": "D2"} if is_short else {})}


def curves_alt(curves: Sequence[Curve], what: str, axis: str) -> str:
    """Describe curves from their data, for a screen reader."""
    drawn = [one for one in curves if one.x]
    if not drawn:
        return f"{what}: no values yet."
    parts = [f"{one.name} {number(one.y[0], 4)} to {number(one.y[-1], 4)} ({len(one.x)} values)" for one in drawn]
    return f"{what} against {_AXIS_TITLES[axis]}: {'; '.join(parts)}."

"""Plots of decoded spectra that the server draws: plain sliders, neighbours, traversals."""

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from galspec.core.wavelength import wave_grid
from galspec.ui.chart_lines import with_major_lines
from galspec.ui.figures import FLUX_TITLE, FLUX_TITLE_SHORT, WAVE_TITLE, WAVE_TITLE_SHORT, source_mark
from galspec.ui.theme import GREY

Floats = NDArray[np.float64]

_TICKS: Final = {"ticks": "outside", "tickfont": {"size": 12}, "showline": True, "linecolor": GREY, "tickcolor": GREY}
#: Between rows of small panels, share of the height: ticks, and the name of the next panel.
_ROW_GAP: Final = 0.2
_DASHES: Final = ("solid", "dash", "dot", "dashdot")


def _line(name: str, y: Floats, **more: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": wave_grid(),
        "y": y,
        "hovertemplate": "%{x:.1f} Å: %{y:.3f}",
        **more,
    }


def decoded_figure(
    flux: Floats, ghost: Floats, start: str, *, source: str, is_outside: bool, height: int = 420
) -> go.Figure:
    """Draw a decoded spectrum over that of the start, and their difference.

    Parameters
    ----------
    flux, ghost : ndarray, shape (1000,)
    start : str
        What the ghost is, in words.
    source : str
        SIMULATED or REAL, see `source_mark`.
    is_outside : bool
        Dashes the curve: it lies outside the training data.
    height : int
        Pixels.
    """
    traces = [
        _line(f"start: {start}", ghost, line={"width": 1.0}, opacity=0.55),
        _line(
            "decoded from the sliders", flux, line={"width": 1.7, "dash": "dash" if is_outside else "solid"}
        ),
        _line("difference", flux - ghost, yaxis="y2", line={"width": 1.0, "color": GREY}, showlegend=False),
    ]  # fmt: skip
    layout = {
        "height": height,
        "margin": {"l": 58, "r": 12, "t": 30, "b": 42},
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "font": {"size": 13}},
        "xaxis": {**_TICKS, "title": {"text": WAVE_TITLE, "standoff": 6}, "anchor": "y2", "tickformat": "d"},
        "yaxis": {**_TICKS, "title": {"text": FLUX_TITLE, "standoff": 6}, "domain": [0.3, 1.0], "rangemode": "tozero"},
        "yaxis2": {**_TICKS, "title": {"text": "difference", "standoff": 6}, "domain": [0.0, 0.24]},
        "annotations": source_mark(source, large_at=0.5),
        "font": {"size": 13},
    }
    return with_major_lines(go.Figure({"data": traces, "layout": layout}))


def neighbours_figure(flux: Floats, spectra: dict[str, Floats], *, source: str, height: int = 330) -> go.Figure:
    """Draw observed spectra of a few galaxies behind the decoded one.

    Parameters
    ----------
    flux : ndarray, shape (1000,)
        Decoded from the sliders.
    spectra : dict of str to ndarray, shape (1000,)
        Name -> observed flux / norm, NaN = no data; at most three.
    source : str
        SIMULATED or REAL.
    height : int
    """
    traces = [
        _line(name, values, connectgaps=False, line={"width": 1.0, "dash": dash}, opacity=0.8)
        for (name, values), dash in zip(spectra.items(), _DASHES, strict=False)
    ]
    traces.append(_line("decoded from the sliders", flux, line={"width": 2.0}))
    # Two pixels together: an emission line stays inside, a spike of noise may be cut.
    pairs = [0.5 * (curve[1:] + curve[:-1]) for curve in (flux, *spectra.values())]
    low = float(np.nanpercentile(np.concatenate(pairs), 0.2))
    high = max(float(flux.max()), *(float(np.nanmax(pair)) for pair in pairs))
    layout = {
        "height": height,
        "margin": {"l": 58, "r": 12, "t": 30, "b": 42},
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "font": {"size": 13}},
        "xaxis": {**_TICKS, "title": {"text": WAVE_TITLE, "standoff": 6}, "tickformat": "d"},
        "yaxis": {**_TICKS, "title": {"text": FLUX_TITLE, "standoff": 6}, "range": [min(low, 0.0), 1.05 * high]},
        "annotations": source_mark(source, large_at=0.5),
        "font": {"size": 13},
    }
    return go.Figure({"data": traces, "layout": layout})


def traverse_figure(steps: Floats, flux: Floats, name: str, *, source: str, height: int = 380) -> go.Figure:
    """Draw the spectra along one latent, coloured by its value.

    Parameters
    ----------
    steps : ndarray, shape (S,)
        Values of the latent, standard deviations.
    flux : ndarray, shape (S, 1000)
    name : str
        Of the latent.
    source : str
        SIMULATED or REAL.
    height : int
    """
    colours = sample_colorscale("Viridis", ((steps - steps[0]) / (steps[-1] - steps[0])).tolist())
    traces = [
        _line(
            f"{name} = {step:+.1f} σ".replace("-", "−"), curve, line={"width": 1.2, "color": colour}, showlegend=False
        )
        for step, curve, colour in zip(steps, flux, colours, strict=True)
    ]
    # An invisible point carries the colour bar.
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [None],
            "y": [None],
            "showlegend": False,
            "marker": {
                "colorscale": "Viridis",
                "cmin": float(steps[0]),
                "cmax": float(steps[-1]),
                "color": [0.0],
                "showscale": True,
                "colorbar": {"title": {"text": f"{name} [σ]", "side": "right"}, "thickness": 14},
            },
        }
    )
    layout = {
        "height": height,
        "margin": {"l": 58, "r": 12, "t": 12, "b": 42},
        "xaxis": {**_TICKS, "title": {"text": WAVE_TITLE, "standoff": 6}, "tickformat": "d"},
        "yaxis": {**_TICKS, "title": {"text": FLUX_TITLE, "standoff": 6}, "rangemode": "tozero"},
        "annotations": source_mark(source, large_at=0.5),
        "font": {"size": 13},
    }
    return go.Figure({"data": traces, "layout": layout})


def small_traverses(steps: Floats, flux: Floats, names: list[str], *, source: str, height: int = 380) -> go.Figure:
    """Draw one small panel a latent: spectra along it from the mean.

    Parameters
    ----------
    steps : ndarray, shape (S,)
    flux : ndarray, shape (D, S, 1000)
    names : list of str, length D
    source : str
        SIMULATED or REAL.
    height : int
        Of two rows.
    """
    n_columns = 3
    n_rows = -(-len(names) // n_columns)
    colours = sample_colorscale("Viridis", ((steps - steps[0]) / (steps[-1] - steps[0])).tolist())
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "height": height * n_rows // 2,
        "margin": {"l": 52, "r": 8, "t": 22, "b": 44},
        "font": {"size": 12},
        "annotations": source_mark(source),
    }
    for index, name in enumerate(names):
        row, column = divmod(index, n_columns)
        suffix = str(index + 1) if index else ""
        x0, width = column / n_columns, 1.0 / n_columns - 0.035
        height_share = (1.0 - _ROW_GAP * (n_rows - 1)) / n_rows
        y1 = 1.0 - row * (height_share + _ROW_GAP)
        y0 = max(y1 - height_share, 0.0)  # rounding may leave the plot, which Plotly refuses
        layout[f"xaxis{suffix}"] = {
            **_TICKS,
            "domain": [x0, x0 + width],
            "anchor": f"y{suffix}",
            "tickformat": "d",
            "nticks": 5,
            **({"title": {"text": WAVE_TITLE_SHORT, "standoff": 2}} if row == n_rows - 1 else {}),
        }
        layout[f"yaxis{suffix}"] = {
            **_TICKS,
            "domain": [y0, y1],
            "anchor": f"x{suffix}",
            "nticks": 4,
            **({"title": {"text": FLUX_TITLE_SHORT, "standoff": 4}} if column == 0 else {}),
        }
        layout["annotations"].append(
            {"xref": "paper", "yref": "paper", "x": x0, "y": y1, "yanchor": "bottom", "xanchor": "left",
             "text": name, "showarrow": False, "font": {"size": 12}}
        )  # fmt: skip
        traces += [
            {
                **_line(f"{step:+.0f} σ".replace("-", "−"), curve, line={"width": 1.0, "color": colour}),
                "xaxis": f"x{suffix}",
                "yaxis": f"y{suffix}",
                "showlegend": False,
            }
            for step, curve, colour in zip(steps, flux[index], colours, strict=True)
        ]
    return go.Figure({"data": traces, "layout": layout})

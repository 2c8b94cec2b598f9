"""Lines, indices and place in the BPT diagram of the three curves of a galaxy, by one code path."""

import dataclasses
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from galspec.measurement.bpt import kauffmann_2003, kewley_2001
from galspec.measurement.table import measure_spectra
from galspec.ui.comparison import Comparison
from galspec.ui.figures import source_mark
from galspec.ui.labels import class_word, number
from galspec.ui.theme import GREY, SERIES

#: Names of the curves in words, in the order of the theme's series colours.
CURVES: Final = dict(zip(SERIES, ("observed", "predicted from the image", "VAE reconstruction"), strict=True))
_SYMBOLS: Final = dict(zip(SERIES, ("circle", "diamond", "square"), strict=True))
#: Columns of `measure_spectra` -> (name, unit, digits).
_WIDTHS: Final = {
    "ew_oii3727": ("EW([O II] 3727)", "Å", 1),
    "ew_hbeta": ("EW(Hβ)", "Å", 2),
    "ew_oiii5007": ("EW([O III] 5007)", "Å", 2),
    "ew_halpha": ("EW(Hα)", "Å", 2),
    "ew_nii6583": ("EW([N II] 6583)", "Å", 2),
    "dn4000": ("Dn4000", "", 3),
    "hdelta_a": ("HδA", "Å", 2),
    "mgb": ("Mg b", "Å", 2),
    "log_n2": ("log10([N II] 6583 / Hα)", "", 2),
    "log_o3": ("log10([O III] 5007 / Hβ)", "", 2),
}
_FLUXES: Final = {
    "flux_oii3727": "[O II] 3727",
    "flux_hbeta": "Hβ",
    "flux_oiii5007": "[O III] 5007",
    "flux_halpha": "Hα",
    "flux_nii6583": "[N II] 6583",
}
_FLUX_UNIT: Final = "1e-17 erg/s/cm²"
_SMALL: Final = {"size": 12}
_BPT_X, _BPT_Y = (-1.6, 0.8), (-1.3, 1.4)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measurements of the curves of one galaxy.

    Parameters
    ----------
    by_curve : dict of str to Series
        A row of `galspec.measurement.table.measure_spectra` for each curve that is known, keyed as `theme.SERIES`;
        line fluxes in units of the norm times angstrom, observed frame.
    norm : float
        1e-17 erg/s/cm2/A.
    """

    by_curve: dict[str, "pd.Series[Any]"]
    norm: float


def measure_curves(comparison: Comparison, redshift: float) -> Measured:
    """Measure every known curve: the observed one with its errors and gaps, models without.

    Raises
    ------
    SpectrumError
        If a curve is not finite where it has data.
    """
    found: dict[str, pd.Series[Any]] = {}
    if comparison.observed is not None and comparison.sigma is not None:
        good = comparison.has_data
        ivar = np.where(good, 1.0 / np.where(good, comparison.sigma, 1.0) ** 2, 0.0)
        flux = np.where(good, comparison.observed, 0.0)
        found["observed"] = measure_spectra(flux[None], ivar[None], [redshift]).iloc[0]
    curves = {"predicted": comparison.prediction, "reconstruction": comparison.reconstruction}
    models = {key: curve for key, curve in curves.items() if curve is not None}
    if models:
        table = measure_spectra(np.stack(list(models.values())), None, np.full(len(models), redshift))
        found |= {key: table.iloc[index] for index, key in enumerate(models)}
    return Measured(found, comparison.norm)


def widths_table(measured: Measured) -> pd.DataFrame:
    """Return equivalent widths, indices, ratios and classes as text.

    Returns
    -------
    DataFrame
        Columns Quantity, Unit, Observed (with its error), VAE reconstruction, Predicted, and the difference of
        prediction and observation, also in the observation's errors.
    """
    rows = []
    for column, (name, unit, digits) in _WIDTHS.items():
        observed, error = _value(measured, "observed", column), _value(measured, "observed", f"{column}_err")
        predicted = _value(measured, "predicted", column)
        difference = predicted - observed
        rows.append(
            {
                "Quantity": name,
                "Unit": unit,
                "Observed": _with_error(observed, error, digits),
                "VAE reconstruction": _text(_value(measured, "reconstruction", column), digits),
                "Predicted": _text(predicted, digits),
                "Predicted − observed": _text(difference, digits, signed=True),
                "in observed σ": _text(difference / error if error > 0 else float("nan"), 1, signed=True),
            }
        )
    words = {key: bpt_word(measured, key) for key in SERIES}
    rows.append(
        {
            "Quantity": "BPT class",
            "Unit": "",
            "Observed": words["observed"],
            "VAE reconstruction": words["reconstruction"],
            "Predicted": words["predicted"],
            "Predicted − observed": "",
            "in observed σ": "",
        }
    )
    return pd.DataFrame(rows)


def fluxes_table(measured: Measured) -> pd.DataFrame:
    """Return line fluxes in the observed frame as text; the prediction has no flux scale, hence none.

    Returns
    -------
    DataFrame
        Columns Line, Unit, Observed (with its error), VAE reconstruction.
    """
    rows = []
    for column, name in _FLUXES.items():
        observed = _value(measured, "observed", column) * measured.norm
        error = _value(measured, "observed", f"{column}_err") * measured.norm
        rebuilt = _value(measured, "reconstruction", column) * measured.norm
        rows.append((name, _FLUX_UNIT, _with_error(observed, error, 1), _text(rebuilt, 1)))
    return pd.DataFrame(rows, columns=["Line flux", "Unit", "Observed", "VAE reconstruction"])


def bpt_word(measured: Measured, key: str) -> str:
    """Return the class of a curve in words; "–" if its lines were not measured."""
    row = measured.by_curve.get(key)
    code = "" if row is None else str(row["bpt_class"])
    return class_word("bpt_class", code) if code else "–"


def bpt_position(measured: Measured, key: str) -> tuple[float, float] | None:
    """Return log10([NII]6583/Halpha) and log10([OIII]5007/Hbeta) of a curve, or None if one is not defined."""
    place = _value(measured, key, "log_n2"), _value(measured, key, "log_o3")
    return place if np.isfinite(place).all() else None


def bpt_sentences(measured: Measured) -> list[str]:
    """Say where each known curve lies in the diagram, or that it has no place."""
    found = []
    for key in measured.by_curve:
        place = bpt_position(measured, key)
        words = CURVES[key]
        if place is None:
            found.append(f"{words}: no position, because a line is not measured or not positive.")
        else:
            inside = _BPT_X[0] <= place[0] <= _BPT_X[1] and _BPT_Y[0] <= place[1] <= _BPT_Y[1]
            outside = "" if inside else " (outside the frame)"
            place_text = f"{number(place[0], 2, signed=True)}, {number(place[1], 2, signed=True)}"
            found.append(f"{words}: {place_text}{outside}, {bpt_word(measured, key)}.")
    return found


def bpt_figure(measured: Measured, *, source: str, height: int = 400) -> go.Figure:
    """Draw the diagram of Baldwin, Phillips & Terlevich (1981) with the positions of the curves.

    Parameters
    ----------
    measured : Measured
    source : str
        Of the survey: SIMULATED or REAL.
    height : int
        Pixels.

    Returns
    -------
    Figure
        Colours of the positions are the theme's, in the order of `theme.SERIES`; dividing lines are grey.
    """
    traces = [_position_trace(measured, key) for key in SERIES]
    log_n2 = np.linspace(_BPT_X[0], _BPT_X[1], 200)
    for name, curve, dash in (
        ("Kauffmann et al. (2003)", kauffmann_2003(log_n2), "dash"),
        ("Kewley et al. (2001)", kewley_2001(log_n2), "solid"),
    ):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": log_n2,
                "y": np.where(curve > _BPT_Y[0] - 0.5, curve, np.nan),
                "line": {"color": GREY, "dash": dash, "width": 1.5},
                "hoverinfo": "name",
            }
        )
    ticks = {"tickfont": {"size": 12}, "fixedrange": True, "zeroline": False, "showline": True, "linecolor": GREY}
    layout = {
        "height": height,
        "margin": {"l": 56, "r": 8, "t": 8, "b": 44},
        "xaxis": {**ticks, "title": {"text": "log<sub>10</sub>([N II] 6583 / Hα)"}, "range": list(_BPT_X)},
        "yaxis": {**ticks, "title": {"text": "log<sub>10</sub>([O III] 5007 / Hβ)"}, "range": list(_BPT_Y)},
        "legend": {"orientation": "h", "x": 0, "y": -0.19, "yanchor": "top", "font": {"size": 12}},
        "annotations": [
            {"x": x, "y": y, "text": text, "textangle": angle, "showarrow": False, "font": _SMALL, "opacity": 0.75}
            for x, y, text, angle in (
                (-1.2, -0.75, "star-forming", 0),
                (-0.03, -0.8, "composite", 70),  # along the band: across, it is wider than the band of a small plot
                (0.4, 0.75, "AGN", 0),
            )
        ]
        + source_mark(source),
        "dragmode": False,
        "font": {"size": 13},
    }
    return go.Figure({"data": traces, "layout": layout})


def _position_trace(measured: Measured, key: str) -> dict[str, Any]:
    place = bpt_position(measured, key)
    errors = [_value(measured, key, name) for name in ("log_n2_err", "log_o3_err")]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": CURVES[key],
        "x": [place[0] if place else None],
        "y": [place[1] if place else None],
        "marker": {"symbol": _SYMBOLS[key], "size": 11},
        "showlegend": place is not None,
        "hovertemplate": "%{x:+.2f}, %{y:+.2f}",
    }
    if place and np.isfinite(errors).all():
        trace |= {
            f"error_{axis}": {"array": [value], "thickness": 1.2} for axis, value in zip("xy", errors, strict=True)
        }
    return trace


def _value(measured: Measured, key: str, column: str) -> float:
    row = measured.by_curve.get(key)
    return float("nan") if row is None else float(row[column])


def _text(value: float, digits: int, signed: bool = False) -> str:
    return number(value, digits, signed) if np.isfinite(value) else "–"


def _with_error(value: float, error: float, digits: int) -> str:
    return (
        f"{_text(value, digits)} ± {number(error, digits)}"
        if np.isfinite([value, error]).all()
        else _text(value, digits)
    )

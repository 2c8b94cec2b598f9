"""Markers and names of lines in the spectrum figure: shapes and annotations, not a trace each."""

import math
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from galspec.core.lines import SpectralLine
from galspec.core.wavelength import LOGLAM_START, LOGLAM_STEP, N_WAVE
from galspec.ui.chart_axes import MAIN, RESIDUAL
from galspec.ui.galaxy_frame import Frame
from galspec.ui.line_marks import N_ROWS, LineLabel, lines_in_window, place_labels
from galspec.ui.theme import GREY
from galspec.ui.windows import PRESETS

#: Of a line's name, in paper coordinates.
LABEL_HEIGHT: Final = 0.046
_DASHES: Final = {"absorption": "dash", "sky": "dashdot", "custom": "solid"}
_DEFAULT_DASH: Final = "dot"


def line_shapes(lines: list[SpectralLine], labels: list[LineLabel], frame: Frame) -> list[dict[str, Any]]:
    """Return the markers as shapes of a figure; emission dotted, absorption dashed, sky dash-dotted, custom solid.

    Parameters
    ----------
    lines, labels : list
        Of `galspec.ui.line_marks`.
    frame : Frame
        Of the axis.
    """
    label_of = {line.name: label for label in labels for line in label.lines}
    shapes = []
    for line in lines:
        x = line.wave_vac * frame.scale
        for y0, y1 in _line_segments(label_of.get(line.name)):
            shapes.append(
                {
                    "type": "line",
                    "xref": "x",
                    "yref": "paper",
                    "x0": x,
                    "x1": x,
                    "y0": y0,
                    "y1": y1,
                    "line": {"color": GREY, "width": 1, "dash": _DASHES.get(line.kind, _DEFAULT_DASH)},
                    "opacity": 0.7,
                    "layer": "below",
                }
            )
    return shapes


def _line_segments(label: LineLabel | None) -> list[tuple[float, float]]:
    """Return the parts of a marker in paper coordinates: it stops where its own name is written."""
    if label is None:
        return [(0.0, 1.0)]
    depth = (label.row + 1) * LABEL_HEIGHT
    return [(0.0, RESIDUAL[1]), (MAIN[0] + depth, 1.0)] if label.is_absorption else [(0.0, 1.0 - depth)]


def line_annotations(labels: list[LineLabel], frame: Frame) -> list[dict[str, Any]]:
    """Return the names as annotations of a figure; the pointer on one shows its wavelengths in both frames."""
    annotations = []
    for label in labels:
        offset = label.row * LABEL_HEIGHT
        facts = "<br>".join(_facts(line, frame) for line in label.lines)
        annotations.append(
            {
                "x": label.wave * frame.scale,
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


def _facts(line: SpectralLine, frame: Frame) -> str:
    place = (math.log10(line.wave_vac / frame.shift) - LOGLAM_START) / LOGLAM_STEP
    pixel = f", pixel {place:.1f}" if 0 <= place <= N_WAVE - 1 else ""
    observed = line.wave_vac * (1.0 + frame.z)
    return f"{line.name}: {line.wave_vac:.2f} Å rest, {observed:.2f} Å observed (vacuum){pixel}"


def with_major_lines(figure: go.Figure) -> go.Figure:
    """Add the major lines to a figure of rest-frame spectra over their difference; no galaxy, so no redshift."""
    frame, window = Frame.of_catalog(0.0), PRESETS["full"][1]
    marks = lines_in_window("major", window)
    labels = place_labels(marks, window)
    names = line_annotations(labels, frame)
    for name, label in zip(names, labels, strict=True):
        name["hovertext"] = "<br>".join(f"{line.name}: {line.wave_vac:.2f} Å rest (vacuum)" for line in label.lines)
    curves = np.concatenate([np.asarray(trace.y, np.float64) for trace in figure.data if trace.yaxis in {None, "y"}])
    low, high = min(float(curves.min()), 0.0), float(curves.max())
    # The names have room above the strongest line.
    names_share = (N_ROWS + 0.3) * LABEL_HEIGHT / (MAIN[1] - MAIN[0])
    figure.update_layout(
        yaxis_range=[low, low + (high - low) / (1.0 - names_share)],
        shapes=[*figure.layout.shapes, *line_shapes(marks, labels, frame)],
        annotations=[*figure.layout.annotations, *names],
    )
    return figure

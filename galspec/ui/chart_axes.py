"""Axes of the spectrum figure: they name frame, medium and unit."""

from typing import Any, Final

from galspec.ui.figures import FLUX_TITLE, WAVE_TITLE
from galspec.ui.galaxy_frame import Frame, redshift_text
from galspec.ui.theme import GREY
from galspec.ui.windows import Window

#: Share of the height of the spectra and of the residual.
MAIN: Final = (0.31, 1.0)
RESIDUAL: Final = (0.0, 0.25)


def axis_titles(frame: Frame) -> tuple[str, str]:
    """Return the titles of the bottom and of the top axis: frame, medium, unit, and the redshift between them."""
    redshift = f"trial z = {redshift_text(frame.z)}" if frame.is_trial else f"z = {frame.z:.5f}"
    rest, observed = WAVE_TITLE, f"Observed wavelength, vacuum [Å], {redshift}"
    return (rest, observed) if frame.is_rest else (observed, rest)


def spectrum_axes(frame: Frame, window: Window, y_range: tuple[float, float], limit: float) -> dict[str, Any]:
    """Return the axes of the spectrum figure: its frame below, the other above, residual in a panel of its own.

    Parameters
    ----------
    frame : Frame
    window : (float, float)
        Rest-frame wavelengths in angstrom.
    y_range : (float, float)
        Of the spectra.
    limit : float
        Of the residual, both signs.
    """
    bottom, top = axis_titles(frame)
    ticks = {
        "ticks": "outside",
        "tickfont": {"size": 12},
        "showline": True,
        "linecolor": GREY,
        "tickcolor": GREY,
        "automargin": False,  # the margins have room for titles and ticks
        "ticklabeloverflow": "allow",  # else Plotly measures every label's size
    }
    return {
        "xaxis": {
            **ticks,
            "title": {"text": bottom, "standoff": 12},
            "range": list(frame.window(window)),
            "anchor": "y2",
            "hoverformat": ".1f",
            "tickformat": "d",
            "unifiedhovertitle": {"text": f"%{{x:.1f}} Å {'rest' if frame.is_rest else 'observed'}, vacuum"},
            "zeroline": False,
        },
        "xaxis2": {
            **ticks,
            "title": {"text": top, "standoff": 4},
            "range": list(frame.other_window(window)),
            "overlaying": "x",
            "side": "top",
            "anchor": "y",
            "tickformat": "d",
            "tickmode": "auto",
            "showgrid": False,
            "zeroline": False,
        },
        "yaxis": {
            **ticks,
            "title": {"text": FLUX_TITLE, "standoff": 6},
            "domain": list(MAIN),
            "range": list(y_range),
            "zeroline": True,
            "fixedrange": True,
        },
        "yaxis2": {
            **ticks,
            "title": {"text": "residual [σ]", "standoff": 6},
            "domain": list(RESIDUAL),
            "range": [-limit, limit],
            "zeroline": True,
            "fixedrange": True,
            "nticks": 5,
        },
        "yaxis3": {"domain": [0.0, 1.0], "range": [0.0, 1.0], "visible": False, "fixedrange": True},
    }

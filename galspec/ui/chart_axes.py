"""Axes of the spectrum figure: they name frame, medium and unit."""

from typing import Any, Final

from galspec.ui.theme import GREY
from galspec.ui.windows import Window

#: Share of the height of the spectra and of the residual.
MAIN: Final = (0.31, 1.0)
RESIDUAL: Final = (0.0, 0.25)


def spectrum_axes(redshift: float, window: Window, y_range: tuple[float, float], limit: float) -> dict[str, Any]:
    """Return the axes of the spectrum figure: rest frame below, observed frame above, residual in a panel of its own.

    Parameters
    ----------
    redshift : float
    window : (float, float)
        Rest-frame wavelengths in angstrom.
    y_range : (float, float)
        Of the spectra.
    limit : float
        Of the residual, both signs.
    """
    ticks = {"ticks": "outside", "tickfont": {"size": 12}, "showline": True, "linecolor": GREY, "tickcolor": GREY}
    return {
        "xaxis": {
            **ticks,
            "title": {"text": "Rest-frame wavelength, vacuum [Å]", "standoff": 6},
            "range": list(window),
            "anchor": "y2",
            "hoverformat": ".1f",
            "tickformat": "d",
            "unifiedhovertitle": {"text": "%{x:.1f} Å rest, vacuum"},
            "zeroline": False,
        },
        "xaxis2": {
            **ticks,
            "title": {"text": f"Observed wavelength, vacuum [Å], z = {redshift:.5f}", "standoff": 4},
            "range": [edge * (1.0 + redshift) for edge in window],
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
            "title": {"text": "F<sub>λ</sub> / median(4200–6700 Å)", "standoff": 6},
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

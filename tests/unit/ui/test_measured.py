"""Lines, indices and BPT positions of the three curves, side by side."""

import numpy as np
import pytest

from galspec.core.wavelength import wave_grid
from galspec.measurement.bpt import bpt_class, kauffmann_2003, kewley_2001
from galspec.ui.comparison import Comparison
from galspec.ui.measured import bpt_figure, bpt_sentences, fluxes_table, measure_curves, widths_table


def _with_lines(widths: dict[float, float]) -> np.ndarray:
    """Return a flat spectrum with emission lines of given equivalent widths (angstrom) and 300 km/s."""
    wave = wave_grid()
    flux = np.ones(1000)
    for centre, width in widths.items():
        sigma = centre * 300.0 / 299792.458
        flux += width / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((wave - centre) / sigma) ** 2)
    return flux


STAR_FORMING = {4862.68: 10.0, 5008.24: 10.0, 6549.85: 3.0, 6564.61: 30.0, 6585.27: 9.0}


def test_differences_are_those_of_the_curves():
    doubled = {centre: 2 * width for centre, width in STAR_FORMING.items()}
    shown = Comparison(
        observed=_with_lines(STAR_FORMING), sigma=np.full(1000, 0.02), prediction=_with_lines(doubled), norm=10.0
    )
    measured = measure_curves(shown, 0.1)
    table = widths_table(measured).set_index("Quantity")
    observed = float(table.loc["EW(Hα)", "Observed"].split(" ± ")[0])
    predicted = float(table.loc["EW(Hα)", "Predicted"])
    assert observed == pytest.approx(30.0, rel=0.1)
    assert predicted == pytest.approx(60.0, rel=0.1)
    assert float(table.loc["EW(Hα)", "Predicted − observed"]) == pytest.approx(predicted - observed, abs=0.02)
    assert table.loc["EW(Hα)", "VAE reconstruction"] == "–"
    flux = float(fluxes_table(measured).set_index("Line flux").loc["Hα", "Observed"].split(" ± ")[0])
    assert flux == pytest.approx(observed * 10.0 * 1.1, rel=0.1)  # times norm and 1 + z
    assert table.loc["BPT class", "Observed"] == "star-forming"


def test_a_curve_without_lines_has_no_marker_and_says_so():
    measured = measure_curves(Comparison(prediction=2.0 - _with_lines(STAR_FORMING)), 0.1)
    trace = bpt_figure(measured, source="REAL").data[1]
    assert trace.showlegend is False
    assert "no position" in bpt_sentences(measured)[0]


@pytest.mark.parametrize("log_n2", [-1.0, -0.5, 0.0, 0.3])
def test_the_curves_drawn_are_those_that_divide_classes(log_n2):
    for curve, below, above in (
        (kewley_2001, ("star-forming", "composite"), ("agn",)),
        (kauffmann_2003, ("star-forming",), ("composite", "agn")),
    ):
        edge = float(curve(log_n2))
        if np.isfinite(edge):
            assert bpt_class(log_n2, edge - 1e-6, 10.0) in below
            assert bpt_class(log_n2, edge + 1e-6, 10.0) in above

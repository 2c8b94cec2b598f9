"""The spectrum figure: what moves with redshift and frame, and that Plotly accepts what is drawn."""

import json

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest

from galspec.core.lines import SKY_LINES, line_by_name
from galspec.core.wavelength import wave_grid
from galspec.ui.chart_axes import axis_titles
from galspec.ui.charts import curve_range, spectrum_figure
from galspec.ui.comparison import Comparison
from galspec.ui.galaxy_frame import Frame
from galspec.ui.galaxy_lines import CustomLine
from galspec.ui.latent_chart import latent_figure
from galspec.ui.line_marks import lines_in_window

WINDOW = (3400.0, 8300.0)


def _model() -> np.ndarray:
    return 1.0 + 5.0 * np.exp(-0.5 * ((wave_grid() - 6564.61) / 12.0) ** 2)


@pytest.fixture
def comparison() -> Comparison:
    observed = _model()
    observed[100:110] = np.nan
    return Comparison(
        observed=observed,
        sigma=np.where(np.isfinite(observed), 0.1, np.nan),
        reconstruction=_model(),
        prediction=_model(),
        latent_true=np.zeros(6),
        latent_predicted=np.ones(6),
    )


def _figure(comparison, frame, **options):
    options = {"window": WINDOW, "marks": [], "source": "SIMULATED", **options}
    return spectrum_figure(comparison, frame=frame, **options)


def _x(figure, index: int) -> np.ndarray:
    return np.asarray(figure.data[index].x, np.float64)


def test_a_trial_redshift_moves_pixels_in_the_rest_frame_and_models_in_the_observed(comparison):
    at_rest = _figure(comparison, Frame(0.05, 0.06))
    np.testing.assert_allclose(_x(at_rest, 0), wave_grid() * 1.05 / 1.06)
    np.testing.assert_allclose(_x(at_rest, 1), wave_grid())
    np.testing.assert_allclose(_x(at_rest, 3), _x(at_rest, 0))  # the residual lies at the pixels
    observed = _figure(comparison, Frame(0.05, 0.06, "obs"))
    np.testing.assert_allclose(_x(observed, 0), wave_grid() * 1.05)
    np.testing.assert_allclose(_x(observed, 2), wave_grid() * 1.06)


def test_both_frames_show_the_same_window(comparison):
    for kind, factor in (("rest", 1.0), ("obs", 1.06)):
        layout = _figure(comparison, Frame(0.05, 0.06, kind), window=(4780.0, 5080.0)).to_plotly_json()["layout"]
        np.testing.assert_allclose(layout["xaxis"]["range"], [4780.0 * factor, 5080.0 * factor])
        other = 1.06 if kind == "rest" else 1.0
        np.testing.assert_allclose(layout["xaxis2"]["range"], [4780.0 * other, 5080.0 * other])


def test_titles_name_frame_medium_unit_and_redshift():
    rest, observed = axis_titles(Frame(0.05, 0.05))
    assert rest == "Rest-frame wavelength, vacuum [Å]"
    assert observed == "Observed wavelength, vacuum [Å], z = 0.05000"
    bottom, top = axis_titles(Frame(0.05, 0.0512345, "obs"))
    assert (top, bottom) == (rest, "Observed wavelength, vacuum [Å], trial z = 0.0512345")


def test_the_residual_is_zero_at_the_right_redshift_only(comparison):
    assert np.nanmax(np.abs(comparison.residual())) == 0.0
    assert np.nanmax(np.abs(comparison.residual(1.05 / 1.055))) > 10.0
    moved = comparison.residual(1.05 / 1.2)
    assert np.isnan(moved[0])  # bluewards of the prediction
    # Half a pixel: the prediction is interpolated, not rounded to the next pixel.
    half = comparison.residual(10.0 ** (0.5 * 3.9e-4))
    assert 0.0 < np.nanmax(np.abs(half)) < np.nanmax(np.abs(comparison.residual(10.0**3.9e-4)))


def test_sky_lines_keep_their_observed_wavelength(comparison):
    sky = SKY_LINES[0]
    marks = lines_in_window("all", WINDOW, 0.06)
    mine = next(line for line in marks if line.name == sky.name)
    assert mine.wave_vac == pytest.approx(sky.wave_vac / 1.06)
    assert mine.label == "sky"
    shapes = _figure(comparison, Frame(0.05, 0.06, "obs"), marks=marks).to_plotly_json()["layout"]["shapes"]
    places = [shape["x0"] for shape in shapes if shape["xref"] == "x"]
    assert np.min(np.abs(np.array(places) - sky.wave_vac)) < 1e-6
    assert np.min(np.abs(np.array(places) - line_by_name("Halpha").wave_vac * 1.06)) < 1e-6
    assert not [line for line in lines_in_window("major", WINDOW, 0.06) if line.kind == "sky"]


def test_the_pointer_on_a_name_tells_wavelengths_in_both_frames_and_the_pixel(comparison):
    halpha = line_by_name("Halpha")
    frame = Frame(0.05, 0.06)
    note = _figure(comparison, frame, marks=[halpha]).to_plotly_json()["layout"]["annotations"][0]["hovertext"]
    assert note.startswith(f"Halpha: 6564.61 Å rest, {6564.61 * 1.06:.2f} Å observed (vacuum), pixel ")
    pixel = float(note.rsplit(" ", 1)[1])
    at_pixel = np.interp(pixel, np.arange(1000), frame.of_pixels(wave_grid()))
    assert at_pixel == pytest.approx(6564.61, abs=0.2)  # a tenth of a pixel is 0.6 A


def test_own_lines_are_drawn_unless_none_are():
    own = [CustomLine(5303.0, "mine").as_line()]
    for choice, n_own in (("major", 1), ("all", 1), ("none", 0)):
        assert len([line for line in lines_in_window(choice, WINDOW, 0.05, own) if line.kind == "custom"]) == n_own


def test_pinned_predictions_differ_in_dash_and_hide_the_fifth_curve(comparison):
    pinned = [(f"galaxy-{index}", _model() + index) for index in (1, 2, 3)]
    data = _figure(comparison, Frame.of_catalog(0.05), pinned=pinned).to_plotly_json()["data"]
    found = [trace for trace in data if trace.get("name", "").startswith("predicted for")]
    assert [trace["name"] for trace in found] == [f"predicted for galaxy-{index}" for index in (1, 2, 3)]
    assert len({trace["line"]["dash"] for trace in found} | {data[1]["line"]["dash"]}) == 4
    assert data[2]["visible"] == "legendonly"
    assert [data[index]["name"] for index in (4, 6, 7)] == [trace["name"] for trace in found]  # their theme colours
    two = _figure(comparison, Frame.of_catalog(0.05), pinned=pinned[:2]).to_plotly_json()["data"]
    assert two[2]["visible"] is True
    assert curve_range(comparison, WINDOW, pinned=pinned)[1] > 9.0


def test_the_flux_range_follows_the_pixels_that_are_in_the_window(comparison):
    window = (6500.0, 6630.0)
    shown = Comparison(observed=comparison.observed, sigma=comparison.sigma)
    assert curve_range(shown, window)[1] > 6.0
    assert curve_range(shown, window, shift=1.05 / 1.15)[1] < 2.0  # the line has moved out of it


def test_plotly_accepts_the_figures(comparison):
    marks = lines_in_window("all", WINDOW, 0.06, [CustomLine(5303.0, "mine").as_line()])
    drawn = _figure(comparison, Frame(0.05, 0.06), marks=marks, pinned=[("other", _model())])
    for figure in (drawn, latent_figure(comparison, source="REAL")):
        content = figure.to_dict()
        checked = go.Figure(content)  # raises on any property or value that Plotly does not know
        assert json.loads(plotly.io.to_json(checked)) == json.loads(plotly.io.to_json(content, validate=False))

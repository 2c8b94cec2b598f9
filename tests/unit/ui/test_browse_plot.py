"""The plot of Browse: its sample, its regions, its figure."""

import numpy as np
import pandas as pd
import pytest

from galspec.ui.browse_plot import axis_words, number_columns, rows_inside, scatter_figure

N = 500


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "id": [f"12376487206937559{row:02d}" for row in range(N)],
            "redshift": rng.uniform(0.0, 0.3, N),
            "mag_r": rng.normal(17.0, 1.0, N),
            "galaxy_class": rng.choice(["SF", "Q"], N),
            "embedding_1": np.zeros(N),
        }
    )


def test_a_region_holds_all_its_galaxies(frame):
    x, y = frame["redshift"].to_numpy(), frame["mag_r"].to_numpy()
    rows = np.arange(0, N, 2)
    box = {"box": [{"x": [0.2, 0.1], "y": [18.0, 16.0]}]}
    wanted = rows[(x[rows] >= 0.1) & (x[rows] <= 0.2) & (y[rows] >= 16.0) & (y[rows] <= 18.0)]
    assert np.array_equal(rows_inside(box, x, y, rows), wanted)
    lasso = {"lasso": [{"x": [0.1, 0.2, 0.2, 0.1], "y": [16.0, 16.0, 18.0, 18.0]}]}
    assert np.array_equal(rows_inside(lasso, x, y, rows), wanted)
    assert rows_inside({}, x, y, rows).size == 0


def test_ids_reach_the_browser_as_text_and_magnitudes_run_backwards(frame):
    rows = np.arange(N)
    figure = scatter_figure(frame, rows, rows, ("redshift", "mag_r"), "galaxy_class", source="SIMULATED")
    assert [trace.name for trace in figure.data] == ["quiescent", "star-forming"]
    assert len({trace.marker.symbol for trace in figure.data}) == 2
    assert all(str(one) in set(frame["id"]) for one in figure.data[0].customdata)
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.xaxis.autorange is True


def test_more_galaxies_than_points_are_drawn_as_a_density_too(frame):
    rows = np.arange(N)
    figure = scatter_figure(frame, rows, rows[:40], ("redshift", "mag_r"), "redshift", source="REAL")
    assert figure.data[0].type == "heatmap"
    counts = 10.0 ** np.nan_to_num(figure.data[0].z, nan=-np.inf)
    assert counts.sum() == pytest.approx(N, abs=8)  # the outermost 0.1 % lie outside
    assert len(figure.data[1].x) == 40


def test_axes_are_numbers_with_their_units(frame):
    assert number_columns(frame) == ["redshift", "mag_r"]
    assert axis_words("mag_r") == "mag_r [mag]"

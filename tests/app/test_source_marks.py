"""The plots of pages carry the word of the survey that is open."""

import json
import shutil

import pytest

from galspec.store import layout


@pytest.fixture(params=["SIMULATED", "REAL"])
def source(request, scored_survey, tmp_path, monkeypatch):
    folder = shutil.copytree(scored_survey.folder, tmp_path / "marked")
    metadata = json.loads((folder / layout.METADATA).read_text())
    (folder / layout.METADATA).write_text(json.dumps({**metadata, "source": request.param}))
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    return request.param


def _sources(chart) -> list[str]:
    notes = json.loads(chart.proto.spec)["layout"]["annotations"]
    return [note["text"] for note in notes if note.get("text") in layout.SOURCES]


@pytest.mark.parametrize(
    ("page", "query", "n_plots"),
    [("home", {}, 1), ("galaxy", {"panel": "measured"}, 3), ("browse", {"view": "plot"}, 1)],
)
def test_every_plot_says_what_its_data_are(open_page, source, page, query, n_plots):
    charts = open_page(page, **query).get("plotly_chart")
    assert [_sources(chart) for chart in charts] == [[source]] * n_plots


@pytest.mark.parametrize("panel", ["map", "traverse", "meaning"])
def test_latents_of_a_model_trained_on_simulated_galaxies_are_never_called_real(open_page, source, panel):
    charts = open_page("latents", panel=panel, plain="1").get("plotly_chart")
    assert [_sources(chart) for chart in charts] == [["SIMULATED"]] * 2

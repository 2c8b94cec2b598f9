"""Galaxy: measured lines of the three curves, nearest galaxies; nothing is computed before its panel is open."""

import json

from galspec.ui import galaxy_panels

GALAXY = "sim1-00000031"


def _figure(at, index: int) -> dict:
    return json.loads(at.get("plotly_chart")[index].proto.spec)


def test_nothing_is_measured_until_the_panel_is_open(open_page, monkeypatch):
    calls = []
    measure = galaxy_panels.measure_curves
    monkeypatch.setattr(galaxy_panels, "measure_curves", lambda *args: calls.append(args) or measure(*args))
    at = open_page("galaxy", id=GALAXY)
    assert not calls
    at.button_group(key="galaxy_panel").set_value("measured").run()
    assert not at.exception
    assert len(calls) == 1
    assert at.query_params["panel"] in ("measured", ["measured"])
    at.run()
    assert len(calls) == 1


def test_the_panel_compares_the_three_curves(open_page):
    at = open_page("galaxy", id=GALAXY, panel="measured")
    table = at.table[0].value.set_index("Quantity")
    assert list(table.columns) == [
        "Unit",
        "Observed",
        "VAE reconstruction",
        "Predicted",
        "Predicted − observed",
        "in σ",
    ]
    assert "±" in table.loc["EW(Hα)", "Observed"]
    assert table.loc["EW(Hα)", "Unit"] == "Å"
    assert "±" in at.table[1].value.set_index("Line flux").loc["Hα", "Observed"]
    names = [trace["name"] for trace in _figure(at, 1)["data"]]
    assert names[:3] == ["observed", "predicted from the image", "VAE reconstruction"]
    assert names[3:] == ["Kauffmann et al. (2003)", "Kewley et al. (2001)"]


def test_an_unknown_panel_is_reported(open_page):
    at = open_page("galaxy", id=GALAXY, panel="everything")
    assert any("everything" in warning.value for warning in at.warning)


def test_the_panel_without_a_model_measures_the_observed_spectrum(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_MODEL", str(tmp_path / "none"))
    at = open_page("galaxy", id=GALAXY, panel="measured")
    assert at.table[0].value.set_index("Quantity").loc["Dn4000", "Predicted"] == "–"

"""Galaxy: measured lines of the three curves, nearest galaxies; nothing is computed before its panel is open."""

import json
import shutil

import pandas as pd
import pytest

from galspec.inference.scores import ModelPair, score_survey
from galspec.models.bundle import load_predictor_bundle, load_vae_bundle
from galspec.store import layout
from galspec.store.similar import similar_galaxies
from galspec.store.survey import open_survey
from galspec.ui import galaxy_panels
from tests.toy_survey import write_toy_models

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
        "in observed σ",
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


def test_without_scores_one_sentence_names_the_command(open_page):
    at = open_page("galaxy", id=GALAXY, panel="similar")
    assert len(at.info) == 1
    assert "python -m galspec predict --survey" in at.info[0].value
    assert "--scores" in at.info[0].value


@pytest.fixture
def scored_dir(monkeypatch, tmp_path, toy_survey_dir, toy_model_dirs):
    """A toy survey with scores in which the nearest galaxy of `GALAXY` is a repeat of it."""
    folder = tmp_path / "scored"
    shutil.copytree(toy_survey_dir, folder)
    catalog = pd.read_parquet(folder / layout.CATALOG)
    survey = open_survey(folder)
    models = ModelPair(load_predictor_bundle(toy_model_dirs[1]), load_vae_bundle(toy_model_dirs[0]))
    vectors = score_survey(models, survey, tmp_path / "first.parquet").latents
    row = survey.row(GALAXY)
    nearest = similar_galaxies(row, vectors, catalog["id"], catalog["ra_deg"], catalog["dec_deg"], 1).rows[0]
    catalog.loc[nearest, ["ra_deg", "dec_deg"]] = catalog.loc[row, ["ra_deg", "dec_deg"]].to_numpy()
    catalog.to_parquet(folder / layout.CATALOG, index=False)
    moved = open_survey(folder)
    score_survey(models, moved, moved.prediction_path("toy-cnn"))
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    return folder, catalog["id"].iloc[nearest]


def _galleries(at) -> list[dict]:
    found = [element.proto for element in at.get("bidi_component")]
    return [json.loads(proto.json) for proto in found if "gallery" in proto.component_name]


def test_the_nearest_galaxies_are_cards_with_distances_and_repeats_are_named(open_page, scored_dir):
    at = open_page("galaxy", id=GALAXY, panel="similar")
    assert not at.info
    by_latents, by_image = (content["cards"] for content in _galleries(at))
    for cards in (by_latents, by_image):
        assert len(cards) == 8
        distances = [float(card["facts"].split()[1]) for card in cards]
        assert distances == sorted(distances)
        assert GALAXY not in [card["id"] for card in cards]
        assert scored_dir[1] not in [card["id"] for card in cards]
        assert all(card["src"].startswith("data:image/webp") for card in cards)
    assert any(scored_dir[1] in caption.value for caption in at.caption)


def test_scores_of_other_weights_are_refused_in_one_sentence(open_page, scored_dir, monkeypatch, tmp_path):
    _, other = write_toy_models(tmp_path / "other", seed=7)
    monkeypatch.setenv("GALSPEC_MODEL", str(other))
    at = open_page("galaxy", id=GALAXY, panel="similar")
    assert "is in use" in at.info[0].value


@pytest.mark.usefixtures("scored_dir")
def test_the_whole_survey_can_be_browsed_by_likeness(open_page):
    at = open_page("galaxy", id=GALAXY, panel="similar")
    at.button(key="galaxy_similar_image_all").click().run()
    assert not at.exception
    assert at.query_params["sort"] in ([f"like({GALAXY},image)"], f"like({GALAXY},image)")
    assert at.selectbox(key="browse_sort").value == f"like({GALAXY},image)"

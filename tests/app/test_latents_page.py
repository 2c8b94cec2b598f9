"""Latents: plain sliders, address, bad values, missing parts, panels; the live sliders are tested in a browser."""

import base64
import dataclasses
import io
import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from astropy.io import fits
from astropy.table import Table
from astropy.units import UnitsWarning
from safetensors.numpy import load_file, save_file

from galspec.core.files import sha256_of
from galspec.core.home import demo_survey_dir, shipped_weights_dir
from galspec.core.lines import LINES
from galspec.measurement.model_lines import measure_models
from galspec.store.decoder import read_decoder
from galspec.store.id_lists import read_ids
from galspec.store.latent_map import make_plane, nearest_rows
from galspec.store.scores import read_scores
from galspec.store.survey import Survey, open_survey
from galspec.ui import latent_files, latent_map, latent_state
from galspec.ui.latent_source import read_source

GALAXY = "sim1-00009921"
OTHER = "sim1-00000000"
MODEL = shipped_weights_dir() / "xresnet18-hybrid"


@pytest.fixture
def demo(monkeypatch):
    """The demo survey with stored scores and the shipped decoder."""
    monkeypatch.setenv("GALSPEC_SURVEY", str(demo_survey_dir()))
    monkeypatch.setenv("GALSPEC_MODEL", str(MODEL))
    survey = open_survey(demo_survey_dir())
    return survey, read_scores(survey, "xresnet18-hybrid")


def _param(at, name):
    value = at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def _figure(at, index=0):
    return json.loads(at.get("plotly_chart")[index].proto.spec)


def _curve(trace):
    values = trace["y"]
    if isinstance(values, dict):  # Plotly writes arrays as base64
        values = np.frombuffer(base64.b64decode(values["bdata"]), np.dtype(values["dtype"]))
    return np.asarray(values, float)


def _lab(at):
    return next(
        data
        for element in at.get("bidi_component")
        if element.proto.json and "token" in (data := json.loads(element.proto.json))
    )


def _cards(at):
    return [
        data["cards"]
        for element in at.get("bidi_component")
        if element.proto.json and "cards" in (data := json.loads(element.proto.json))
    ]


def test_plain_sliders_decode_what_they_show(open_page, demo):
    at = open_page("latents", **{"from": GALAXY, "start": "observed", "plain": "1"})
    survey, scores = demo
    start = scores.latents_observed[survey.row(GALAXY)]
    decoder = read_decoder(MODEL)
    np.testing.assert_allclose(_curve(_figure(at)["data"][0]), decoder.decode([start])[0], atol=1e-3)
    slider = at.slider[0]
    slider.set_value(2.0).run()
    assert not at.exception
    moved = [2.0, *(round(float(value), 2) for value in start[1:])]
    ghost, decoded = (_curve(trace) for trace in _figure(at)["data"][:2])
    np.testing.assert_allclose(decoded, decoder.decode([moved])[0], atol=1e-4)
    np.testing.assert_allclose(ghost, decoder.decode([start])[0], atol=1e-3)
    assert _param(at, "lat").startswith("2,")
    assert _param(at, "from") == GALAXY
    derived = measure_models(decoder.decode([moved]))
    assert any(f"EW(Hα) {derived.ew_halpha[0]:.1f} Å" in caption.value for caption in at.caption)


def test_an_address_reproduces_sliders_start_and_panel(open_page, demo):
    at = open_page("latents", **{"from": GALAXY, "lat": "0.12,-1.3,0,0,0,0", "panel": "traverse", "plain": "1"})
    assert [slider.value for slider in at.slider] == [0.12, -1.3, 0.0, 0.0, 0.0, 0.0]
    assert _param(at, "lat") == "0.12,-1.3,0,0,0,0"
    assert _param(at, "panel") == "traverse"
    assert len(_figure(at, 1)["data"]) == 14  # 13 curves and the colour bar


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,2", "holds 2 values, and the decoder has 6"),
        ("0,0,0,nan,0,0", "“nan” is not a number between"),
        ("0,0,0,0,0,inf", "“inf” is not a number between"),
        ("0,0,0,0,0,99", "“99” is not a number between"),
        ("a,0,0,0,0,0", "“a” is not a number"),
    ],
)
def test_bad_latents_are_named_and_the_start_is_used(open_page, demo, text, reason):
    at = open_page("latents", **{"from": GALAXY, "start": "mean", "lat": text})
    assert any(reason in warning.value for warning in at.warning)
    assert _lab(at)["latent"] == [0.0] * 6
    assert _param(at, "lat") is None


def test_other_bad_parts_of_an_address_are_each_reported(open_page, demo):
    at = open_page(
        "latents",
        **{
            "from": GALAXY,
            "start": "guess",
            "panel": "everything",
            "to": "nobody",
            "by": "x",
            "color": "no",
            "x": "L9",
        },
    )
    text = " ".join(warning.value for warning in at.warning)
    for word in ("guess", "everything", "nobody", "“x”", "“no”", "L9"):
        assert word in text, word
    assert _lab(at)["start_name"] == GALAXY


def test_an_unknown_galaxy_offers_those_most_like_it(open_page, demo):
    at = open_page("latents", **{"from": "sim1-00009922"})
    assert "sim1-00009922" in at.error[0].value
    at.button(key=f"latents_near_{GALAXY}").click().run()
    assert not at.exception
    assert not at.error
    assert _param(at, "from") == GALAXY
    assert _lab(at)["start_name"] == GALAXY


def test_a_typed_id_starts_there_and_a_wrong_one_is_refused(open_page, demo):
    at = open_page("latents", **{"from": GALAXY})
    at.text_input(key=latent_state.GALAXY).set_value(OTHER).run()
    assert _param(at, "from") == OTHER
    at.text_input(key=latent_state.GALAXY).set_value("nonsense").run()
    assert "nonsense" in at.error[0].value
    assert _param(at, "from") == OTHER
    assert at.text_input(key=latent_state.GALAXY).value == OTHER


def test_the_page_starts_from_the_galaxy_of_the_galaxy_page(open_page, demo):
    at = open_page("galaxy", id=GALAXY)
    at.query_params.clear()
    at.switch_page("pages/latents.py").run()
    assert not at.exception
    assert _lab(at)["start_name"] == GALAXY
    survey, scores = demo
    np.testing.assert_allclose(_lab(at)["start"], scores.latents[survey.row(GALAXY)], atol=1e-4)


def test_a_release_moves_address_and_neighbours_but_not_what_the_browser_holds(open_page, demo):
    at = open_page("latents", **{"from": GALAXY})
    before = _lab(at)
    survey, scores = demo
    latent = [1.0, -0.5, 0.0, 0.3, 0.0, 0.0]
    view = at.session_state["latents_view"]
    at.session_state["latents_view"] = dataclasses.replace(view, latent=tuple(latent))
    at.session_state["_address_touched"] = True
    at.run()
    assert not at.exception
    assert _lab(at) == before
    assert _param(at, "lat") == "1,-0.5,0,0.3,0,0"
    rows, _ = nearest_rows(latent, scores.latents_observed, 8)
    assert [card["id"] for card in _cards(at)[0]] == survey.catalog["id"].iloc[rows].tolist()
    distances = [float(card["facts"].split()[1]) for card in _cards(at)[0]]
    assert distances == sorted(distances)
    assert all(card["src"].startswith("data:image/webp") for card in _cards(at)[0])


def test_neighbours_by_predicted_latents_differ_and_their_spectra_come_on_demand(open_page, demo):
    at = open_page("latents", **{"from": GALAXY, "by": "predicted"})
    predicted = [card["id"] for card in _cards(at)[0]]
    assert predicted[0] == GALAXY  # its own predicted latents are the start
    assert not at.get("plotly_chart")
    at.toggle(key="latents_spectra").set_value(True).run()
    names = [trace["name"] for trace in _figure(at)["data"]]
    assert names[-1] == "decoded from the sliders"
    assert names[0].startswith(f"{predicted[0]}, d ")
    assert len(names) == 4
    at.button_group(key=latent_state.KIND).set_value("observed").run()
    assert [card["id"] for card in _cards(at)[0]] != predicted
    assert _param(at, "by") is None


def test_interpolation_needs_both_latents_and_both_images(open_page, demo):
    at = open_page("latents", **{"from": GALAXY, "to": OTHER, "start": "observed"})
    survey, scores = demo
    data = _lab(at)
    np.testing.assert_allclose(data["target"]["latent"], scores.latents_observed[survey.row(OTHER)], atol=1e-4)
    assert data["image"].startswith("data:image/webp")
    assert data["target"]["image"].startswith("data:image/webp")
    assert data["image"] != data["target"]["image"]
    assert _param(at, "to") == OTHER


def test_the_plain_plot_marks_the_major_lines_at_their_vacuum_wavelengths(open_page, demo):
    figure = _figure(open_page("latents", **{"from": GALAXY, "plain": "1"}))
    waves = {shape["x0"] for shape in figure["layout"]["shapes"]}
    assert waves == {line.wave_vac for line in LINES if line.is_major}
    names = {note["text"]: note.get("hovertext", "") for note in figure["layout"]["annotations"]}
    assert "Hα" in names
    assert "observed" not in " ".join(names.values())  # there is no redshift


def test_a_galaxy_observed_twice_is_one_neighbour(open_page, demo, monkeypatch):
    survey, _ = demo
    first = [card["id"] for card in _cards(open_page("latents", **{"from": GALAXY}))[0]]
    groups = survey.catalog["group_id"].copy()
    groups[survey.row(first[2])] = groups[survey.row(first[0])]
    groups[survey.row(first[3])] = groups[survey.row(first[0])]
    repeated = survey.catalog.assign(group_id=groups)
    # An opened survey keeps its catalogue; the app's must find another one in its place.
    monkeypatch.setattr(Survey, "catalog", repeated)
    st.cache_resource.clear()
    at = open_page("latents", **{"from": GALAXY})
    assert [card["id"] for card in _cards(at)[0]][:6] == [first[0], first[1], *first[4:8]]
    assert len(_cards(at)[0]) == 8
    assert any("2 more observations of galaxies shown are left out" in caption.value for caption in at.caption)


def test_plain_sliders_interpolate_too(open_page, demo):
    at = open_page("latents", **{"from": GALAXY, "to": OTHER, "start": "observed", "plain": "1"})
    survey, scores = demo
    assert len(at.slider) == 7
    at.slider[6].set_value(0.5).run()
    assert not at.exception
    middle = (scores.latents_observed[survey.row(GALAXY)] + scores.latents_observed[survey.row(OTHER)]) / 2
    np.testing.assert_allclose([slider.value for slider in at.slider[:6]], middle, atol=0.006)
    np.testing.assert_allclose([float(part) for part in _param(at, "lat").split(",")], middle, atol=1e-3)


def test_the_lab_is_told_the_usual_range_the_lines_and_that_all_is_simulated(open_page, demo):
    data = _lab(open_page("latents", **{"from": GALAXY}))
    _, scores = demo
    low, high = np.percentile(scores.latents_observed, [1, 99], axis=0)
    np.testing.assert_allclose([item["low"] for item in data["latents"]], low, atol=1e-3)
    np.testing.assert_allclose([item["high"] for item in data["latents"]], high, atol=1e-3)
    assert data["latents"][0]["meaning"] == "quiescent ↔ line-emitting"
    assert data["source"] == "SIMULATED"
    assert "4,000 train galaxies" in data["density"]
    assert {"Hα", "[O III]", "Mg b"} <= {line["label"] for line in data["lines"]}


def test_a_start_outside_the_usual_range_widens_the_sliders(open_page, demo):
    data = _lab(open_page("latents", **{"from": GALAXY, "lat": "8.7,0,0,0,0,0"}))
    assert data["limit"] == 9.0


def test_latents_outside_the_training_data_are_called_so_and_dashed(open_page, demo):
    at = open_page("latents", **{"from": GALAXY, "lat": "4,4,-4,4,-4,4", "plain": "1"})
    assert any("Outside the training data" in warning.value for warning in at.warning)
    assert _figure(at)["data"][1]["line"]["dash"] == "dash"
    at = open_page("latents", **{"from": GALAXY, "lat": "0,0,0,0,0,0", "plain": "1"})
    assert not any("Outside" in warning.value for warning in at.warning)
    assert _figure(at)["data"][1]["line"]["dash"] == "solid"


def test_without_a_model_one_sentence_and_a_way_on(open_page, demo, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_MODEL", str(tmp_path / "none"))
    at = open_page("latents")
    assert "no model" in at.error[0].value
    assert any("--model DIR" in caption.value for caption in at.caption)
    assert at.get("page_link")


def test_without_a_survey_one_sentence(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_SURVEY", str(tmp_path / "none"))
    at = open_page("latents")
    assert at.error
    assert any("--survey DIR" in caption.value for caption in at.caption)


def test_a_survey_without_scores_still_has_sliders_from_computed_latents(open_page):
    at = open_page("latents", **{"from": "sim1-00000031", "plain": "1"})  # the toys
    assert len(at.slider) == 6
    assert any(slider.value != 0.0 for slider in at.slider)
    assert any("--scores" in info.value for info in at.info)
    assert any("is not known" in caption.value for caption in at.caption)
    at.button_group(key=latent_state.PANEL).set_value("map").run()
    assert not at.exception
    assert any("No map" in info.value for info in at.info)
    at.button_group(key=latent_state.PANEL).set_value("files").run()
    assert any("sliders work without" in info.value for info in at.info)


@pytest.fixture
def other_decoder(tmp_path, monkeypatch):
    """A bundle like the shipped one, whose decoder is cut to the tensors given."""

    def make(change):
        folder = tmp_path / "xresnet18-hybrid"
        shutil.copytree(MODEL, folder)
        tensors = change(load_file(folder / "weights.safetensors"))
        save_file(tensors, folder / "weights.safetensors")
        info = json.loads((folder / "model.json").read_text())
        info["sha256"] = sha256_of(folder / "weights.safetensors")
        (folder / "model.json").write_text(json.dumps(info))
        monkeypatch.setenv("GALSPEC_MODEL", str(folder))

    return make


def test_a_decoder_whose_output_is_no_spectrum_is_refused_in_a_sentence(open_page, demo, other_decoder):
    other_decoder(
        lambda tensors: {
            **tensors,
            "decoder.4.weight": tensors["decoder.4.weight"][:900].copy(),
            "decoder.4.bias": tensors["decoder.4.bias"][:900].copy(),
        }
    )
    at = open_page("latents")
    assert "layers do not fit together" in at.error[0].value
    assert at.get("page_link")


def test_a_decoder_of_four_latents_has_four_sliders(open_page, demo, other_decoder):
    other_decoder(
        lambda tensors: {
            **tensors,
            "decoder.0.weight": tensors["decoder.0.weight"][:, :4].copy(),
            "latent_mean": tensors["latent_mean"][:4].copy(),
            "latent_std": tensors["latent_std"][:4].copy(),
        }
    )
    at = open_page("latents", plain="1", start="mean", **{"from": GALAXY})
    assert len(at.slider) == 4
    assert any("has no scores of model" in info.value for info in at.info)


def test_a_map_draws_all_galaxies_in_the_plane_of_the_address(open_page, demo):
    at = open_page("latents", panel="map", x="PC1", y="L3", color="bpt_class", **{"from": GALAXY, "plain": "1"})
    figure = _figure(at, 1)
    survey, _ = demo
    traces = [trace for trace in figure["data"] if trace["type"] == "scattergl"]
    assert sum(len(trace["customdata"]) for trace in traces) == 3000
    assert len({trace["marker"]["symbol"] for trace in traces}) == len(traces) == survey.catalog["bpt_class"].nunique()
    assert "PC1" in figure["layout"]["xaxis"]["title"]["text"]
    assert "no clear meaning [σ]" in figure["layout"]["yaxis"]["title"]["text"]
    assert figure["data"][-1]["name"] == "sliders"
    assert any("All 3,000 galaxies" in caption.value for caption in at.caption)
    assert _param(at, "color") == "bpt_class"


def test_one_axis_twice_is_explained(open_page, demo):
    at = open_page("latents", panel="map", x="L1", y="L1", **{"from": GALAXY})
    assert any("both axes are L1" in info.value for info in at.info)


def test_selected_rows_are_of_all_galaxies_by_box_and_lasso(rng):
    points = rng.uniform(0, 1, (1000, 2))
    inside = (points[:, 0] < 0.5) & (points[:, 1] < 0.5)
    rows, label = latent_map.selected_rows(points, {"box": [{"x": [0.5, -1], "y": [-1, 0.5]}], "lasso": []})
    np.testing.assert_array_equal(rows, np.flatnonzero(inside))
    assert label == "box"
    lasso = {"lasso": [{"x": [0, 1, 0], "y": [0, 0, 1]}], "box": [{"x": [0.9, 1], "y": [0.9, 1]}]}
    rows, label = latent_map.selected_rows(points, lasso)
    expected = (points.sum(axis=1) < 1) | (points > 0.9).all(axis=1)
    np.testing.assert_array_equal(rows, np.flatnonzero(expected))
    assert label == "box and lasso"
    assert latent_map.selected_rows(points, {"points": [{}]}) is None


def test_a_selection_is_shown_and_handed_to_browse(open_page, demo):
    survey, scores = demo
    at = open_page("latents", panel="map", **{"from": GALAXY})
    points = make_plane("L1", "L2", scores.latents_observed).project(scores.latents_observed)
    inside = (points[:, 0] > 1.5) & (points[:, 0] < 2.5) & (np.abs(points[:, 1]) < 1)
    ids = tuple(survey.catalog["id"].to_numpy()[inside].tolist())
    at.session_state[latent_map.SELECTED] = latent_map.Selection(ids, "box in L1, L2 of the latent map")
    at.run()
    assert any(f"**{len(ids):,}** galaxies" in text.value for text in at.markdown)
    at.button(key="latents_to_browse").click().run()
    assert not at.exception
    shown = at.query_params["q"]
    kept = read_ids((shown if isinstance(shown, str) else shown[0]).removeprefix("list="))
    assert kept is not None
    assert kept.ids == set(ids)
    assert "box in L1, L2" in kept.label
    assert any(f"**{len(ids):,}** of {len(survey):,} galaxies" in text.value for text in at.markdown)


def test_a_chosen_galaxy_can_become_the_start(open_page, demo):
    at = open_page("latents", panel="map", **{"from": GALAXY})
    at.session_state[latent_map.CHOSEN] = OTHER
    at.run()
    assert _cards(at)[-1][0]["id"] == OTHER
    at.button(key="latents_start_chosen").click().run()
    assert _param(at, "from") == OTHER


def test_meaning_shows_the_correlations_of_the_vae_in_use(open_page, demo):
    at = open_page("latents", panel="meaning", **{"from": GALAXY})
    table = at.table[0].value.set_index("Quantity")
    assert table.loc["EW(Hα)", "L1"] == "**+0.97**"
    assert list(table.columns) == [f"L{index}" for index in range(1, 7)]
    assert len(_figure(at)["data"]) == 42  # seven curves a latent


def test_the_curve_as_a_file_says_that_it_is_decoded(demo):
    source = read_source(demo[0])
    latent = (0.5, -1.0, 0.0, 0.0, 0.0, 0.25)
    facts = latent_files.curve_facts(source, latent, "http://here/latents")
    expected = source.decoder.decode([latent])[0]
    table = Table.read(latent_files.curve_file(source, latent, facts, "ECSV").decode(), format="ascii.ecsv")
    np.testing.assert_allclose(table["flux_decoded"], expected, rtol=1e-6)
    assert str(table["wavelength_rest"].unit) == "Angstrom"
    assert table.meta["note"] == "decoded from latents, not observed and not predicted from an image"
    assert table.meta["latent"] == list(latent)
    assert table.meta["source"] == "SIMULATED"
    with fits.open(io.BytesIO(latent_files.curve_file(source, latent, facts, "FITS"))) as hdus:
        np.testing.assert_allclose(hdus[1].data["flux_decoded"], expected, rtol=1e-6)
        assert "decoded from latents" in str(hdus[1].header["NOTE"])
    csv = pd.read_csv(io.BytesIO(latent_files.curve_file(source, latent, facts, "CSV")), comment="#")
    np.testing.assert_allclose(csv["flux_decoded"], expected, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # the standard would rather have 0.1 nm than an angstrom
        votable = Table.read(io.BytesIO(latent_files.curve_file(source, latent, facts, "VOTable")), format="votable")
    np.testing.assert_allclose(votable["flux_decoded"], expected, rtol=1e-6)


def test_a_traverse_file_holds_thirteen_spectra(demo):
    source = read_source(demo[0])
    latent = (0.5, -1.0, 0.0, 0.0, 0.0, 0.25)
    content = latent_files.traverse_file(source, latent, 1, latent_files.curve_facts(source, latent))
    table = Table.read(content.decode(), format="ascii.ecsv")
    assert table.meta["traversed"] == "L2"
    assert len(table.colnames) == 14
    np.testing.assert_allclose(
        table["flux_13"], source.decoder.decode([[0.5, 3.0, 0.0, 0.0, 0.0, 0.25]])[0], rtol=1e-5, atol=1e-6
    )


def test_the_snippet_runs_and_gives_the_curve(demo):
    source = read_source(demo[0])
    latent = (0.5, -1.3, 0.0, -0.0, 0.0, 0.25)
    found: dict = {}
    exec(compile(latent_files.python_snippet(source.card, latent), "snippet", "exec"), found)  # noqa: S102
    np.testing.assert_array_equal(found["flux"], source.decoder.decode([latent])[0])
    assert found["values"].ew_halpha.shape == (1,)

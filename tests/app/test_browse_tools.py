"""Browse beyond the filter panel: text, position, likeness, table, plot, selection, target list, export, look."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from galspec.core.home import demo_survey_dir
from galspec.store import layout
from galspec.store.catalog_columns import meaning
from galspec.store.id_lists import read_ids, save_ids
from galspec.store.survey import open_survey
from galspec.store.verdicts import Verdict, read_verdicts, save_verdict
from galspec.ui import browse_export, browse_state
from galspec.ui.browse_table import shown_columns
from galspec.ui.query import Query, parse_query
from galspec.ui.scored_catalog import scored_catalog


def _gallery(at) -> dict:
    contents = [found.proto.json or found.proto.mixed.json for found in at.get("bidi_component")]
    return next(json.loads(content) for content in contents if '"cards"' in content)


def _ids(at) -> list[str]:
    return [card["id"] for card in _gallery(at)["cards"]]


def _param(at, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def _text(at) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption])


def _choose(at, ids: list[str]) -> None:
    """Select cards of the page that is shown, as the browser would report it."""
    at.session_state["browse_gallery"] = {"chosen": {"page": _gallery(at)["page"], "ids": ids}}
    browse_state_ids = at.session_state.get("browse_selected", [])
    shown = set(_ids(at))
    at.session_state["browse_selected"] = [one for one in browse_state_ids if one not in shown] + ids


def test_a_typed_filter_moves_the_panel_and_the_panel_writes_the_text(open_page):
    at = open_page("browse")
    at.text_input(key="browse_text").set_value("class=Q & z>=0.05 & z<=0.2 & g-r>-5").run()
    assert at.button_group(key="browse_class").value == ["Q"]
    assert at.slider(key="browse_z").value == (0.05, 0.2)
    assert _param(at, "q") == "class=Q & z>=0.05 & z<=0.2 & g-r>-5"
    at.button_group(key="browse_class").set_value([]).run()
    assert at.text_input(key="browse_text").value == "z>=0.05 & z<=0.2 & g-r>-5"


def test_a_mistake_in_the_text_is_explained_and_stays_to_be_mended(open_page):
    at = open_page("browse")
    at.text_input(key="browse_text").set_value("class=SF & z<").run()
    assert "z<" in at.warning[0].value
    assert "a number was expected" in at.warning[0].value
    assert at.text_input(key="browse_text").value == "class=SF & z<"
    assert "**15** of 60 galaxies" in _text(at)
    at.run()
    assert at.text_input(key="browse_text").value == "class=SF & z<"
    at.text_input(key="browse_text").set_value("class=SF & z<0.3").run()
    assert not at.warning


def test_a_range_beyond_a_sliders_end_is_not_lost(open_page):
    at = open_page("browse", q="z<=0.9 & class=SF")
    assert _param(at, "q") == "class=SF & z<=0.9"
    at.button_group(key="browse_class").set_value(["Q"]).run()
    assert _param(at, "q") == "class=Q & z<=0.9"


def test_a_slider_that_is_moved_back_filters_nothing(open_page):
    at = open_page("browse")
    low, high = at.slider(key="browse_z").value
    at.slider(key="browse_z").set_value((0.1, high)).run()
    assert "**60** of 60 galaxies" not in _text(at)
    at.slider(key="browse_z").set_value((low, high)).run()
    assert "**60** of 60 galaxies" in _text(at)
    assert "q" not in at.query_params


def test_a_class_that_no_galaxy_has_is_said_and_shows_none_until_a_pill_is_pressed(open_page):
    at = open_page("browse", q="class=sf")
    assert "No galaxy passes" in at.info[0].value
    assert "“sf”" in at.warning[0].value
    assert "SF" in at.warning[0].value
    assert _param(at, "q") == "class=sf"
    at.button_group(key="browse_class").set_value(["Q"]).run()
    assert not at.warning
    assert _param(at, "q") == "class=Q"
    at.button_group(key="browse_class").set_value([]).run()
    assert "**60** of 60 galaxies" in _text(at)


def test_a_range_of_a_column_that_is_not_there_is_said(open_page):
    at = open_page("browse", q="err<=1")
    assert "“err<=1” is ignored" in at.warning[0].value
    assert "**60** of 60 galaxies" in _text(at)


def test_without_scores_the_order_by_error_is_explained(open_page):
    at = open_page("browse", sort="-err", q="err>1")
    warnings = "\n".join(element.value for element in at.warning)
    assert "“err>1” is ignored" in warnings
    assert "prediction error, largest first" in warnings
    assert "--scores" in _text(at)
    assert "-err" not in [option for option in at.selectbox(key="browse_sort").options if "smallest" in option]


def test_with_scores_galaxies_are_sorted_and_filtered_by_error(open_page, scored_survey):
    at = open_page("browse", sort="-err", q="err>1")
    assert not at.warning
    errors = [float(card["error"].split()[1]) for card in _gallery(at)["cards"]]
    assert errors == sorted(errors, reverse=True)
    assert min(errors) >= 1.0
    frame = scored_catalog(scored_survey).frame
    assert f"**{(frame['latent_rmse'] > 1).sum()}** of 60 galaxies" in _text(at)


def test_a_position_finds_its_galaxy_and_says_how_far(open_page, toy_survey_dir):
    from galspec.store.survey import open_survey

    galaxy = open_survey(toy_survey_dir).catalog.iloc[7]
    at = open_page("browse")
    at.text_input(key="browse_position").set_value(f"{galaxy['ra_deg']:.5f} {galaxy['dec_deg'] + 0.001:+.5f}").run()
    assert _ids(at) == [galaxy["id"]]
    assert _gallery(at)["cards"][0]["error"] in {"3.59 arcsec away", "3.60 arcsec away", "3.61 arcsec away"}
    assert _param(at, "sort") == "sep"
    assert "ICRS J2000" in _text(at)
    assert _param(at, "q").startswith("cone(")
    at.number_input(key="browse_radius").set_value(1.0).run()
    assert "No galaxy passes" in at.info[0].value
    assert f"**{galaxy['id']}**, is 3.6" in _text(at) or f"**{galaxy['id']}**, is 3.5" in _text(at)
    at.button(key="browse_widen").click().run()
    assert _ids(at) == [galaxy["id"]]
    at.text_input(key="browse_position").set_value("").run()
    assert "**60** of 60 galaxies" in _text(at)
    assert "sort" not in at.query_params


@pytest.mark.parametrize(
    ("text", "said"), [("361 5", "361"), ("M31", "look-up"), ("12:30 +95:00", "outside -90 to 90")]
)
def test_a_bad_position_is_said_and_stays_in_its_box(open_page, text, said):
    at = open_page("browse", q="class=SF")
    at.text_input(key="browse_position").set_value(text).run()
    assert said in at.error[0].value
    assert at.text_input(key="browse_position").value == text
    assert "**15** of 60 galaxies" in _text(at)


def test_the_reset_takes_the_complaint_about_a_position_along(open_page):
    at = open_page("browse")
    at.text_input(key="browse_position").set_value("M31").run()
    assert at.error
    at.button(key="browse_reset").click().run()
    assert not at.error
    assert at.text_input(key="browse_position").value == ""


def test_a_cone_in_the_address_fills_the_boxes(open_page):
    at = open_page("browse", q="cone(10.5,-2,90 arcsec)")
    assert at.text_input(key="browse_position").value == "10.50000 -2.00000"
    assert at.number_input(key="browse_radius").value == 1.5
    assert at.selectbox(key="browse_radius_unit").value == "arcmin"


def test_most_like_one_galaxy(open_page, scored_survey):
    at = open_page("browse")
    galaxy_id = _ids(at)[5]
    at.text_input(key="browse_like_id").set_value(galaxy_id).run()
    assert _ids(at)[0] == galaxy_id
    assert _param(at, "sort") == f"like({galaxy_id},latents)"
    by_latents = _ids(at)
    at.button_group(key="browse_like_by").set_value("image").run()
    assert _ids(at)[0] == galaxy_id
    assert _ids(at) != by_latents
    at.text_input(key="browse_like_id").set_value("nobody").run()
    assert "galaxy nobody is not in this survey" in at.warning[0].value


@pytest.mark.parametrize("galaxy_id", ["a&b", "a|b", "x" * 300])
def test_most_like_anything_that_is_no_id_is_one_sentence(open_page, scored_survey, galaxy_id):
    at = open_page("browse")
    at.text_input(key="browse_like_id").set_value(galaxy_id).run()
    assert not at.exception
    assert "is not in this survey" in at.warning[0].value


def test_selected_ids_narrow_the_list_and_stand_in_the_address(open_page):
    at = open_page("browse", sort="z")
    wanted = _ids(at)[3:5]
    _choose(at, wanted)
    at.run()
    assert "**2** selected" in _text(at)
    assert [card["id"] for card in _gallery(at)["cards"] if card["selected"]] == wanted
    at.button(key="browse_only").click().run()
    assert _ids(at) == wanted
    name = _param(at, "q").removeprefix("list=")
    assert read_ids(name).ids == set(wanted)
    assert "selected on Browse, 2 galaxies" in _text(at)
    at.button(key="browse_clear").click().run()
    assert "Selection of 2 cleared." in _text(at)
    at.button(key="browse_undo").click().run()
    assert "**2** selected" in _text(at)


def test_a_list_of_another_machine_is_one_sentence(open_page):
    at = open_page("browse", q="list=0123456789ab")
    assert "the list 0123456789ab" in at.warning[0].value
    assert "**60** of 60 galaxies" in _text(at)


def test_the_table_has_the_rows_of_the_cards_and_its_ticks_select_ids(open_page, scored_survey):
    at = open_page("browse", sort="-z", view="table")
    table = at.dataframe[0].value
    frame = scored_catalog(scored_survey).frame
    expected = frame.sort_values("redshift", ascending=False, kind="stable")["id"].head(24).tolist()
    assert table["open"].tolist() == expected
    assert table["redshift"].is_monotonic_decreasing
    assert "latent_rmse" in table
    assert set(table["galaxy_class"]) <= {"star-forming", "green valley", "quiescent", "post-starburst"}
    assert not [name for name in table if str(name).startswith("embedding")]
    at.multiselect(key="browse_columns").set_value(["mag_g", "redshift"]).run()
    assert list(at.dataframe[0].value.columns) == ["image", "open", "mag_g", "redshift"]
    assert _param(at, "view") == "table"


def test_every_column_of_the_table_says_what_it_is(monkeypatch):
    monkeypatch.delenv("GALSPEC_MODEL")
    catalog = scored_catalog(open_survey(demo_survey_dir()))
    assert catalog.scores is not None
    columns = shown_columns(catalog.frame)
    assert {"latent_1", "latent_observed_6", "novelty", "verdict", "flux_halpha_true", "candidate"} <= set(columns)
    assert [name for name in columns if not meaning(name)[2]] == []


def test_the_plot_draws_what_passes_and_names_its_axes(open_page):
    at = open_page("browse", view="plot", q="class=SF,Q")
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert {trace["name"] for trace in spec["data"]} == {"star-forming", "quiescent"}
    assert spec["layout"]["yaxis"]["title"]["text"] == "mag_r [mag]"
    assert "30 galaxies" in _text(at)
    at.selectbox(key="browse_x").set_value("log_mass").run()
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert spec["layout"]["xaxis"]["title"]["text"].startswith("log_mass")


@pytest.mark.parametrize(
    ("query", "said"), [({"view": "sky"}, "“sky” is none of"), ({"per": "25"}, "“25” is none of 24, 48, 96")]
)
def test_bad_views_are_named(open_page, query, said):
    at = open_page("browse", **query)
    assert said in at.warning[0].value
    assert len(_ids(at)) == 24


def test_the_first_galaxy_stays_when_more_are_shown(open_page):
    at = open_page("browse", page="3")
    first = _ids(at)[0]
    at.button_group(key="browse_per").set_value(48).run()
    assert first in _ids(at)
    assert _param(at, "per") == "48"
    assert _param(at, "page") == "2"


def test_another_look_draws_other_pictures(open_page):
    at = open_page("browse")
    before = _gallery(at)["cards"][0]["src"]
    at.button_group(key="browse_picture").set_value("g").run()
    assert _gallery(at)["cards"][0]["src"] not in {before, ""}
    assert "g band, one asinh stretch for all; 42″ on a side, N up, E left." in _text(at)
    at.select_slider(key="browse_size").set_value(192).run()
    assert _gallery(at)["size"] == 192


def test_a_verdict_marks_the_card_and_can_be_filtered_by(open_page):
    at = open_page("browse")
    galaxy_id = _ids(at)[2]
    save_verdict("toy", Verdict(galaxy_id, score=4, flags=("merger",)))
    at.run()
    assert _gallery(at)["cards"][2]["mark"] == "★ 4"
    at.button_group(key="browse_verdict").set_value(["given"]).run()
    assert _ids(at) == [galaxy_id]
    at.text_input(key="browse_text").set_value("score>=5").run()
    assert "No galaxy passes" in at.info[0].value
    save_verdict("toy", Verdict("of-another-survey", score=1))
    at.button(key="browse_reset_empty").click().run()
    at.selectbox(key="browse_sort").set_value("new").run()
    assert galaxy_id not in _ids(at)


def test_a_score_given_on_a_card_keeps_the_note(monkeypatch, tmp_path):
    from galspec.ui import verdict_panel

    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path))
    save_verdict("toy", Verdict("g1", score=1, flags=("merger",), note="look again"))
    verdict_panel.save_score("toy", "g1", 5)
    verdict = read_verdicts("toy").latest["g1"]
    assert (verdict.score, verdict.flags, verdict.note) == (5, ("merger",), "look again")


def test_a_target_list_is_matched_and_shown(open_page):
    at = open_page("browse")
    wanted = _ids(at)[1:3]
    at.text_area(key="browse_target_text").set_value("\n".join([*wanted, "nobody"])).run()
    at.button(key="browse_target_match_button").click().run()
    assert "**2** galaxies found for 3 targets; 1 not found." in _text(at)
    at.button(key="browse_target_show").click().run()
    assert sorted(_ids(at)) == sorted(wanted)
    assert "target list, 2 galaxies" in _text(at)


def test_an_empty_target_list_is_one_sentence(open_page):
    at = open_page("browse")
    at.button(key="browse_target_match_button").click().run()
    assert "The list is empty" in at.error[0].value


@pytest.mark.filterwarnings("ignore:.*has been deprecated in the VOUnit standard")
@pytest.mark.parametrize(("file_format", "reader"), [("ECSV", "ascii.ecsv"), ("VOTable", "votable"), ("FITS", "fits")])
def test_an_exported_table_has_the_rows_it_promises(scored_survey, file_format, reader):
    catalog = scored_catalog(scored_survey)
    query, _ = parse_query("class=SF & err>1", "-err")
    rows = query.rows(catalog.frame)
    content = browse_export.table_file(scored_survey, catalog, rows, query, link="", file_format=file_format)
    table = Table.read(io.BytesIO(content), format=reader)
    assert [str(one) for one in table["id"]] == catalog.frame["id"].iloc[rows].tolist()
    assert np.allclose(table["latent_rmse"], catalog.frame["latent_rmse"].iloc[rows])
    assert str(table["ra_deg"].unit) == "deg"
    assert not [name for name in table.colnames if name.startswith("embedding")]
    if file_format == "ECSV":
        assert table.meta["source"] == "SIMULATED"
        assert table.meta["filter"] == "class=SF & err>1"
        assert table.meta["model"] == "toy-cnn"


def test_the_buttons_of_the_export_say_how_many(open_page):
    at = open_page("browse", q="class=SF")
    labels = [button.label for button in at.get("download_button")]
    assert "15 galaxies, FITS" in labels
    at.button_group(key="browse_export_which").set_value("selected").run()
    assert "0 galaxies, FITS" in [button.label for button in at.get("download_button")]


def test_a_list_survives_on_the_galaxy_page(open_page):
    at = open_page("browse")
    name = save_ids(_ids(at)[:3], "three")
    at = open_page("galaxy", id=_ids(at)[1], q=f"list={name}")
    assert "**2** of 3" in _text(at)


def test_the_selection_of_another_page_is_kept():
    import streamlit as st

    st.session_state["browse_selected"] = ["a", "b", "x"]
    browse_state.select_among(["a", "b", "c"], ["c", "nobody"])
    assert browse_state.selected() == ["x", "c"]
    assert isinstance(browse_state.current_query(), Query)


def test_a_galaxy_observed_twice_is_marked_not_hidden(open_page, scored_survey):
    path = scored_survey.folder / layout.CATALOG
    catalog = pd.read_parquet(path)
    catalog.loc[4, "group_id"] = catalog.loc[1, "group_id"]
    catalog.to_parquet(path, index=False)
    at = open_page("browse")
    marks = {card["id"]: card["mark"] for card in _gallery(at)["cards"]}
    assert {galaxy_id for galaxy_id, mark in marks.items() if mark == "2 obs."} == set(catalog["id"].iloc[[1, 4]])

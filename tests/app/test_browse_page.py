"""Browse: filters, order, pages, and the address that reproduces them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from galspec.store import layout


def _cards(at) -> list[dict]:
    contents = [found.proto.json or found.proto.mixed.json for found in at.get("bidi_component")]
    return next(json.loads(content)["cards"] for content in contents if '"cards"' in content)


def _param(at, name: str) -> str:
    value = at.query_params[name]  # a list after a deep link, a string once the page has written it
    return value if isinstance(value, str) else value[0]


def _text(at) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption])


def test_the_first_page_shows_24_cards_and_the_count(open_page):
    at = open_page("browse")
    assert "**60** of 60 galaxies" in _text(at)
    cards = _cards(at)
    assert len(cards) == 24
    assert cards[0]["id"] == "sim1-00000003"
    assert cards[0]["src"].startswith("data:image/webp;base64,")
    assert cards[0]["facts"].startswith("z 0.")
    assert "Open galaxy sim1-00000003" in cards[0]["label"]


def test_a_class_filter_narrows_the_list_and_stands_in_the_address(open_page):
    at = open_page("browse")
    at.button_group(key="browse_class").set_value(["Q"]).run()
    assert "**15** of 60 galaxies" in _text(at)
    assert {card["class"] for card in _cards(at)} == {"quiescent"}
    assert _param(at, "q") == "class=Q"


def test_a_range_filter_and_the_order(open_page):
    at = open_page("browse")
    at.slider(key="browse_z").set_value((0.05, 0.1)).run()
    at.selectbox(key="browse_sort").set_value("-z").run()
    redshifts = [float(card["facts"].split()[1]) for card in _cards(at)]
    assert redshifts == sorted(redshifts, reverse=True)
    assert all(0.05 <= redshift <= 0.1 for redshift in redshifts)
    assert _param(at, "q") == "z>=0.05 & z<=0.1"
    assert _param(at, "sort") == "-z"


def test_a_deep_link_sets_filters_order_and_page(open_page):
    at = open_page("browse", q="class=SF,Q & z<=0.2", sort="r", page="2")
    assert at.button_group(key="browse_class").value == ["Q", "SF"] or at.button_group(key="browse_class").value == [
        "SF",
        "Q",
    ]
    assert at.slider(key="browse_z").value[1] == 0.2
    assert at.selectbox(key="browse_sort").value == "r"
    assert _param(at, "page") == "2"
    assert len(_cards(at)) < 24


def test_a_bad_address_is_reported_not_hidden(open_page):
    at = open_page("browse", q="z~0.1 & colour=red & class=SF", sort="beauty", page="-3")
    warnings = "\n".join(element.value for element in at.warning)
    for piece in ("z~0.1", "colour=red", "beauty", "-3"):
        assert piece in warnings
    assert "**15** of 60 galaxies" in _text(at)


def test_a_page_number_of_thousands_of_digits_is_reported(open_page):
    at = open_page("browse", page="9" * 5000)
    assert "page 1 is shown" in at.warning[0].value


def test_terms_without_a_widget_hold_and_stay_in_the_address(open_page):
    at = open_page("browse", q="class=SF & z<0.15 & (g-r>1 | not r>17)", sort="random(7)")
    assert not at.warning
    shown = [card["id"] for card in _cards(at)]
    at.button_group(key="browse_class").set_value(["SF", "Q"]).run()
    assert _param(at, "q") == "class=SF,Q & z<0.15 & (g-r>1 | not r>17)"
    assert _param(at, "sort") == "random(7)"
    more = [card["id"] for card in _cards(at)]
    assert [galaxy_id for galaxy_id in more if galaxy_id in shown] == [g for g in shown if g in more]
    at.button(key="browse_reset").click().run()
    assert "**60** of 60 galaxies" in _text(at)


def test_no_match_offers_one_way_out(open_page):
    at = open_page("browse", q="class=Q & r<=14.5 & z>=0.24")
    assert "No galaxy passes all filters." in at.info[0].value
    at.button(key="browse_reset_empty").click().run()
    assert not at.info
    assert "**60** of 60 galaxies" in _text(at)
    assert "q" not in at.query_params


def test_a_new_filter_returns_to_the_first_page(open_page):
    at = open_page("browse", page="3")
    assert _param(at, "page") == "3"
    at.button_group(key="browse_class").set_value(["SF", "GV"]).run()
    assert "page" not in at.query_params


def test_the_badges_say_simulated_survey_and_model(open_page, toy_model_dirs):
    at = open_page("browse")
    text = _text(at)
    sha = json.loads((toy_model_dirs[1] / "model.json").read_text())["sha256"]
    assert "SIMULATED DATA" in text
    assert "survey toy" in text
    assert f"toy-cnn {sha[:8]}" in text


def test_a_survey_that_is_none_is_one_sentence(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_SURVEY", str(tmp_path / "nowhere"))
    at = open_page("browse")
    assert len(at.error) == 1
    assert "is not a folder" in at.error[0].value


def test_an_unknown_version_is_one_sentence(open_page, monkeypatch, tmp_path):
    (tmp_path / layout.METADATA).write_text(json.dumps({"format": layout.FORMAT, "version": 99}))
    monkeypatch.setenv("GALSPEC_SURVEY", str(tmp_path))
    at = open_page("browse")
    assert "version 99" in at.error[0].value


def test_filters_of_missing_columns_are_left_out(open_page, monkeypatch, tmp_path, toy_survey_dir):
    metadata = json.loads((toy_survey_dir / layout.METADATA).read_text())
    (tmp_path / layout.METADATA).write_text(json.dumps(metadata | {"source": "REAL", "name": "bare"}))
    catalog = pd.read_parquet(toy_survey_dir / layout.CATALOG)[["id", "redshift", "split"]]
    catalog.to_parquet(tmp_path / layout.CATALOG, index=False)
    monkeypatch.setenv("GALSPEC_SURVEY", str(tmp_path))
    at = open_page("browse")
    assert "REAL DATA" in _text(at)
    assert [slider.key for slider in at.slider] == ["browse_z"]
    assert _cards(at)[0]["src"] == ""


@pytest.mark.parametrize("entry", ["app.py", "pages/browse.py"])
def test_browse_never_imports_torch(entry: str):
    root = Path(__file__).resolve().parents[2]
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; at = AppTest.from_file('app.py', default_timeout=30); "
        f"at.run(); at = at if {entry!r} == 'app.py' else at.switch_page({entry!r}).run(); "
        "assert not at.exception, at.exception; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


@pytest.mark.parametrize("page", ["browse", "galaxy", "home"])
def test_a_survey_deleted_while_the_app_runs_is_one_sentence(open_page, monkeypatch, tmp_path, toy_survey_dir, page):
    folder = shutil.copytree(toy_survey_dir, tmp_path / "doomed")
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    at = open_page(page)
    shutil.rmtree(folder)
    at.run()
    assert not at.exception
    assert "doomed" in at.error[0].value

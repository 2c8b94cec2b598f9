"""Home: what it says of model and survey, its example, and what it does where something is missing."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from galspec.store import layout, scores
from galspec.store.decoder import read_decoder
from galspec.store.demo import DEMO_SPLITS
from galspec.store.survey import open_survey
from galspec.ui import home_facts

REPOSITORY_DIR = Path(__file__).resolve().parents[2]


def _text(at) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption])


def _figure(at) -> dict:
    return json.loads(at.get("plotly_chart")[0].proto.spec)


def _shown(at) -> str:
    return next(element.value for element in at.markdown if element.value.startswith("**sim1-")).split("**")[1]


def test_it_is_the_first_page_and_says_what_this_is(open_page, toy_model_dirs):
    at = open_page("home")
    text = _text(at)
    sha = json.loads((toy_model_dirs[1] / "model.json").read_text())["sha256"]
    assert "predicts the optical spectrum of a galaxy" in text
    assert "SIMULATED DATA" in text
    assert "Trained on SIMULATED galaxies only" in text
    assert "survey toy, SIMULATED, 60 galaxies" in text
    assert f"toy-cnn, SHA-256 {sha[:8]}" in text
    assert "training range is not stored" in text
    assert "No held-out score is stored" in text
    assert "CPU" in text
    codes = [element.value for element in at.code]
    assert len(codes) == 6
    assert all(code.startswith("@") and code.count("{") == code.count("}") for code in codes)


def test_without_scores_the_observed_spectrum_is_shown_with_the_way_on(open_page):
    at = open_page("home")
    assert "has no scores of model 'toy-cnn'" in at.info[0].value
    assert "--scores" in at.info[0].value
    names = [trace["name"] for trace in _figure(at)["data"] if trace.get("showlegend")]
    assert names == ["observed spectrum (SIMULATED)", "no data"]
    assert "none of this model for this survey" in _text(at)


def _curve(at, name: str) -> np.ndarray:
    stored = next(trace for trace in _figure(at)["data"] if trace["name"] == name)["y"]
    return np.frombuffer(base64.b64decode(stored["bdata"]), stored["dtype"])


def test_stored_latents_become_the_curves(open_page, scored_survey, toy_model_dirs):
    at = open_page("home", seed="7")
    assert not at.info
    row = scored_survey.row(_shown(at))
    table = scores.read_scores(scored_survey, "toy-cnn")
    decoder = read_decoder(toy_model_dirs[1])
    for name, latents in (
        ("predicted from the image", table.latents),
        ("VAE reconstruction of the observed", table.latents_observed),
    ):
        np.testing.assert_allclose(_curve(at, name), decoder.decode(latents[[row]])[0], atol=1e-6)
    assert "χ² per pixel" in _text(at)
    alt = at.get("plotly_chart")[0].proto.alt
    assert _shown(at) in alt
    assert "differ most at" in alt


def test_only_held_out_galaxies_with_complete_scores_are_drawn(toy_survey_dir, scored_survey):
    survey = open_survey(toy_survey_dir)
    rows = home_facts.held_out_rows(survey, None)
    assert home_facts.HELD_OUT == DEMO_SPLITS
    assert set(survey.catalog["split"].iloc[rows]) == {"calibration", "test"}
    table = scores.read_scores(scored_survey, "toy-cnn")
    table.frame.loc[3, "flag"] = "no-image"
    table.frame.loc[5, "latent_observed_2"] = np.nan
    assert set(range(60)) - set(home_facts.held_out_rows(scored_survey, table).tolist()) == {3, 5}


def test_a_survey_without_held_out_galaxies_is_one_sentence(open_page, scored_survey):
    path = scored_survey.folder / layout.CATALOG
    pd.read_parquet(path).assign(split="train").to_parquet(path, index=False)
    at = open_page("home")
    assert "no galaxy in the splits calibration and test" in "".join(element.value for element in at.info)
    assert not at.get("plotly_chart")


def test_another_galaxy_is_another_and_stands_in_the_address(open_page, scored_survey):
    at = open_page("home")
    first = _shown(at)
    at.button(key="home_another").click().run()
    second = _shown(at)
    assert second != first
    assert at.query_params["seed"] in ("2", ["2"])
    again = open_page("home", seed="2")
    assert _shown(again) == second


@pytest.mark.parametrize("seed", ["-1", "one", "1e3", "9999999999", ""])
def test_a_bad_seed_is_reported_and_the_first_is_shown(open_page, seed):
    expected = _shown(open_page("home"))
    at = open_page("home", seed=seed)
    assert "seed is ignored" in at.warning[0].value
    assert _shown(at) == expected


def test_the_worst_class_is_named_with_an_example(open_page, scored_survey):
    rows = home_facts.held_out_rows(scored_survey, None)
    table = scores.read_scores(scored_survey, "toy-cnn")
    worst = home_facts.failure_classes(scored_survey, table, rows)[0]
    assert worst.word == "quiescent"
    assert worst.ratio == pytest.approx(3.0, rel=0.02)
    classes = scored_survey.catalog.set_index("id")["galaxy_class"]
    assert classes[worst.example_id] == "Q"
    assert worst.n_galaxies == (classes.to_numpy()[rows] == "Q").sum()
    labels = [link.proto.label for link in open_page("home").get("page_link")]
    assert labels[0].startswith("quiescent 2.9") or labels[0].startswith("quiescent 3.0")


def test_without_a_model_the_page_says_so(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_MODEL", str(tmp_path / "nowhere"))
    at = open_page("home")
    assert "there is no model in" in at.info[0].value
    assert "**Model**: none is installed." in _text(at)
    assert "--model DIR" in _text(at)
    assert len(at.get("plotly_chart")) == 1


def test_without_a_survey_model_and_citations_are_still_there(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_SURVEY", str(tmp_path / "nowhere"))
    at = open_page("home")
    assert "is not a folder" in at.error[0].value
    assert "no survey is open" in _text(at)
    assert "Trained on SIMULATED galaxies only" in _text(at)
    assert len(at.code) == 6
    assert not at.get("plotly_chart")


def test_help_names_the_keys(open_page):
    at = open_page("home")
    at.button(key="home_help").click().run()
    assert not at.exception
    assert "| Home | N | another galaxy |" in _text(at)


def test_the_ways_on_lead_to_browse_and_galaxy(open_page):
    at = open_page("home")
    shown = _shown(at)
    at.button(key="home_open").click().run()
    assert not at.exception
    assert at.subheader[0].value == shown
    at = open_page("home")
    at.button(key="home_browse").click().run()
    assert at.subheader[0].value == "Browse"


def test_home_shows_the_demo_survey_without_torch():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; at = AppTest.from_file('app.py', default_timeout=30); "
        "at.run(); assert not at.exception, at.exception; assert not at.info, at.info; "
        "assert at.get('plotly_chart'); print('torch' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GALSPEC_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY_DIR, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("False")


def test_jobs_that_have_not_ended_are_counted(open_page, monkeypatch):
    assert "none running" in _text(open_page("home"))
    monkeypatch.setattr("galspec.jobs.view.unfinished_counts", lambda: (2, 1))
    assert "2 running or waiting here, 1 on Slurm" in _text(open_page("home"))

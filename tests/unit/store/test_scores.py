"""Reading scores: aligned with the survey, refused when they are of something else; galaxies most like one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from galspec.core.errors import ScoresError, ShapeError
from galspec.core.home import demo_survey_dir
from galspec.store import scores
from galspec.store.scores import (
    ScoreTable,
    read_scores,
    scores_path,
    scores_provenance,
    stored_provenance,
    write_scores,
)
from galspec.store.similar import similar_galaxies
from galspec.store.survey import Survey, open_survey
from tests.toy_survey import write_toy_survey

MODEL = {"name": "toy", "sha256": "a" * 64, "vae_sha256": "b" * 64, "trained_on": "SIMULATED"}


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return open_survey(write_toy_survey(tmp_path / "survey", n_galaxies=10, with_images=False))


def _frame(survey: Survey, rng: np.random.Generator) -> pd.DataFrame:
    n = len(survey)
    frame = pd.DataFrame({"id": survey.catalog["id"]})
    for name in (*scores.predicted_columns(6), *scores.observed_columns(6)):
        frame[name] = rng.standard_normal(n).astype(np.float32)
    for name in scores.COLUMNS:
        frame[name] = "" if name == "flag" else rng.random(n).astype(np.float32)
    for name in scores.embedding_columns(4):
        frame[name] = rng.standard_normal(n).astype(np.float16)
    return frame


def _write(survey: Survey, frame: pd.DataFrame, changes: dict[str, object] | None = None) -> Path:
    path = survey.prediction_path("toy")
    write_scores(frame, path, {**scores_provenance(MODEL, survey, False, {"n_features": 4}), **(changes or {})})
    return path


def test_a_table_comes_back_whole(survey, rng):
    frame = _frame(survey, rng)
    _write(survey, frame)
    table = read_scores(survey, "toy", model_sha256="a" * 64, vae_sha256="b" * 64)
    pd.testing.assert_frame_equal(table.frame, frame)
    assert table.latents.shape == table.latents_observed.shape == (10, 6)
    assert np.array_equal(table.latents_observed[:, 2], frame["latent_observed_3"])
    assert table.embedding.dtype == np.float32
    assert np.array_equal(table.embedding[:, 0], frame["embedding_1"].to_numpy(np.float32))
    assert (table.provenance["survey"], table.provenance["source"]) == ("toy", "SIMULATED")
    assert not table.has_novelty


def test_it_joins_the_catalogue_without_replacing_anything(survey, rng):
    table = ScoreTable(_frame(survey, rng).assign(redshift=-1.0), {})
    joined = table.joined(survey.catalog)
    assert len(joined) == 10
    assert (joined["redshift"] > 0).all()
    assert np.array_equal(joined["latent_rmse"], table.frame["latent_rmse"])
    assert "embedding_1" not in joined
    assert joined.columns.is_unique


def test_percentiles_ignore_what_is_missing():
    table = ScoreTable(pd.DataFrame({"x": [1.0, 2.0, np.nan, 3.0, 4.0]}), {})
    assert table.percentile("x", 1) == 50.0
    assert table.percentile("x", 4) == 100.0
    assert table.percentile("x", 1, np.array([2, 3, 4])) == 0.0
    assert np.isnan(table.percentile("x", 2))
    assert np.isnan(table.percentile("x", 1, np.array([2])))


def test_no_scores_say_how_to_make_them(survey):
    with pytest.raises(
        ScoresError, match=r"has no scores of model 'toy': compute them with `python -m galspec predict"
    ):
        read_scores(survey, "toy")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "other"}, "holds predictions without scores"),
        ({"version": 9}, "holds scores of version 9; this galspec reads 1"),
        ({"name": "other"}, "holds scores of the model called other, but toy is in use"),
        ({"sha256": "c" * 64}, "holds scores of the weights cccccccccccc, but aaaaaaaaaaaa is in use"),
        ({"vae_sha256": "c" * 64}, "holds scores of the VAE cccccccccccc, but bbbbbbbbbbbb is in use"),
        ({"catalog_sha256": "d" * 64, "survey": "elsewhere"}, "of survey 'elsewhere' with another catalogue"),
    ],
)
def test_scores_of_something_else_are_refused(survey, rng, changes, words):
    _write(survey, _frame(survey, rng), changes)
    with pytest.raises(ScoresError, match=words):
        read_scores(survey, "toy", model_sha256="a" * 64, vae_sha256="b" * 64)


def test_damaged_tables_are_refused(survey, rng):
    frame = _frame(survey, rng)
    path = _write(survey, frame.iloc[::-1])
    with pytest.raises(ScoresError, match="does not hold the galaxies of survey 'toy' in their order"):
        read_scores(survey, "toy")
    _write(survey, frame.drop(columns=["rmse_ratio"]))
    with pytest.raises(ScoresError, match="lacks the columns rmse_ratio"):
        read_scores(survey, "toy")
    _write(survey, frame)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ScoresError, match="cannot be read"):
        read_scores(survey, "toy")
    frame.to_parquet(path)
    with pytest.raises(ScoresError, match="holds predictions without scores"):
        read_scores(survey, "toy")
    assert not scores.is_scores_file(path)


def test_a_folder_that_cannot_be_written_is_one_sentence(survey, rng):
    (survey.folder / "predictions").write_text("a file in the way")
    with pytest.raises(ScoresError, match="cannot be written"):
        _write(survey, _frame(survey, rng))


def test_reading_needs_no_torch():
    code = "import sys, galspec.store.scores, galspec.store.similar; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def _line(n: int) -> dict[str, np.ndarray]:
    """Galaxies along a line in one dimension, far apart on the sky."""
    return {
        "vectors": np.arange(n, dtype=np.float32)[:, None] * np.ones(3, np.float32),
        "ids": np.array([f"g{index}" for index in range(n)]),
        "ra_deg": np.arange(n) * 1.0,
        "dec_deg": np.zeros(n),
    }


def test_the_nearest_come_first_without_the_galaxy_itself():
    found = similar_galaxies(5, **_line(10), n=3)
    assert found.ids == ("g4", "g6", "g3")
    assert found.rows.tolist() == [4, 6, 3]
    assert found.distance == pytest.approx(np.sqrt(3) * np.array([1, 1, 2]))
    assert found.note == ""
    assert len(similar_galaxies(0, **_line(4), n=8).ids) == 3


def test_repeats_are_left_out_and_named():
    line = _line(10)
    line["ra_deg"][4] = line["ra_deg"][5] + 2.9 / 3600  # the same galaxy, observed twice
    line["ra_deg"][3] = line["ra_deg"][5] + 3.1 / 3600  # another one
    line["ra_deg"][7] = line["ra_deg"][6]  # two observations of one neighbour: the nearer is kept
    found = similar_galaxies(5, **line, n=3)
    assert found.ids == ("g6", "g3", "g2")
    assert found.repeats == ("g4", "g7")
    assert found.note == "2 repeats at the same position (within 3 arcsec) left out: g4, g7."


def test_galaxies_without_vector_or_position():
    line = _line(6)
    line["vectors"][1] = np.nan
    line["ra_deg"][2] = np.nan
    found = similar_galaxies(0, **line, n=2)
    assert found.ids == ("g2", "g3")
    assert found.note == "1 galaxies without this measure not compared."
    with pytest.raises(ScoresError, match="galaxy g1 has no value to compare"):
        similar_galaxies(1, **line)
    with pytest.raises(ShapeError, match="must match and hold row 7"):
        similar_galaxies(7, **line)


def test_scores_of_own_weights_do_not_replace_the_shipped_ones(survey, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_HOME", str(tmp_path))
    demo = open_survey(demo_survey_dir())
    shipped = stored_provenance(demo.prediction_path("xresnet18-hybrid"))
    assert scores_path(demo, "xresnet18-hybrid", shipped["sha256"]) == demo.prediction_path("xresnet18-hybrid")
    own = scores_path(demo, "xresnet18-hybrid", "f" * 64)
    assert own.is_relative_to(tmp_path)
    assert own.name == "xresnet18-hybrid-ffffffffffff.parquet"
    assert scores_path(survey, "any", "f" * 64) == survey.prediction_path("any")

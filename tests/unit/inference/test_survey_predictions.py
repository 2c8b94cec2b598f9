"""Predicting a survey in a stream: the same latents, bounded reading, nothing left behind by an error."""

import contextlib
import json
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from galspec.core.errors import SurveyError
from galspec.core.home import demo_survey_dir
from galspec.inference import survey as survey_module
from galspec.inference.engine import Engine
from galspec.inference.plan import InferencePlan
from galspec.inference.survey import predict_survey, read_ahead, write_predictions
from galspec.models.bundle import PredictorBundle, load_predictor_bundle
from galspec.store.survey import Survey, open_survey
from tests.toy_survey import write_toy_models, write_toy_survey

N_GALAXIES = 12


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return open_survey(write_toy_survey(tmp_path_factory.mktemp("stream") / "survey", N_GALAXIES))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> PredictorBundle:
    return load_predictor_bundle(write_toy_models(tmp_path_factory.mktemp("models"))[1])


@pytest.fixture(scope="module")
def at_once(survey, predictor) -> np.ndarray:
    latents = predictor.predict_latents(np.stack([survey.cutout(row) for row in range(N_GALAXIES)]))
    assert latents.shape == (N_GALAXIES, 6)
    return latents


@pytest.fixture
def blocks_of_5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "BLOCK", 5)


def _latents(table: pd.DataFrame) -> np.ndarray:
    return table[[f"latent_{index}" for index in range(1, 7)]].to_numpy()


def _readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "galspec-read-ahead" in thread.name]


def test_streamed_latents_are_those_of_one_batch(survey, predictor, at_once, blocks_of_5):
    done: list[int] = []
    table = predict_survey(predictor, survey, progress=done.append)
    assert table["id"].tolist() == survey.catalog["id"].tolist()
    assert _latents(table) == pytest.approx(at_once, abs=1e-5)
    assert done == [5, 10, 12]
    assert _readers() == []


def test_rows_in_any_order(survey, predictor, at_once, blocks_of_5):
    rows = np.array([11, 0, 7, 7, 3, 9, 1])
    table = predict_survey(predictor, survey, rows)
    assert table["id"].tolist() == survey.catalog["id"].iloc[rows].tolist()
    assert _latents(table) == pytest.approx(at_once[rows], abs=1e-5)


def test_no_rows_make_an_empty_table(tmp_path, survey, predictor):
    nothing = np.array([], dtype=np.int64)
    assert predict_survey(predictor, survey, nothing).shape == (0, 7)
    assert write_predictions(predictor, survey, tmp_path / "none.parquet", nothing) == 0
    assert pd.read_parquet(tmp_path / "none.parquet").shape == (0, 7)


def test_images_that_are_rendered_on_demand_are_streamed_too(predictor):
    demo, rows = open_survey(demo_survey_dir()), np.array([5, 3])
    assert not demo.has_images
    expected = predictor.predict_latents(np.stack([demo.cutout(int(row)) for row in rows]))
    assert _latents(predict_survey(predictor, demo, rows)) == pytest.approx(expected, abs=1e-5)


def test_a_file_of_predictions_has_row_groups_and_provenance(tmp_path, survey, predictor, at_once, blocks_of_5):
    path = tmp_path / "deep" / "predictions.parquet"
    engine = Engine(predictor, InferencePlan(n_symmetries=8))
    assert write_predictions(engine, survey, path, row_group=10) == N_GALAXIES
    parquet = pq.ParquetFile(path)
    assert [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)] == [10, 2]
    found = json.loads(parquet.schema_arrow.metadata[b"galspec"])
    assert found == {**engine.provenance, "survey": {"name": "toy", "source": "SIMULATED"}}
    assert (found["backend"], found["mode"], found["n_symmetries"]) == ("eager", "exact", 8)

    write_predictions(predictor, survey, path, row_group=1)
    table = pd.read_parquet(path)
    assert table["id"].tolist() == survey.catalog["id"].tolist()
    assert _latents(table) == pytest.approx(at_once, abs=1e-5)
    assert set(table.dtypes[1:]) == {np.dtype(np.float32)}


class _TornSurvey(Survey):
    """A survey whose images can be read up to a row."""

    def images_block(self, rows):
        if max(rows) >= 10:
            raise SurveyError("the images of this shard are damaged")
        return super().images_block(rows)


def test_an_error_while_reading_leaves_no_file_and_no_thread(tmp_path, survey, predictor, blocks_of_5):
    torn = _TornSurvey(survey.folder, survey.metadata)
    done: list[int] = []
    with pytest.raises(SurveyError, match="shard are damaged"):
        write_predictions(predictor, torn, tmp_path / "p.parquet", progress=done.append)
    assert done == [5, 10]
    assert list(tmp_path.iterdir()) == []
    assert _readers() == []


def test_an_error_while_predicting_leaves_the_old_file_and_no_thread(tmp_path, survey, predictor, blocks_of_5):
    path = tmp_path / "p.parquet"
    path.write_bytes(b"older predictions")

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(predictor, survey, path, progress=stop)
    assert [found.name for found in tmp_path.iterdir()] == ["p.parquet"]
    assert path.read_bytes() == b"older predictions"
    assert _readers() == []


def test_memory_does_not_grow_with_the_survey(survey, predictor, monkeypatch):
    monkeypatch.setattr(survey_module, "BLOCK", 1)
    rows = np.resize(np.arange(N_GALAXIES), 60)
    cutout_bytes = 4 * 5 * 224 * 224
    tracemalloc.start()  # numpy's arrays are counted
    try:
        predict_survey(predictor, survey, rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert cutout_bytes < peak < 20 * cutout_bytes


def test_reading_stays_a_few_items_ahead():
    started: list[int] = []

    def read(item: int) -> int:
        started.append(item)
        return 10 * item

    with contextlib.closing(read_ahead(read, range(100), n_ahead=2)) as results:
        assert [next(results) for _ in range(4)] == [0, 10, 20, 30]
        assert max(started) <= 5  # the fourth result was taken when two more had been asked for
    assert len(started) <= 6
    assert _readers() == []


def test_a_reader_that_is_never_started_is_closed(tmp_path: Path):
    results = read_ahead(Path.read_bytes, [tmp_path / "missing"])
    results.close()
    assert _readers() == []

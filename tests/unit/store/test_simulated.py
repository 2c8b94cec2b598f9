"""Writing a simulated survey: the same bytes with any number of jobs, resumable, refusals that change nothing."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from galspec.core.errors import ConfigError, SimulationError, SurveyError
from galspec.simulation.basis import default_basis_path, save_basis
from galspec.store import layout
from galspec.store.simulated import SimulationSettings, simulate_survey
from galspec.store.survey import open_survey
from tests.unit.simulation.conftest import make_synthetic_basis

#: Two shards, the second one short.
SETTINGS = SimulationSettings(n_galaxies=layout.SHARD + 9, seed=5, has_images=False)


@pytest.fixture(autouse=True)
def _synthetic_basis(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give the worker processes a basis without Bagpipes: they find it through the environment."""
    monkeypatch.setenv("GALSPEC_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    if not default_basis_path().is_file():
        save_basis(make_synthetic_basis(), default_basis_path())


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def survey_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surveys") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALSPEC_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        if not default_basis_path().is_file():
            save_basis(make_synthetic_basis(), default_basis_path())
        simulate_survey(folder, SETTINGS, n_jobs=1)
    return folder


def test_two_jobs_write_the_same_bytes(tmp_path, survey_dir):
    simulate_survey(tmp_path / "two", SETTINGS, n_jobs=2)
    assert _digest(tmp_path / "two") == _digest(survey_dir)


def test_an_interrupted_simulation_is_resumed(tmp_path, survey_dir):
    done_first: list[int] = []

    def interrupt(stage: str, done: int) -> None:
        done_first.append(done)
        if stage == "writing" and done >= layout.SHARD:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_survey(tmp_path / "parts", SETTINGS, progress=interrupt)
    with pytest.raises(SurveyError, match=r"holds no survey\.json, so it is not a finished survey"):
        open_survey(tmp_path / "parts")
    starts: list[int] = []
    simulate_survey(tmp_path / "parts", SETTINGS, progress=lambda stage, done: starts.append(done))
    assert starts[0] >= layout.SHARD, "the shard that was finished is not made again"
    assert _digest(tmp_path / "parts") == _digest(survey_dir)


def test_a_short_survey_is_the_beginning_of_a_long_one(tmp_path, survey_dir):
    simulate_survey(tmp_path / "short", SimulationSettings(n_galaxies=12, seed=5, has_images=False))
    short, long = open_survey(tmp_path / "short"), open_survey(survey_dir)
    assert short.catalog["id"].tolist() == long.catalog["id"].tolist()[:12]
    assert short.catalog["split"].tolist() == long.catalog["split"].tolist()[:12]
    assert np.array_equal(short.spectrum(3).flux, long.spectrum(3).flux)


def test_images_on_disk_are_those_rendered_on_demand(tmp_path):
    with_images = SimulationSettings(n_galaxies=5, seed=6)
    simulate_survey(tmp_path / "stored", with_images)
    simulate_survey(tmp_path / "rendered", SimulationSettings(n_galaxies=5, seed=6, has_images=False))
    stored, rendered = open_survey(tmp_path / "stored"), open_survey(tmp_path / "rendered")
    assert stored.has_images
    assert not rendered.has_images
    for row in range(5):
        assert np.array_equal(stored.cutout(row), rendered.cutout(row), equal_nan=True)


def test_the_survey_says_what_it_is(survey_dir):
    survey = open_survey(survey_dir)
    assert survey.source == "SIMULATED"
    assert survey.metadata["settings"]["seed"] == 5
    assert survey.metadata["settings"]["numpy"] == np.__version__
    assert set(survey.catalog["split"]) <= {"train", "valid", "calibration", "test"}
    assert survey.catalog["id"].is_unique


def test_a_finished_survey_is_never_overwritten(survey_dir):
    before = _digest(survey_dir)
    with pytest.raises(SurveyError, match="already holds a finished survey"):
        simulate_survey(survey_dir, SETTINGS)
    assert _digest(survey_dir) == before


def test_a_folder_with_other_content_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("do not lose me")
    with pytest.raises(SimulationError, match="is not empty and holds no simulation"):
        simulate_survey(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir() if path.name != "galspec-home"] == ["thesis.tex"]


def test_an_unfinished_simulation_of_other_settings_is_refused(tmp_path):
    def interrupt(stage: str, done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_survey(tmp_path / "sim", SETTINGS, progress=interrupt)
    with pytest.raises(SimulationError, match="unfinished simulation with other settings"):
        simulate_survey(tmp_path / "sim", SimulationSettings(n_galaxies=10, seed=6, has_images=False))


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(SimulationError, match=r"need about .* GB, but .* free; use a smaller --n"):
        simulate_survey(tmp_path / "sim", SETTINGS)
    assert not (tmp_path / "sim").exists()


def test_without_a_basis_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("GALSPEC_CACHE", str(tmp_path / "empty"))
    with pytest.raises(SimulationError, match="make simulate"):
        simulate_survey(tmp_path / "sim", SETTINGS)
    assert not (tmp_path / "sim").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_galaxies": 0}, "at least 1 galaxy"),
        ({"n_galaxies": 3, "seed": -1}, "must not be negative"),
        ({"n_galaxies": 3, "calibration_scatter": 99.0}, "must lie in 0-10"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        SimulationSettings(**settings)


def test_at_least_one_job_is_needed(tmp_path):
    with pytest.raises(ConfigError, match="at least 1 process"):
        simulate_survey(tmp_path / "sim", SETTINGS, n_jobs=0)

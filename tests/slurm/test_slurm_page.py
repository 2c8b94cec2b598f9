"""The smoke training from the page to a real Slurm, by real clicks: watched, cancelled, resumed, finished."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import INSTALL_CHROMIUM, browser_page, chromium_path, running_app
from galspec.jobs.engine import stop
from galspec.jobs.state import State
from galspec.jobs.view import look, slurm_id_of
from tests.browser.test_train_journey import _state_is, _wait_for, stop_and_resume, submit_and_watch
from tests.toy_survey import write_toy_models, write_toy_survey

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow, pytest.mark.browser, pytest.mark.usefixtures("slurm")]


@pytest.fixture
def page() -> Iterator[Any]:
    if chromium_path() is None:
        reason = f"no chromium on this machine: {INSTALL_CHROMIUM}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with browser_page() as opened:
        opened.set_default_timeout(150_000)
        yield opened
        assert opened.errors == []


def test_a_training_on_slurm_from_the_page(page: Any, tmp_path: Path):
    survey = write_toy_survey(tmp_path / "toy", n_galaxies=60)
    _, model = write_toy_models(tmp_path / "models")
    with running_app("--survey", str(survey), "--model", str(model)) as (url, _):
        folder = submit_and_watch(page, url, "slurm", epochs=40)
        first = slurm_id_of(folder)
        assert first.isdigit()
        stop_and_resume(page, folder)
        assert slurm_id_of(folder) != first
        _wait_for(lambda: look(folder).state is State.FINISHED, "the end of the training")
        _state_is(page, "finished")
        assert (folder.bundle / "model.json").is_file()
        assert stop(folder).state is State.FINISHED
        page.goto("about:blank")

"""A running app on toy data and a real browser; without Chromium the tests skip, but fail on CI."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import INSTALL_CHROMIUM, browser_page, chromium_path, running_app
from tests.toy_survey import write_toy_models, write_toy_survey

_TIMEOUT_MS = 150_000  # a machine that trains at the same time is slow


@pytest.fixture(scope="session")
def app_options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of `galspec app` for a toy survey of 60 galaxies and a toy model."""
    if chromium_path() is None:
        reason = f"no chromium on this machine: {INSTALL_CHROMIUM}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    folder: Path = tmp_path_factory.mktemp("browser")
    survey = write_toy_survey(folder / "toy", n_galaxies=60)
    _, model = write_toy_models(folder / "models")
    return ["--survey", str(survey), "--model", str(model)]


@pytest.fixture(scope="session")
def app_url(app_options: list[str]) -> Iterator[str]:
    with running_app(*app_options) as (url, _):
        yield url


@pytest.fixture
def page(app_options: list[str]) -> Iterator[Any]:  # skips without Chromium
    with browser_page() as opened:
        opened.set_default_timeout(_TIMEOUT_MS)
        yield opened
        assert opened.errors == []

"""A training by real clicks: submitted, watched, stopped, resumed, left behind by its server, found again, finished."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from benchmarks.browser import running_app
from galspec.core.home import home_dir
from galspec.jobs.folder import JobFolder, all_folders
from galspec.jobs.state import State
from galspec.jobs.view import look
from tests.unit.jobs.conftest import processes_of

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
_PLOT = ".st-key-train_chart .js-plotly-plot path.js-line"


def _wait_for(condition: Callable[[], Any], what: str, patience_s: float = 200.0) -> None:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"waited in vain for {what}")


def _state_is(page: Any, *words: str) -> None:
    badge = page.locator(".st-key-train_header .stMarkdownBadge", has_text=re.compile("|".join(words)))
    expect(badge).to_be_visible(timeout=90_000)


def _set_number(page: Any, key: str, value: str) -> None:
    box = page.locator(f".st-key-{key} input")
    box.fill(value)
    box.press("Enter")


def submit_and_watch(page: Any, url: str, backend: str, epochs: int) -> JobFolder:
    """Open the form, choose, submit, wait for the first curve; return the job's folder."""
    page.goto(f"{url}/train?new=smoke")
    page.get_by_text("Batch size").wait_for()
    if backend == "slurm":
        page.get_by_role("radio", name="Slurm").click()
        page.get_by_text("Partition", exact=True).wait_for()
    _set_number(page, "train_field_cnn_n_epochs", str(epochs))
    page.get_by_text(f"n_epochs 10 → {epochs}").wait_for()
    if backend == "slurm":
        page.get_by_text("#SBATCH --requeue").wait_for()
    else:
        page.get_by_text("train cnn --survey").wait_for()
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile(r"/train\?job="))
    folder = all_folders()[0]
    assert folder.id in page.url
    page.locator(_PLOT).first.wait_for(state="attached", timeout=90_000)
    _state_is(page, "running")
    return folder


def stop_and_resume(page: Any, folder: JobFolder) -> None:
    """Press Stop, see it cancelled with its checkpoint, press Resume, see it run."""
    page.locator(".st-key-train_stop button").click()
    page.get_by_text("Asked to end").wait_for()
    _state_is(page, "cancelled")
    assert folder.read("exit.json")["state"] == "stopped"
    assert folder.has_checkpoint
    page.locator(".st-key-train_resume button").click()
    _state_is(page, "starting", "running")


def test_a_training_survives_page_and_server(page: Any, app_options: list[str]):
    with running_app(*app_options) as (url, _):
        folder = submit_and_watch(page, url, "local", epochs=60)
        stop_and_resume(page, folder)
        page.goto("about:blank")  # the tab is closed ...
    assert look(folder).status.is_live  # ... and the server ended
    page.errors.clear()  # requests to the server that is gone
    with running_app(*app_options) as (url, _):
        page.goto(f"{url}/train?job={folder.id}")
        page.locator(_PLOT).first.wait_for(state="attached")
        _wait_for(lambda: look(folder).state is State.FINISHED, "the end of the training")
        _state_is(page, "finished")
        page.get_by_text("100.0 % of 60 epochs").wait_for()
        page.get_by_role("radio", name="Spectra").click()
        page.get_by_text("predicted from the image").first.wait_for()
        page.wait_for_url(re.compile("panel=spectra"))
        page.locator(".st-key-train_to_list button").click()
        page.locator(".st-key-train_open button").wait_for()
        page.wait_for_url(re.compile(r"/train$"))
    _wait_for(lambda: not _commands(), "the end of all processes")


def test_the_server_killed_with_9_takes_no_job_along(page: Any, app_options: list[str]):
    with running_app(*app_options) as (url, _):
        folder = submit_and_watch(page, url, "local", epochs=60)
        page.goto("about:blank")
        servers = [pid for pid, words in _commands().items() if b"galspec.ui.serve" in words]
        assert servers
        for pid in servers:
            os.kill(pid, signal.SIGKILL)
    assert look(folder).status.is_live
    _wait_for(lambda: look(folder).state is State.FINISHED, "the end of the training")


def _commands() -> dict[int, list[bytes]]:
    """Return the words of this test's galspec processes; the browser has its workspace in the environment too."""
    found = {}
    for pid in processes_of(home_dir()):
        with contextlib.suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return {pid: words for pid, words in found.items() if any(word.startswith(b"galspec") for word in words)}

"""The list of jobs by real clicks: its buttons stand in a fragment, which a test without browser does not notice."""

import re
import sys
from typing import Any

import pytest
from playwright.sync_api import expect

from benchmarks.browser import running_app
from galspec.jobs import engine
from galspec.jobs.folder import JobFolder
from galspec.jobs.job import Resources
from galspec.jobs.state import State
from tests.unit.jobs.conftest import wait_for_state

pytestmark = pytest.mark.timeout(600)
_TABLE = '.st-key-train_list [data-testid="stDataFrame"]'  # a comparison has tables too
_ROW_PX = 31


def _job(name: str) -> JobFolder:
    program = (sys.executable, "-c", "print('done')")
    folder = engine.submit(name, ("x",), Resources(device="cpu"), program=program)
    wait_for_state(folder, State.FINISHED)
    return folder


def _tick(page: Any, row: int, said: str) -> None:
    page.locator(f"{_TABLE} canvas").first.wait_for()
    box = page.locator(_TABLE).bounding_box()
    page.mouse.click(box["x"] + 15, box["y"] + (row + 1.5) * _ROW_PX)
    page.get_by_text(said).wait_for()


def test_buttons_of_the_list_lead_where_they_say_and_ticks_stay_with_their_jobs(page: Any, app_options: list[str]):
    with running_app(*app_options) as (url, _):
        page.goto(f"{url}/train")
        page.get_by_role("button", name="Start the smoke test").click()
        page.wait_for_url(re.compile(r"new=smoke"))
        first, second = _job("a-first"), _job("b-second")  # of the same second the later name comes first
        page.goto(f"{url}/train")
        _tick(page, 1, "1 chosen")
        _job("c-third")
        page.locator(".st-key-train_to_new button").click()  # the table's tool bar does not lie over it
        page.get_by_text("Batch size").wait_for()
        page.locator(".st-key-train_to_list button").click()
        page.get_by_text("1 chosen").wait_for()
        _tick(page, 1, "2 chosen")
        page.get_by_role("button", name="Compare").click()
        page.get_by_text("Comparing 2 jobs").wait_for()
        page.wait_for_url(re.compile(f"compare={second.id}(,|%2C){first.id}"))
        page.locator(".st-key-train_to_list button").click()
        _tick(page, 1, "1 chosen")
        page.get_by_role("button", name="Open").click()
        page.wait_for_url(re.compile(f"job={first.id}"))
        expect(page.locator(".st-key-train_header")).to_contain_text("a-first")
        page.go_back()
        page.get_by_text("1 chosen").wait_for()

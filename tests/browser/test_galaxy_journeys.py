"""The Galaxy page in a browser: redshift and frame under a zoom, keys, the copied address, a narrow screen."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.test_journeys import _PLOT, _wait_for_galaxy, _wait_for_url, _wait_for_window

pytestmark = pytest.mark.timeout(600)

GALAXY = "sim1-00000031"
_LAYOUT = f"document.querySelector('{_PLOT}')?._fullLayout"


def _first_x(page: Any, trace: int) -> float:
    return float(page.evaluate(f"document.querySelector('{_PLOT}')._fullData[{trace}].x[500]"))


def _range(page: Any, axis: str = "xaxis") -> list[float]:
    page.wait_for_function(f"{_LAYOUT}?.{axis}?.range", polling=200)  # a plot with another description is a new plot
    return json.loads(page.evaluate(f"JSON.stringify({_LAYOUT}.{axis}.range)"))


def _wait_for_title(page: Any, start: str) -> None:
    condition = f"{_LAYOUT}?.xaxis?.title.text.startsWith('{start}')"
    page.wait_for_function(condition, polling=200)


def _drag(page: Any, start: float, end: float) -> None:
    """Draw a box over a part of the plot's width."""
    box = page.locator(_PLOT).first.bounding_box()
    y = box["y"] + box["height"] * 0.5
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, y, steps=8)
    page.mouse.up()


def test_a_zoom_survives_a_redshift_and_the_frame(page: Any, app_url: str):
    page.goto(f"{app_url}/galaxy?id={GALAXY}")
    _wait_for_galaxy(page, GALAXY)
    _wait_for_window(page, is_full=True)
    _drag(page, 0.5, 0.7)
    zoomed = _wait_for_window(page, is_full=False)
    before = _first_x(page, 0)

    z_box = page.get_by_label("Redshift to try")
    z_box.fill("0.08321")
    z_box.press("Enter")
    _wait_for_url(page, r"z=0\.08321")
    page.get_by_role("button", name="Δv = ").wait_for()
    moved = f"(document.querySelector('{_PLOT}')?._fullData?.[0]?.x[500] ?? {before}) !== {before}"
    page.wait_for_function(moved, polling=200)
    assert _range(page) == zoomed

    page.locator("h3").click()  # out of the box: keys do nothing while one types
    page.keyboard.press("f")
    _wait_for_title(page, "Observed")
    assert _range(page) == pytest.approx([edge * 1.08321 for edge in zoomed], rel=1e-9)
    assert _range(page, "xaxis2") == pytest.approx(zoomed, rel=1e-9)
    # A box in the observed frame is a window around the same features.
    _drag(page, 0.4, 0.6)
    page.wait_for_function(f"{_LAYOUT}?.xaxis2?.range[0] > {zoomed[0]} + 1", polling=200)
    narrow = _range(page, "xaxis2")
    assert zoomed[0] < narrow[0] < narrow[1] < zoomed[1]
    page.keyboard.press("f")
    _wait_for_title(page, "Rest-frame")
    assert _range(page) == pytest.approx(narrow, rel=1e-9)


def test_keys_change_the_view_and_the_copied_link_reproduces_it(page: Any, app_url: str):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{app_url}/galaxy?id={GALAXY}&win=hb&z=0.08321")
    _wait_for_galaxy(page, GALAXY)
    _wait_for_window(page, is_full=False)
    page.keyboard.press("l")
    expect(page.get_by_role("radio", name="All", exact=True)).to_be_checked()
    _wait_for_url(page, "lines=all")
    page.keyboard.press("f")
    _wait_for_title(page, "Observed")
    _wait_for_url(page, "frame=obs")
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    assert re.search(r"win=hb&z=0\.08321&frame=obs&lines=all$", copied)
    shown = _range(page)

    other = page.context.new_page()
    other.goto(copied)
    _wait_for_galaxy(other, GALAXY)
    _wait_for_title(other, "Observed")
    assert _range(other) == shown
    expect(other.get_by_label("Redshift to try")).to_have_value("0.08321")
    expect(other.get_by_role("radio", name="All", exact=True)).to_be_checked()


def test_a_pinned_prediction_follows_to_the_next_galaxy(page: Any, app_url: str):
    page.goto(f"{app_url}/galaxy?id={GALAXY}")
    _wait_for_galaxy(page, GALAXY)
    page.keyboard.press("p")
    _wait_for_url(page, f"pin={GALAXY}")
    page.keyboard.press("ArrowRight")
    _wait_for_galaxy(page, "sim1-00000038")
    page.locator(f"{_PLOT} .legendtext", has_text=f"predicted for {GALAXY}").wait_for()


def test_on_a_narrow_screen_the_plot_comes_first_and_nothing_scrolls_sideways(page: Any, app_url: str):
    page.set_viewport_size({"width": 900, "height": 720})
    page.goto(f"{app_url}/galaxy?id={GALAXY}&lines=all")
    _wait_for_galaxy(page, GALAXY)
    plot = page.locator(_PLOT).first.bounding_box()
    image = page.locator(".st-key-galaxy_images img").first
    image.wait_for()
    assert plot["width"] > 800
    assert plot["y"] < image.bounding_box()["y"]
    assert page.evaluate("document.querySelector('.stMain').scrollWidth") <= 900


def test_the_plot_can_be_saved_as_svg(page: Any, app_url: str, tmp_path: Path):
    page.goto(f"{app_url}/galaxy?id=sim1-00000031")
    _wait_for_galaxy(page, "sim1-00000031")
    page.locator(".st-key-galaxy_display button").first.click()
    page.get_by_role("radio", name="SVG").click()
    page.keyboard.press("Escape")
    page.wait_for_timeout(1000)
    page.locator(".st-key-galaxy_spectrum").hover()
    with page.expect_download() as started:
        page.locator(".st-key-galaxy_spectrum .modebar-btn").first.click()
    path = tmp_path / started.value.suggested_filename
    started.value.save_as(path)
    assert path.suffix == ".svg"
    content = path.read_text(encoding="utf-8")
    assert "<svg" in content
    assert "SIMULATED" in content

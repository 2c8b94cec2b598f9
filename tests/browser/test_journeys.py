"""What only a browser can show: clicks on cards, keys, the box zoom, themes, the first deep link of a server."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect

from benchmarks.browser import running_app

pytestmark = pytest.mark.timeout(600)
expect.set_options(timeout=60_000)

_PLOT = ".js-plotly-plot"


def _wait_for_url(page: Any, pattern: str) -> None:
    page.wait_for_url(re.compile(pattern))


def _window(page: Any) -> list[float]:
    return json.loads(page.evaluate(f"JSON.stringify(document.querySelector('{_PLOT}')._fullLayout.xaxis.range)"))


def _wait_for_window(page: Any, is_full: bool) -> list[float]:
    comparison = ">" if is_full else "<"
    width = f"((r) => r[1] - r[0])(document.querySelector('{_PLOT}')._fullLayout.xaxis.range)"
    condition = f"document.querySelector('{_PLOT}')?._fullLayout?.xaxis?.range && {width} {comparison} 4000"
    page.wait_for_function(condition, polling=200)  # by the clock: a page that is not drawn has no animation frames
    return _window(page)


def _wait_for_galaxy(page: Any, galaxy_id: str) -> None:
    page.locator("h3", has_text=galaxy_id).wait_for()
    page.locator(f"{_PLOT} .scatterlayer path.js-line").first.wait_for(state="attached")


@pytest.mark.parametrize(
    ("address", "shown"),
    [("/browse?q=class%3DSF", "15 of 60"), ("/galaxy?id=sim1-00000031&q=class%3DSF", "2 of 15")],
)
def test_a_deep_link_is_the_first_request_of_a_server(page: Any, app_options: list[str], address: str, shown: str):
    with running_app(*app_options) as (url, _):
        page.goto(url + address)
        page.get_by_text(shown).wait_for()
        _wait_for_url(page, re.escape(address) + "$")
        for name in ("Home", "Browse", "Galaxy"):
            assert page.get_by_role("link", name=name).count() == 1
        assert "galspec" in page.title()


def test_home_shows_another_galaxy_opens_it_and_comes_back(page: Any, app_options: list[str]):
    with running_app(*app_options) as (url, _):
        page.goto(f"{url}/?seed=3")
        page.get_by_text("State of this installation").wait_for()
        _wait_for_window(page, is_full=True)
        example = page.locator("strong", has_text=re.compile(r"^sim1-\d{8}$"))
        first = example.inner_text()
        page.keyboard.press("n")
        _wait_for_url(page, r"/\?seed=4$")
        expect(example).not_to_have_text(first)
        second = example.inner_text()
        page.keyboard.press("g")
        _wait_for_galaxy(page, second)
        _wait_for_url(page, rf"/galaxy\?id={second}$")
        page.get_by_role("link", name="Home").click()
        expect(example).to_have_text(second)
        page.keyboard.press("h")
        page.get_by_role("dialog").get_by_text("Keys and addresses").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        _wait_for_url(page, r"/browse$")
        page.locator(".gallery img").first.wait_for()


def test_filter_open_and_walk(page: Any, app_url: str):
    page.goto(f"{app_url}/browse")
    page.locator(".gallery img").first.wait_for()
    assert page.locator(".gallery button").count() == 24
    page.get_by_role("button", name="quiescent", exact=True).click()
    page.get_by_text("15 of 60").wait_for()
    _wait_for_url(page, r"q=class%3DQ")
    expect(page.locator(".gallery button")).to_have_count(15)  # the cards follow the count
    second = page.locator(".gallery button").nth(1)
    galaxy_id = second.get_attribute("data-id")
    second.click()
    _wait_for_galaxy(page, galaxy_id)
    _wait_for_url(page, rf"/galaxy\?id={galaxy_id}&q=class%3DQ")
    page.get_by_text("2 of 15").wait_for()
    page.keyboard.press("ArrowRight")
    page.get_by_text("3 of 15").wait_for()
    page.keyboard.press("b")
    page.get_by_text("15 of 60").wait_for()


def test_a_box_zooms_survives_the_next_galaxy_and_esc_goes_back(page: Any, app_url: str):
    page.goto(f"{app_url}/galaxy?id=sim1-00000031")
    _wait_for_galaxy(page, "sim1-00000031")
    full = _wait_for_window(page, is_full=True)
    box = page.locator(_PLOT).first.bounding_box()
    y = box["y"] + box["height"] * 0.5
    page.mouse.move(box["x"] + box["width"] * 0.3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=8)
    page.mouse.up()
    zoomed = _wait_for_window(page, is_full=False)
    assert 4300 < zoomed[0] < 5000 < zoomed[1] < 6300
    _wait_for_url(page, r"win=\d")
    page.keyboard.press("ArrowRight")
    _wait_for_galaxy(page, "sim1-00000038")
    assert _wait_for_window(page, is_full=False) == zoomed
    page.keyboard.press("Escape")
    assert _wait_for_window(page, is_full=True) == full


def test_the_back_button_undoes_step_by_step(page: Any, app_url: str):
    page.goto(f"{app_url}/browse")
    page.locator(".gallery img").first.wait_for()
    page.get_by_role("button", name="quiescent", exact=True).click()
    page.get_by_text("15 of 60").wait_for()
    _wait_for_url(page, r"q=class%3DQ")
    expect(page.locator(".gallery button")).to_have_count(15)
    page.locator(".gallery button").first.click()
    page.get_by_text("1 of 15").wait_for()
    _wait_for_window(page, is_full=True)
    page.get_by_role("radio", name="Mg b").click()
    _wait_for_window(page, is_full=False)
    _wait_for_url(page, "win=mgb")
    page.go_back()
    _wait_for_window(page, is_full=True)
    page.go_back()
    page.get_by_text("15 of 60").wait_for()
    # st.switch_page and the written-back address make one or two more entries, depending on the browser's speed.
    everything = page.get_by_text("60 of 60")
    for _ in range(4):
        page.go_back()
        with contextlib.suppress(PlaywrightTimeout):
            everything.wait_for(timeout=8000)
            break
    everything.wait_for(timeout=8000)


@pytest.mark.parametrize(
    ("scheme", "observed", "predicted"),
    [
        ("light", "rgb(34, 34, 34)", "rgb(213, 94, 0)"),
        ("dark", "rgb(237, 235, 232)", "rgb(255, 158, 74)"),
    ],
)
def test_curves_have_the_colours_of_the_theme(page: Any, app_url: str, scheme: str, observed: str, predicted: str):
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{app_url}/galaxy?id=sim1-00000031")
    _wait_for_galaxy(page, "sim1-00000031")
    strokes = f"[...document.querySelectorAll('{_PLOT} path.js-line')].map((e) => getComputedStyle(e).stroke)"
    page.wait_for_function(f"((found) => found.includes('{observed}') && found.includes('{predicted}'))({strokes})")


def test_the_curves_can_be_downloaded(page: Any, app_url: str, tmp_path: Path):
    from astropy.table import Table

    page.goto(f"{app_url}/galaxy?id=sim1-00000031")
    _wait_for_galaxy(page, "sim1-00000031")
    paths = {}
    for name in ("CSV", "ECSV"):
        with page.expect_download() as started:
            page.locator(f".st-key-galaxy_download_{name} button").click()
        paths[name] = tmp_path / started.value.suggested_filename
        started.value.save_as(paths[name])
    frame = pd.read_csv(paths["CSV"], comment="#")
    assert len(frame) == 1000
    assert frame["flux_predicted"].notna().all()
    table = Table.read(paths["ECSV"], format="ascii.ecsv")
    assert len(table) == 1000
    assert str(table["wavelength_rest"].unit) == "Angstrom"
    assert table.meta["source"] == "SIMULATED"
    assert table.meta["model"] == "toy-cnn"

"""Browse in a real browser: keys on cards, typed filter, table, plot, export."""

import re
from pathlib import Path
from typing import Any

import pytest
from astropy.table import Table
from playwright.sync_api import expect

from benchmarks.browser import running_app

pytestmark = pytest.mark.timeout(600)

_CARD = ".gallery button"


def _open(page: Any, address: str) -> None:
    page.goto(address)
    page.locator(".gallery img").first.wait_for()


def _id_of_focus(page: Any) -> str:
    """Return the id of the card in focus; the gallery lives in a shadow root."""
    return str(
        page.evaluate(
            "(() => { let at = document.activeElement; while (at?.shadowRoot) at = at.shadowRoot.activeElement; "
            "return at?.dataset?.id ?? ''; })()"
        )
    )


def test_cards_are_walked_selected_and_scored_by_keys(page: Any, app_options: list[str]):
    with running_app(*app_options) as (url, _):
        _open(page, f"{url}/browse?sort=z")
        ids = [card.get_attribute("data-id") for card in page.locator(_CARD).all()]
        page.locator(_CARD).first.focus()
        page.keyboard.press("ArrowRight")
        assert _id_of_focus(page) == ids[1]
        page.keyboard.press("x")
        page.get_by_text("1 selected").wait_for()
        page.keyboard.press("4")
        mark = page.locator(f'{_CARD}[data-id="{ids[1]}"] .mark')
        expect(mark).to_have_text("★ 4")
        assert _id_of_focus(page) == ids[1]  # the cards were filled anew, not replaced
        page.keyboard.press("ArrowDown")
        below = _id_of_focus(page)
        assert ids.index(below) > 2
        page.keyboard.press("x")
        page.get_by_text("2 selected").wait_for()
        page.get_by_role("button", name="Show only these").click()
        page.get_by_text("2 of 60").wait_for()
        page.wait_for_url(re.compile(r"q=list%3D[0-9a-f]{12}"))
        expect(page.locator(_CARD)).to_have_count(2)
        assert {card.get_attribute("data-id") for card in page.locator(_CARD).all()} == {ids[1], below}
        address = page.url
        page.goto("about:blank")
        _open(page, address)  # a link brings list and verdict back
        page.get_by_text("2 of 60").wait_for()
        expect(mark).to_have_text("★ 4")


def test_pages_turn_by_key_and_the_filter_is_typed(page: Any, app_url: str):
    _open(page, f"{app_url}/browse")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("page=2"))
    page.get_by_text("Galaxies 25–48 of 60").wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Galaxies 1–24 of 60").wait_for()
    page.keyboard.press("f")
    page.keyboard.type("class=Q & g-r>-9 & z>")
    page.keyboard.press("Enter")
    page.get_by_text("a number was expected").wait_for()
    page.get_by_text("15 of 60").wait_for()
    page.keyboard.type("0.01")
    page.keyboard.press("Enter")
    page.get_by_text("15 of 60").wait_for()
    expect(page.get_by_text("a number was expected")).to_have_count(0)
    expect(page.get_by_role("button", name="quiescent", exact=True)).to_be_visible()
    page.wait_for_url(re.compile(r"g-r"))


def test_the_view_changes_by_key_and_a_region_of_the_plot_selects(page: Any, app_url: str):
    _open(page, f"{app_url}/browse")
    page.keyboard.press("l")
    page.locator('[data-testid="stDataFrame"]').wait_for()
    page.wait_for_url(re.compile("view=table"))
    page.keyboard.press("l")
    page.locator(".js-plotly-plot canvas").first.wait_for(state="attached")
    page.wait_for_timeout(1500)  # the plot takes its final size
    box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=6)
    page.mouse.up()
    page.get_by_text("60 selected").wait_for()
    page.get_by_role("button", name="Clear selection").click()
    page.get_by_text("Selection of 60 cleared.").wait_for()


def test_an_exported_table_opens_in_astropy(page: Any, app_url: str, tmp_path: Path):
    _open(page, f"{app_url}/browse?q=class%3DSF&sort=-z")
    ids = [card.get_attribute("data-id") for card in page.locator(_CARD).all()]
    page.locator(".st-key-browse_export button").first.click()
    with page.expect_download() as started:
        page.get_by_role("button", name="15 galaxies, FITS").click()
    path = tmp_path / started.value.suggested_filename
    started.value.save_as(path)
    table = Table.read(path)
    assert [str(one).strip() for one in table["id"]] == ids
    assert table.meta["SOURCE"] == "SIMULATED"

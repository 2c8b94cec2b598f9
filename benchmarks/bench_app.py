"""The app as its reader waits for it: first paint of Home and Browse, opening galaxies, pages, filters; memory."""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from browser import INSTALL_CHROMIUM, browser_page, chromium_path, memory_mb, running_app
from machine import store_result

N_LARGE = 64_000
#: The clock runs inside the page: from the key or click that comes next, to the frame in which a condition holds.
_START_CLOCK = """
() => { window.__from = null;
        for (const kind of ["keydown", "pointerdown"])
          addEventListener(kind, () => { window.__from ??= performance.now(); }, { capture: true, once: true }); }
"""
_WAIT = """
([condition, argument]) => new Promise((resolve) => {
  const holds = new Function("argument", `return (${condition})`);
  const poll = () => window.__from !== null && holds(argument)
    ? resolve(performance.now() - window.__from) : requestAnimationFrame(poll);
  poll();
})
"""
#: Three curves and their residual are drawn, of this galaxy, its numbers and its picture are on the page.
_GALAXY_DRAWN = """
(() => { const plot = document.querySelector(`.st-key-galaxy_spectrum [aria-label*="${argument}"] .js-plotly-plot`);
         return plot && plot.querySelectorAll("path.js-line").length >= 4
           && document.querySelectorAll('[data-testid="stMetric"]').length >= 4
           && [...document.images].some((picture) => picture.alt.startsWith("Colour") && picture.alt.includes(argument)
             && picture.complete); })()
"""
_BROWSE_DRAWN = """
(() => { const shadows = [...document.querySelectorAll("*")].map((element) => element.shadowRoot);
         const root = shadows.find((shadow) => shadow?.querySelector(".gallery"));
         return (root ?? document).querySelector(".gallery img")?.complete; })()
"""
_HOME_DRAWN = "document.body.innerText.includes('State of this installation')"
_COUNT_SHOWN = "document.body.innerText.includes(argument)"


def timed_ms(page: Any, act: Callable[[], None], condition: str, argument: str = "") -> float:
    """Return the time from the act's key or click to the frame in which the condition holds, milliseconds."""
    page.evaluate(_START_CLOCK)
    act()
    return float(page.evaluate(_WAIT, [condition, argument]))


def first_paint_s(options: list[str], address: str, selectors: list[str]) -> list[float]:
    """Return the times from the command to the request and to each selector; server cold, browser already open."""
    with browser_page() as page, running_app(*options) as (url, started):
        page.set_default_timeout(60_000)
        times = [time.perf_counter() - started]
        page.goto(url + address)
        for selector in selectors:
            page.locator(selector).first.wait_for(state="attached")
            times.append(time.perf_counter() - started)
        return times


def galaxy_times(options: list[str], n_galaxies: int) -> dict[str, Any]:
    """Open galaxies by click and by key, switch pages, weigh the server."""
    groups: list[int] = []
    with browser_page() as page, running_app(*options, groups=groups) as (url, _):
        page.set_default_timeout(60_000)
        page.goto(f"{url}/browse?sort=-z&per=48")
        page.locator(".gallery img").first.wait_for()
        page.wait_for_timeout(15_000)  # the models load in the background meanwhile
        cards = page.locator(".gallery button")
        ids = [str(card.get_attribute("data-id")) for card in cards.all()]
        first = timed_ms(page, cards.nth(0).click, _GALAXY_DRAWN, ids[0])
        clicks = []
        for place in range(1, 9):
            page.keyboard.press("b")
            cards.nth(place).wait_for()
            page.wait_for_timeout(1000)
            clicks.append(timed_ms(page, cards.nth(place).click, _GALAXY_DRAWN, ids[place]))
            page.wait_for_timeout(700)
        keys = []
        for galaxy_id in ids[9 : 9 + n_galaxies]:
            keys.append(timed_ms(page, lambda: page.keyboard.press("ArrowRight"), _GALAXY_DRAWN, galaxy_id))
            page.wait_for_timeout(500)
        switches = _switch_times(page, ids[8 + n_galaxies])
        return {
            "open_first_galaxy_ms": round(first),
            "click_to_galaxy_ms": round(statistics.median(clicks)),
            "click_to_galaxy_max_ms": round(max(clicks)),
            "next_galaxy_by_key_ms": round(statistics.median(keys)),
            "next_galaxy_by_key_max_ms": round(max(keys)),
            "n_clicks": len(clicks),
            "n_keys": len(keys),
            "page_switch_ms": {name: round(statistics.median(times)) for name, times in switches.items()},
            "server_memory_mb": round(memory_mb(groups[0])),
        }


def _switch_times(page: Any, galaxy_id: str) -> dict[str, list[float]]:
    conditions = {"Browse": _BROWSE_DRAWN, "Home": _HOME_DRAWN, "Galaxy": _GALAXY_DRAWN}
    times: dict[str, list[float]] = {name: [] for name in conditions}
    for _ in range(5):
        for name, condition in conditions.items():
            link = page.get_by_role("link", name=name, exact=True)
            times[name].append(timed_ms(page, link.click, condition, galaxy_id))
            page.wait_for_timeout(1200)
    return times


def large_survey(folder: Path) -> Path:
    """Write a survey of 64,000 rows for Browse: the demo's catalogue and thumbnails, repeated under new ids."""
    from galspec.core.home import demo_survey_dir
    from galspec.store import layout

    demo = demo_survey_dir()
    target = folder / "large"
    target.mkdir()
    for name in (layout.CATALOG, layout.THUMBNAILS):
        frame = pd.read_parquet(demo / name)
        rows = np.arange(N_LARGE) % len(frame)
        repeated = frame.iloc[rows].reset_index(drop=True)
        if "id" in repeated:
            repeated["id"] = [f"sim1-{row:08d}" for row in range(N_LARGE)]
        if "group_id" in repeated:
            repeated["group_id"] = repeated["id"]
        repeated.to_parquet(target / name, index=False)
    metadata = json.loads((demo / layout.METADATA).read_text()) | {"name": "large", "n_galaxies": N_LARGE}
    (target / layout.METADATA).write_text(json.dumps(metadata))
    shutil.copytree(demo / layout.SPECTRA, target / layout.SPECTRA)
    return target


def filter_times(options: list[str]) -> dict[str, Any]:
    """Filter 64,000 rows by a class and by a typed text; from the click or key to the new count on the page."""
    from galspec.store.survey import open_survey
    from galspec.ui.query import parse_query

    groups: list[int] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = large_survey(Path(scratch))
        catalog = open_survey(folder).catalog

        def count(text: str) -> str:
            return f"{len(parse_query(text)[0].rows(catalog)):,} of {N_LARGE:,}"

        with browser_page() as page, running_app(*options, "--survey", str(folder), groups=groups) as (url, _):
            page.set_default_timeout(60_000)
            page.goto(f"{url}/browse")
            page.get_by_text(f"{N_LARGE:,} of {N_LARGE:,}").wait_for()
            page.wait_for_timeout(15_000)
            pills = [("quiescent", "Q"), ("green valley", "Q,GV"), ("post-starburst", "Q,GV,PSB")]
            clicks = []
            for name, codes in pills * 2:
                pill = page.locator(".st-key-browse_class").get_by_role("button", name=name, exact=True)
                wanted = count(f"class={codes}") if len(clicks) < len(pills) else None
                if wanted is None:
                    pill.click()  # off again; only narrowing from a known state is timed
                else:
                    clicks.append(timed_ms(page, pill.click, _COUNT_SHOWN, wanted))
                page.wait_for_timeout(1500)
            typed = []
            for text in ("z<0.1", "0.02<z<0.08 & g-r>0.7", "not (r<16 | z>0.15)", "class=SF & ew>20"):
                page.locator(".st-key-browse_text input").fill(text)
                typed.append(timed_ms(page, lambda: page.keyboard.press("Enter"), _COUNT_SHOWN, count(text)))
                page.wait_for_timeout(1500)
            return {
                "n_rows": N_LARGE,
                "click_to_count_ms": round(statistics.median(clicks)),
                "text_to_count_ms": round(statistics.median(typed)),
                "worst_ms": round(max(clicks + typed)),
                "server_memory_mb": round(memory_mb(groups[0])),
            }


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)


def main() -> int:
    """Measure; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", help="survey folder (default: the demo)")
    parser.add_argument("--model", help="predictor bundle (default: the shipped one)")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if chromium_path() is None:
        print(f"no chromium on this machine: {INSTALL_CHROMIUM}", file=sys.stderr)
        return 1
    model = ["--model", args.model] if args.model else []
    options = [*model, *(["--survey", args.survey] if args.survey else [])]
    load = os.getloadavg()[0]  # a busy machine explains a slow run
    home_selectors = ["text=State of this installation", ".js-plotly-plot path.js-line"]
    home = [first_paint_s(options, "/", home_selectors) for _ in range(args.repeats)]
    browse = [first_paint_s(options, "/browse", [".gallery img"]) for _ in range(args.repeats)]
    result: dict[str, Any] = {
        "home_text_from_command_s": _median(times[1] for times in home),
        "home_text_from_request_s": _median(times[1] - times[0] for times in home),
        "home_example_from_command_s": _median(times[2] for times in home),
        "home_example_from_request_s": _median(times[2] - times[0] for times in home),
        "browse_first_paint_from_command_s": _median(times[1] for times in browse),
        "browse_first_paint_from_request_s": _median(times[1] - times[0] for times in browse),
        "first_paints_s": [[round(value, 2) for value in times] for times in home + browse],
        **galaxy_times(options, n_galaxies=20),
        "large": filter_times(model),
        "load_average_at_start": round(load, 1),
    }
    store_result("app", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

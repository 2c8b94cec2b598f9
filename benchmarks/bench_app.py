"""The app as its reader waits for it: start to first paint, and opening a galaxy with rendering and prediction."""

import argparse
import os
import statistics
import sys
import time
from typing import Any

from browser import INSTALL_CHROMIUM, browser_page, chromium_path, running_app
from machine import store_result

#: Resolves when the plot of a galaxy is drawn; the clock runs inside the page.
_CLICK_TO_PLOT = """
([selector, id]) => new Promise((resolve) => {
  const started = performance.now();
  const drawn = () => {
    const plot = document.querySelector(`.st-key-galaxy_spectrum [aria-label*="${id}"] .js-plotly-plot`);
    return plot && plot.querySelectorAll("path.js-line").length >= 4;  // three curves and their residual
  };
  const poll = () => drawn() ? resolve(performance.now() - started) : requestAnimationFrame(poll);
  document.querySelector(selector).click();
  requestAnimationFrame(poll);
})
"""


def first_paint_s(options: list[str]) -> float:
    """Return the time from the command to the first thumbnail on the screen, browser already open."""
    with browser_page() as page, running_app(*options) as (url, started):
        page.goto(f"{url}/browse")
        page.locator(".gallery img").first.wait_for()
        return time.perf_counter() - started


def galaxy_times_ms(options: list[str], n_galaxies: int) -> tuple[float, list[float]]:
    """Return the first opening of a galaxy from Browse, and the times of going to the next one, all not seen before."""
    with browser_page() as page, running_app(*options) as (url, _):
        page.goto(f"{url}/browse?sort=-z")
        page.locator(".gallery img").first.wait_for()
        page.wait_for_timeout(15_000)  # the models load in the background meanwhile
        ids: list[str] = [card.get_attribute("data-id") for card in page.locator(".gallery button").all()]
        page.locator(".gallery button").first.click()
        started = time.perf_counter()
        page.locator(".js-plotly-plot path.js-line").nth(3).wait_for(state="attached")
        first = 1e3 * (time.perf_counter() - started)
        page.wait_for_timeout(2000)
        times = []
        for galaxy_id in ids[1 : n_galaxies + 1]:
            times.append(float(page.evaluate(_CLICK_TO_PLOT, [".st-key-galaxy_next button", galaxy_id])))
            page.wait_for_timeout(400)
        return first, times


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
    options = [
        item for name in ("survey", "model") for item in (f"--{name}", getattr(args, name)) if getattr(args, name)
    ]
    load = os.getloadavg()[0]  # a busy machine explains a slow run
    paints = [first_paint_s(options) for _ in range(args.repeats)]
    first, times = galaxy_times_ms(options, n_galaxies=20)
    result: dict[str, Any] = {
        "start_to_first_paint_s": round(statistics.median(paints), 2),
        "start_to_first_paint_all_s": [round(value, 2) for value in paints],
        "open_galaxy_ms": round(statistics.median(times), 0),
        "open_galaxy_max_ms": round(max(times), 0),
        "open_first_galaxy_ms": round(first, 0),
        "n_galaxies": len(times),
        "load_average_at_start": round(load, 1),
    }
    store_result("app", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The Latents page as its reader feels it: redraws of a drag, release to neighbours, a new galaxy, a map of 500,000."""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from browser import INSTALL_CHROMIUM, browser_page, chromium_path, running_app
from machine import store_result

from galspec.core.files import sha256_of, write_json
from galspec.core.home import demo_survey_dir, shipped_weights_dir
from galspec.store import layout
from galspec.store.scores import read_scores, write_scores
from galspec.store.survey import open_survey
from galspec.ui.model_card import read_model_card

N_MAP = 500_000
_LAB = ".latent-lab"
_MAP = ".st-key-latents_map .js-plotly-plot"
#: Finds an element inside the components' shadow roots.
_DEEP = """
const deep = (selector, node = document) => {
  const found = node.querySelector(selector);
  if (found) return found;
  for (const host of node.querySelectorAll("*")) {
    const inner = host.shadowRoot && deep(selector, host.shadowRoot);
    if (inner) return inner;
  }
  return null;
};
const when = (condition, began) => new Promise((resolve) => {
  const poll = () => condition() || performance.now() - began > 20000 ? resolve(performance.now() - began)
    : requestAnimationFrame(poll);
  requestAnimationFrame(poll);
});
"""
_MOVE_AND_WAIT = (
    "async (value) => {"
    + _DEEP
    + """
  const slide = deep(".latent-lab .track input"), host = document.querySelector(".st-key-latents_nearest");
  const cards = () => [...(deep(".gallery", host)?.querySelectorAll("button") ?? [])];
  const ids = () => cards().map((card) => card.dataset.id).join();
  const before = ids();
  slide.value = value;
  slide.dispatchEvent(new Event("input"));
  const began = performance.now();
  slide.dispatchEvent(new Event("change"));
  return when(() => ids() !== before, began);
}"""
)
_CLICK_AND_WAIT = (
    "async (selector) => {"
    + _DEEP
    + """
  const root = deep(".latent-lab"), before = root.dataset.ready, began = performance.now();
  document.querySelector(selector).click();
  return when(() => deep(".latent-lab").dataset.ready !== before, began);
}"""
)
_MAP_IS_DRAWN = f"""() => {{
  const plot = document.querySelector('{_MAP}');
  return !!plot?._fullLayout?.xaxis?.l2p && !!plot.querySelector('canvas') && plot._fullData?.length > 0;
}}"""
_CHOSEN = (
    "() => {"
    + _DEEP
    + """
  const host = document.querySelector(".st-key-latents_chosen_card");
  return (host && deep(".gallery button", host)?.dataset.id) ?? "";
}"""
)


def _open(page: Any, url: str, query: str) -> Any:
    page.goto(f"{url}/latents{query}")
    page.locator(f"{_LAB}[data-ready]").wait_for(timeout=120_000)
    page.wait_for_timeout(3000)
    return page.locator(_LAB)


def _fit_plot(page: Any, width: int) -> float:
    """Make the window as wide as it takes for a plot of some width."""
    for _ in range(3):
        found = page.locator(f"{_LAB} .plot").bounding_box()["width"]
        size = page.viewport_size
        page.set_viewport_size({"width": round(size["width"] + width - found), "height": size["height"]})
        page.wait_for_timeout(500)
    return float(page.locator(f"{_LAB} .plot").bounding_box()["width"])


def drag(url: str, width: int, seconds: float) -> dict[str, Any]:
    """Drag one slider to and fro with the mouse; count what is drawn, and time it in the page."""
    with browser_page(width + 380, 800) as page:
        frames: list[int] = []
        page.on("websocket", lambda socket: socket.on("framesent", lambda _: frames.append(1)))
        lab = _open(page, url, "?from=sim1-00009921&panel=none")
        fitted = _fit_plot(page, width)
        box = page.locator(f"{_LAB} .track input").first.bounding_box()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, y)
        page.mouse.down()
        n_sent, n_moves = len(frames), 0
        before, began = int(lab.get_attribute("data-frames")), time.perf_counter()
        while time.perf_counter() - began < seconds:
            n_moves += 1
            page.mouse.move(box["x"] + box["width"] * (0.5 + 0.3 * np.sin(n_moves / 12.0)), y)
        elapsed = time.perf_counter() - began
        drawn = int(lab.get_attribute("data-frames")) - before
        times = lab.evaluate("root => root.laboratory.drawMs.slice(-200)")
        sent = len(frames) - n_sent
        page.mouse.up()
    return {
        "plot_px": round(fitted),
        "redraws_per_s": round(drawn / elapsed, 1),
        "mouse_moves_per_s": round(n_moves / elapsed, 1),
        "decode_and_draw_ms": round(statistics.median(times), 2),
        "messages_while_dragging": sent,
    }


def answers(url: str, repeats: int) -> dict[str, Any]:
    """Time release to other neighbours, and a new galaxy."""
    with browser_page() as page:
        _open(page, url, "?from=sim1-00009921&start=observed")
        strips = []
        for index in range(repeats):
            strips.append(float(page.evaluate(_MOVE_AND_WAIT, round(-1.8 * (-1) ** index + 0.05 * index, 2))))
            page.wait_for_timeout(500)
        galaxies = []
        for _ in range(repeats):
            galaxies.append(float(page.evaluate(_CLICK_AND_WAIT, ".st-key-latents_random button")))
            page.wait_for_timeout(500)
    return {
        "release_to_neighbours_ms": round(statistics.median(strips)),
        "release_to_neighbours_max_ms": round(max(strips)),
        "new_galaxy_ms": round(statistics.median(galaxies)),
        "new_galaxy_max_ms": round(max(galaxies)),
    }


def _large_survey(folder: Path) -> None:
    """Repeat the demo survey's galaxies under new ids, their latents scattered by 0.1, until there are 500,000."""
    demo = open_survey(demo_survey_dir())
    card = read_model_card(shipped_weights_dir() / "xresnet18-hybrid")
    scores = read_scores(demo, card.name)
    rows = np.arange(N_MAP) % len(demo)
    ids = [f"bench-{index:08d}" for index in range(N_MAP)]
    catalog = demo.catalog.iloc[rows].reset_index(drop=True).assign(id=ids)
    folder.mkdir()
    catalog.to_parquet(folder / layout.CATALOG, index=False)
    checksums = {layout.CATALOG: sha256_of(folder / layout.CATALOG)}
    write_json(
        folder / layout.METADATA, {**demo.metadata, "name": "bench", "n_galaxies": N_MAP, "checksums": checksums}
    )
    survey = open_survey(folder)
    frame = scores.frame.iloc[rows].reset_index(drop=True).assign(id=ids)
    rng = np.random.default_rng(1)
    for name in [name for name in frame if str(name).startswith("latent_") and name != "latent_rmse"]:
        frame[name] = (frame[name] + 0.1 * rng.standard_normal(N_MAP)).astype(np.float32)
    path = survey.prediction_path(card.name)
    path.parent.mkdir()
    write_scores(pd.DataFrame(frame), path, {**scores.provenance, "catalog_sha256": survey.data_hash})


def large_map(repeats: int) -> dict[str, Any]:
    """Time the map of 500,000 galaxies: a server's first visit, a later one, and a click."""
    with tempfile.TemporaryDirectory() as folder:
        _large_survey(Path(folder) / "bench")
        query = "?start=mean&panel=map"
        with running_app("--survey", str(Path(folder) / "bench")) as (url, _):
            paints, clicks = [], []
            for _ in range(1 + repeats):
                with browser_page(1280, 1300) as page:
                    began = time.perf_counter()
                    page.goto(f"{url}/latents{query}")
                    page.wait_for_function(_MAP_IS_DRAWN, polling=50, timeout=120_000)
                    paints.append(time.perf_counter() - began)
                    page.wait_for_timeout(2500)
                    clicks += _clicks(page)
    return {
        "n_galaxies": N_MAP,
        "first_visit_of_a_server_s": round(paints[0], 2),
        "first_paint_s": round(statistics.median(paints[1:]), 2),
        "click_ms": round(statistics.median(clicks)) if clicks else None,
        "n_clicks": len(clicks),
    }


def _clicks(page: Any, n_clicks: int = 3) -> list[float]:
    """Click on drawn points and wait for their cards."""
    places = page.evaluate(
        f"""() => {{
          const plot = document.querySelector('{_MAP}'), l = plot._fullLayout, box = plot.getBoundingClientRect();
          const points = plot._fullData.find((trace) => trace.type === 'scattergl');
          return [500, 2500, 4500].map((i) => [box.x + l.xaxis._offset + l.xaxis.l2p(points.x[i]),
                                               box.y + l.yaxis._offset + l.yaxis.l2p(points.y[i])]);
        }}"""
    )
    times = []
    for x, y in places[:n_clicks]:
        before = page.evaluate(_CHOSEN)
        page.mouse.move(x, y)
        page.wait_for_timeout(400)  # Plotly finds the point under the mouse
        began = time.perf_counter()
        page.mouse.down()
        page.mouse.up()
        while page.evaluate(_CHOSEN) == before and time.perf_counter() - began < 10:
            page.wait_for_timeout(10)
        if page.evaluate(_CHOSEN) != before:
            times.append(1e3 * (time.perf_counter() - began))
        page.wait_for_timeout(600)
    return times


def main() -> int:
    """Measure; medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a drag")
    parser.add_argument("--dry", action="store_true", help="print, store nothing")
    args = parser.parse_args()
    if chromium_path() is None:
        print(f"no chromium on this machine: {INSTALL_CHROMIUM}", file=sys.stderr)
        return 1
    load = os.getloadavg()[0]  # a busy machine explains a slow run
    with running_app() as (url, _):
        result: dict[str, Any] = {"drag": [drag(url, width, args.seconds) for width in (700, 1280)]}
        result |= answers(url, args.repeats)
    result["map"] = large_map(2)
    result |= {"load_average_at_start": round(load, 1), "load_average_at_end": round(os.getloadavg()[0], 1)}
    if args.dry:
        print(result)
    else:
        store_result("latents", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

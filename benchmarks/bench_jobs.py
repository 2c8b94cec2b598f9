"""Jobs: from Submit to the first metric on the page, the list with 200 runs, what a live page costs."""

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser import INSTALL_CHROMIUM, browser_page, chromium_path, running_app
from machine import store_result

from galspec.jobs import engine
from galspec.jobs.folder import JobFolder, all_folders
from galspec.jobs.process import cpu_seconds
from galspec.jobs.view import look, look_at_all
from tests.slurm.cluster import one_node_slurm, why_no_slurm
from tests.toy_survey import write_toy_survey

_PLOT = ".st-key-train_chart .js-plotly-plot path.js-line"
_N_RUNS = 200
_FILLING_MS = 5000


def slurm_times_s(survey: Path, repeats: int) -> list[dict[str, float]] | str:
    """Return the times on a Slurm of one node that is started for it, or why there is none."""
    if reason := why_no_slurm():
        return reason
    times = []
    with tempfile.TemporaryDirectory() as scratch, one_node_slurm(Path(scratch)) as config:
        os.environ["SLURM_CONF"] = str(config)
        with running_app("--survey", str(survey)) as (url, _):
            for _ in range(repeats):
                one, folder = submit_to_metric_s(url, 900, "slurm")
                times.append(one)
                _settle(folder)
        del os.environ["SLURM_CONF"]
    return times


def cold_times_s(survey: Path, repeats: int) -> list[dict[str, float]]:
    """Return the times without a process in waiting, as for a job submitted on a terminal."""
    os.environ["GALSPEC_STANDBY"] = "0"
    times = []
    with running_app("--survey", str(survey)) as (url, _):
        for _ in range(repeats):
            one, folder = submit_to_metric_s(url, 900)
            times.append(one)
            _settle(folder)
    del os.environ["GALSPEC_STANDBY"]
    return times


def _settle(folder: JobFolder) -> None:
    """Stop a job and wait until it has ended."""
    engine.stop(folder)
    while look(folder).status.is_live:
        time.sleep(0.2)


def submit_to_metric_s(url: str, epochs: int, backend: str = "local") -> tuple[dict[str, float], JobFolder]:
    """Return the times from the click on Submit: first row of metrics written, its number on the page, its curve.

    The form is open for five seconds before: nobody fills it in faster.
    """
    with browser_page() as page:
        page.set_default_timeout(120_000)
        page.goto(f"{url}/train?new=smoke")
        page.get_by_text("Batch size").wait_for()
        if backend == "slurm":
            page.get_by_role("radio", name="Slurm").click()
            page.get_by_text("Partition", exact=True).wait_for()
        box = page.locator(".st-key-train_field_cnn_n_epochs input")
        box.fill(str(epochs))
        box.press("Enter")
        page.get_by_text(f"n_epochs 10 → {epochs}").wait_for()
        page.wait_for_timeout(_FILLING_MS)
        before = {folder.id for folder in all_folders()}
        started, wall = time.perf_counter(), time.time()
        page.get_by_role("button", name="Submit").click()
        page.get_by_text("train MSE").or_(page.get_by_text("valid MSE")).first.wait_for(state="attached")
        number = time.perf_counter() - started
        page.locator(_PLOT).first.wait_for(state="attached")
        curve = time.perf_counter() - started
        folder = next(folder for folder in all_folders() if folder.id not in before)
        first = json.loads(folder.metrics.read_text(encoding="utf-8").splitlines()[0])
        return {"written": float(first["time"]) - wall, "number": number, "curve": curve}, folder


def live_page_share(url: str, server: int, folder: JobFolder, seconds: float) -> float:
    """Return the share of one core that the server uses while a job's page is open."""
    with browser_page() as page:
        page.set_default_timeout(120_000)
        page.goto(f"{url}/train?job={folder.id}")
        page.locator(_PLOT).first.wait_for(state="attached")
        page.wait_for_timeout(5000)
        before, started = cpu_seconds([server]), time.perf_counter()
        page.wait_for_timeout(1000 * seconds)
        return (cpu_seconds([server]) - before) / (time.perf_counter() - started)


def list_times_ms(url: str, n: int) -> tuple[float, float]:
    """Return the median time of looking at all jobs, and of opening the list in the browser."""
    looks = []
    for _ in range(n):
        started = time.perf_counter()
        found = look_at_all()
        looks.append(1e3 * (time.perf_counter() - started))
    opens = []
    with browser_page() as page:
        page.set_default_timeout(120_000)
        page.goto(f"{url}/browse")
        page.locator(".gallery img").first.wait_for()
        for _ in range(n):
            started = time.perf_counter()
            page.get_by_role("link", name="Train").click()
            page.locator('[class*="st-key-train_table"] canvas').first.wait_for(state="attached")
            page.get_by_text("0 chosen").wait_for()
            opens.append(1e3 * (time.perf_counter() - started))
            page.get_by_role("link", name="Browse").click()
            page.locator(".gallery img").first.wait_for()
    if len(found.views) < _N_RUNS:
        raise RuntimeError(f"only {len(found.views)} runs were found")
    return statistics.median(looks), statistics.median(opens)


def _copy_runs(source: JobFolder) -> None:
    """Make finished runs out of one, with all its records and metrics."""
    for number in range(_N_RUNS):
        target = source.path.with_name(f"20260101-000000-copy-{number:04d}")
        shutil.copytree(source.path, target, ignore=shutil.ignore_patterns("checkpoint*", "bundle"))
        job = JobFolder(target)
        job.write("job.json", {**(job.read("job.json") or {}), "id": target.name})


def _server_of(url: str) -> int:
    port = re.search(r":(\d+)$", url)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if port and b"--server.port=" + port[1].encode() in words:
                return int(entry.name)
    raise RuntimeError(f"no server at {url}")


def _summary(times: list[dict[str, float]]) -> dict[str, Any]:
    medians = {f"{name}_s": round(statistics.median(one[name] for one in times), 2) for name in times[0]}
    return {**medians, "all_s": [[round(value, 2) for value in one.values()] for one in times]}


def main() -> int:
    """Measure with the smoke preset on a toy survey, in a workspace of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the live page is watched")
    args = parser.parse_args()
    if chromium_path() is None:
        print(f"no chromium on this machine: {INSTALL_CHROMIUM}", file=sys.stderr)
        return 1
    load = os.getloadavg()[0]  # a busy machine explains a slow run
    with tempfile.TemporaryDirectory() as home:
        os.environ["GALSPEC_HOME"] = home
        survey = write_toy_survey(Path(home) / "surveys" / "toy", n_galaxies=120)
        with running_app("--survey", str(survey)) as (url, _):
            times = []
            for repeat in range(args.repeats):
                one, folder = submit_to_metric_s(url, epochs=900)
                times.append(one)
                if repeat == args.repeats - 1:
                    share = live_page_share(url, _server_of(url), folder, args.seconds)
                _settle(folder)
            _copy_runs(folder)
            look_ms, open_ms = list_times_ms(url, 5)
        cold = cold_times_s(survey, args.repeats)
        on_slurm = slurm_times_s(survey, args.repeats)
    result: dict[str, Any] = {
        "submit_to_first_metric": _summary(times),
        "submit_to_first_metric_without_standby": _summary(cold),
        "submit_to_first_metric_slurm": on_slurm if isinstance(on_slurm, str) else _summary(on_slurm),
        "live_page_share_of_a_core": round(share, 3),
        "look_at_200_runs_ms": round(look_ms, 1),
        "open_list_of_200_runs_ms": round(open_ms, 0),
        "load_average_at_start": round(load, 1),
    }
    store_result("jobs", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

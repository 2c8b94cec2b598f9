"""A started app and the system's Chromium, for benchmarks, screenshots and browser tests."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY_DIR = Path(__file__).resolve().parents[1]
#: How to get the browser where there is none.
INSTALL_CHROMIUM = "apt-get install -y chromium"
_CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> str | None:
    """Return the system's Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_app(*options: str, wait_s: float = 60.0, groups: list[int] | None = None) -> Iterator[tuple[str, float]]:
    """Start `galspec app` on a free port; give its address and the time the command was started.

    Parameters
    ----------
    *options : str
        For example ``--survey DIR``.
    wait_s : float
        How long the server may take to listen.
    groups : list of int, optional
        Gets the server's process group, for `memory_mb`.
    """
    port = free_port()
    command = [sys.executable, "-m", "galspec", "app", "--headless", "--port", str(port), *options]
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=REPOSITORY_DIR, env=dict(os.environ), stdout=log, stderr=log, start_new_session=True
        )
        if groups is not None:
            groups.append(process.pid)
        try:
            _wait_for(port, process, log, wait_s)
            yield f"http://127.0.0.1:{port}", started
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=20)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Any, wait_s: float) -> None:
    end = time.perf_counter() + wait_s
    while time.perf_counter() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    log.seek(0)
    raise RuntimeError(f"the app did not start: {log.read().decode(errors='replace')[-2000:]}")


def memory_mb(group: int) -> float:
    """Return the memory of a process group in MB (10^6 bytes): proportional set size, so shared pages count once."""
    total_kb = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            is_member = int(status.read_text().rpartition(")")[2].split()[2]) == group
            lines = (status.parent / "smaps_rollup").read_text().splitlines() if is_member else []
        except OSError:
            continue  # it ended meanwhile
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb * 1024 / 1e6


@contextmanager
def browser_page(width: int = 1280, height: int = 720, scheme: str = "light") -> Iterator[Any]:
    """Open a page in headless Chromium; its `errors` lists what went wrong in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(_CHROMIUM_OPTIONS))
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        page = context.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("requestfailed", lambda request: _note_failure(page, request))
        try:
            yield page
        finally:
            browser.close()


def _note_failure(page: Any, request: Any) -> None:
    """Keep a request that failed; one that was given up because the page was left did not fail."""
    if request.failure != "net::ERR_ABORTED":
        page.errors.append(f"request failed: {request.url} ({request.failure})")

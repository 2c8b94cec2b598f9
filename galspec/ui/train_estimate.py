"""Time and memory of a training from a few timed steps, measured in a process of its own."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import streamlit as st

from galspec.core.home import REPOSITORY_DIR
from galspec.jobs.command import RUN
from galspec.jobs.progress import duration
from galspec.jobs.request import SETTINGS, Request
from galspec.ui import address
from galspec.ui.labels import number
from galspec.ui.train_access import why_jobs_are_off

_POLL_S: Final = 1.0
_WAIT_S: Final = 300.0
_LOCK: Final = threading.Lock()
_ASKED: Final = "train_estimate_asked"


@dataclasses.dataclass
class _Trial:
    """A measurement under way, or what came of it."""

    result: dict[str, Any] | None = None
    problem: str = ""

    @property
    def is_done(self) -> bool:
        return self.result is not None or bool(self.problem)


#: Of this server: settings that were measured once need no second measurement.
_TRIALS: dict[str, _Trial] = {}


def estimate_panel(request: Request, device: str) -> None:
    """Draw the button and the estimate of these settings."""
    key = hashlib.sha256(json.dumps([request.argv, request.files, device]).encode()).hexdigest()
    trial = _TRIALS.get(key)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Estimate time and memory",
            key="train_estimate",
            icon=":material/timer:",
            disabled=trial is not None and not trial.is_done,
            on_click=_start,
            args=(key, request),
            help="Times as many steps as fit into 10 seconds, at least two, on this machine.",
        )
        if trial is None:
            st.caption("Not measured yet for these settings.", width="content")
    if trial is not None:
        st.fragment(_show, run_every=None if trial.is_done else _POLL_S)(key)


def _start(key: str, request: Request) -> None:
    address.touch()
    if why_jobs_are_off():
        return  # the page says why
    with _LOCK:
        if key in _TRIALS and not _TRIALS[key].problem:
            return
        trial = _TRIALS[key] = _Trial()
    threading.Thread(target=_measure, args=(trial, request), daemon=True).start()


def _measure(trial: _Trial, request: Request) -> None:
    """Run `jobs estimate` and keep its answer; plain Python, nothing of Streamlit."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in request.files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        words = [word.replace(f"{RUN}/{SETTINGS}", str(Path(folder) / SETTINGS)) for word in request.argv]
        at = words.index("--out")
        words = words[:at] + words[at + 2 :]
        command = [sys.executable, "-m", "galspec", "jobs", "estimate", "--json", "--", *words]
        try:
            done = subprocess.run(  # noqa: S603  checked words
                command, cwd=REPOSITORY_DIR, capture_output=True, text=True, timeout=_WAIT_S, check=False
            )
            if done.returncode:
                trial.problem = (
                    done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"code {done.returncode}"
                )
            else:
                trial.result = json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            trial.problem = f"two steps took longer than {_WAIT_S:.0f} s on this machine."
        except (OSError, ValueError, IndexError) as error:
            trial.problem = f"it could not be measured: {error}"


def _show(key: str) -> None:
    trial = _TRIALS[key]
    if not trial.is_done:
        st.session_state[_ASKED] = key
        st.caption("Timing steps on this machine …")
        return
    if st.session_state.pop(_ASKED, "") == key:
        address.touch()
        st.rerun()  # in whole, so that the looking ends
    if trial.problem:
        st.warning(f"No estimate: {trial.problem}")
        return
    found = trial.result or {}
    st.markdown(
        f"**About {duration(found['seconds'])}** ({duration(found['low'])} to {duration(found['high'])}) and "
        f"**{number(found['memory_gb'], 1)} GB** of memory on this machine's {found['device']}."
    )
    st.caption(
        f"From {found['n_steps']} steps of {found['step_s']:.3g} s, range of two standard errors; {found['n_train']:,} "
        f"train and {found['n_valid']:,} valid galaxies. Starting, and reading or rendering images, come on top."
    )

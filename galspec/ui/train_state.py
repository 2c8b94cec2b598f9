"""State of the Train page: the list, one job, a comparison, or the form of a new one; the URL says which."""

from typing import Final, cast

import streamlit as st

from galspec.jobs.fields import PRESETS
from galspec.jobs.job import is_job_id
from galspec.ui import address

#: What a job's page shows below its numbers: key in the URL -> name on the page.
PANELS: Final = {
    "loss": "Loss",
    "latents": "RMSE per latent",
    "rate": "Learning rate",
    "gradient": "Gradient norm",
    "speed": "Throughput",
    "spectra": "Spectra",
    "log": "Log",
    "settings": "Settings",
}
AXES: Final = {"step": "step", "epoch": "epoch", "hours": "hours"}
PANEL: Final = "train_panel"
AXIS: Final = "train_axis"
LOG_Y: Final = "train_log_y"
SMOOTH: Final = "train_smooth"
#: Reports over which curves are averaged; 0 = not at all.
SMOOTHINGS: Final = (0, 5, 20, 100)
MAX_COMPARED: Final = 8

_JOB, _NEW, _COMPARED = "train_job", "train_new", "train_compared"
_KEPT: Final = "train_kept"
_PAGE: Final = "train"
_URL_NAMES: Final = ("job", "new", "compare", "panel", "x", "log", "smooth")


def read_state() -> list[str]:
    """Take the state from the URL if the address asks, else from the session; return what was wrong."""
    state = st.session_state
    url = st.query_params
    if not address.is_navigation(_PAGE, _URL_NAMES):
        for name, default in ((_JOB, ""), (_NEW, ""), (_COMPARED, ())):
            state.setdefault(name, default)
        _restore_widgets()
        return []
    problems = []
    state[_JOB] = url.get("job", "")
    if state[_JOB] and not is_job_id(state[_JOB]):
        problems.append(f"The URL's job “{state[_JOB][:40]}” is no job's id; the list is shown.")
        state[_JOB] = ""
    state[_NEW] = url.get("new", "")
    if state[_NEW] and state[_NEW] not in PRESETS:
        problems.append(f"The URL's new “{state[_NEW][:20]}” is none of {', '.join(PRESETS)}; the list is shown.")
        state[_NEW] = ""
    compared = tuple(part for part in url.get("compare", "").split(",") if part)
    state[_COMPARED] = tuple(part for part in compared if is_job_id(part))[:MAX_COMPARED]
    if compared != state[_COMPARED]:
        problems.append(f"The URL's compare is cut to ids of jobs, at most {MAX_COMPARED}.")
    return [*problems, *_read_panel()]


def _restore_widgets() -> None:
    """Give widgets that were not drawn in the last run their value back."""
    kept = st.session_state.get(_KEPT, {})
    for key, default in ((PANEL, "loss"), (AXIS, "step"), (LOG_Y, False), (SMOOTH, 0)):
        if key not in st.session_state:
            st.session_state[key] = kept.get(key, default)


def _read_panel() -> list[str]:
    problems = []
    url = st.query_params
    for key, name, known, default in ((PANEL, "panel", PANELS, "loss"), (AXIS, "x", AXES, "step")):
        value = url.get(name, default)
        if value not in known:
            problems.append(f"The URL's {name} “{value[:20]}” is none of {', '.join(known)}; {default} is shown.")
            value = default
        st.session_state[key] = value
    st.session_state[LOG_Y] = url.get("log") == "1"
    value = url.get("smooth", "0")
    known_spans = {str(span): span for span in SMOOTHINGS}
    if value not in known_spans:
        problems.append(f"The URL's smooth “{value[:20]}” is none of {', '.join(known_spans)}; 0 is used.")
    st.session_state[SMOOTH] = known_spans.get(value, 0)
    return problems


def write_url() -> None:
    """Let the address reproduce the page."""
    state = st.session_state
    wanted: dict[str, str] = {}
    if state[_JOB]:
        wanted = {"job": state[_JOB]}
    elif state[_NEW]:
        wanted = {"new": state[_NEW]}
    elif state[_COMPARED]:
        wanted = {"compare": ",".join(state[_COMPARED])}
    if state[_JOB] or state[_COMPARED]:
        state[_KEPT] = {key: state.get(key) for key in (PANEL, AXIS, LOG_Y, SMOOTH)}
        wanted |= {"panel": panel()} if panel() != "loss" and state[_JOB] else {}
        wanted |= {"x": axis()} if axis() != "step" else {}
        wanted |= {"log": "1"} if state.get(LOG_Y) else {}
        wanted |= {"smooth": str(smoothing())} if smoothing() and state[_JOB] else {}
    address.write(_PAGE, _URL_NAMES, wanted)


def job_id() -> str:
    """Return the id of the job shown, or an empty text."""
    return cast(str, st.session_state[_JOB])


def new_preset() -> str:
    """Return the preset of the form that is open, or an empty text."""
    return cast(str, st.session_state[_NEW])


def compared() -> tuple[str, ...]:
    """Return the ids of the jobs compared."""
    return cast(tuple[str, ...], st.session_state[_COMPARED])


def panel() -> str:
    """Return which panel of a job is open."""
    return str(st.session_state.get(PANEL) or "loss")


def axis() -> str:
    """Return what the curves are drawn against."""
    return str(st.session_state.get(AXIS) or "step")


def smoothing() -> int:
    """Return over how many reports curves are averaged; 0 = not at all."""
    return int(st.session_state.get(SMOOTH) or 0)


def show_list() -> None:
    """Go to the list; a callback."""
    _show()


def show_job(wanted: str) -> None:
    """Go to a job's page; a callback."""
    _show(job=wanted)


def show_new(preset: str) -> None:
    """Go to the form; a callback."""
    _show(new=preset)


def show_comparison(wanted: tuple[str, ...]) -> None:
    """Go to the comparison of jobs; a callback."""
    _show(compare=wanted)


def _show(job: str = "", new: str = "", compare: tuple[str, ...] = ()) -> None:
    address.touch()
    st.session_state[_JOB], st.session_state[_NEW], st.session_state[_COMPARED] = job, new, compare

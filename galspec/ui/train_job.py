"""The page of one job: state, cause of failure, live curves, log, settings, and what can be done with it."""

import json
import time
from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from galspec.core.errors import GalspecError, JobError
from galspec.jobs import engine
from galspec.jobs.causes import first_traceback
from galspec.jobs.command import shown_command
from galspec.jobs.folder import JobFolder, find_job
from galspec.jobs.metrics import MetricsReader, tail_lines
from galspec.jobs.progress import duration, progress_of
from galspec.jobs.promote import demote, promote, read_promotions
from galspec.jobs.state import State
from galspec.jobs.view import JobView, look
from galspec.ui import address, train_charts, train_state
from galspec.ui.labels import number
from galspec.ui.train_access import require_jobs_allowed
from galspec.ui.train_steady import steady
from galspec.ui.train_words import ICONS, clock, setting_of, source_of, survey_words, where

_REFRESH_S: Final = 4.0
#: Until the first metrics are there.
_FIRST_S: Final = 0.5
_LOG_LINES: Final = 200
_PAUSED, _SAID, _SHOWN = "train_paused", "train_said", "train_state_shown"
_READERS: Final = "train_readers"
#: Panels with curves of many reports.
_SMOOTHED: Final = {"loss", "gradient", "speed"}
_DELETE_WORD: Final = "train_delete_word"


def job_page(job_id: str) -> None:
    """Draw the page of a job; an id without job is one sentence."""
    try:
        folder = find_job(job_id)
        view = look(folder)
    except JobError as error:
        st.error(str(error))
        return
    if said := st.session_state.pop(_SAID, None):
        (st.error if said[0] else st.success)(said[1])
    _header(view)
    st.session_state[_SHOWN] = _head_of(view)
    is_refreshed = view.status.is_live and not st.session_state.get(_PAUSED)
    refresh_s = _REFRESH_S if view.last else _FIRST_S
    with steady("train_live"):
        st.fragment(_live, run_every=refresh_s if is_refreshed else None)(job_id)


def _head_of(view: JobView) -> tuple[str, str, bool]:
    """Return what the whole page depends on: state, its note without numbers that grow, whether there are metrics."""
    return str(view.state), view.status.note.split(" for ")[0], bool(view.last)


def _header(view: JobView) -> None:
    icon, colour = ICONS[view.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="train_header"):
        st.markdown(f"**{view.job.name}**", width="content")
        st.badge(str(view.state), icon=icon, color=colour)  # type: ignore[arg-type]  # a literal of the table
        facts = [
            view.job.kind,
            where(view),
            survey_words(view.job),
            f"submitted {clock(view.job.created)}",
            view.job.id,
        ]
        st.caption(" · ".join(filter(None, facts)), width="stretch")
        _buttons(view)
    if view.status.note:
        st.caption(view.status.note)
    if view.cause is not None:
        st.error(f"**Why it failed:** {view.cause}")
        if lines := first_traceback(tail_lines(view.folder.log, 2000)):
            with st.expander("First traceback"):
                st.code("\n".join(lines), language=None)


def _buttons(view: JobView) -> None:
    if view.status.is_live:
        _button("Stop", "stop", ":material/stop:", view, lambda: engine.stop(view.folder), "Asked to end.")
    if view.can_resume:
        _button("Resume", "resume", ":material/play_arrow:", view, lambda: engine.resume(view.folder), "Started again.")
    if view.job.argv[:1] == ("train",):
        st.button("Clone", key="train_clone", icon=":material/content_copy:", on_click=_clone, args=(view,))
    promoted = read_promotions()
    is_app_model = bool(promoted) and promoted[-1]["job"] == view.job.id
    if is_app_model:
        _button("Take back", "demote", ":material/undo:", view, demote, "The app uses the model before again.")
    elif view.state is State.FINISHED and view.job.kind == "train cnn":
        _button(
            "Use in the app",
            "promote",
            ":material/verified:",
            view,
            lambda: promote(view.folder),
            "The app uses this model now.",
        )
    if not view.status.is_live:
        with st.popover("Delete", icon=":material/delete:"):
            st.caption("Deletes metrics, checkpoints and model of this job.")
            typed = st.text_input("Type the job's name to delete it", key=_DELETE_WORD, on_change=address.touch)
            st.button(
                "Delete",
                key="train_delete",
                disabled=typed != view.job.name,
                on_click=_delete,
                args=(view.folder, view.job.name),
            )


def _button(label: str, key: str, icon: str, view: JobView, action: Callable[[], Any], done: str) -> None:
    st.button(label, key=f"train_{key}", icon=icon, on_click=_act, args=(action, f"{view.job.name}: {done}"))


def _act(action: Callable[[], Any], done: str) -> None:
    address.touch()
    try:
        require_jobs_allowed()
        action()
    except GalspecError as error:
        st.session_state[_SAID] = (True, str(error))
    else:
        st.session_state[_SAID] = (False, done)


def _delete(folder: JobFolder, name: str) -> None:
    try:
        require_jobs_allowed()
        if st.session_state.get(_DELETE_WORD) != name:  # the button was drawn before the word was changed
            raise JobError(f"not deleted: the word typed is not {name!r}.")
        engine.remove(folder)
    except GalspecError as error:
        address.touch()
        st.session_state[_SAID] = (True, str(error))
    else:
        train_state.show_list()


def _clone(view: JobView) -> None:
    from galspec.ui.train_form import fill_from

    fill_from(view.job)


def _reader(folder: JobFolder) -> MetricsReader:
    """Return the session's reader of a job: it reads only what is new."""
    readers: dict[str, MetricsReader] = st.session_state.setdefault(_READERS, {})
    if folder.id not in readers:
        readers.clear()
        readers[folder.id] = MetricsReader(folder.metrics)
    readers[folder.id].update()
    return readers[folder.id]


def _live(job_id: str) -> None:
    """Draw what changes while the job runs; a fragment of its own."""
    try:
        view = look(find_job(job_id))
    except JobError as error:
        st.error(str(error))
        return
    reader = _reader(view.folder)
    _numbers(view, reader)
    _controls(view, reader)
    panels: dict[str, Callable[[JobView, MetricsReader], None]] = {
        "spectra": _spectra,
        "log": _log,
        "settings": _settings,
    }
    panels.get(train_state.panel(), _curves)(view, reader)
    if st.session_state.get(_SHOWN, _head_of(view)) != _head_of(view):
        address.touch()
        st.rerun()  # in whole: the head and its buttons follow the state, and the refreshing ends with the job


def _numbers(view: JobView, reader: MetricsReader) -> None:
    n_epochs = int(setting_of(view.job, "n_epochs") or 0)
    progress = progress_of(reader.rows, n_epochs, time.time() - view.seconds, view.status.is_live)
    if n_epochs:
        # The rate of a stopped job says nothing of the time left.
        left = f", {duration(progress.eta_s)} left" if view.status.is_live and progress.eta_s is not None else ""
        st.progress(progress.fraction, f"{number(100 * progress.fraction, 1)} % of {n_epochs} epochs{left}")
    ends = [row for row in reader.rows if row.get("kind") == "epoch"]
    last = ends[-1] if ends else {}
    beat = view.heartbeat
    facts = [f"time {duration(view.seconds)}"]
    if "valid_mse" in last:
        rmse = number(last["valid_rmse"], 4)
        facts.append(f"valid MSE {number(last['valid_mse'], 4)} (RMSE {rmse}), best epoch {last['best_epoch']}")
    elif "valid_loss" in last:
        facts.append(f"valid loss {number(last['valid_loss'], 3)}, best epoch {last['best_epoch']}")
    elif train := next((row["train_mse"] for row in reversed(reader.rows) if "train_mse" in row), None):
        facts.append(f"train MSE {number(float(train), 4)}, no epoch done yet")
    speed = next((row["images_per_s"] for row in reversed(reader.rows) if "images_per_s" in row), None)
    facts += [f"{number(float(speed), 1)} images/s"] if speed is not None else []
    if view.status.is_live and beat:
        facts.append(f"{number(float(beat['cores']), 1)} cores, {number(float(beat['memory_gb']), 2)} GB memory")
    if reader.n_corrupt:
        facts.append(f"{reader.n_corrupt} damaged lines of the metrics passed over")
    st.markdown(" · ".join(facts))


def _controls(view: JobView, reader: MetricsReader) -> None:
    names = list(train_state.PANELS) if view.job.argv[:1] == ("train",) else ["log", "settings"]
    if train_state.panel() not in names:
        st.session_state[train_state.PANEL] = names[0]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.segmented_control(
            "Panel",
            names,
            required=True,
            format_func=lambda key: train_state.PANELS[key],
            key=train_state.PANEL,
            label_visibility="collapsed",
            on_change=_whole_page,
        )
        if train_state.panel() not in {"log", "settings", "spectra"}:
            st.segmented_control(
                "Drawn against",
                list(train_state.AXES),
                key=train_state.AXIS,
                label_visibility="collapsed",
                on_change=_whole_page,
            )
            st.toggle("Log y", key=train_state.LOG_Y, on_change=_whole_page)
        if train_state.panel() in _SMOOTHED:
            st.selectbox(
                "Mean of",
                train_state.SMOOTHINGS,
                key=train_state.SMOOTH,
                format_func=lambda span: f"mean of {span} reports" if span else "as reported",
                label_visibility="collapsed",
                on_change=_whole_page,
                width=170,
                help="Draws an exponential moving average over the curves; they stay, faint.",
            )
        if view.status.is_live:
            st.toggle("Pause", key=_PAUSED, on_change=_whole_page, help="The job goes on; the page stands still.")
            st.caption(_updated(reader), width="content")
    if st.session_state.pop("train_whole_page", False):
        st.rerun()


def _whole_page() -> None:
    """Let the next run be one of the whole page, which writes the address; a callback."""
    address.touch()
    st.session_state["train_whole_page"] = True


def _updated(reader: MetricsReader) -> str:
    now = time.time()
    words = f"updated {time.strftime('%H:%M:%S', time.localtime(now))}"
    words += " (paused)" if st.session_state.get(_PAUSED) else f", every {_REFRESH_S:.0f} s"
    newest = reader.rows[-1].get("time") if reader.rows else None
    return words + (f"; newest metrics {duration(max(now - float(newest), 0.0))} old" if newest else "")


def _curves(view: JobView, reader: MetricsReader) -> None:
    axis, rows = train_state.axis(), reader.rows
    is_vae = view.job.kind == "train vae"
    loss = "loss (InfoVAE)" if is_vae else "mean squared error, standardised latents"
    chosen: dict[str, tuple[Callable[[], list[train_charts.Curve]], str]] = {
        "loss": (lambda: train_charts.loss_curves(rows, axis), loss),
        "latents": (lambda: train_charts.latent_curves(rows, axis), "RMSE on valid [σ of the latent]"),
        "rate": (lambda: train_charts.rate_curves(rows, axis), "learning rate"),
        "gradient": (lambda: train_charts.gradient_curves(rows, axis), "norm of the gradient, before clipping"),
        "speed": (lambda: train_charts.speed_curves(rows, axis), "images per second; %; GB"),
    }
    build, title = chosen[train_state.panel()]
    curves = build()
    if not any(one.x for one in curves) and not view.status.is_live:
        st.caption("No values.")
        return
    marks = _best_epoch(rows, axis) if train_state.panel() in {"loss", "latents"} else []
    span = train_state.smoothing() if train_state.panel() in _SMOOTHED else 0
    is_log, source = bool(st.session_state.get(train_state.LOG_Y)), source_of(view.job)
    figure = train_charts.curves_figure(curves, title, axis, is_log, marks, span, source=source)
    alt = train_charts.curves_alt(curves, train_state.PANELS[train_state.panel()], axis)
    st.plotly_chart(figure, key="train_chart", config={"displayModeBar": False}, alt=alt)


def _best_epoch(rows: list[dict[str, Any]], axis: str) -> list[tuple[float, str]]:
    ends = [row for row in rows if row.get("kind") == "epoch"]
    best = next((row for row in ends if row["epoch"] == ends[-1].get("best_epoch")), None)
    if best is None:
        return []
    started = float(rows[0].get("time", 0.0))
    return [(train_charts.x_of(best, axis, started), f"best: epoch {best['epoch']}")]


def _spectra(view: JobView, reader: MetricsReader) -> None:
    from galspec.ui.train_spectra import spectra_panel

    spectra_panel(view, reader)


def _log(view: JobView, _reader: MetricsReader) -> None:
    lines = tail_lines(view.folder.log, _LOG_LINES)
    with st.container(height=420, border=False, autoscroll=True):  # the newest lines are the ones looked for
        st.code("\n".join(lines) or "Nothing was printed yet.", language=None, wrap_lines=True)
    st.caption(f"The last {len(lines)} lines of {view.folder.log}")


def _settings(view: JobView, _reader: MetricsReader) -> None:
    st.code(shown_command(view.job, view.folder.path), language="bash", wrap_lines=True)
    script = view.folder.path / "job.sbatch"
    if script.is_file():
        st.code(script.read_text(encoding="utf-8"), language="bash")
    left, right = st.columns(2)
    with left:
        st.markdown("**Settings given**")
        st.code(json.dumps(view.job.settings, indent=2), language="json")
    with right:
        st.markdown("**Environment**")
        st.code(json.dumps(view.job.environment, indent=2), language="json")
    st.caption(f"Folder: {view.folder.path}")

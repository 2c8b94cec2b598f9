"""The list of jobs, table first, and the comparison of some of them."""

import hashlib
from typing import Any, Final

import pandas as pd
import streamlit as st

from galspec.core.errors import JobError
from galspec.jobs.folder import find_job, runs_dir
from galspec.jobs.metrics import MetricsReader
from galspec.jobs.progress import differing, duration
from galspec.jobs.promote import read_promotions
from galspec.jobs.view import JobList, JobView, look, look_at_all
from galspec.store.survey import Survey
from galspec.ui import address, train_state
from galspec.ui.copy_link import copy_link
from galspec.ui.header import badges
from galspec.ui.help import help_button
from galspec.ui.train_charts import Curve, curves_alt, curves_figure, loss_curves
from galspec.ui.train_steady import steady
from galspec.ui.train_words import clock, full_settings, note_cell, progress_cell, source_of, state_cell, where

_TABLE: Final = "train_table"
_REFRESH_S: Final = 5.0
#: Ids of the jobs that are ticked: a job keeps its tick when a new one comes above it.
_CHOSEN: Final = "train_chosen"
_DIFF_ONLY: Final = "train_diff_only"


def title_line(survey: Survey | None, has_actions: bool) -> None:
    """Draw title and badges, and the ways between list and form where jobs are allowed."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Train", width="content", anchor=False)
        if survey is not None:
            badges(survey)
        st.space("stretch")
        copy_link()
        help_button("Train", key="train_help")
        if not has_actions:
            return
        is_list = not (train_state.job_id() or train_state.new_preset() or train_state.compared())
        if not is_list:
            st.button("All jobs", key="train_to_list", icon=":material/list:", on_click=train_state.show_list)
        if not train_state.new_preset():
            st.button(
                "New job",
                key="train_to_new",
                icon=":material/add:",
                type="primary",
                on_click=train_state.show_new,
                args=("smoke",),
            )


def job_table() -> None:
    """Draw the list; it refreshes itself while a job lives."""
    is_live = any(view.status.is_live for view in look_at_all().views)
    with steady("train_list"):
        st.fragment(_table, run_every=_REFRESH_S if is_live else None)()


def _table() -> None:
    if train_state.job_id() or train_state.new_preset() or train_state.compared():
        st.rerun()  # a button of the list led elsewhere, and a press in a fragment draws no more than the fragment
    found = look_at_all()
    for problem in found.problems:
        st.warning(problem)
    if not found.views:
        st.info(
            f"No jobs yet in {runs_dir()}. A job goes on when this page, the browser or the server is closed.",
            icon=":material/info:",
        )
        st.button("Start the smoke test", key="train_first", on_click=train_state.show_new, args=("smoke",))
        return
    frame = _frame(found)
    ids = frame["id"].tolist()
    chosen = _chosen(ids)
    # Ticks are places in a table; another list of jobs is another table, which begins with its jobs' ticks.
    _actions(chosen)  # above the table, whose tool bar would else lie over the buttons of the title line
    table = f"{_TABLE}_{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:12]}"
    st.dataframe(
        frame,
        key=table,
        hide_index=True,
        height="auto" if len(frame) <= 10 else 480,
        placeholder="",
        column_order=[name for name in frame.columns if name != "id"],
        column_config={
            "valid error": st.column_config.NumberColumn(
                format="%.4g", help="Networks: mean squared error of the standardised latents. VAE: its loss."
            ),
            "note": st.column_config.TextColumn(width="large", help="Cause of failure, or what it waits for."),
        },
        on_select=lambda: _on_select(table, ids),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [ids.index(job_id) for job_id in chosen], "columns": [], "cells": []}},
        alt=_alt(found),
    )


def _frame(found: JobList) -> pd.DataFrame:
    promoted = read_promotions()
    app_job = promoted[-1]["job"] if promoted else ""
    rows = [
        {
            "id": view.job.id,
            "state": state_cell(view.state),
            "name": view.job.name + (" (app's model)" if view.job.id == app_job else ""),
            "command": view.job.kind,
            "where": where(view),
            "progress": progress_cell(view),
            "valid error": view.last_epoch.get("valid_mse", view.last_epoch.get("valid_loss")),
            "submitted": clock(view.job.created),
            "time": duration(view.seconds),
            "note": note_cell(view),
        }
        for view in found.views
    ]
    frame = pd.DataFrame(rows)
    frame["valid error"] = frame["valid error"].astype(float)
    return frame


def _alt(found: JobList) -> str:
    counts: dict[str, int] = {}
    for view in found.views:
        counts[view.state] = counts.get(view.state, 0) + 1
    words = ", ".join(f"{n} {state}" for state, n in counts.items())
    return f"{len(found.views)} jobs, newest first: {words}."


def _on_select(table: str, ids: list[str]) -> None:
    # No `address.touch`: only the fragment is drawn anew, so the next address would be taken for this widget's.
    rows = st.session_state[table]["selection"]["rows"]
    st.session_state[_CHOSEN] = tuple(ids[row] for row in rows if row < len(ids))


def _chosen(ids: list[str]) -> tuple[str, ...]:
    """Return the ids that are ticked and still there."""
    return tuple(job_id for job_id in st.session_state.get(_CHOSEN, ()) if job_id in ids)


def _actions(chosen: tuple[str, ...]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Open",
            key="train_open",
            icon=":material/open_in_full:",
            disabled=len(chosen) != 1,
            on_click=_open,
            args=(chosen,),
        )
        st.button(
            "Compare",
            key="train_compare",
            icon=":material/compare:",
            disabled=not 2 <= len(chosen) <= train_state.MAX_COMPARED,
            on_click=train_state.show_comparison,
            args=(chosen,),
        )
        st.caption(f"{len(chosen)} chosen: one to open, 2 to {train_state.MAX_COMPARED} to compare.", width="content")


def _open(chosen: tuple[str, ...]) -> None:
    if chosen:
        train_state.show_job(chosen[0])


def comparison(ids: tuple[str, ...]) -> None:
    """Draw what differs between jobs: settings, last metrics, loss curves over one another."""
    views = [view for job_id in ids if (view := _view(job_id)) is not None]
    if not views:
        return
    st.markdown(f"**Comparing {len(views)} jobs**")
    names = _unique_names(views)
    if train_state.LOG_Y not in st.session_state:
        st.session_state[train_state.LOG_Y] = False
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.toggle("Diff only", value=True, key=_DIFF_ONLY, on_change=address.touch)
        st.toggle("Log y", key=train_state.LOG_Y, on_change=address.touch)
        st.segmented_control(
            "Drawn against",
            list(train_state.AXES),
            key=train_state.AXIS,
            label_visibility="collapsed",
            on_change=address.touch,
        )
    settings = [full_settings(view.job) for view in views]
    rows = differing(settings)
    if not st.session_state[_DIFF_ONLY]:
        every = dict.fromkeys(name for one in settings for name in one)
        rows = [(name, [one.get(name) for one in settings]) for name in every]
    if rows:
        table = pd.DataFrame(
            {"setting": [name for name, _ in rows]}
            | {name: [_text(values[at]) for _, values in rows] for at, name in enumerate(names)}
        )
        alt = f"Settings of {len(views)} jobs; {len(differing(settings))} differ."
        st.dataframe(table, hide_index=True, key="train_settings_table", alt=alt)
    else:
        st.caption("All settings are the same.")
    _compared_results(views, names)
    _compared_curves(views, names)


def _view(job_id: str) -> JobView | None:
    try:
        return look(find_job(job_id))
    except JobError as error:
        st.warning(str(error))
        return None


def _unique_names(views: list[JobView]) -> list[str]:
    names = [view.job.name for view in views]
    return [
        name if names.count(name) == 1 else f"{name} {view.job.id[-4:]}"
        for name, view in zip(names, views, strict=True)
    ]


def _text(value: Any) -> str:
    return "not set" if value is None else str(value)


def _compared_results(views: list[JobView], names: list[str]) -> None:
    rows = []
    for view, name in zip(views, names, strict=True):
        reader = MetricsReader(view.folder.metrics)
        reader.update()
        ends = [row for row in reader.rows if row.get("kind") == "epoch"]
        key = "valid_mse" if any("valid_mse" in row for row in ends) else "valid_loss"
        values = [float(row[key]) for row in ends if key in row]
        rows.append(
            {
                "job": name,
                "state": state_cell(view.state),
                "epochs": len(ends),
                "last valid error": values[-1] if values else None,
                "best valid error": min(values) if values else None,
                "seed": _text(full_settings(view.job).get("seed")),
                "time": duration(view.seconds),
            }
        )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="",
        key="train_results_table",
        alt="Results: " + "; ".join(f"{row['job']} {row['state']}, {row['epochs']} epochs" for row in rows) + ".",
    )


def _compared_curves(views: list[JobView], names: list[str]) -> None:
    curves: list[Curve] = []
    for view, name in zip(views, names, strict=True):
        reader = MetricsReader(view.folder.metrics)
        reader.update()
        curves.append(loss_curves(reader.rows, train_state.axis(), prefix=f"{name}: ")[-1])
    if not any(one.x for one in curves):
        st.caption("No validation has been measured yet.")
        return
    if len({view.job.kind for view in views}) > 1:
        st.caption("Networks: mean squared error of standardised latents. VAEs: their loss. The two do not compare.")
    is_log, source = bool(st.session_state.get(train_state.LOG_Y)), source_of(*(view.job for view in views))
    figure = curves_figure(curves, "error on valid", train_state.axis(), is_log, source=source)
    alt = curves_alt(curves, "Error on valid", train_state.axis())
    st.plotly_chart(figure, key="train_compared_chart", config={"displayModeBar": False}, alt=alt)

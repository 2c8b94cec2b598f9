"""The map panel of the Latents page: its controls, a click, a box, a lasso, and the way to Browse."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.errors import GalspecError
from galspec.core.table_file import write_table
from galspec.store.catalog_columns import galaxy_columns, galaxy_facts
from galspec.store.id_lists import save_ids
from galspec.store.latent_map import (
    axis_names,
    density_grid,
    make_plane,
    rows_in_box,
    rows_in_lasso,
    stratified_sample,
)
from galspec.ui import address
from galspec.ui import latent_state as state
from galspec.ui.cache import has_galaxy, survey_key, thumbnail_uri
from galspec.ui.gallery import gallery
from galspec.ui.labels import class_word, number
from galspec.ui.latent_map_figure import (
    MapPoints,
    axis_title,
    colour_columns,
    colour_label,
    map_figure,
)
from galspec.ui.latent_page import open_galaxy
from galspec.ui.latent_panels import kind_choice
from galspec.ui.latent_pin import mount_pin
from galspec.ui.latent_source import KINDS, LatentSource

Floats = NDArray[np.float64]

MAP: Final = "latents_map"
MOUSE: Final = "latents_mouse"
CHOSEN: Final = "latents_chosen"
SELECTED: Final = "latents_selected"

#: So many points can be clicked; what is beyond them is drawn as a density.
MAX_POINTS: Final = 10_000
SEED: Final = 1
_MOUSE: Final = {"pan": "Click, move", "select": "Box", "lasso": "Lasso"}


@dataclasses.dataclass(frozen=True)
class Selection:
    """Galaxies inside what was drawn.

    Parameters
    ----------
    ids : tuple of str
    label : str
        How they were chosen.
    """

    ids: tuple[str, ...]
    label: str


@st.cache_resource(show_spinner=False, max_entries=6)
def _map_points(_source: LatentSource, key: str, kind: str, axes: tuple[str, str]) -> MapPoints:  # noqa: ARG001
    latents = _source.latents(kind)
    if latents is None:
        raise GalspecError(_source.scores_problem)
    plane = make_plane(*axes, latents)
    points = plane.project(latents)
    rows = stratified_sample(points, MAX_POINTS, SEED)
    n_known = int(np.isfinite(points).all(axis=1).sum())
    density = density_grid(points) if n_known > MAX_POINTS else None
    return MapPoints(plane, points, rows, n_known, density)


def map_panel(source: LatentSource, latent: tuple[float, ...]) -> None:
    """Draw the map; a click chooses a galaxy, a box or lasso takes all galaxies inside."""
    view = state.current_view()
    kind = _controls(source)
    try:
        state.check_axes(view.axes)
        points = _map_points(source, source.scores_key, kind, view.axes)
    except GalspecError as error:
        st.info(f"No map: {error}", icon=":material/info:")
        return
    left, right = st.columns([3, 1], gap="small")
    with right:  # first: the answer to a click need not wait for ten thousand points
        _chosen(source)
        _selected(source)
    figure, trace_rows = map_figure(
        source,
        points,
        view.colour,
        dragmode=st.session_state[MOUSE] or "pan",
        position=latent if view.is_plain else None,
    )
    with left:
        st.plotly_chart(
            figure,
            key=MAP,
            on_select=partial(_on_select, source, points, trace_rows),
            selection_mode=("points", "box", "lasso"),
            config={"displaylogo": False, "scrollZoom": True},
            alt=_alt(source, points, kind, view),
        )
        if not view.is_plain:
            mount_pin(points.plane, latent, chart=MAP, key="latents_pin")
        st.caption(_caption(source, points, view, latent))


def _controls(source: LatentSource) -> str:
    view = state.current_view()
    columns = ["", *colour_columns(source)]
    st.session_state.setdefault(state.AXIS_X, view.axes[0])
    st.session_state.setdefault(state.AXIS_Y, view.axes[1])
    st.session_state.setdefault(state.COLOUR, view.colour)
    if st.session_state[state.COLOUR] not in columns:
        st.session_state[state.COLOUR] = ""
    st.session_state.setdefault(MOUSE, "pan")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for label, key in (("x", state.AXIS_X), ("y", state.AXIS_Y)):
            st.selectbox(label, axis_names(source.n_latent), key=key, on_change=state.on_map, width=90)
        st.selectbox(
            "Colour",
            columns,
            format_func=lambda name: colour_label(name) if name else "none",
            key=state.COLOUR,
            on_change=state.on_map,
            width=260,
        )
        kind = kind_choice()
        st.segmented_control(
            "Mouse",
            list(_MOUSE),
            format_func=lambda mode: _MOUSE[mode],
            key=MOUSE,
            on_change=address.touch,
            width="content",
            help="Click a point to choose its galaxy; draw a box or a lasso to take every galaxy inside.",
        )
    return kind


def _alt(source: LatentSource, points: MapPoints, kind: str, view: state.LatentView) -> str:
    colour = colour_label(view.colour) if view.colour else "nothing"
    return (
        f"Map of {points.n_known:,} galaxies by their latents {KINDS[kind]}: {axis_title(source, view.axes[0])} "
        f"against {axis_title(source, view.axes[1])}, coloured by {colour}."
    )


def _caption(source: LatentSource, points: MapPoints, view: state.LatentView, latent: tuple[float, ...]) -> str:
    place = [number(float(value), 2, signed=True) for value in points.plane.project([latent])[0]]
    n_drawn = len(points.rows)
    drawn = (
        f"All {n_drawn:,} galaxies with latents are drawn"
        if n_drawn == points.n_known
        else f"{n_drawn:,} of {points.n_known:,} galaxies are drawn as points (seed {SEED}; each occupied cell of a "
        "40 × 40 grid keeps one, the rest by share); grey: log10 of the number of galaxies in a cell, of all"
    )
    without = len(source.survey) - points.n_known
    return (
        f"{drawn}. {f'{without:,} have no latents. ' if without else ''}Box and lasso take from all of them, not only "
        f"from points. Crosshair: the sliders, {view.axes[0]} {place[0]}, {view.axes[1]} {place[1]} "
        "when last let go of."
    )


def selected_rows(points: Floats, selection: dict[str, Any]) -> tuple[NDArray[np.int64], str] | None:
    """Return the rows inside the boxes and lassos of a Plotly selection, of all galaxies; None if nothing was drawn.

    Parameters
    ----------
    points : ndarray, shape (N, 2)
    selection : dict
        "box" and "lasso": lists of {"x": [...], "y": [...]}, the corners.

    Returns
    -------
    rows : ndarray of int
        Ascending, each once.
    label : str
        How they were chosen.
    """
    found: list[NDArray[np.int64]] = []
    names = []
    for kind, rows_in in (("box", rows_in_box), ("lasso", rows_in_lasso)):
        for shape in selection.get(kind) or []:
            if len(shape["x"]) >= (2 if kind == "box" else 3):
                corners = (shape["x"][:2], shape["y"][:2]) if kind == "box" else (shape["x"], shape["y"])
                found.append(rows_in(points, *corners))
                names.append(kind)
    return (np.unique(np.concatenate(found)), " and ".join(dict.fromkeys(names))) if found else None


def _on_select(source: LatentSource, points: MapPoints, trace_rows: dict[int, NDArray[np.int64]]) -> None:
    address.touch()
    selection = st.session_state[MAP]["selection"]
    catalog_ids = source.survey.catalog["id"]
    drawn = selected_rows(points.points, selection)
    if drawn is not None:
        rows, shape = drawn
        axes = points.plane.names
        label = f"{shape} in {axes[0]}, {axes[1]} of the latent map"
        st.session_state[SELECTED] = Selection(tuple(catalog_ids.iloc[rows].tolist()), label)
        return
    clicked = selection.get("points") or []
    for point in clicked[:1]:
        rows = trace_rows.get(int(point["curve_number"]), np.zeros(0, np.int64))
        if 0 <= int(point["point_index"]) < len(rows):
            st.session_state[CHOSEN] = str(catalog_ids.iloc[rows[int(point["point_index"])]])
    if not clicked:
        st.session_state.pop(SELECTED, None)


def _chosen(source: LatentSource) -> None:
    galaxy_id = st.session_state.get(CHOSEN)
    survey = source.survey
    if galaxy_id is None or not has_galaxy(survey, galaxy_id):
        st.caption("Click a point to choose its galaxy.")
        return
    row = survey.row(galaxy_id)
    values = survey.catalog.iloc[row].to_dict()
    card = {
        "id": galaxy_id,
        "src": thumbnail_uri(survey, survey_key(survey), row),
        "facts": f"z {number(values['redshift'], 4)}",
        "class": class_word("galaxy_class", values.get("galaxy_class", "")),
        "label": f"Open galaxy {galaxy_id}",
    }
    if gallery([card], key="latents_chosen_card", on_open=address.touch):
        open_galaxy(galaxy_id)
    st.button("Start from it", key="latents_start_chosen", on_click=state.start_from, args=(galaxy_id,))


def _selected(source: LatentSource) -> None:
    selection: Selection | None = st.session_state.get(SELECTED)
    if selection is None:
        return
    st.markdown(f"**{len(selection.ids):,}** galaxies in the {selection.label}.")
    if not selection.ids:
        return
    if st.button("Show them in Browse", key="latents_to_browse", icon=":material/grid_view:", type="primary"):
        hand_over(selection.ids, selection.label)
    st.download_button(
        "Catalogue (ECSV)",
        data=partial(_catalogue_file, source, selection),
        file_name=f"{source.survey.name}-selection.ecsv",
        mime="application/x-ecsv",
        key="latents_selection_file",
        icon=":material/download:",
        on_click="ignore",
    )


def _catalogue_file(source: LatentSource, selection: Selection) -> bytes:
    survey = source.survey
    rows = np.array([survey.row(galaxy_id) for galaxy_id in selection.ids], np.int64)
    facts = galaxy_facts(survey, len(rows), query=selection.label)
    return write_table(galaxy_columns(survey.catalog, rows), facts, "ECSV")


def hand_over(ids: Sequence[str], label: str) -> None:
    """Go to Browse with a selection, as a stored list whose name fits into the address."""
    try:
        name = save_ids(ids, label)
    except GalspecError as error:
        st.error(str(error)[:1].upper() + str(error)[1:])
        return
    st.switch_page("pages/browse.py", query_params={"q": f"list={name}"})

"""Parts of the Latents page: title, start, the live sliders, and plain ones for browsers without JavaScript."""

from contextlib import nullcontext
from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from galspec.core.lines import LINES
from galspec.measurement.bpt import bpt_class
from galspec.measurement.model_lines import measure_models
from galspec.store.latent_density import OUTSIDE_PERCENT
from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui import latent_state as state
from galspec.ui.cache import survey_key, thumbnail_uri
from galspec.ui.copy_link import copy_link
from galspec.ui.galaxy_state import keep_galaxy, nearest_ids
from galspec.ui.header import badges
from galspec.ui.help import help_button
from galspec.ui.labels import class_word, number
from galspec.ui.latent_figures import decoded_figure
from galspec.ui.latent_lab import mount_lab, mount_model
from galspec.ui.latent_source import KINDS, LatentSource, browser_model
from galspec.ui.models import is_loaded
from galspec.ui.windows import PRESETS

Floats = NDArray[np.float64]

_MODEL: Final = "latents_model"


def no_model(survey: Survey, problem: str) -> None:
    """Say why nothing can be decoded, and the way on."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Latents", width="content", anchor=False)
        badges(survey)
    st.error(f"Latents cannot be decoded: {problem}")
    st.caption("Start the app with `--model DIR` to use another predictor bundle; without it, the shipped one is used.")
    st.page_link("pages/browse.py", label="Browse the galaxies", icon=":material/grid_view:")


@st.cache_resource(show_spinner=False, max_entries=2)
def _ids(_survey: Survey, key: str) -> frozenset[str]:  # noqa: ARG001
    return frozenset(_survey.catalog["id"].tolist())


def title_line(source: LatentSource) -> None:
    """Draw title, badges and the choice of the start."""
    survey = source.survey
    ids = _ids(survey, survey_key(survey))
    view = state.current_view()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Latents", width="content", anchor=False)
        badges(survey)
        st.space("stretch")
        st.toggle(
            "Plain sliders",
            key=state.PLAIN,
            on_change=state.on_plain,
            help="Decode on the server when a slider is let go of, instead of in the browser while it moves.",
        )
        if st.button("Galaxy page", key="latents_open", icon=":material/ssid_chart:", help=f"Open {view.galaxy_id}."):
            keep_galaxy(view.galaxy_id)
            st.switch_page("pages/galaxy.py", query_params={"id": view.galaxy_id})
        copy_link()
        help_button("Latents", key="latents_help")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Start from", width="content")
        st.text_input(
            "Galaxy to start from", key=state.GALAXY, on_change=state.on_galaxy, args=(ids,), width=150,
            label_visibility="collapsed", placeholder="galaxy id",
        )  # fmt: skip
        st.segmented_control(
            "Latents to start from",
            list(state.STARTS),
            format_func=lambda key: state.STARTS[key],
            key=state.START,
            on_change=state.on_start,
            label_visibility="collapsed",
            width="content",
            help="Predicted from the galaxy's image, of its observed spectrum through the VAE, or the mean of the "
            "training galaxies.",
        )
        st.button("Random galaxy", key="latents_random", icon=":material/shuffle:", on_click=_random, args=(source,))
        st.space("stretch")
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            st.markdown("Interpolate to", width="content")
            st.text_input(
                "Galaxy to interpolate to", key=state.TARGET, on_change=state.on_target, args=(ids,), width=150,
                label_visibility="collapsed", placeholder="galaxy id",
            )  # fmt: skip
            st.button(
                "Random target",
                key="latents_random_target",
                icon=":material/shuffle:",
                on_click=lambda: _random_target(source),
            )
    _unknown(survey)


def _random_row(source: LatentSource) -> str:
    latents = source.latents(state.current_view().start) if state.current_view().start in KINDS else None
    usable = np.arange(len(source.survey)) if latents is None else np.flatnonzero(np.isfinite(latents).all(axis=1))
    usable = usable if len(usable) else np.arange(len(source.survey))
    row = int(np.random.default_rng().choice(usable))
    return str(source.survey.catalog["id"].iloc[row])


def _random(source: LatentSource) -> None:
    start = state.current_view().start
    state.start_from(_random_row(source), "predicted" if start == "mean" else start)


def _random_target(source: LatentSource) -> None:
    st.session_state[state.TARGET] = _random_row(source)
    state.on_target(_ids(source.survey, survey_key(source.survey)))


def _unknown(survey: Survey) -> None:
    wanted = state.unknown_galaxy()
    if not wanted:
        return
    st.error(f"Survey {survey.name!r} has no galaxy “{wanted[:80]}”. The ids most like it:")
    with st.container(horizontal=True):
        for galaxy_id in nearest_ids(wanted, survey.catalog["id"].tolist()):
            st.button(galaxy_id, key=f"latents_near_{galaxy_id}", on_click=state.start_from, args=(galaxy_id,))


def start_latents(source: LatentSource) -> tuple[tuple[float, ...], str, str]:
    """Return the latents of the start, what they are in words, and why they are not those that were asked for."""
    view = state.current_view()
    if view.start == "mean":
        return (0.0,) * source.n_latent, "the mean of the training galaxies", ""
    is_slow = source.scores is None and not is_loaded()
    with st.spinner("Loading the model (once per start) …", show_time=True) if is_slow else nullcontext():
        latent, problem = source.galaxy_latent(view.galaxy_id, view.start)
    if latent is None:
        return (0.0,) * source.n_latent, "the mean of the training galaxies", problem
    words = f"{view.galaxy_id}, {'predicted' if view.start == 'predicted' else 'observed'} latents"
    return tuple(round(float(value), 4) for value in latent), words, ""


def target_latents(source: LatentSource) -> tuple[dict[str, Any] | None, str]:
    """Return the galaxy that is interpolated to, for the browser, and why there is none."""
    view = state.current_view()
    if not view.target:
        return None, ""
    kind = view.start if view.start in KINDS else "predicted"
    latent, problem = source.galaxy_latent(view.target, kind)
    if latent is None:
        return None, problem
    return {
        "name": view.target,
        "label": f"{view.target}, {kind} latents",
        "latent": [round(float(value), 4) for value in latent],
        "image": _thumbnail(source.survey, view.target),
    }, ""


def _thumbnail(survey: Survey, galaxy_id: str) -> str:
    return thumbnail_uri(survey, survey_key(survey), survey.row(galaxy_id))


def live_sliders(source: LatentSource, start: tuple[float, ...], words: str, target: dict[str, Any] | None) -> None:
    """Draw the sliders and the plot that the browser decodes."""
    view = state.current_view()
    _, initial, token = state.place_sliders(start)
    farthest = max(abs(value) for value in (*start, *initial, *(target["latent"] if target else ()), state.LIMIT))
    usual = source.usual
    data = {
        "model": source.bytes_key,
        "token": token,
        "start": list(start),
        "latent": list(initial),
        "limit": float(np.ceil(farthest)),
        "outside": OUTSIDE_PERCENT,
        "start_label": words,
        "start_name": view.galaxy_id if view.start != "mean" else "mean",
        "image": "" if view.start == "mean" else _thumbnail(source.survey, view.galaxy_id) if target else "",
        "target": target,
        "source": source.data_source,
        "density": source.density.source if source.density else "",
        "latents": [
            {
                "name": name,
                "meaning": meaning,
                "low": None if usual is None else round(float(usual[0, index]), 3),
                "high": None if usual is None else round(float(usual[1, index]), 3),
            }
            for index, (name, meaning) in enumerate(zip(source.names, source.meanings, strict=True))
        ],
        "lines": [
            {"wave": line.wave_vac, "label": line.label, "absorption": line.kind == "absorption"}
            for line in sorted(LINES, key=lambda line: line.wave_vac)
            if line.is_major
        ],
        "windows": [{"key": key, "label": label, "range": list(window)} for key, (label, window) in PRESETS.items()],
    }
    mount_lab(data, key=state.LAB, on_moved=state.on_moved)
    mount_model(browser_model(source), key=_MODEL)


def plain_sliders(source: LatentSource, start: tuple[float, ...], words: str, target: dict[str, Any] | None) -> None:
    """Draw Streamlit's own sliders and a plot decoded on the server: without own JavaScript."""
    latent, initial, _ = state.place_sliders(start)
    left, right = st.columns([1, 3], gap="medium")
    end = tuple(target["latent"]) if target else ()
    limit = float(np.ceil(max(*(abs(value) for value in (*start, *initial, *end)), state.LIMIT)))
    with left:
        for index, (name, meaning) in enumerate(zip(source.names, source.meanings, strict=True)):
            st.session_state.setdefault(state.slider_key(index), round(latent[index], 2))
            st.slider(
                f"**{name}** {meaning} [σ]",
                -limit,
                limit,
                step=0.05,
                key=state.slider_key(index),
                on_change=state.on_slider,
                args=(source.n_latent,),
            )
        if target:
            st.slider(
                f"{state.current_view().galaxy_id} → {target['name']}",
                0.0,
                1.0,
                step=0.05,
                key=state.mix_key(),
                on_change=state.on_mix,
                args=(start, end),
            )
        st.button(
            "Back to start", key="latents_back", on_click=state.start_from, args=(state.current_view().galaxy_id,)
        )
    flux, ghost = source.decoder.decode([latent, start]).astype(np.float64)
    sentence, is_outside = density_sentence(source, latent)
    with right:
        st.plotly_chart(
            decoded_figure(flux, ghost, words, source=source.data_source, is_outside=is_outside),
            key="latents_plain_plot",
            config={"displaylogo": False},
            alt=f"Spectrum decoded from latents {state.latents_text(latent)}, over that of {words}; below it their "
            "difference.",
        )
        (st.warning if is_outside else st.caption)(sentence)
        st.caption(derived_sentence(flux))


def density_sentence(source: LatentSource, latent: tuple[float, ...]) -> tuple[str, bool]:
    """Say how isolated a point of latent space is, and whether it is outside what was trained on."""
    if source.density is None:
        return f"How usual these latents are is not known: {source.density_problem}", False
    percent = float(source.density.percentile([latent])[0])
    if percent > OUTSIDE_PERCENT:
        return (
            f"Outside the training data: more isolated than {percent:.1f} % of {source.density.source}. The dashed "
            "curve is an extrapolation.",
            True,
        )
    return f"More isolated than {percent:.0f} % of {source.density.source}.", False


def derived_sentence(flux: Floats) -> str:
    """Say what is measured of a decoded spectrum."""
    values = measure_models(flux[None])
    ew, n2, o3 = (float(array[0]) for array in (values.ew_halpha, values.log_n2, values.log_o3))
    return (
        f"Of this curve: EW(Hα) {number(ew, 1)} Å, Dn4000 {number(float(values.dn4000[0]), 3)}, log10([N II]/Hα) "
        f"{number(n2, 2, signed=True)}, log10([O III]/Hβ) {number(o3, 2, signed=True)}, BPT class: "
        f"{class_word('bpt_class', bpt_class(n2, o3, ew))}."
    )


def notes(source: LatentSource, panel: str | None) -> None:
    """Say what the curve is, and what is missing where the open panel does not say it."""
    ticks = "" if source.usual is None else "1 and 99 percentiles of the observed spectra's latents here, "
    marks = "" if state.current_view().is_plain else f"Marks at a slider: {ticks}0, triangle: start. Double-click: 0; "
    keys = "arrow keys: 0.05 σ, with Shift 0.5 σ." if marks else ""
    st.caption(
        "Decoded from latents, not observed: a shape without flux scale or error, 269 km/s a pixel. Latents are in "
        f"standard deviations σ of the training galaxies ({source.card.trained_on}). {marks}{keys}"
    )
    if source.scores_problem and panel not in {"nearest", "map"}:
        st.info(
            f"Map and nearest galaxies need stored latents: {source.scores_problem} The sliders work without.",
            icon=":material/info:",
        )


def panel_choice() -> str | None:
    """Draw the choice of panel and return the open one."""
    st.session_state.setdefault(state.PANEL, state.current_view().panel)
    st.segmented_control(
        "Panel",
        list(state.PANELS),
        format_func=lambda key: state.PANELS[key],
        key=state.PANEL,
        on_change=state.on_panel,
        label_visibility="collapsed",
        width="content",
    )
    return state.current_view().panel


def open_galaxy(galaxy_id: str) -> None:
    """Go to the Galaxy page."""
    address.touch()
    keep_galaxy(galaxy_id)
    st.switch_page("pages/galaxy.py", query_params={"id": galaxy_id})

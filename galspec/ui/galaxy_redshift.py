"""Redshift and frame of the spectrum plot: their state, kept in the address, and their controls."""

from typing import Final, cast

import streamlit as st

from galspec.core.lines import LINES, line_by_name
from galspec.ui import address
from galspec.ui import galaxy_state as state
from galspec.ui.galaxy_frame import (
    FRAMES,
    REDSHIFT_LIMITS,
    Frame,
    FrameKind,
    checked_redshift,
    redshift_of,
    redshift_of_feature,
    redshift_text,
)
from galspec.ui.labels import number

FRAME: Final = "galaxy_frame"
Z_BOX: Final = "galaxy_z"
Z_FINE: Final = "galaxy_z_fine"
FEATURE_LINE: Final = "galaxy_feature_line"
FEATURE_WAVE: Final = "galaxy_feature_wave"
#: Half the range of the fine slider, and its step.
FINE_RANGE: Final = 0.01
FINE_STEP: Final = 1e-5
#: The galaxy that a redshift was tried for, the redshift, and the middle of the fine slider.
_TRIAL: Final = "galaxy_z_trial"
_KEPT_FRAME: Final = "galaxy_frame_kept"
_FRAME_NAMES: Final[dict[FrameKind, str]] = {"rest": "Rest", "obs": "Observed"}


def read_frame(is_linked: bool, galaxy_id: str, catalog_z: float) -> tuple[Frame, list[str]]:
    """Take redshift and frame from the URL if the address asks, else from the session.

    Parameters
    ----------
    is_linked : bool
    galaxy_id : str
        Another galaxy starts at its catalogue's redshift.
    catalog_z : float

    Returns
    -------
    frame : Frame
    problems : list of str
        One sentence for each part of the URL that was not understood.
    """
    problems = []
    if is_linked:
        st.session_state.pop(_TRIAL, None)
        try:
            if "z" in st.query_params:
                z = redshift_of(st.query_params["z"])
                st.session_state[_TRIAL] = (galaxy_id, z, z)
        except ValueError as error:
            problems.append(f"The URL's z is ignored: {error}. The catalogue's z is used.")
    if is_linked or FRAME not in st.session_state:
        chosen = st.query_params.get("frame", "rest") if is_linked else st.session_state.get(_KEPT_FRAME, "rest")
        if chosen not in FRAMES:
            problems.append(f"The URL's frame “{chosen[:20]}” is neither rest nor obs; rest is used.")
            chosen = "rest"
        st.session_state[FRAME] = chosen
    st.session_state[_KEPT_FRAME] = st.session_state[FRAME]
    z, middle = _trial(galaxy_id, catalog_z)
    st.session_state[Z_BOX], st.session_state[Z_FINE] = z, _offset(z, middle)
    return Frame(catalog_z, z, cast(FrameKind, st.session_state[FRAME])), problems


def frame_url(frame: Frame) -> dict[str, str]:
    """Return what the address says of redshift and frame."""
    return ({"z": redshift_text(frame.z)} if frame.is_trial else {}) | ({} if frame.is_rest else {"frame": frame.kind})


def _trial(galaxy_id: str, catalog_z: float) -> tuple[float, float]:
    """Return the redshift in use and the middle of the fine slider."""
    kept_id, z, middle = st.session_state.get(_TRIAL, (None, catalog_z, catalog_z))
    return (z, middle) if kept_id == galaxy_id else (catalog_z, catalog_z)


def _offset(z: float, middle: float) -> float:
    return min(max(round(z - middle, 5), -FINE_RANGE), FINE_RANGE)


def frame_controls(frame: Frame, galaxy_id: str) -> None:
    """Draw the switch of the frame, its key, and the redshift's popover."""
    st.segmented_control(
        "Frame of the wavelengths",
        list(FRAMES),
        format_func=lambda kind: _FRAME_NAMES[kind],
        key=FRAME,
        required=True,
        on_change=address.touch,
        label_visibility="collapsed",
        width="content",
    )
    st.button(
        "Frame",
        key="galaxy_frame_swap",
        shortcut="F",
        on_click=_swap_frame,
        help="Rest or observed wavelengths on the bottom axis; the window stays on its features.",
    )
    _redshift_controls(frame, galaxy_id)


def _redshift_controls(frame: Frame, galaxy_id: str) -> None:
    arguments = (galaxy_id, frame.catalog_z)
    _, middle = _trial(*arguments)
    low, high = REDSHIFT_LIMITS
    st.markdown("z", width="content")
    st.number_input(
        "Redshift to try",
        min_value=low,
        max_value=high,
        step=FINE_STEP,
        format="%.5f",
        key=Z_BOX,
        on_change=_on_box,
        args=arguments,
        label_visibility="collapsed",
        width=132,
    )
    st.slider(
        f"Redshift, fine: offset from {redshift_text(middle) if frame.is_trial else f'{middle:.5f}'}",
        -FINE_RANGE,
        FINE_RANGE,
        step=FINE_STEP,
        format="%+.5f",
        key=Z_FINE,
        on_change=_on_fine,
        args=arguments,
        label_visibility="collapsed",
        width=150,
    )
    name = f"Δv = {number(frame.velocity_kms, 0, signed=True)} km/s" if frame.is_trial else "Catalogue z"
    with (
        st.popover(name, key="galaxy_redshift", type="primary" if frame.is_trial else "secondary"),
        st.container(width=380),
    ):
        st.button(
            "Reset to catalogue z",
            key="galaxy_z_reset",
            icon=":material/undo:",
            disabled=not frame.is_trial,
            on_click=_set_z,
            args=(*arguments, frame.catalog_z, None),
        )
        z = redshift_text(frame.z) if frame.is_trial else f"{frame.z:.5f}"
        st.markdown(
            f"z = {z}, catalogue z₀ = {frame.catalog_z:.5f}  "
            f"\nΔv = c (z − z₀) / (1 + z₀) = {number(frame.velocity_kms, 1, signed=frame.is_trial)} km/s"
        )
        st.caption(
            "Box: any redshift. Slider: ±0.01 around the catalogue's or the last one in the box. Observed pixels keep "
            "their observed wavelengths; prediction, VAE reconstruction and lines are at rest and move with z. The "
            "flux scale and the numbers stay those at z₀."
        )
        _feature_controls(frame, galaxy_id)


def _feature_controls(frame: Frame, galaxy_id: str) -> None:
    st.markdown("**Redshift of a feature**")
    left, right = st.columns(2, wrap=False)
    left.selectbox(
        "It is the line",
        [line.name for line in LINES],
        index=None,
        key=FEATURE_LINE,
        placeholder="Line",
        on_change=address.touch,
    )
    right.number_input(
        "at, in Å observed (vacuum)",
        min_value=1000.0,
        max_value=50_000.0,
        value=None,
        step=0.1,
        format="%.2f",
        key=FEATURE_WAVE,
        placeholder="6899.80",
        on_change=address.touch,
    )
    name, wave = st.session_state.get(FEATURE_LINE), st.session_state.get(FEATURE_WAVE)
    if name is None or wave is None:
        return
    try:
        z = redshift_of_feature(wave, line_by_name(name).wave_vac)
    except ValueError as error:
        st.warning(f"{name} cannot be there: {error}.")
        return
    velocity = Frame(frame.catalog_z, z).velocity_kms
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"z = {number(z, 5)}, Δv = {number(velocity, 0, signed=True)} km/s", width="content")
        st.button(
            "Use",
            key="galaxy_feature_use",
            type="primary",
            on_click=_set_z,
            args=(galaxy_id, frame.catalog_z, z, z),
        )


def _swap_frame() -> None:
    address.touch()
    st.session_state[FRAME] = "obs" if st.session_state[FRAME] == "rest" else "rest"


def _on_box(galaxy_id: str, catalog_z: float) -> None:
    value = st.session_state[Z_BOX]
    z = catalog_z if value is None else checked_redshift(value)  # an emptied box is the catalogue's redshift
    _set_z(galaxy_id, catalog_z, z, z)


def _on_fine(galaxy_id: str, catalog_z: float) -> None:
    _, middle = _trial(galaxy_id, catalog_z)
    low, high = REDSHIFT_LIMITS
    offset = st.session_state[Z_FINE]
    # In the middle the redshift is what it was, with all its digits.
    z = middle if offset == 0 else checked_redshift(min(max(middle + offset, low), high))
    _set_z(galaxy_id, catalog_z, z, middle)


def _set_z(galaxy_id: str, catalog_z: float, z: float, middle: float | None) -> None:
    """Use a redshift; in the observed frame the window stays on the same observed wavelengths."""
    before, _ = _trial(galaxy_id, catalog_z)
    if middle is None:
        st.session_state.pop(_TRIAL, None)
    else:
        st.session_state[_TRIAL] = (galaxy_id, z, middle)
    state.follow((1.0 + before) / (1.0 + z) if st.session_state.get(FRAME) == "obs" else 1.0)

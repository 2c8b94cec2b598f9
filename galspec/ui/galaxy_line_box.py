"""Line markers of the Galaxy page: which are drawn, and the reader's own."""

from typing import Final, cast

import streamlit as st

from galspec.core.lines import SpectralLine
from galspec.ui import address
from galspec.ui import galaxy_state as state
from galspec.ui.galaxy_lines import (
    MAX_LINES,
    MAX_NAME,
    MEDIA,
    CustomLine,
    Medium,
    custom_line,
    lines_of,
    lines_text,
    with_line,
)

WAVE: Final = "galaxy_line_wave"
MEDIUM: Final = "galaxy_line_medium"
NAME: Final = "galaxy_line_name"
_LINES: Final = "galaxy_own_lines"
_PROBLEM: Final = "galaxy_line_problem"


def read_custom_lines(is_linked: bool) -> list[str]:
    """Take the reader's lines from the URL if the address asks; return what was wrong."""
    if not is_linked:
        return []
    st.session_state[_LINES], problems = lines_of(st.query_params.get("line", ""))
    return [f"A line of the URL is ignored: {problem}." for problem in problems]


def custom_lines() -> tuple[CustomLine, ...]:
    """Return the reader's lines, by wavelength."""
    return cast(tuple[CustomLine, ...], st.session_state.get(_LINES, ()))


def own_marks() -> list[SpectralLine]:
    """Return the reader's lines as entries of the line table."""
    return [line.as_line() for line in custom_lines()]


def lines_url() -> dict[str, str]:
    """Return what the address says of the reader's lines."""
    lines = custom_lines()
    return {"line": lines_text(lines)} if lines else {}


def line_controls(z: float) -> None:
    """Draw the choice of markers, its key, and the popover of the reader's lines.

    Parameters
    ----------
    z : float
        Redshift in use, for observed wavelengths.
    """
    st.segmented_control(
        "Line markers",
        state.LINE_CHOICES,
        format_func=lambda choice: {"major": "Major lines", "all": "All", "none": "None"}[choice],
        key=state.LINES,
        required=True,
        on_change=address.touch,
        label_visibility="collapsed",
        width="content",
    )
    st.button("Lines", key="galaxy_lines_swap", shortcut="L", on_click=state.swap_lines, help="The next choice.")
    lines = custom_lines()
    name = f"Own lines: {len(lines)}" if lines else "Add a line"
    with st.popover(name, key="galaxy_own_lines_box"), st.container(width=380):
        _own_line_controls(lines, z)


def _own_line_controls(lines: tuple[CustomLine, ...], z: float) -> None:
    left, right = st.columns(2, wrap=False)
    left.number_input(
        "Wavelength in Å", value=None, step=0.1, format="%.3f", key=WAVE, placeholder="5303.0", on_change=address.touch
    )
    right.text_input("Name (optional)", key=NAME, max_chars=MAX_NAME, on_change=address.touch)
    st.segmented_control(
        "Frame and medium",
        list(MEDIA),
        format_func=lambda medium: MEDIA[medium],
        key=MEDIUM,
        default="vacuum",
        required=True,
        on_change=address.touch,
        width="content",
    )
    st.button("Add", key="galaxy_line_add", type="primary", on_click=_add, args=(z,))
    problem = st.session_state.pop(_PROBLEM, "")
    if problem:
        st.warning(problem)
    for line in lines:
        name = f" {line.name}" if line.name else ""
        st.button(
            f"Remove{name} {line.wave:.2f} Å",
            key=f"galaxy_line_remove_{line.wave}",
            icon=":material/close:",
            on_click=_remove,
            args=(line,),
        )
    st.caption(
        f"At most {MAX_LINES}, kept at its rest wavelength in vacuum (from air: Morton 2000); observed ones "
        "are divided by 1 + z, with the redshift in use. Markers: emission dotted, absorption dashed, sky dash-dotted, "
        "own lines solid."
    )


def _add(z: float) -> None:
    address.touch()
    wave = st.session_state.get(WAVE)
    if wave is None:
        st.session_state[_PROBLEM] = "Not added: give a wavelength in Å, like 5303.0."
        return
    try:
        medium = cast(Medium, st.session_state.get(MEDIUM) or "vacuum")
        added = custom_line(float(wave), medium, z, st.session_state.get(NAME) or "")
        st.session_state[_LINES] = with_line(custom_lines(), added)
    except ValueError as error:
        st.session_state[_PROBLEM] = f"Not added: {error}."
        return
    st.session_state[WAVE], st.session_state[NAME] = None, ""


def _remove(line: CustomLine) -> None:
    address.touch()
    st.session_state[_LINES] = tuple(other for other in custom_lines() if other != line)

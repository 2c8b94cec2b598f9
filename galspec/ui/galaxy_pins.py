"""Pinned galaxies: their predicted spectra stay in the plot while the reader walks on."""

from typing import Final, cast

import streamlit as st

from galspec.store.survey import Survey
from galspec.ui import address
from galspec.ui.cache import has_galaxy
from galspec.ui.charts import Pinned
from galspec.ui.galaxy_curves import comparison
from galspec.ui.theme import PINNED_DASHES

MAX_PINS: Final = len(PINNED_DASHES)
_PINS: Final = "galaxy_pins"


def read_pins(is_linked: bool, survey: Survey) -> list[str]:
    """Take the pinned ids from the URL if the address asks; return what was wrong."""
    if not is_linked:
        return []
    wanted = list(dict.fromkeys(filter(None, st.query_params.get("pin", "").split(","))))
    known = [galaxy_id for galaxy_id in wanted if has_galaxy(survey, galaxy_id)]
    st.session_state[_PINS] = tuple(known[:MAX_PINS])
    unknown = [galaxy_id for galaxy_id in wanted if galaxy_id not in known]
    problems = [f"Survey {survey.name!r} has no galaxy “{galaxy_id[:40]}” to pin." for galaxy_id in unknown[:MAX_PINS]]
    if len(known) > MAX_PINS:
        problems.append(f"At most {MAX_PINS} galaxies can be pinned; {', '.join(known[MAX_PINS:])[:80]} left out.")
    return problems


def pinned_ids() -> tuple[str, ...]:
    """Return the ids that are pinned, in the order of pinning."""
    return cast(tuple[str, ...], st.session_state.get(_PINS, ()))


def pins_url() -> dict[str, str]:
    """Return what the address says of pinned galaxies."""
    return {"pin": ",".join(pinned_ids())} if pinned_ids() else {}


def pin_controls(galaxy_id: str) -> None:
    """Draw the button that pins or unpins this galaxy, and a popover with the pinned ones."""
    pins = pinned_ids()
    is_pinned = galaxy_id in pins
    st.button(
        "Unpin" if is_pinned else "Pin",
        key="galaxy_pin",
        shortcut="P",
        icon=":material/keep_off:" if is_pinned else ":material/keep:",
        disabled=len(pins) >= MAX_PINS and not is_pinned,
        on_click=_set,
        args=(_without(pins, galaxy_id) if is_pinned else (*pins, galaxy_id),),
        help=f"Keep this galaxy's predicted spectrum in the plot while you look at others; at most {MAX_PINS}.",
    )
    if not pins:
        return
    with st.popover(f"{len(pins)} pinned", key="galaxy_pinned"):
        for pinned in pins:
            st.button(
                f"Unpin {pinned}{' (shown)' if pinned == galaxy_id else ''}",
                key=f"galaxy_unpin_{pinned}",
                icon=":material/keep_off:",
                on_click=_set,
                args=(_without(pins, pinned),),
            )


def _without(pins: tuple[str, ...], galaxy_id: str) -> tuple[str, ...]:
    return tuple(pinned for pinned in pins if pinned != galaxy_id)


def _set(pins: tuple[str, ...]) -> None:
    address.touch()
    st.session_state[_PINS] = pins


def pinned_curves(survey: Survey, galaxy_id: str) -> tuple[list[Pinned], list[str]]:
    """Return the predictions of the pinned galaxies but this one, and a sentence for each that has none."""
    curves, problems = [], []
    for pinned in pinned_ids():
        if pinned == galaxy_id:
            continue
        found = comparison(survey, pinned)
        if found.prediction is None:
            problems.append(f"Pinned galaxy {pinned} has no prediction to draw.")
        else:
            curves.append((pinned, found.prediction))
    return curves, problems

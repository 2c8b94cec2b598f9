"""The reader's verdict on a galaxy: score, flags, note; on disk as soon as it is given."""

import dataclasses
from typing import Any, Final

import streamlit as st

from galspec.core.errors import VerdictError
from galspec.store.verdicts import (
    FLAGS,
    MAX_NOTE,
    SCORES,
    Verdict,
    VerdictLog,
    read_verdicts,
    save_verdict,
    verdicts_path,
)
from galspec.ui import address

_FAILED: Final = "verdict_failed"
_AUTHOR: Final = "verdict_author"
_KEPT_AUTHOR: Final = "verdict_author_kept"
_MEANING: Final = "0 = useless, 5 = as good as observed. The same score again takes it back."


def verdict_row(survey_name: str, galaxy_id: str) -> None:
    """Draw score, flags, note and initials; every change is saved at once, over the verdict that is on disk."""
    failed = st.session_state.get(_FAILED)
    try:
        log = verdict_log(survey_name)
        shown = log.latest.get(galaxy_id) or Verdict(galaxy_id)
    except VerdictError as error:
        st.error(f"Verdicts cannot be shown or saved: {error}")
        return
    if failed and failed[0] == (survey_name, galaxy_id):
        shown = failed[2]  # what the reader gave stays on the page until it can be saved
        st.error(f"Not saved: {failed[1]}")
        st.button("Save again", key="verdict_again", on_click=_save, args=(survey_name, shown))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**Verdict**", width="content", help=_MEANING)
        for score in SCORES:
            st.button(
                "Score",
                key=f"verdict_score_{score}",
                shortcut=str(score),
                type="primary" if shown.score == score else "secondary",
                on_click=_on_score,
                args=(survey_name, galaxy_id, score),
            )
        flags_key, note_key = f"verdict_flags_{galaxy_id}", f"verdict_note_{galaxy_id}"
        _show(flags_key, list(shown.flags))
        _show(note_key, shown.note)
        _show(_AUTHOR, st.session_state.get(_KEPT_AUTHOR, ""))
        st.multiselect(
            "Flags",
            list(FLAGS),
            format_func=lambda flag: FLAGS[flag],
            key=flags_key,
            placeholder="Flags",
            label_visibility="collapsed",
            width=230,
            on_change=_on_flags,
            args=(survey_name, galaxy_id),
        )
        st.text_input(
            "Note",
            key=note_key,
            placeholder="Note",
            max_chars=MAX_NOTE,
            label_visibility="collapsed",
            width="stretch",
            on_change=_on_note,
            args=(survey_name, galaxy_id),
        )
        st.text_input(
            "Your initials",
            key=_AUTHOR,
            placeholder="Initials",
            max_chars=16,
            label_visibility="collapsed",
            width=90,
            on_change=_on_author,
        )
        st.caption(_state(log, galaxy_id), width="content")


def _show(key: str, value: Any) -> None:
    """Give a widget its value; not if it has it, because a text that is being typed would be replaced."""
    if st.session_state.get(key) != value:
        st.session_state[key] = value


def _state(log: VerdictLog, galaxy_id: str) -> str:
    verdict = log.latest.get(galaxy_id)
    words = "no verdict yet" if verdict is None else f"saved {verdict.time[:16].replace('T', ' ')} UTC"
    words += f" by {verdict.author}" if verdict and verdict.author else ""
    n_before = len(log.history(galaxy_id)) - 1
    words += f", {n_before} before" if n_before > 0 else ""
    return words + (f" · {log.n_damaged} damaged lines in the file passed over" if log.n_damaged else "")


def verdict_log(survey_name: str) -> VerdictLog:
    """Return every verdict on a survey, read again only when the file has changed.

    Raises
    ------
    VerdictError
        If the file cannot be read.
    """
    stamp = verdict_stamp(survey_name)
    return _read(str(verdicts_path(survey_name)), stamp, survey_name) if stamp else read_verdicts(survey_name)


def verdict_stamp(survey_name: str) -> str:
    """Return what changes with every verdict that is saved; empty if there is no file."""
    try:
        stat = verdicts_path(survey_name).stat()
    except OSError:
        return ""
    return f"{stat.st_mtime_ns}:{stat.st_size}"


@st.cache_resource(show_spinner=False, max_entries=4)
def _read(path: str, stamp: str, survey_name: str) -> VerdictLog:  # noqa: ARG001
    return read_verdicts(survey_name)


def _on_score(survey_name: str, galaxy_id: str, score: int) -> None:
    before = _before(survey_name, galaxy_id)
    _save(survey_name, dataclasses.replace(before, score=None if before.score == score else score))


def save_score(survey_name: str, galaxy_id: str, score: int) -> None:
    """Save a score, with the flags and the note that are on disk; a callback of other pages."""
    _save(survey_name, dataclasses.replace(_before(survey_name, galaxy_id), score=score))


def unsaved_verdict(survey_name: str) -> str:
    """Say which verdict could not be saved and why; empty if there is none."""
    failed = st.session_state.get(_FAILED)
    if not failed or failed[0][0] != survey_name:
        return ""
    return f"The verdict on {failed[0][1]} is not saved: {failed[1]} It is kept on the galaxy's page."


def _on_flags(survey_name: str, galaxy_id: str) -> None:
    flags = tuple(st.session_state[f"verdict_flags_{galaxy_id}"])
    _save(survey_name, dataclasses.replace(_before(survey_name, galaxy_id), flags=flags))


def _on_note(survey_name: str, galaxy_id: str) -> None:
    note = str(st.session_state[f"verdict_note_{galaxy_id}"] or "")
    _save(survey_name, dataclasses.replace(_before(survey_name, galaxy_id), note=note))


def _on_author() -> None:
    address.touch()
    st.session_state[_KEPT_AUTHOR] = str(st.session_state[_AUTHOR] or "").strip()


def _before(survey_name: str, galaxy_id: str) -> Verdict:
    """Return the verdict that a change starts from: one that could not be saved, else the one on disk now."""
    failed = st.session_state.get(_FAILED)
    if failed and failed[0] == (survey_name, galaxy_id):
        return failed[2]  # type: ignore[no-any-return]
    try:
        return read_verdicts(survey_name).latest.get(galaxy_id) or Verdict(galaxy_id)
    except VerdictError:
        return Verdict(galaxy_id)


def _save(survey_name: str, verdict: Verdict) -> None:
    """Save what the reader gave, as of now and with the initials given; what fails is kept and said."""
    address.touch()
    author = st.session_state.get(_KEPT_AUTHOR, "")
    st.session_state.pop(_FAILED, None)
    try:
        made = Verdict(verdict.galaxy_id, verdict.score, verdict.flags, verdict.note, author)
        save_verdict(survey_name, made)
    except VerdictError as error:
        st.session_state[_FAILED] = ((survey_name, verdict.galaxy_id), str(error), verdict)

"""Whether this server may start jobs: only its own machine's users, unless its owner says otherwise."""

import os
from typing import Final

import streamlit as st

from galspec.core.errors import JobError

_OWN: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def why_jobs_are_off() -> str:
    """Return why jobs cannot be started from the page, in sentences; empty if they can."""
    if os.environ.get("GALSPEC_ALLOW_JOBS") == "1":
        return ""
    address = st.get_option("server.address")
    if address in _OWN:
        return ""
    where = f"at {address}" if address else "at every address of this machine"
    return (
        f"This server listens {where}, so whoever reaches it could run jobs here. Jobs are off. To allow them, start "
        "the server with `GALSPEC_ALLOW_JOBS=1`, or let it listen at 127.0.0.1 only. "
        "`python -m galspec jobs` works on a terminal either way."
    )


def require_jobs_allowed() -> None:
    """Refuse to act; part of every callback that starts, changes or ends a job.

    A page that was drawn while jobs were allowed may be used after they were switched off.

    Raises
    ------
    JobError
        With the reason of `why_jobs_are_off`.
    """
    if reason := why_jobs_are_off():
        raise JobError(reason)

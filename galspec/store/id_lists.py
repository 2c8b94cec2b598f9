"""Lists of galaxies, kept by content: what was selected, uploaded or drawn around on a map, short enough for a link.

A list is a file ``GALSPEC_HOME/lists/<name>.json``; its name is the start of the SHA-256 of its sorted ids, so the
same galaxies always have the same name and a list never changes.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from galspec.core.errors import IdListError
from galspec.core.files import write_json
from galspec.core.home import home_dir

_VERSION: Final = 1
_NAME: Final = re.compile(r"[0-9a-f]{12}", re.ASCII)
_MAX_ID: Final = 200
MAX_IDS: Final = 1_000_000
_MAX_LABEL: Final = 120


@dataclasses.dataclass(frozen=True)
class IdList:
    """Galaxies that someone put together.

    Parameters
    ----------
    name : str
        12 hexadecimal digits.
    label : str
        Where it comes from, in words.
    ids : frozenset of str
    """

    name: str
    label: str
    ids: frozenset[str]


def list_name(ids: Iterable[str]) -> str:
    """Return the name of a list: the same for the same galaxies in any order.

    Examples
    --------
    >>> list_name(["b", "a"]) == list_name(["a", "b", "a"])
    True
    """
    text = "\n".join(sorted(set(ids)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _path(name: str) -> Path:
    return home_dir() / "lists" / f"{name}.json"


def save_ids(ids: Iterable[str], label: str) -> str:
    """Keep a list on disk and return its name; a list that is there already stays as it is.

    Parameters
    ----------
    ids : iterable of str
    label : str
        Where it comes from: "drawn on the map of latents".

    Raises
    ------
    IdListError
        If there are no ids or more than a million, an id is none, or the file cannot be written.
    """
    chosen = sorted(set(ids))
    if not chosen:
        raise IdListError("a list needs at least one galaxy.")
    if len(chosen) > MAX_IDS:
        raise IdListError(f"{len(chosen):,} galaxies are too many for a list; at most {MAX_IDS:,} are kept.")
    if not all(0 < len(one) <= _MAX_ID and "\n" not in one for one in chosen):
        raise IdListError(f"an id in a list must be a text of 1 to {_MAX_ID} characters in one line.")
    name = list_name(chosen)
    if read_ids(name) is not None:
        return name
    try:
        write_json(_path(name), {"version": _VERSION, "label": label[:_MAX_LABEL], "ids": chosen})
    except OSError as error:
        raise IdListError(f"the list could not be saved in {_path(name)} ({error}).") from None
    return name


def read_ids(name: str) -> IdList | None:
    """Return a list by its name, or None if there is none; a damaged file counts as none."""
    if not _NAME.fullmatch(name):
        return None
    path = _path(name)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return None
    return _read(path, stamp)


@functools.lru_cache(maxsize=16)
def _read(path: Path, stamp: int) -> IdList | None:  # noqa: ARG001  # the stamp is part of the cache's key
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ids, label = content["ids"], content["label"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_list = isinstance(ids, list) and all(isinstance(one, str) for one in ids) and isinstance(label, str)
    if not is_list or content.get("version") != _VERSION or list_name(ids) != path.stem:
        return None
    return IdList(path.stem, label, frozenset(ids))


def ids_of_list(name: str) -> frozenset[str] | None:
    """Return the ids of a list, or None if there is no such list; the filter grammar's lookup."""
    found = read_ids(name)
    return None if found is None else found.ids

"""What is asked for, checked before anything is submitted: data that exist, paths that stay inside the workspace."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from galspec.core.errors import JobError
from galspec.core.home import home_dir
from galspec.jobs.command import RUN
from galspec.jobs.job import Resources

#: Name of the settings in a job's folder.
SETTINGS = "settings.toml"


@dataclasses.dataclass(frozen=True)
class Request:
    """A command with what `engine.submit` keeps beside it.

    Parameters
    ----------
    argv : tuple of str
        What follows ``python -m galspec``; ``{run}`` stands for the job's folder.
    settings : dict
    files : dict of str to str
    """

    argv: tuple[str, ...]
    settings: dict[str, Any]
    files: dict[str, str] = dataclasses.field(default_factory=dict)


def absolute_path(path: str | Path, field: str) -> Path:
    """Return the absolute path that a text stands for; ``~`` is the user's folder.

    Raises
    ------
    JobError
        If the text cannot be a path here: an unknown user after ``~``, a name too long, links in a circle.
    """
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise JobError(f"{str(path)[:80]!r} is no path that can be used: {error}.", field) from None


def _holds(folder: Path, name: str, field: str) -> bool:
    try:
        return (folder / name).is_file()
    except OSError as error:
        raise JobError(f"{str(folder)[:80]!r} cannot be read: {error.strerror}.", field) from None


def require_survey(path: str | Path, field: str = "survey") -> Path:
    """Return the absolute path of a survey folder.

    Raises
    ------
    JobError
        If it is none.
    """
    folder = absolute_path(path, field)
    if not _holds(folder, "survey.json", field):
        raise JobError(f"{folder} holds no survey: there is no survey.json in it.", field)
    return folder


def require_bundle(path: str | Path, field: str) -> Path:
    """Return the absolute path of a model's bundle.

    Raises
    ------
    JobError
        If it is none.
    """
    folder = absolute_path(path, field)
    if not _holds(folder, "model.json", field):
        raise JobError(f"{folder} holds no model: there is no model.json in it.", field)
    return folder


def require_inside(path: str | Path, field: str, below: str = "") -> Path:
    """Return the absolute path of something a job will write, which must lie in the workspace.

    Parameters
    ----------
    path : str or Path
        Relative ones lie in ``GALSPEC_HOME/below``.
    field : str
    below : str
        A folder of the workspace.

    Raises
    ------
    JobError
        If it leads out of the workspace, or is the workspace itself or the folder ``below``.
    """
    root = home_dir()
    base = absolute_path(root / below, field)
    is_relative = not str(path).startswith(("/", "~"))
    full = absolute_path(base / path if is_relative else path, field)
    if root not in full.parents:
        raise JobError(f"{full} lies outside the workspace {root}; a job writes only inside it.", field)
    if full == base:
        raise JobError(f"{full} holds what other jobs wrote; name a folder or file in it.", field)
    return full


def toml_text(table: str, settings: Mapping[str, Any]) -> str:
    """Return a TOML table of numbers, texts, switches and lists of them.

    Examples
    --------
    >>> print(toml_text("cnn", {"model": "simple-cnn", "compile": False, "max_lr": 0.03}), end="")
    [cnn]
    model = "simple-cnn"
    compile = false
    max_lr = 0.03
    """
    lines = [
        f"{name} = {json.dumps(list(value) if isinstance(value, tuple) else value)}" for name, value in settings.items()
    ]
    return "\n".join([f"[{table}]", *lines]) + "\n"


def read_settings(path: Path, table: str) -> dict[str, Any]:
    """Return a table of a TOML file.

    Raises
    ------
    JobError
        If it cannot be read or has no such table.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise JobError(f"cannot read {path}: {error}.", "config") from None
    if not isinstance(content.get(table), dict):
        raise JobError(f"{path} has no table [{table}].", "config")
    return dict(content[table])


def require_shareable(settings: Mapping[str, Any], resources: Resources) -> None:
    """Refuse settings of a network that several processes cannot share.

    Raises
    ------
    JobError
        If the batch size is no multiple of the processes, or torch.compile is on.
    """
    n = resources.n_processes
    if n == 1:
        return
    batch_size = settings.get("batch_size", 128)
    if batch_size % n:
        raise JobError(f"{batch_size} for all {n} processes together must be a multiple of {n}.", "batch_size")
    if settings.get("compile"):
        raise JobError("torch.compile does not go with several processes.", "compile")


def train_request(
    what: str,
    survey: str | Path,
    settings: Mapping[str, Any],
    vae: str | Path = "",
    max_galaxies: int = 0,
    device: str = "auto",
    n_samples: int = 0,
) -> Request:
    """Return the request of a training.

    Parameters
    ----------
    what : str
        "cnn" or "vae".
    survey : str or Path
    settings : mapping
        Fields of the settings dataclass that are not at their default.
    vae : str or Path
        Bundle whose latents a network predicts; empty = the shipped one.
    max_galaxies : int
        Use the first so many galaxies; 0 = all.
    device : str
        "auto", "cpu" or "gpu".
    n_samples : int
        Held-out galaxies whose latents are kept at each epoch.

    Raises
    ------
    JobError
        If survey or VAE are missing.
    """
    folder = require_survey(survey)
    argv = ["train", what, "--survey", str(folder), "--out", RUN, "--config", f"{RUN}/{SETTINGS}"]
    shown: dict[str, Any] = {"survey": str(folder), **settings}
    if vae and what == "cnn":
        argv += ["--vae", str(require_bundle(vae, "vae"))]
        shown["vae"] = argv[-1]
    if max_galaxies:
        argv += ["--max-galaxies", str(max_galaxies)]
        shown["max_galaxies"] = max_galaxies
    if n_samples and what == "cnn":
        argv += ["--samples", str(n_samples)]
    if device == "cpu" and what == "cnn":
        argv += ["--device", "cpu"]
    return Request(tuple(argv), shown, {SETTINGS: toml_text(what, settings)})

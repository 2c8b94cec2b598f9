"""`python -m galspec jobs ...`: submit, list, show, logs, stop, resume, clone, rm; what the Train page does too."""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from galspec.core.errors import JobError
from galspec.jobs.command import RUN
from galspec.jobs.job import BACKENDS, DEVICES, VERBS, Job, Resources
from galspec.jobs.request import (
    SETTINGS,
    Request,
    absolute_path,
    read_settings,
    require_bundle,
    require_inside,
    require_shareable,
    require_survey,
)

if TYPE_CHECKING:
    from galspec.jobs.view import JobView

#: Options of `submit` that are fields of Resources: name -> (type, help).
_NUMBERS: Final = {
    "processes": "processes a node that train together, one a GPU (default 1)",
    "nodes": "nodes, Slurm only (default 1)",
    "cpus": "cores a node, Slurm only",
    "memory_gb": "memory a node in GB, Slurm only",
    "time_min": "time limit in minutes, Slurm only",
}


#: Options of trainings that have another name than the setting: option -> field.
_FIELD_NAMES: Final = {"epochs": "n_epochs"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_submit(actions.add_parser("submit", help="start a command in the background, here or on Slurm"))
    _add_json(actions.add_parser("list", help="all jobs, newest first"))
    _add_json(_add_job(actions.add_parser("show", help="state, cause of failure and command of a job")))
    logs = _add_job(actions.add_parser("logs", help="what a job printed"))
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
    logs.add_argument("-n", "--lines", type=int, default=200, help="lines (default 200)")
    stop = _add_job(actions.add_parser("stop", help="end a job: SIGTERM, after 20 s SIGKILL; scancel on Slurm"))
    stop.add_argument("--wait", action="store_true", help="wait until it has ended")
    _add_job(actions.add_parser("resume", help="start an ended job again, from its last checkpoint"))
    clone = _add_job(actions.add_parser("clone", help="submit a copy of a job"))
    clone.add_argument("--name", default="", help="of the copy (default: the same)")
    promote = actions.add_parser("promote", help="let the app use a job's model; --back takes that back")
    promote.add_argument("job", nargs="?", help="id as `jobs list` shows it, or the beginning of one")
    promote.add_argument("--back", action="store_true", help="return to the model before")
    estimate = actions.add_parser("estimate", help="time and memory of a training, from a few timed steps")
    estimate.add_argument("--seconds", type=float, default=10.0, help="of timed steps, at least two (default 10)")
    _add_json(estimate)
    estimate.add_argument("command", nargs=argparse.REMAINDER, metavar="-- train ...", help="the training")
    _add_job(actions.add_parser("rm", help="delete an ended job with all its files"))


def _add_job(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("job", help="id as `jobs list` shows it, or the beginning of one")
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="", help="default: the command's")
    parser.add_argument("--backend", choices=BACKENDS, default="local", help="this machine (default) or Slurm")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: a GPU if there is one")
    for name, text in _NUMBERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=text)
    for name in ("partition", "account", "gres"):
        parser.add_argument(f"--{name}", default="", help="as in sbatch")
    parser.add_argument("--no-requeue", action="store_true", help="Slurm shall not start the job again by itself")
    parser.add_argument("--show", action="store_true", help="print command or batch script and submit nothing")
    _add_json(parser)
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="for example: -- train cnn --survey DIR"
    )


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "submit": _submit,
        "list": _list,
        "show": _show,
        "logs": _logs,
        "stop": _stop,
        "resume": _resume,
        "clone": _clone,
        "promote": _promote,
        "estimate": _estimate,
        "rm": _remove,
    }
    return actions[args.action](args)


def request_of(words: Sequence[str]) -> Request:
    """Check a command as its verb would, and make its paths absolute.

    Raises
    ------
    JobError
        If the command cannot be a job, or a folder it names is missing or lies outside the workspace.
    """
    words = [
        part for word in words for part in (word.split("=", 1) if word.startswith("--") and "=" in word else [word])
    ]
    if not words or words[0] not in VERBS:
        raise JobError(f"{' '.join(words[:1]) or 'nothing'!r} cannot be a job; {', '.join(VERBS)} can.", "command")
    verb = words[0]
    if verb == "train":
        if any(word.startswith("--o") and "--out".startswith(word) for word in words):
            raise JobError("a training writes into the job's folder: leave --out away.", "out")
        words = [*words, "--out", RUN]
    parser = argparse.ArgumentParser(prog=f"python -m galspec {verb}")
    importlib.import_module(f"galspec.cli.{verb}").add_arguments(parser)
    given = vars(parser.parse_args(words[1:]))
    argv, files = _with_paths(verb, words, given), {}
    # 0 and "no" are settings of a training; elsewhere they are what is there without the option.
    chosen = training_settings(given["what"], given) if verb == "train" else {}
    settings = {
        name: _plain(value)
        for name, value in given.items()
        if name not in {"what", "out", "config"}
        and (value or (value is not None and _FIELD_NAMES.get(name, name) in chosen))
    }
    if given.get("config"):
        settings = {**read_settings(given["config"], given["what"]), **settings}
        files[SETTINGS] = Path(given["config"]).read_text(encoding="utf-8")
    return Request(argv, settings, files)


def training_settings(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return those of a request's settings that are fields of the training's settings, under the fields' names."""
    from galspec.jobs.fields import TABLES

    known = {field.name for field in TABLES[what]}
    named = {_FIELD_NAMES.get(name, name): value for name, value in given.items()}
    return {name: value for name, value in named.items() if name in known}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(absolute_path(value, ""))
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _with_paths(verb: str, words: Sequence[str], given: dict[str, Any]) -> tuple[str, ...]:
    """Check the folders that a command names, and put absolute paths in their places.

    A job works in another folder than whoever submits it. What counts is the option that a word stands behind: a
    survey may be called ``train`` or ``5``.
    """
    if verb == "simulate" and not given.get("out"):
        raise JobError("name the folder of the new survey with --out NAME; it is made in the workspace.", "out")
    checks: dict[str, Callable[[str], Any]] = {
        "survey": require_survey,
        "vae": lambda word: require_bundle(word, "vae"),
        "start": lambda word: require_bundle(word, "start"),
        "images": lambda word: absolute_path(word, "images"),
        "config": lambda word: f"{RUN}/{SETTINGS}",  # noqa: ARG005  the text is kept in the job's folder
    }
    if verb == "predict":
        checks["model"] = lambda word: require_bundle(word, "model")
    if verb != "train":
        below = "surveys" if verb == "simulate" else "predictions"
        checks["out"] = lambda word: require_inside(word, "out", below)
    found, check = [], None
    for word in words:
        if word.startswith("--"):
            name = word[2:].replace("-", "_")
            # The parser has taken the words already: the beginning of an option is the beginning of one only.
            known = [name] if name in given else [option for option in checks if name and option.startswith(name)]
            check = checks.get(known[0]) if known else None
            found.append(word)
        else:
            found.append(str(check(word)) if check else word)
    return tuple(found)


def _resources(args: argparse.Namespace) -> Resources:
    numbers = {name: getattr(args, name) for name in _NUMBERS if getattr(args, name) is not None}
    texts = {name: getattr(args, name) for name in ("backend", "device", "partition", "account", "gres")}
    return Resources(**texts, **numbers, is_requeued=not args.no_requeue)


def _submit(args: argparse.Namespace) -> int:
    from galspec.jobs.command import sbatch_script, shown_command
    from galspec.jobs.engine import submit
    from galspec.jobs.folder import runs_dir

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    resources = _resources(args)
    request = request_of(words)
    argv = request.argv
    if argv[:2] == ("train", "cnn"):
        require_shareable(training_settings("cnn", request.settings), resources)
    if resources.device == "cpu" and argv[:2] == ("train", "cnn") and "--device" not in argv:
        argv = (*argv, "--device", "cpu")
    name = args.name or "-".join(argv[: 2 if argv[0] == "train" else 1])
    if args.show:
        job = Job("JOB", name, argv, resources)
        path = runs_dir() / job.id
        print(sbatch_script(job, path) if resources.backend == "slurm" else shown_command(job, path))
        return 0
    folder = submit(name, argv, resources, request.settings, request.files)
    _print_id(folder.id, args.json)
    return 0


def _print_id(job_id: str, is_json: bool = False) -> None:
    print(json.dumps({"id": job_id}) if is_json else job_id)


def _find(text: str) -> Any:
    """Return the folder of the job whose id is or begins with a text."""
    from galspec.jobs.folder import all_folders, find_job

    found = [folder for folder in all_folders() if text and folder.id.startswith(text)]
    if len(found) > 1 and text not in {folder.id for folder in found}:
        raise JobError(f"{text!r} is the beginning of {len(found)} jobs; give more of the id.", "job")
    return found[0] if len(found) == 1 else find_job(text)


def _list(args: argparse.Namespace) -> int:
    from galspec.jobs.view import look_at_all

    found = look_at_all()
    if args.json:
        print(json.dumps([view.to_dict() for view in found.views], indent=2))
    else:
        for view in found.views:
            note = str(view.cause) if view.cause else view.status.note
            print(f"{view.job.id}  {view.state:<9}  {view.job.kind:<9}  {_progress(view):<16}  {note}".rstrip())
        if not found.views:
            print("no jobs; start one with `python -m galspec jobs submit -- train cnn --survey DIR`.")
    for problem in found.problems:
        print(f"note: {problem}", file=sys.stderr)
    return 0


def _progress(view: "JobView") -> str:
    if "n_epochs" in view.last:
        return f"epoch {view.last['epoch']}/{view.last['n_epochs']}"
    return f"epoch {view.last['epoch']}" if "epoch" in view.last else ""


def _show(args: argparse.Namespace) -> int:
    from galspec.jobs.causes import first_traceback
    from galspec.jobs.command import shown_command
    from galspec.jobs.metrics import tail_lines
    from galspec.jobs.view import look

    view = look(_find(args.job))
    command = shown_command(view.job, view.folder.path)
    if args.json:
        more = {"command": command, "settings": view.job.settings, "environment": view.job.environment}
        print(json.dumps({**view.to_dict(), **more, "heartbeat": view.heartbeat}, indent=2))
        return 0
    print(f"{view.job.id}: {view.state}{f' ({view.status.note})' if view.status.note else ''}")
    if view.cause:
        print(f"cause: {view.cause}")
        for line in first_traceback(tail_lines(view.folder.log, 2000)):
            print(f"  {line}")
    print(f"folder: {view.folder.path}\ncommand: {command}")
    where = f"Slurm as {view.slurm_id}" if view.slurm_id else view.job.environment.get("host")
    print(f"time: {view.seconds:.0f} s on {where}")
    if view.last:
        print(f"last metrics: {json.dumps(view.last)}")
    return 0


def _logs(args: argparse.Namespace) -> int:
    from galspec.jobs.metrics import tail_lines
    from galspec.jobs.view import look

    folder = _find(args.job)
    for line in tail_lines(folder.log, args.lines, n_bytes=10_000_000):
        print(line)
    place = folder.log.stat().st_size if folder.log.exists() else 0
    while args.follow:
        is_live = look(folder).status.is_live  # before reading: the last words come before the end
        if folder.log.exists():
            with folder.log.open("rb") as handle:
                handle.seek(place)
                new = handle.read()
            place += len(new)
            sys.stdout.write(new.decode("utf-8", errors="replace"))
            sys.stdout.flush()
        if not is_live:
            break
        time.sleep(1.0)
    return 0


def _stop(args: argparse.Namespace) -> int:
    from galspec.jobs.engine import stop
    from galspec.jobs.view import look

    folder = _find(args.job)
    status = stop(folder)
    while args.wait and status.is_live:
        time.sleep(0.5)
        status = look(folder).status
    print(f"{folder.id}: {'asked to end' if status.is_live else status.state}")
    return 0


def _resume(args: argparse.Namespace) -> int:
    from galspec.jobs.engine import resume

    folder = _find(args.job)
    resume(folder)
    _print_id(folder.id)
    return 0


def _clone(args: argparse.Namespace) -> int:
    from galspec.jobs.engine import clone

    _print_id(clone(_find(args.job), args.name).id)
    return 0


def _promote(args: argparse.Namespace) -> int:
    from galspec.jobs.promote import demote, promote

    if args.back == bool(args.job):
        raise JobError("name a job, or give --back.", "job")
    entry = demote() if args.back else promote(_find(args.job))
    print(f"the app uses {entry['name']} {entry['sha256'][:8]}" if entry else "the app uses the shipped model")
    return 0


def _estimate(args: argparse.Namespace) -> int:
    from galspec.store.survey import open_survey
    from galspec.training.config import CnnConfig, config_from_table
    from galspec.training.trial import count_split, estimate_cnn, estimate_vae
    from galspec.training.vae_data import VaeConfig

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    given, what = request_of(words), "".join(words[1:2])
    if words[:1] != ["train"]:
        raise JobError("only trainings can be estimated.", "command")
    settings = training_settings(what, given.settings)
    n_train, n_valid = count_split(open_survey(given.settings["survey"]), int(given.settings.get("max_galaxies", 0)))
    if what == "cnn":
        device = {"cpu": "cpu", "cuda": "cuda"}.get(str(given.settings.get("device")))
        found = estimate_cnn(config_from_table(CnnConfig, settings, "settings"), n_train, n_valid, device, args.seconds)
    else:
        found = estimate_vae(config_from_table(VaeConfig, settings, "settings"), n_train, n_valid, args.seconds)
    if args.json:
        print(json.dumps(found.to_dict()))
    else:
        minutes = [f"{value / 60:.3g}" for value in (found.seconds, found.low, found.high)]
        steps = f"{found.n_steps} steps of {found.step_s:.3g} s on {found.device}"
        print(f"{minutes[0]} minutes ({minutes[1]} to {minutes[2]}), {found.memory_gb:.2g} GB; from {steps}")
        print(f"{found.n_train} train galaxies; reading or rendering their images comes on top.")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from galspec.jobs.engine import remove

    folder = _find(args.job)
    remove(folder)
    print(f"deleted {folder.id}")
    return 0

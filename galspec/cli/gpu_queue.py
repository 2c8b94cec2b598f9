"""`python -m galspec gpu-queue start|status|run|collect`: train a queue of models on a lent GPU machine."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

#: Lines of the log that `status` prints.
_TAIL_LINES: Final = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    actions = parser.add_subparsers(dest="action", metavar="start|status|run|collect", required=True)
    start = actions.add_parser("start", help="run the queue detached; returns at once")
    run_here = actions.add_parser("run", help="run the queue here")
    status = actions.add_parser("status", help="say how far it is, and copy finished results to $OUT if that is set")
    take = actions.add_parser("collect", help="take results that came back from another machine into --out")
    for one in (start, run_here, status, take):
        one.add_argument(
            "--out", type=Path, help="bundles of finished items (default weights_queue, or in --work if $OUT is set)"
        )
        one.add_argument(
            "--results", type=Path, help="JSON of finished items (default benchmarks/results/gpu_queue.json)"
        )
    for one in (start, run_here, status):
        one.add_argument("--work", type=Path, default=_default_work_dir(), help="local disk for survey and runs, 33 GB")
    for one in (start, run_here):
        one.add_argument("--plan", type=Path, help="what to train (default configs/gpu_queue.toml)")
        one.add_argument("--vae", type=Path, help="VAE bundle (default: the shipped one)")
        one.add_argument(
            "--survey", type=Path, help="train on the first galaxies of this survey folder instead of simulating one"
        )
        one.add_argument(
            "--jobs", type=int, default=os.cpu_count() or 1, help="processes that simulate (default: all cores)"
        )
        one.add_argument(
            "--minutes", type=float, default=0.0, help="time at hand; longer items are left out (default: no limit)"
        )
        one.add_argument(
            "--device", choices=("cuda", "cpu"), default="cuda", help="default cuda; cpu for configs/cpu_table1.toml"
        )
    status.add_argument("--wait", type=float, default=0.0, help="seconds to wait for the next item to finish")
    take.add_argument("--from", dest="source", type=Path, required=True, help="folder that came back")


def _default_work_dir() -> Path:
    return Path(tempfile.gettempdir()) / "galspec-queue"


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    return {"start": _start, "run": _run, "status": _status, "collect": _collect}[args.action](args)


def _out_dir(args: argparse.Namespace) -> Path:
    """Return where bundles go: on a machine that hands $OUT back, beside the survey, outside the copied checkout."""
    from galspec.training.queue import DEFAULT_OUT

    default: Path = args.work / "out" if "OUT" in os.environ else DEFAULT_OUT
    return args.out or default


def _options(args: argparse.Namespace) -> list[str]:
    names = ("out", "results", "work", "plan", "vae", "survey", "jobs", "minutes", "device")
    given = {name: getattr(args, name) for name in names}
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]


def _start(args: argparse.Namespace) -> int:
    if _is_running(args.work):
        print("the queue is running already")
        return 0
    args.work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-u", "-m", "galspec", "gpu-queue", "run", *_options(args)]
    with (args.work / "log.txt").open("ab") as log:
        # An own session: the queue survives the end of the command that started it.
        process = subprocess.Popen(  # noqa: S603  the command is this program itself
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (args.work / "pid").write_text(str(process.pid))
    print(f"queue started as process {process.pid}; look with `python -m galspec gpu-queue status`")
    return 0


def _is_running(work_dir: Path) -> bool:
    try:
        pid = int((work_dir / "pid").read_text())
        # A process of this number that is not ours would have another command line; a dead one has none.
        return b"gpu-queue" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False


def _run(args: argparse.Namespace) -> int:
    from galspec.training.memory import keep_freed_memory
    from galspec.training.queue import DEFAULT_PLAN, RESULTS, Queue, load_plan
    from galspec.training.run_folder import RunStopped, stop_on_signals

    if args.device == "cpu":
        keep_freed_memory()
    with stop_on_signals() as stop:
        queue = Queue(
            plan=load_plan(args.plan or DEFAULT_PLAN),
            work_dir=args.work,
            out_dir=_out_dir(args),
            results=args.results or RESULTS,
            device=args.device,
            n_jobs=args.jobs,
            minutes=args.minutes,
            report=lambda line: print(time.strftime("%H:%M:%S"), line, flush=True),
            stop=stop,
            survey_dir=args.survey,
        )
        if args.vae:
            queue.vae_dir = args.vae
        try:
            queue.run()
        except RunStopped as stopped:
            print(f"stopped: {stopped}")
            return 130
    return 0


def _status(args: argparse.Namespace) -> int:
    from galspec.training.queue import RESULTS, bring_home, finished_items, write_results

    out_dir, results = _out_dir(args), args.results or RESULTS
    finished = finished_items(out_dir, results)
    end = time.monotonic() + args.wait
    while time.monotonic() < end and _is_running(args.work):
        time.sleep(min(2.0, args.wait))
        now = finished_items(out_dir, results)
        if len(now) > len(finished):
            finished = now
            break
    copied = []
    if target := os.environ.get("OUT"):
        write_results(out_dir, results)
        copied = bring_home(out_dir, Path(target), results, args.work / "copied.json")
    state = {"running": _is_running(args.work), "finished": sorted(finished), "copied_now": copied}
    print(json.dumps(state))
    log = args.work / "log.txt"
    if log.is_file():
        print("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]))
    return 0


def _collect(args: argparse.Namespace) -> int:
    from galspec.training.queue import DEFAULT_OUT, RESULTS, collect

    names = collect(args.source, args.out or DEFAULT_OUT, args.results or RESULTS)
    print(f"collected: {', '.join(names) or 'nothing'}")
    return 0

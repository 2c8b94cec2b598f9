"""`python -m galspec table1`: measure networks and baselines on held-out galaxies, or compare two of them."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from galspec.cli.progress import move_bar

if TYPE_CHECKING:
    from galspec.evaluation.table1 import Evaluation, Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("--survey", type=Path, metavar="DIR", help="survey folder the networks were trained on")
    parser.add_argument(
        "--add",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="bundles, run folders of `train cnn`, or benchmarks/results/gpu_queue.json (quoted scores)",
    )
    parser.add_argument("--label", default="", help="name of the row, with one --add (default: the bundle's)")
    parser.add_argument(
        "--ablation",
        action="append",
        default=[],
        metavar="NAME",
        help="also d4 (average over turns), colour-only or greyscale images; may be repeated",
    )
    parser.add_argument("--baselines", action="store_true", help="mean, neighbours, trees and oracles")
    parser.add_argument("--n-train", type=int, default=0, help="train galaxies of the baselines (default: all)")
    parser.add_argument(
        "--test",
        action="store_true",
        help="read the test split too: the final measurement, nothing may be chosen by it",
    )
    parser.add_argument(
        "--n-max", type=int, default=0, metavar="N", help="galaxies a split, for a trial (default: all)"
    )
    parser.add_argument(
        "--cached", type=int, default=0, metavar="N", help="read the first N images from training's cache"
    )
    parser.add_argument("--jobs", type=int, default=0, help="processes that fill the cache (default: all cores)")
    parser.add_argument("--vae", type=Path, help="VAE bundle whose latents are predicted (default: the shipped one)")
    parser.add_argument("--out", type=Path, help="JSON file (default docs/results/table1.json)")
    parser.add_argument("--replace", action="store_true", help="overwrite rows of other weights")
    parser.add_argument(
        "--compare", nargs=2, metavar=("ROW", "ROW"), help="paired bootstrap of two rows; several seeds as a,b,c"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and store, or compare."""
    from galspec.core.errors import ConfigError
    from galspec.evaluation.table1 import TABLE_PATH

    path = args.out or TABLE_PATH
    if args.compare:
        _compare(args.compare, path, "test" if args.test else "valid")
        return 0
    if args.survey is None or not (args.add or args.baselines):
        raise ConfigError("give --survey DIR with --add PATH or --baselines, or --compare ROW ROW.")
    if args.label and len(args.add) != 1:
        raise ConfigError(f"--label names one row, but --add names {len(args.add)}.")
    if args.n_max < 0 or args.n_train < 0:
        raise ConfigError(f"--n-max is {args.n_max} and --n-train is {args.n_train}, but neither may be negative.")
    _measure(args, path)
    return 0


def _measure(args: argparse.Namespace, path: Path) -> None:
    from galspec.evaluation.degraded_images import require_ablations
    from galspec.evaluation.held_out import SurveyImageSource
    from galspec.evaluation.table1 import Evaluation, read_galaxies, read_sources
    from galspec.models.bundle import load_vae_bundle, shipped_vae_dir
    from galspec.store.survey import open_survey

    require_ablations(args.ablation)
    survey = open_survey(args.survey)
    vae = load_vae_bundle(args.vae or shipped_vae_dir())
    sources = [source for one in args.add for source in read_sources(one, survey, vae, args.label)]
    galaxies = read_galaxies(survey, vae, args.test, args.n_max)
    images = SurveyImageSource(survey, args.cached, args.jobs or os.cpu_count() or 1)
    evaluation = Evaluation(survey, vae, images, galaxies, path)
    if sources:
        _networks(evaluation, sources, args)
    if args.baselines:
        _baselines(evaluation, args.n_train)
    print(f"stored in {path}; `python -m galspec report table1` prints it")


def _networks(evaluation: "Evaluation", sources: "list[Source]", args: argparse.Namespace) -> None:
    from galspec.evaluation.table1 import add_networks

    with tqdm(total=evaluation.n_images, unit="galaxy", desc="networks") as bar:
        table = add_networks(evaluation, sources, args.ablation, replace=args.replace, progress=move_bar(bar))
    for source in sources:
        for label in (source.label, *(f"{source.label}+{one}" for one in args.ablation)):
            if label in table["rows"]:
                _print_row(label, table["rows"][label])


def _baselines(evaluation: "Evaluation", n_train: int) -> None:
    from galspec.evaluation.baselines import BASELINES
    from galspec.evaluation.table1 import add_baselines

    n_all = n_train or len(evaluation.survey.rows_in_split("train"))
    with tqdm(total=n_all + evaluation.n_images, unit="galaxy", desc="photometry") as bar:
        table = add_baselines(evaluation, n_train, progress=move_bar(bar))
    for label in BASELINES:
        _print_row(label, table["rows"][label])


def _print_row(label: str, row: dict[str, dict[str, dict[str, float]]]) -> None:
    words = (f"{split} MSE {one['mse']:.4f} ({one['n']} galaxies)" for split, one in row["scores"].items())
    print(f"{label:34s} {', '.join(words)}")


def _compare(pair: list[str], path: Path, split: str) -> None:
    import json

    from galspec.evaluation.table1_report import compare_rows

    first, second = (labels.split(",") for labels in pair)
    print(json.dumps(compare_rows(path, first, second, split), indent=2))

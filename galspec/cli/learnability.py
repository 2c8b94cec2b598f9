"""`python -m galspec learnability`: how hard a survey is, as a stage of the ledger."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from galspec.cli.progress import move_bar

if TYPE_CHECKING:
    from galspec.store.survey import Survey
    from galspec.training.data import ImageArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("--survey", type=Path, required=True, metavar="DIR", help="survey folder")
    parser.add_argument("--label", help="name of the stage; one of the same name is replaced (default: the survey's)")
    parser.add_argument("--out", type=Path, help="ledger to add to (default: docs/results/learnability.json)")
    parser.add_argument("--vae", type=Path, help="VAE bundle whose latents are predicted (default: the shipped one)")
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--run-or-bundle", type=Path, metavar="DIR", help="network: run folder or bundle (default: the shipped hybrid)"
    )
    network.add_argument("--no-network", action="store_true", help="measure colours and photometry alone")
    parser.add_argument("--n-train", type=int, default=6000, help="train galaxies (default 6000)")
    parser.add_argument("--n-valid", type=int, default=1500, help="valid galaxies (default 1500)")
    parser.add_argument("--seed", type=int, default=12345, help="of trees and bootstrap")
    parser.add_argument(
        "--cached", type=int, metavar="N", help="read images from training's cache of the survey's first N galaxies"
    )
    parser.add_argument("--jobs", type=int, default=0, help="processes that fill the cache (default: all cores)")


def run(args: argparse.Namespace) -> int:
    """Measure, and write the stage."""
    from galspec.evaluation.learnability import (
        LearnabilitySettings,
        ledger_path,
        measure_learnability,
        read_ledger,
        record_stage,
    )
    from galspec.models.bundle import load_predictor_bundle, load_vae_bundle, shipped_predictor_dir, shipped_vae_dir
    from galspec.store.survey import open_survey

    settings = LearnabilitySettings(args.n_train, args.n_valid, args.seed)
    path = args.out or ledger_path()
    if path.exists():
        read_ledger(path)  # a file that cannot be added to is refused before the work, not after it
    survey = open_survey(args.survey)
    vae = load_vae_bundle(args.vae or shipped_vae_dir())
    predictor = None
    if not args.no_network:
        folder = args.run_or_bundle or shipped_predictor_dir()
        inside = folder / "bundle"
        predictor = load_predictor_bundle(inside if inside.is_dir() else folder, vae)
    images = _images(survey, args.cached, args.jobs)
    with tqdm(total=args.n_train + args.n_valid, unit="galaxy", desc="photometry") as bar:
        stage = measure_learnability(survey, vae, settings, images, predictor, move_bar(bar))
    label = args.label or survey.name
    record_stage(path, label, stage)
    for name, row in stage["results"].items():
        # The scores of a network of another survey are quoted: they are no measurement of this one.
        where = "" if row.get("galaxies", "the same") == "the same" else f"  (on {row['galaxies']})"
        latents = " ".join(f"{value:.3f}" for value in row["mse_per_latent"])
        print(f"{name:10s} MSE {row['mse']:.3f}  per latent {latents}{where}")
    print(f"stage {label!r}: {path}")
    return 0


def _images(survey: "Survey", n_cached: int | None, n_jobs: int) -> "ImageArray":
    from galspec.core.errors import ConfigError
    from galspec.training.survey_set import SurveyImages, cached_images

    if n_cached is None:
        return SurveyImages(survey, len(survey))
    if not 0 < n_cached <= len(survey):
        raise ConfigError(f"survey {survey.name!r} has {len(survey)} galaxies, so --cached cannot be {n_cached}.")
    return cached_images(survey, n_cached, n_jobs or os.cpu_count() or 1)

"""`python -m galspec realism`: measure how far a simulated survey is from real files."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument(
        "--real", type=Path, required=True, help="folder with real files: sdss/*.fits, templates/, ps1/NAME/*.fits"
    )
    parser.add_argument("--survey", type=Path, required=True, help="simulated survey folder")
    parser.add_argument("--label", default="now", help="name of this stage; a stage of the same name is replaced")
    parser.add_argument("--out", type=Path, help="JSON file of all stages (default docs/results/realism.json)")
    parser.add_argument("--figure", type=Path, help="page of figures (default docs/images/realism.png)")
    parser.add_argument("--contact-sheet", type=Path, help="also draw 36 simulated and 4 real cutouts to this file")
    parser.add_argument("--n-images", type=int, default=500, help="simulated cutouts to measure (default 500)")
    parser.add_argument("--model", type=Path, help="predictor bundle of the embedding (default: the shipped hybrid)")
    parser.add_argument("--vae", type=Path, help="VAE bundle of that predictor (default: the shipped one)")


def run(args: argparse.Namespace) -> int:
    """Measure, store, draw."""
    from galspec.core.errors import ConfigError
    from galspec.evaluation import realism
    from galspec.models.bundle import (
        load_predictor_bundle,
        load_vae_bundle,
        shipped_predictor_dir,
        shipped_vae_dir,
    )
    from galspec.store.survey import open_survey

    if not args.real.is_dir():
        raise ConfigError(f"{args.real} is not a folder; name the folder of real survey files with --real.")
    if args.n_images < 1:
        raise ConfigError(f"--n-images is {args.n_images}, but at least one simulated cutout is needed.")
    survey = open_survey(args.survey)
    vae = load_vae_bundle(args.vae or shipped_vae_dir())
    predictor = load_predictor_bundle(args.model or shipped_predictor_dir(), vae)
    stage = realism.measure_realism(args.real, survey, label=args.label, predictor=predictor, n_images=args.n_images)
    report = realism.store_stage(stage, args.out or realism.RESULTS_PATH)
    realism.draw_report(report, args.figure or realism.FIGURE_PATH)
    if args.contact_sheet:
        realism.draw_contact_sheet(args.real, survey, args.contact_sheet)
    ratio, noise = stage["spectra"]["ratio"], stage["images"]["noise"]
    print(f"real spectra, ten simulated vectors over Yip's ten: residual {ratio['residual']}, chi2 {ratio['chi2']}")
    print(
        "share of simulated cutouts with the noise of real ones:", {b: row["inside"] for b, row in noise["rms"].items()}
    )
    print("pixel correlation:", {name: row["simulated"] for name, row in noise["correlation"].items()})
    print("distance of real images in the embedding:", stage["images"]["embedding"]["real"])
    return 0

"""`python -m galspec vae-report`: measure what the VAE keeps of a spectrum and what its latents mean."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("--survey", type=Path, required=True, help="simulated survey folder")
    parser.add_argument("--vae", type=Path, help="VAE bundle (default: the shipped one)")
    parser.add_argument("--real", type=Path, help="folder with real files: sdss/*.fits, templates/")
    parser.add_argument("--search", type=Path, help="search.csv of `galspec train vae --search`")
    parser.add_argument("--part", action="append", help="part to measure, may be repeated (default all)")
    parser.add_argument("--config", type=Path, help="settings (default configs/vae_comparison.toml)")
    parser.add_argument(
        "--keep-fits",
        action="store_true",
        help="another VAE, same survey and settings: take NMF, autoencoder and VAE fits from the stored report",
    )
    parser.add_argument("--out", type=Path, help="JSON file (default docs/results/vae.json)")
    parser.add_argument("--figure", type=Path, help="page of figures (default docs/images/vae_report.png)")
    parser.add_argument("--no-figure", action="store_true", help="draw nothing")


def run(args: argparse.Namespace) -> int:
    """Measure parts, store each, draw."""
    from galspec.evaluation import vae_report
    from galspec.evaluation.vae_figure import draw_vae_report
    from galspec.models.bundle import load_vae_bundle, shipped_vae_dir
    from galspec.store.survey import open_survey
    from galspec.training.compressors import ComparisonConfig
    from galspec.training.config import load_config

    path = args.out or vae_report.RESULTS_PATH
    context = vae_report.ReportContext(
        survey=open_survey(args.survey),
        vae=load_vae_bundle(args.vae or shipped_vae_dir()),
        real_dir=args.real,
        search_path=args.search,
        config=load_config(ComparisonConfig, args.config or vae_report.CONFIG_PATH, "comparison"),
        kept=vae_report.report_vae(path)["parts"] if args.keep_fits else {},
        report=lambda line: print(line, flush=True),
    )
    report = vae_report.measure_parts(context, args.part or ["all"], path)
    if not args.no_figure:
        draw_vae_report(report, args.figure or vae_report.FIGURE_PATH)
    for name, part in report["parts"].items():
        if "requirement" in part:
            print(f"{name}: requirement", part["requirement"])
    return 0

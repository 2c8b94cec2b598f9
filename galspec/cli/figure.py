"""`python -m galspec figure NAME`: draw a figure of the paper on held-out galaxies."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("name", help="which figure: fig1 (cutouts, decoded targets, predictions, observed pixels)")
    parser.add_argument("--survey", type=Path, metavar="DIR", help="survey folder (default: the embedded demo survey)")
    parser.add_argument("--split", choices=("valid", "test"), help="of which galaxies (default: valid if it has any)")
    parser.add_argument("--n", type=int, default=8, help="galaxies (default 8)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of galaxies")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="predictor or run folder (default: shipped hybrid)")
    parser.add_argument("--vae", type=Path, help="its VAE bundle (default: the shipped one)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="image to write")


def run(args: argparse.Namespace) -> int:
    """Choose galaxies, predict, draw."""
    from galspec.core.errors import ConfigError
    from galspec.core.home import demo_survey_dir
    from galspec.evaluation.fig1 import choose_panels, draw_fig1
    from galspec.models.bundle import load_predictor_bundle, load_vae_bundle, shipped_predictor_dir, shipped_vae_dir
    from galspec.store.survey import open_survey

    if args.name != "fig1":
        raise ConfigError(f"there is no figure {args.name!r}; the figures are fig1.")
    survey = open_survey(args.survey or demo_survey_dir())
    vae = load_vae_bundle(args.vae or shipped_vae_dir())
    folder = args.bundle or shipped_predictor_dir()
    inside = folder / "bundle"
    predictor = load_predictor_bundle(inside if inside.is_dir() else folder, vae)
    panels = choose_panels(survey, vae, predictor, args.n, args.seed, args.split)
    draw_fig1(panels, args.out)
    print(f"{len(panels.galaxies)} {panels.source} galaxies of the {panels.split} split: {args.out}")
    return 0

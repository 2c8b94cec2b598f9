"""`python -m galspec predict`: a predicted spectrum from five FITS images, or latents of a whole survey."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from galspec.cli.progress import move_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--images", type=Path, nargs="+", metavar="FITS", help="PS1 stack images of bands g r i z y, in any order"
    )
    what.add_argument("--survey", type=Path, metavar="DIR", help="a survey folder: predict every galaxy")
    parser.add_argument(
        "--ra", type=float, help="right ascension of the galaxy in degrees (ICRS); default: the frame's centre"
    )
    parser.add_argument("--dec", type=float, help="declination in degrees (ICRS)")
    parser.add_argument("--redshift", type=float, help="adds observed wavelengths; the prediction itself is rest frame")
    parser.add_argument("--model", type=Path, help="predictor bundle (default: the shipped hybrid)")
    parser.add_argument(
        "--out", type=Path, help="output: .fits, .ecsv or .csv; for a survey a .parquet (default: in the survey folder)"
    )


def run(args: argparse.Namespace) -> int:
    """Predict and write."""
    return _run_images(args) if args.images else _run_survey(args)


def _run_images(args: argparse.Namespace) -> int:
    from galspec.core.errors import ConfigError
    from galspec.inference.predict import predict_cutout, require_redshift
    from galspec.inference.spectrum_file import require_format, write_spectrum
    from galspec.models.bundle import load_predictor_bundle, shipped_predictor_dir
    from galspec.readers.ps1 import read_ps1_cutout

    if args.out is None:
        raise ConfigError("name the spectrum to write with --out spectrum.fits (or .ecsv, .csv).")
    if (args.ra is None) != (args.dec is None):
        raise ConfigError("give both --ra and --dec, or neither (then the centre of the frame is used).")
    require_format(args.out)
    require_redshift(args.redshift)
    cutout = read_ps1_cutout(args.images, ra_deg=args.ra, dec_deg=args.dec)
    predictor = load_predictor_bundle(args.model or shipped_predictor_dir())
    spectrum = predict_cutout(predictor, cutout.flux_njy, args.redshift)
    write_spectrum(spectrum, args.out)
    for text in spectrum.warnings:
        print(f"warning: {text}; the prediction is an extrapolation.", file=sys.stderr)
    trained = spectrum.model["trained_on"]
    print(f"predicted spectrum by {spectrum.model['name']} (trained on {trained} galaxies): {args.out}")
    return 0


def _run_survey(args: argparse.Namespace) -> int:
    from galspec.core.errors import ConfigError
    from galspec.inference.predict import predict_survey, save_predictions
    from galspec.models.bundle import load_predictor_bundle, shipped_predictor_dir
    from galspec.store.survey import open_survey

    if args.ra is not None or args.dec is not None or args.redshift is not None:
        raise ConfigError("--ra, --dec and --redshift belong to --images; a survey has its own.")
    if args.out is not None and args.out.suffix != ".parquet":
        raise ConfigError(f"cannot write {args.out.name!r}: predictions of a survey are a .parquet file.")
    survey = open_survey(args.survey)
    predictor = load_predictor_bundle(args.model or shipped_predictor_dir())
    with tqdm(total=len(survey), unit="galaxy", desc="predict") as bar:
        table = predict_survey(predictor, survey, progress=move_bar(bar))
    path = args.out or survey.prediction_path(predictor.provenance["name"])
    save_predictions(table, path, predictor.provenance)
    print(f"{len(table)} predictions: {path}")
    return 0

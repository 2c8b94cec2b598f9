"""`python -m galspec predict`: a predicted spectrum from five FITS images, or latents and scores of a whole survey."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from galspec.cli.progress import move_bar

if TYPE_CHECKING:
    from galspec.inference.engine import Engine
    from galspec.inference.plan import InferencePlan
    from galspec.models.bundle import PredictorBundle
    from galspec.store.survey import Survey


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
        "--backend",
        default="auto",
        help="what runs the network: auto (default), eager, compile (torch.compile), openvino",
    )
    parser.add_argument(
        "--mode", default="exact", help="exact (default): float32; fast: bfloat16, where the processor has it"
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument(
        "--average-symmetries",
        action="store_true",
        help="mean of the latents over the image's eight rotations and reflections; takes eight times as long",
    )
    parser.add_argument(
        "--scores",
        action="store_true",
        help="of a survey: also errors against its spectra, novelty and an embedding of the images; resumable",
    )
    parser.add_argument(
        "--vae", type=Path, help="with --scores: the VAE bundle (default: beside the model, or shipped)"
    )
    parser.add_argument(
        "--out", type=Path, help="output: .fits, .ecsv or .csv; for a survey a .parquet (default: in the survey folder)"
    )


def run(args: argparse.Namespace) -> int:
    """Predict and write."""
    from galspec.core.errors import ConfigError

    if args.vae is not None and not args.scores:
        raise ConfigError("--vae belongs to --scores; a prediction alone needs no VAE.")
    if args.images and args.scores:
        raise ConfigError("--scores belongs to --survey: an image alone has no spectrum to compare with.")
    return _run_images(args) if args.images else _run_survey(args)


def _plan(args: argparse.Namespace, n_galaxies: int) -> "InferencePlan":
    from galspec.inference.plan import plan_inference

    return plan_inference(
        args.backend, args.mode, n_galaxies, device=args.device, average_symmetries=args.average_symmetries
    )


def _engine(args: argparse.Namespace, plan: "InferencePlan") -> "Engine":
    from galspec.inference.engine import Engine
    from galspec.models.bundle import load_predictor_bundle, shipped_predictor_dir

    return Engine(load_predictor_bundle(args.model or shipped_predictor_dir()), plan)


def _run_images(args: argparse.Namespace) -> int:
    from galspec.core.errors import ConfigError
    from galspec.inference.predict import predict_cutout, require_redshift
    from galspec.inference.spectrum_file import require_format, write_spectrum
    from galspec.readers.ps1 import read_ps1_cutout

    if args.out is None:
        raise ConfigError("name the spectrum to write with --out spectrum.fits (or .ecsv, .csv).")
    if (args.ra is None) != (args.dec is None):
        raise ConfigError("give both --ra and --dec, or neither (then the centre of the frame is used).")
    require_format(args.out)
    require_redshift(args.redshift)
    plan = _plan(args, n_galaxies=1)
    cutout = read_ps1_cutout(args.images, ra_deg=args.ra, dec_deg=args.dec)
    spectrum = predict_cutout(_engine(args, plan), cutout.flux_njy, args.redshift)
    write_spectrum(spectrum, args.out)
    for text in spectrum.warnings:
        print(f"warning: {text}; the prediction is an extrapolation.", file=sys.stderr)
    trained = spectrum.model["trained_on"]
    print(f"predicted spectrum by {spectrum.model['name']} (trained on {trained} galaxies; {plan}): {args.out}")
    return 0


def _run_survey(args: argparse.Namespace) -> int:
    from galspec.core.errors import ConfigError
    from galspec.inference.survey import write_predictions
    from galspec.models.bundle import load_predictor_bundle, shipped_predictor_dir
    from galspec.store.scores import is_scores_file, scores_path
    from galspec.store.survey import open_survey

    if args.ra is not None or args.dec is not None or args.redshift is not None:
        raise ConfigError("--ra, --dec and --redshift belong to --images; a survey has its own.")
    if args.out is not None and args.out.suffix != ".parquet":
        raise ConfigError(f"cannot write {args.out.name!r}: predictions of a survey are a .parquet file.")
    survey = open_survey(args.survey)
    folder = args.model or shipped_predictor_dir()
    if args.scores:
        predictor = load_predictor_bundle(folder)
        made_by = predictor.provenance
        path = args.out or scores_path(survey, made_by["name"], made_by["sha256"])
        return _score_survey(predictor, args.vae or _vae_beside(folder, predictor), survey, path)
    plan = _plan(args, len(survey))
    engine = _engine(args, plan)
    path = args.out or survey.prediction_path(engine.provenance["name"])
    if is_scores_file(path):
        raise ConfigError(
            f"{path} holds scores, which predictions alone would replace: "
            "add --scores, or name another file with --out."
        )
    with tqdm(total=len(survey), unit="galaxy", desc="predict") as bar:
        n_galaxies = write_predictions(engine, survey, path, progress=move_bar(bar))
    print(f"{n_galaxies} predictions by {engine.provenance['name']} ({plan}): {path}")
    return 0


def _vae_beside(folder: Path, predictor: "PredictorBundle") -> Path:
    """Return where the VAE of a predictor lies: beside it, else among the shipped ones."""
    from galspec.core.home import shipped_weights_dir

    name = str(predictor.info["vae_name"])
    beside = folder.resolve().parent / name
    return beside if beside.is_dir() else shipped_weights_dir() / name


def _score_survey(predictor: "PredictorBundle", vae_folder: Path, survey: "Survey", path: Path) -> int:
    from galspec.inference.scores import ModelPair, score_survey
    from galspec.models.bundle import load_vae_bundle

    models = ModelPair(predictor, load_vae_bundle(vae_folder))
    with tqdm(total=len(survey), unit="galaxy", desc="scores") as bar:
        table = score_survey(models, survey, path, progress=move_bar(bar))
    if not table.has_novelty:
        print(f"note: VAE {models.vae.info['name']} has no novelty calibration, so there are no novelty columns.")
    incomplete = int((table.frame["flag"] != "").sum())
    print(f"{len(table.frame)} galaxies scored, {incomplete} of them without usable image or spectrum: {path}")
    return 0

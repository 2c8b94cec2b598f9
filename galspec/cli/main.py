"""`python -m galspec VERB ...`: find the verb, run it, turn bad input into one sentence and exit code 2."""

import argparse
import importlib
import sys
from typing import Final

from galspec import __version__
from galspec.core.errors import GalspecError

#: verb -> (module, what it does)
VERBS: Final = {
    "simulate": ("galspec.cli.simulate", "make a simulated survey: catalogue, spectra, images"),
    "train": ("galspec.cli.train", "train a VAE or a network on a survey"),
    "predict": ("galspec.cli.predict", "predict spectra from FITS images or for a whole survey"),
    "measure": ("galspec.cli.measure", "measure emission lines and stellar indices of a survey or of SDSS files"),
    "continuum": ("galspec.cli.continuum", "build the continuum templates of the measurement"),
    "report": ("galspec.cli.report", "print stored results"),
    "demo": ("galspec.cli.demo", "cut the embedded demo survey out of a simulated survey"),
    "realism": ("galspec.cli.realism", "measure how far a simulated survey is from real files"),
    "learnability": ("galspec.cli.learnability", "measure how hard a survey is: trees on photometry, and the network"),
    "vae-report": ("galspec.cli.vae_report", "measure what the VAE keeps of a spectrum and what its latents mean"),
    "table1": (
        "galspec.cli.table1",
        "measure networks, baselines and ablations on held-out galaxies: the paper's Table 1",
    ),
    "figure": ("galspec.cli.figure", "draw a figure of the paper on held-out galaxies"),
    "jobs": ("galspec.cli.jobs", "training and other commands in the background, here or on Slurm"),
    "app": ("galspec.cli.app", "open the app in a browser"),
    "gpu-queue": ("galspec.cli.gpu_queue", "train a queue of models on a lent GPU machine"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m galspec", description="Predict galaxy spectra from five-band images (Wu & Peek 2020)."
    )
    parser.add_argument("--version", action="version", version=f"galspec {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, (_, summary) in VERBS.items():
        # The real parser of a verb is built after its module is imported: --help stays fast.
        verbs.add_parser(verb, help=summary, add_help=False)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Parameters
    ----------
    argv : list of str, optional
        Arguments after ``python -m galspec``; those of the process if None.

    Returns
    -------
    int
        0 on success; 2 if the input was bad (the reason is on standard error); 130 on Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else argv
    known, _ = _parser().parse_known_args(argv)
    module_name, summary = VERBS[known.verb]
    verb = importlib.import_module(module_name)
    parser = argparse.ArgumentParser(prog=f"python -m galspec {known.verb}", description=summary.capitalize() + ".")
    verb.add_arguments(parser)
    args = parser.parse_args(argv[argv.index(known.verb) + 1 :])
    try:
        return int(verb.run(args) or 0)
    except GalspecError as error:
        print(f"galspec {known.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"galspec {known.verb}: stopped; what was finished is kept, run the command again to go on.",
            file=sys.stderr,
        )
        return 130

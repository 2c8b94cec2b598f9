"""`python -m galspec continuum`: build the continuum templates that line measurements subtract."""

import argparse
from pathlib import Path

from tqdm import tqdm

from galspec.cli.progress import move_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("--n", type=int, default=3000, help="simulated galaxies (default 3000)")
    parser.add_argument("--seed", type=int, default=7, help="survey seed, not 1 (default 7)")
    parser.add_argument("--out", type=Path, help="file to write (default: the package's own)")


def run(args: argparse.Namespace) -> int:
    """Simulate, decompose, write."""
    from galspec.measurement.continuum import shipped_path
    from galspec.simulation.basis import load_basis
    from galspec.simulation.continuum_templates import build_templates

    path = args.out or shipped_path()
    with tqdm(total=args.n, unit="galaxy", desc="continuum") as bar:
        templates = build_templates(load_basis(), args.n, args.seed, progress=move_bar(bar))
    templates.save(path)
    print(
        f"{len(templates.variances)} components of {args.n} SIMULATED continua, residual "
        f"{templates.metadata['residual_rms']} of the norm: {path}"
    )
    return 0

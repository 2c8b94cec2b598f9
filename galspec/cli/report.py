"""`python -m galspec report NAME`: print stored results."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument(
        "name",
        help="which report: models (every bundle's data and scores), table1 (the paper's comparison of networks), "
        "model-card, bench (speed), realism, learnability, vae",
    )
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="of a model card (default: the shipped hybrid)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    from galspec.evaluation.report import TEXTS, make_report

    report = make_report(args.name, args.bundle)
    if args.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(TEXTS[args.name](report) if args.name in TEXTS else "\n".join(_lines(report)))
    return 0


def _lines(content: Any, indent: int = 0) -> list[str]:
    pad = "  " * indent
    if isinstance(content, dict):
        lines = []
        for key, value in content.items():
            nested = isinstance(value, dict | list) and value
            lines += [f"{pad}{key}:", *_lines(value, indent + 1)] if nested else [f"{pad}{key}: {value}"]
        return lines
    if isinstance(content, list):
        if all(not isinstance(value, dict | list) for value in content):
            return [f"{pad}{', '.join(map(str, content))}"]
        return [line for value in content for line in [*_lines(value, indent), ""]]
    return [f"{pad}{content}"]

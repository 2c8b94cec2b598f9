"""`python -m galspec report NAME`: print stored results."""

import argparse
import json
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.add_argument(
        "name", help="which report: models (every bundle's data and scores), bench (speed), realism, learnability, vae"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of indented text")


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    from galspec.evaluation.report import make_report

    report = make_report(args.name)
    print(json.dumps(report, indent=2, ensure_ascii=False) if args.json else "\n".join(_lines(report)))
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

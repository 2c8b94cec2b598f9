"""Stored results by name: `python -m galspec report NAME --json`. Nothing here is typed by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from galspec.core.errors import ConfigError
from galspec.core.home import home_dir, shipped_weights_dir
from galspec.evaluation.learnability import report_learnability
from galspec.evaluation.model_card import card_markdown, make_model_card
from galspec.evaluation.realism import report_realism
from galspec.evaluation.table1_report import report_table1, table1_text
from galspec.evaluation.vae_report import report_vae
from galspec.models.bundle import read_bundle_info


def report_models() -> dict[str, Any]:
    """Return trainable parameters, training data and scores of every bundle, shipped ones first."""
    folders = [
        *sorted(shipped_weights_dir().glob("*/model.json")),
        *sorted((home_dir() / "models").glob("*/model.json")),
    ]
    return {"models": [_model_row(path.parent) for path in folders]}


def _model_row(folder: Path) -> dict[str, Any]:
    info = read_bundle_info(folder)
    keys = ("name", "kind", "architecture", "trainable_parameters", "training_survey", "recipe", "scores", "sha256")
    return {"folder": folder.name, **{key: info.get(key) for key in keys}}


def report_bench() -> dict[str, Any]:
    """Return the newest stored result of every benchmark."""
    newest: dict[str, Any] = {}
    folder = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
    for path in sorted(folder.glob("????-??-??-*.json")):
        newest[path.stem[11:]] = json.loads(path.read_text(encoding="utf-8"))
    return newest


REPORTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "models": report_models,
    "bench": report_bench,
    "learnability": report_learnability,
    "realism": report_realism,
    "vae": report_vae,
    "table1": report_table1,
    "model-card": make_model_card,
}
#: Reports that are more than indented lines when they are not JSON.
TEXTS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {"table1": table1_text, "model-card": card_markdown}


def make_report(name: str, bundle: Path | None = None) -> dict[str, Any]:
    """Return a stored report.

    Parameters
    ----------
    name : str
        Of REPORTS.
    bundle : Path, optional
        Whose model card is wanted; no other report takes one.

    Raises
    ------
    ConfigError
        If there is no report of this name (the message lists them), or it takes no bundle.
    """
    if bundle is not None:
        if name != "model-card":
            raise ConfigError(f"report {name!r} is not of one bundle; --bundle goes with model-card.")
        return make_model_card(bundle)
    if name not in REPORTS:
        raise ConfigError(f"there is no report called {name!r}; the reports are {', '.join(REPORTS)}.")
    return REPORTS[name]()

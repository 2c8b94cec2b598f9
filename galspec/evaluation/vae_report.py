"""The VAE report: parts that are measured one by one, each stored with its own provenance."""

import dataclasses
import datetime
import functools
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch

from galspec import __version__
from galspec.core.errors import ConfigError, SpectrumError
from galspec.core.files import write_json
from galspec.core.home import REPOSITORY_DIR
from galspec.evaluation.infill import measure_infill
from galspec.evaluation.latent_meaning import measure_meaning
from galspec.evaluation.line_validation import compare_with_sdss, pipeline_summary, validate_lines
from galspec.evaluation.oddities import measure_oddities
from galspec.evaluation.vae_comparison import FittedMethods, compare_methods
from galspec.evaluation.vae_real import compare_real
from galspec.models.bundle import VaeBundle
from galspec.preprocess.spectra import is_encodable
from galspec.store.survey import Survey
from galspec.training.compressors import ComparisonConfig
from galspec.training.vae_search import read_search

RESULTS_PATH: Final = REPOSITORY_DIR / "docs" / "results" / "vae.json"
FIGURE_PATH: Final = REPOSITORY_DIR / "docs" / "images" / "vae_report.png"
CONFIG_PATH: Final = REPOSITORY_DIR / "configs" / "vae_comparison.toml"
_FORMAT: Final = "galspec-vae-report"
_VERSION: Final = 1
_N_LINES: Final = 3000
_NO_SEARCH: Final = (
    "no table of a search is given; make one with `python -m galspec train vae --search N --survey DIR --out RUN` and "
    "name RUN/search.csv with --search."
)


@dataclasses.dataclass(frozen=True)
class ReportContext:
    """What the parts of the report are measured with.

    Parameters
    ----------
    survey : Survey
        Simulated.
    vae : VaeBundle
    real_dir : Path or None
        Holds sdss/*.fits and templates/; only the parts on real spectra need it.
    search_path : Path or None
        Table of the random search; only the part that stores it needs it.
    config : ComparisonConfig
    report : callable
        Called with a line after each step of a slow part.
    """

    survey: Survey
    vae: VaeBundle
    real_dir: Path | None = None
    search_path: Path | None = None
    config: ComparisonConfig = dataclasses.field(default_factory=ComparisonConfig)
    report: Callable[[str], None] = lambda _: None

    @functools.cached_property
    def methods(self) -> FittedMethods:
        """The compared methods, fitted once for all parts."""
        return FittedMethods(self.survey, self.config, self.report)

    def real_folder(self) -> Path:
        """Return the folder of real files.

        Raises
        ------
        ConfigError
            If none was given, or it is not a folder.
        """
        if self.real_dir is None or not self.real_dir.is_dir():
            raise ConfigError(
                f"{self.real_dir or 'no folder'} is given for real files; name a folder with sdss/*.fits and "
                "templates/gal_eigenspec_Yip2004.fits with --real."
            )
        return self.real_dir


def _comparison(context: ReportContext) -> dict[str, Any]:
    return compare_methods(context.survey, context.vae, context.methods)


def _meaning(context: ReportContext) -> dict[str, Any]:
    return measure_meaning(context.vae, context.survey, seed=context.config.seeds[0])


def _real(context: ReportContext) -> dict[str, Any]:
    return compare_real(context.real_folder(), context.vae, context.methods)


def _lines(context: ReportContext) -> dict[str, Any]:
    survey, real = context.survey, context.real_dir
    rows = survey.rows_in_split("test")[:_N_LINES]
    flux, ivar = survey.spectra_block(rows)
    rows = rows[is_encodable(flux, ivar)]
    content: dict[str, Any] = {"split": "test", "simulated": validate_lines(survey, rows)}
    if real is not None:
        tables = [table for path in sorted((real / "sdss").glob("*.fits")) if len(table := _pipeline_lines(path))]
        content["real"] = pipeline_summary(tables)
    return content


def _pipeline_lines(path: Path) -> pd.DataFrame:
    try:
        return compare_with_sdss(path)
    except SpectrumError:
        return pd.DataFrame()  # no line table in it (a lite file), or no spectrum that can be measured


def _novelty(context: ReportContext) -> dict[str, Any]:
    return measure_oddities(context.vae, context.survey, "test")


def _infill(context: ReportContext) -> dict[str, Any]:
    return measure_infill(context.survey)


def _search(context: ReportContext) -> dict[str, Any]:
    path = context.search_path
    if path is None:
        raise ConfigError(_NO_SEARCH)
    return {"trials": sorted(read_search(path), key=lambda row: row["valid_elbo"])}


#: Name of a part -> what measures it.
PARTS: Final[dict[str, Callable[[ReportContext], dict[str, Any]]]] = {
    "comparison": _comparison,
    "meaning": _meaning,
    "real": _real,
    "lines": _lines,
    "novelty": _novelty,
    "infill": _infill,
    "search": _search,
}


def measure_parts(context: ReportContext, names: Iterable[str], path: Path = RESULTS_PATH) -> dict[str, Any]:
    """Measure parts and merge each into the report's file as soon as it is done.

    Parameters
    ----------
    context : ReportContext
    names : iterable of str
        Of PARTS; "all" means all that can be measured with what is given.
    path : Path

    Returns
    -------
    dict
        The whole report.

    Raises
    ------
    ConfigError
        If there is no such part, or the file is no VAE report.
    GalspecError
        If a part cannot be measured; those before it are kept.
    """
    names = list(names)
    wanted = list(dict.fromkeys(name for given in names for name in (PARTS if given == "all" else (given,))))
    if unknown := [name for name in wanted if name not in PARTS]:
        raise ConfigError(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)} and all.")
    wanted = _possible(context, wanted, is_all="all" in names)
    report = _read(path) if path.exists() else _empty()
    for name in wanted:
        start = time.monotonic()
        content = PARTS[name](context)
        report = store_part(name, content, _provenance(context, time.monotonic() - start), path)
        context.report(f"part {name} stored in {path}")
    return report


def _possible(context: ReportContext, wanted: list[str], is_all: bool) -> list[str]:
    """Return the parts that can be measured; refuse now, not after minutes, one that was named and cannot be."""
    missing = {}
    if "real" in wanted:
        try:
            context.real_folder()
        except ConfigError as error:
            missing["real"] = str(error)
    if "search" in wanted and context.search_path is None:
        missing["search"] = _NO_SEARCH
    if "novelty" in wanted and context.vae.novelty is None:
        name = context.vae.info.get("name")
        missing["novelty"] = f"VAE {name!r} has no novelty calibration; train it on a survey with a calibration split."
    if missing and not is_all:
        raise ConfigError(" ".join(f"part {name}: {reason}" for name, reason in missing.items()))
    for name, reason in missing.items():
        context.report(f"part {name} left out: {reason}")
    return [name for name in wanted if name not in missing]


def store_part(name: str, content: dict[str, Any], provenance: dict[str, Any], path: Path) -> dict[str, Any]:
    """Put one part into the report's file, atomically, and return the report; NaN becomes null."""
    report = _read(path) if path.exists() else _empty()
    report["parts"][name] = _finite({"provenance": provenance, **content})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, report)
    return report


def report_vae(path: Path = RESULTS_PATH) -> dict[str, Any]:
    """Return the stored VAE report.

    Raises
    ------
    ConfigError
        If there is none yet; the message names the command.
    """
    if not path.exists():
        raise ConfigError(
            f"there is no {path.name} yet; make it with `python -m galspec vae-report --survey DIR --real DIR`, where "
            "the first folder is a simulated survey and the second holds real SDSS files."
        )
    return _read(path)


def _empty() -> dict[str, Any]:
    return {"format": _FORMAT, "version": _VERSION, "parts": {}}


def _read(path: Path) -> dict[str, Any]:
    try:
        report = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read as a VAE report ({error}); move it away.") from None
    if report.get("format") != _FORMAT or report.get("version") != _VERSION:
        raise ConfigError(f"{path} is no VAE report of version {_VERSION}; move it away.")
    return report


def _provenance(context: ReportContext, seconds: float) -> dict[str, Any]:
    survey, vae = context.survey, context.vae
    return {
        "vae": {"name": vae.info["name"], "sha256": vae.sha256, "training_survey": vae.info["training_survey"]["name"]},
        "survey": {
            "name": survey.name,
            "source": survey.source,
            "data_hash": survey.data_hash,
            "n_galaxies": len(survey),
        },
        "config": dataclasses.asdict(context.config),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds, 1),
        "machine": {"platform": platform.platform(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"galspec": __version__, "python": platform.python_version(), "torch": torch.__version__},
    }


def _finite(content: Any) -> Any:
    """Return content with NaN and infinity as None: JSON knows neither."""
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content

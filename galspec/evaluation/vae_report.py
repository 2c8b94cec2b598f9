"""The VAE report: parts that are measured one by one, each stored with its own provenance."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pandas as pd

from galspec.core.errors import ConfigError, SpectrumError
from galspec.core.home import REPOSITORY_DIR
from galspec.evaluation.infill import measure_infill
from galspec.evaluation.latent_meaning import measure_meaning
from galspec.evaluation.line_validation import compare_with_sdss, pipeline_summary, validate_lines
from galspec.evaluation.oddities import measure_oddities
from galspec.evaluation.stored import RESULTS_DIR, StoredFile, finite, run_facts
from galspec.evaluation.vae_comparison import FittedMethods, compare_methods
from galspec.evaluation.vae_real import compare_real
from galspec.models.bundle import VaeBundle
from galspec.preprocess.spectra import is_encodable
from galspec.store.survey import Survey
from galspec.training.compressors import ComparisonConfig
from galspec.training.vae_search import read_search

RESULTS_PATH: Final = RESULTS_DIR / "vae.json"
FIGURE_PATH: Final = REPOSITORY_DIR / "docs" / "images" / "vae_report.png"
CONFIG_PATH: Final = REPOSITORY_DIR / "configs" / "vae_comparison.toml"
_FILE: Final = StoredFile(
    "VAE report",
    "`python -m galspec vae-report --survey DIR --real DIR`, where the first folder is a simulated survey and the "
    "second holds real SDSS files",
    "galspec-vae-report",
)
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
    kept : dict
        Parts of a stored report whose fits of PCA's rivals are taken over if survey and settings are the same.
    report : callable
        Called with a line after each step of a slow part.
    """

    survey: Survey
    vae: VaeBundle
    real_dir: Path | None = None
    search_path: Path | None = None
    config: ComparisonConfig = dataclasses.field(default_factory=ComparisonConfig)
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)
    report: Callable[[str], None] = lambda _: None

    @functools.cached_property
    def methods(self) -> FittedMethods:
        """The compared methods, fitted once for all parts."""
        return FittedMethods(self.survey, self.config, self.report)

    def kept_part(self, name: str) -> dict[str, Any] | None:
        """Return a stored part whose methods were fitted to this survey with these settings, or None.

        Raises
        ------
        ConfigError
            If parts are to be kept, and this one is missing or of another survey or other settings.
        """
        if not self.kept:
            return None
        part: dict[str, Any] | None = self.kept.get(name)
        mine = {"data_hash": self.survey.data_hash, "config": _plain(self.config)}
        theirs = part and {
            "data_hash": part["provenance"]["survey"]["data_hash"],
            "config": part["provenance"]["config"],
        }
        if part is None or theirs != mine:
            raise ConfigError(
                f"the stored part {name!r} is {'missing' if part is None else 'of another survey or other settings'}; "
                "measure anew without --keep-fits."
            )
        return part

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
    kept = context.kept_part("comparison")
    content = compare_methods(context.survey, context.vae, context.methods, kept and kept["methods"])
    return {**content, **_fits_of(kept)}


def _meaning(context: ReportContext) -> dict[str, Any]:
    return measure_meaning(context.vae, context.survey, seed=context.config.seeds[0])


def _real(context: ReportContext) -> dict[str, Any]:
    kept = context.kept_part("real")
    return {**compare_real(context.real_folder(), context.vae, context.methods, kept), **_fits_of(kept)}


def _fits_of(kept: dict[str, Any] | None) -> dict[str, Any]:
    """Say when and with what the fits that were taken over had been measured."""
    if kept is None:
        return {}
    provenance = kept["provenance"]
    return {"fits_kept_from": kept.get("fits_kept_from") or {name: provenance[name] for name in ("date", "versions")}}


def _plain(config: ComparisonConfig) -> dict[str, Any]:
    """Return the settings as JSON gives them back."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(config).items()
    }


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
    report = _FILE.read_or_start(path, parts={})
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
    report = _FILE.read_or_start(path, parts={})
    report["parts"][name] = finite({"provenance": provenance, **content})
    _FILE.write(path, report)
    return report


def report_vae(path: Path = RESULTS_PATH) -> dict[str, Any]:
    """Return the stored VAE report.

    Raises
    ------
    ConfigError
        If there is none yet; the message names the command.
    """
    return _FILE.read(path)


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
        **run_facts(seconds),
    }

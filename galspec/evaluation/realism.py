"""The realism report: how far a simulated survey is from real files, before and after each change of the recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from galspec.core.bands import BANDS
from galspec.core.home import REPOSITORY_DIR
from galspec.evaluation.plotting import BLACK, BLUE, VERMILION, require_pyplot, save_figure
from galspec.evaluation.realism_images import (
    frame_panels,
    measure_images,
    read_real_images,
    simulated_cutouts,
)
from galspec.evaluation.realism_spectra import measure_spectra
from galspec.evaluation.stored import RESULTS_DIR, StoredFile
from galspec.models.bundle import PredictorBundle
from galspec.store.survey import Survey
from galspec.store.thumbnails import composite_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS_PATH: Final = RESULTS_DIR / "realism.json"
FIGURE_PATH: Final = REPOSITORY_DIR / "docs" / "images" / "realism.png"
SHEET_PATH: Final = REPOSITORY_DIR / "docs" / "images" / "contact_sheet.jpg"
#: What the recipe must reach, as multiples of the ten eigenspectra of Yip et al. (2004), and what it aims at.
LIMITS: Final = {"residual": 1.15, "chi2": 1.8}
CHI2_GOAL: Final = 1.5
N_IMAGES: Final = 500
_SHEET_STRETCH: Final = 4.0
_REAL_COLOUR, _SIMULATED_COLOUR, _THIRD_COLOUR = BLACK, VERMILION, BLUE
_NO_FIGURE: Final = "leave out --figure and --contact-sheet"
_FILE: Final = StoredFile(
    "realism report",
    "`python -m galspec realism --real DIR --survey DIR`, where the first folder holds real SDSS and PS1 files and the "
    "second is a simulated survey",
)


def measure_realism(
    real_dir: Path, survey: Survey, *, label: str, predictor: PredictorBundle | None = None, n_images: int = N_IMAGES
) -> dict[str, Any]:
    """Measure one stage: spectra and images of a simulated survey against real files.

    Parameters
    ----------
    real_dir : Path
        Holds sdss/*.fits, templates/gal_eigenspec_Yip2004.fits and ps1/NAME/*.fits.
    survey : Survey
        Simulated.
    label : str
        Name of the stage.
    predictor : PredictorBundle, optional
        For distances in the network's embedding.
    n_images : int
        Simulated cutouts used, the first ones of the survey.

    Raises
    ------
    SpectrumError, ImageError, SurveyError
        If files are missing or the survey is not a simulated one.
    """
    metadata = survey.metadata
    spectra = measure_spectra(real_dir, survey)
    ratio = spectra["ratio"]
    return {
        "label": label,
        "survey": {"name": survey.name, "recipe": metadata.get("settings", {}).get("recipe_version"), "n": len(survey)},
        "source": "REAL SDSS and PS1 files against SIMULATED galaxies",
        "pass": {name: bool(ratio[name] <= limit) for name, limit in LIMITS.items()},
        "spectra": spectra,
        "images": measure_images(real_dir, survey, n_images, predictor),
    }


def store_stage(stage: dict[str, Any], path: Path = RESULTS_PATH) -> dict[str, Any]:
    """Put a stage into the report's file, in place of one of the same label, and return the report."""
    report = _FILE.read_or_start(path, limits=LIMITS, chi2_goal=CHI2_GOAL, stages=[])
    stages = [one for one in report["stages"] if one["label"] != stage["label"]]
    report["stages"] = [*stages, stage]
    _FILE.write(path, report)
    return report


def report_realism(path: Path = RESULTS_PATH) -> dict[str, Any]:
    """Return the stored realism report.

    Raises
    ------
    ConfigError
        If there is none yet; the message names the command.
    """
    return _FILE.read(path)


def draw_report(report: dict[str, Any], path: Path = FIGURE_PATH) -> None:
    """Draw one page: the newest stage in detail, all stages as bars.

    Parameters
    ----------
    report : dict
        As `store_stage` returns it.
    path : Path
        PNG to write.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    pyplot = require_pyplot(_NO_FIGURE)
    stages = report["stages"]
    figure: Figure = pyplot.figure(figsize=(16, 12), layout="constrained")
    axes = figure.subplots(3, 3)
    newest = stages[-1]
    figure.suptitle(
        f"SIMULATED galaxies against REAL files: {newest['label']} "
        f"({len(newest['spectra']['names'])} SDSS spectra, {len(newest['images']['names'])} PS1 galaxies)"
    )
    _draw_stages(axes[0, 0], stages)
    _draw_residuals(axes[0, 1], stages)
    _draw_parts(axes[0, 2], newest)
    _draw_yip(axes[1, 0], newest["spectra"]["yip_coefficients"], 1, 2)
    _draw_yip(axes[1, 1], newest["spectra"]["yip_coefficients"], 1, 3)
    _draw_noise(axes[1, 2], newest["images"]["noise"])
    _draw_correlation(axes[2, 0], newest["images"]["noise"])
    _draw_profile(axes[2, 1], newest["images"]["profiles"], "brightness", "r, mag below the centre")
    _draw_profile(axes[2, 2], newest["images"]["profiles"], "g_i", "g - i, mag")
    save_figure(figure, path)


def _draw_stages(axes: "Axes", stages: list[dict[str, Any]]) -> None:
    position = np.arange(len(stages))
    for shift, (name, colour) in zip(
        (-0.2, 0.2), (("residual", _THIRD_COLOUR), ("chi2", _SIMULATED_COLOUR)), strict=True
    ):
        values = [stage["spectra"]["ratio"][name] for stage in stages]
        axes.bar(position + shift, values, 0.38, color=colour, label=f"{name}, limit {LIMITS[name]:g}")
        axes.axhline(LIMITS[name], color=colour, ls=":", lw=1)
    axes.set_xticks(position, [stage["label"] for stage in stages], rotation=25, ha="right", fontsize=7)
    axes.set_ylabel("10 simulated vectors over Yip's 10")
    axes.set_title("Fits of real spectra, median over files")
    axes.legend(fontsize=8)


def _draw_residuals(axes: "Axes", stages: list[dict[str, Any]]) -> None:
    first, newest = stages[0]["spectra"], stages[-1]["spectra"]
    wave = np.array(newest["wave_bins"]) + 50.0
    axes.step(wave, newest["residual_by_wave"]["yip10"], where="mid", color=_REAL_COLOUR, label="Yip 10")
    axes.step(wave, newest["residual_by_wave"]["sim10"], where="mid", color=_SIMULATED_COLOUR, label="simulated 10")
    if len(stages) > 1:
        label = f"simulated 10, {stages[0]['label']}"
        before = first["residual_by_wave"]["sim10"]
        axes.step(wave, before, where="mid", color=_SIMULATED_COLOUR, ls=":", lw=1, label=label)
    axes.set_xlabel("Rest-frame wavelength, vacuum [Å]")
    axes.set_ylabel("mean |residual| / median flux")
    axes.set_ylim(0, 0.15)
    axes.set_title("Where the fits fail")
    axes.legend(fontsize=8)


def _draw_parts(axes: "Axes", stage: dict[str, Any]) -> None:
    median = stage["spectra"]["median"]
    names = ("chi2", "chi2_continuum", "chi2_lines")
    for shift, basis in enumerate(median):
        values = [median[basis][name] for name in names]
        axes.bar(np.arange(3) + 0.27 * (shift - 1), values, 0.25, label=basis)
    axes.set_xticks(np.arange(3), ["all", "continuum", "lines"])
    axes.set_ylabel("chi squared a pixel, median")
    axes.set_title("Lines and continuum apart")
    axes.legend(fontsize=8)


def _draw_yip(axes: "Axes", coefficients: dict[str, Any], x: int, y: int) -> None:
    simulated, real = np.array(coefficients["simulated"]), np.array(coefficients["real"])
    axes.scatter(simulated[:, x], simulated[:, y], s=8, color=_SIMULATED_COLOUR, alpha=0.4, label="SIMULATED")
    axes.scatter(real[:, x], real[:, y], s=36, color=_REAL_COLOUR, marker="*", label="REAL")
    axes.set_xlabel(f"a{x + 1} of Yip et al. (2004)")
    axes.set_ylabel(f"a{y + 1}")
    axes.set_title("Eigencoefficients")
    axes.legend(fontsize=8)


def _draw_noise(axes: "Axes", noise: dict[str, Any]) -> None:
    for index, band in enumerate(BANDS):
        row = noise["rms"][band]
        low, high = row["range"]
        axes.bar(index, high - low, 0.7, bottom=low, color="0.85", label="range of real stacks" if index == 0 else None)
        if row["simulated"]:
            below, middle, above = row["simulated"]
            error = [[middle - below], [above - middle]]
            axes.errorbar(
                index,
                middle,
                error,
                fmt="o",
                color=_SIMULATED_COLOUR,
                label="SIMULATED, 5-95 %" if index == 0 else None,
            )
        axes.plot(
            [index + 0.15] * len(row["real"]),
            row["real"],
            "*",
            color=_REAL_COLOUR,
            label="REAL" if index == 0 else None,
        )
    axes.set_yscale("log")
    axes.set_xticks(range(len(BANDS)), list(BANDS))
    axes.set_ylabel("rms a pixel, counts/s at zero point 25")
    axes.set_title("Noise of the quietest blocks")
    axes.legend(fontsize=8)


def _draw_correlation(axes: "Axes", noise: dict[str, Any]) -> None:
    for index, (name, row) in enumerate(noise["correlation"].items()):
        low, high = row["range"]
        axes.bar(index, high - low, 0.6, bottom=low, color="0.85")
        axes.plot([index + 0.12] * len(row["real"]), row["real"], "*", color=_REAL_COLOUR)
        axes.plot(index, row["simulated"], "o", color=_SIMULATED_COLOUR)
        axes.text(index, 0.22, name, ha="center")
    axes.axhline(0, color="0.4", lw=0.6)
    axes.set_ylim(-0.12, 0.25)
    axes.set_xticks([])
    axes.set_ylabel("correlation of pixels")
    axes.set_title("Correlation: REAL stars, SIMULATED dots, range grey")


def _draw_profile(axes: "Axes", profiles: dict[str, Any], name: str, label: str) -> None:
    if profiles["simulated"][name]:
        low, middle, high = np.array(profiles["simulated"][name])
        axes.fill_between(profiles["radius"], low, high, color=_SIMULATED_COLOUR, alpha=0.25)
        axes.plot(profiles["radius"], middle, color=_SIMULATED_COLOUR, label="SIMULATED, 16-84 %")
    for galaxy, marker in zip(profiles["real"], "os^v", strict=False):
        values = profiles["real"][galaxy][name]
        axes.plot(profiles["radius"], values, color=_REAL_COLOUR, marker=marker, ms=4, lw=1, label=f"REAL {galaxy}")
    if name == "brightness":
        axes.invert_yaxis()
    axes.set_xlabel("radius / half-light radius")
    axes.set_ylabel(label)
    axes.legend(fontsize=8)


def draw_contact_sheet(real_dir: Path, survey: Survey, path: Path = SHEET_PATH) -> None:
    """Draw 36 simulated and 4 real cutouts at one stretch, each labelled.

    Parameters
    ----------
    real_dir : Path
        Holds ps1/NAME/*.fits.
    survey : Survey
        Simulated; its first 36 galaxies.
    path : Path
        JPEG or PNG to write.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    ImageError
        If there are no real images.
    """
    pyplot = require_pyplot(_NO_FIGURE)
    panels = []
    for name, frame in read_real_images(real_dir / "ps1").items():
        cuts = frame_panels(frame, 3 if min(frame.shape[1:]) > 2 * 224 else 1)
        panels += [(f"REAL {name}" if index == 0 else f"REAL near {name}", cut) for index, cut in enumerate(cuts)]
    catalog = survey.catalog
    rows = zip(catalog["galaxy_class"], catalog["redshift"], simulated_cutouts(survey, 36), strict=False)
    simulated = [(f"SIMULATED {kind} z={redshift:.3f}", image) for kind, redshift, image in rows]
    figure, axes = pyplot.subplots(5, 8, figsize=(20, 13.2), layout="constrained")
    for axis in axes.ravel():
        axis.set_axis_off()
    for axis, (title, image) in zip(axes.ravel(), [*panels[:4], *simulated], strict=False):
        axis.imshow(composite_rgb(image, stretch=_SHEET_STRETCH))
        axis.set_title(title, fontsize=9, color=_SIMULATED_COLOUR if title.startswith("SIM") else _REAL_COLOUR)
    save_figure(figure, path, dpi=75)

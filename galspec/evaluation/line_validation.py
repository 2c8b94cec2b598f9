"""Are measured lines and indices right: against the truth of a simulated survey, and against SDSS's own line fits."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.core.errors import SpectrumError, SurveyError
from galspec.core.lines import MEASURED_LINES, line_flux_column
from galspec.measurement.bpt import BPT_CLASSES
from galspec.measurement.table import line_stem, measure_spectra
from galspec.readers.fits_file import open_fits, to_native
from galspec.readers.sdss import read_sdss_spectrum, to_rest_grid
from galspec.store.survey import Survey

Floats = NDArray[np.float64]

#: Bins of true flux over measured error (without calibration).
SNR_BINS: Final = ((-np.inf, 3.0), (3.0, 5.0), (5.0, 10.0), (10.0, 30.0), (30.0, np.inf))
#: Galaxies whose broad Halpha is stronger than this (angstrom) are left out: truths are of narrow lines.
_MAX_BROAD_EW: Final = 0.0
#: What SDSS's line table (SPZLINE) calls the lines, members of a blend together.
SDSS_NAMES: Final = {
    "[OII]3727": ("[O_II] 3725", "[O_II] 3727"),
    "Hdelta": ("H_delta",),
    "Hgamma": ("H_gamma",),
    "Hbeta": ("H_beta",),
    "[OIII]4959": ("[O_III] 4959",),
    "[OIII]5007": ("[O_III] 5007",),
    "[OI]6300": ("[O_I] 6300",),
    "[NII]6548": ("[N_II] 6548",),
    "Halpha": ("H_alpha",),
    "[NII]6583": ("[N_II] 6583",),
    "[SII]6716": ("[S_II] 6716",),
    "[SII]6731": ("[S_II] 6730",),
}

#: Pipeline fluxes of less significance are not compared.
_MIN_PIPELINE_SNR: Final = 5.0


def summarise_pulls(measured: Floats, error: Floats, true: Floats) -> dict[str, float | int]:
    """Return how measured values scatter about the truth.

    Parameters
    ----------
    measured, error, true : ndarray, shape (N,)

    Returns
    -------
    dict
        n, and over the finite ones: bias and scatter (median, and half of the central 68 %, of
        (measured - true) / error), median_fraction (of measured / true - 1) and median_difference; NaN if n is 0.
    """
    is_known = np.isfinite(measured) & np.isfinite(error) & np.isfinite(true) & (error > 0)
    n_known = int(is_known.sum())
    if n_known == 0:
        return {"n": 0} | dict.fromkeys(("bias", "scatter", "median_fraction", "median_difference"), float("nan"))
    difference = measured[is_known] - true[is_known]
    low, middle, high = np.percentile(difference / error[is_known], [16.0, 50.0, 84.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = float(np.median(difference / true[is_known]))
    return {
        "n": n_known,
        "bias": float(middle),
        "scatter": float(0.5 * (high - low)),
        "median_fraction": fraction,
        "median_difference": float(np.median(difference)),
    }


def validate_lines(survey: Survey, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Measure observed spectra of a simulated survey and compare them with its truth.

    Parameters
    ----------
    survey : Survey
        Simulated, with the columns of true line fluxes.
    rows : ndarray of int
        Which galaxies; those with broad lines are left out.

    Returns
    -------
    dict
        n; lines: for each line its `summarise_pulls` (errors with calibration) in bins of true S/N, keys such as
        "5-10"; ew_halpha: the same in bins of the true width; dn4000; bpt: galaxies with four lines above S/N 3, the
        purity and completeness of each class among them, and how probable the true class was.

    Raises
    ------
    SurveyError
        If the catalogue lacks the truths.
    """
    catalog = survey.catalog.iloc[rows].reset_index(drop=True)
    needed = [line_flux_column(name) for name in MEASURED_LINES]
    needed += ["ew_ha_true", "ew_ha_broad_true", "dn4000_true", "bpt_class"]
    missing = [name for name in needed if name not in catalog]
    if missing:
        raise SurveyError(
            f"survey {survey.name!r} has no columns {', '.join(missing)}: truths of lines come with surveys simulated "
            "by this version; simulate one with `python -m galspec simulate`."
        )
    is_narrow = (catalog["ew_ha_broad_true"] <= _MAX_BROAD_EW).to_numpy()
    catalog = catalog[is_narrow].reset_index(drop=True)
    flux, ivar = survey.spectra_block(np.asarray(rows)[is_narrow])
    measured = measure_spectra(flux, ivar, _column(catalog, "redshift"))
    return {
        "survey": survey.name,
        "n": len(catalog),
        "lines": {name: _validate_line(measured, catalog, name) for name in MEASURED_LINES},
        "ew_halpha": _validate_halpha_width(measured, catalog),
        "dn4000": summarise_pulls(
            _column(measured, "dn4000"), _column(measured, "dn4000_err"), _column(catalog, "dn4000_true")
        ),
        "bpt": _validate_classes(measured, catalog),
    }


def _column(table: pd.DataFrame, name: str) -> Floats:
    return table[name].to_numpy(np.float64)


def _binned(value: Floats, edges: tuple[tuple[float, float], ...]) -> dict[str, NDArray[np.bool_]]:
    def label(low: float, high: float) -> str:
        if np.isneginf(low):
            return f"<{high:g}"
        return f">{low:g}" if np.isposinf(high) else f"{low:g}-{high:g}"

    return {label(low, high): (value > low) & (value <= high) for low, high in edges}


def _validate_line(measured: pd.DataFrame, catalog: pd.DataFrame, name: str) -> dict[str, dict[str, float | int]]:
    stem = line_stem(name)
    flux, error = _column(measured, f"flux_{stem}"), _column(measured, f"flux_{stem}_err")
    true = _column(catalog, line_flux_column(name))
    true_snr = true * np.abs(_column(measured, f"snr_{stem}") / flux)
    return {
        label: summarise_pulls(flux[inside], error[inside], true[inside])
        for label, inside in _binned(true_snr, SNR_BINS).items()
    }


def _validate_halpha_width(measured: pd.DataFrame, catalog: pd.DataFrame) -> dict[str, dict[str, float | int]]:
    width, error = _column(measured, "ew_halpha"), _column(measured, "ew_halpha_err")
    true = _column(catalog, "ew_ha_true")
    bins = _binned(true, ((-np.inf, 1.5), (1.5, 5.0), (5.0, 15.0), (15.0, 40.0), (40.0, np.inf)))
    return {label: summarise_pulls(width[inside], error[inside], true[inside]) for label, inside in bins.items()}


def _validate_classes(measured: pd.DataFrame, catalog: pd.DataFrame) -> dict[str, Any]:
    stems = [line_stem(name) for name in ("Hbeta", "[OIII]5007", "Halpha", "[NII]6583")]
    is_clear = np.all([_column(measured, f"snr_{stem}") > 3.0 for stem in stems], axis=0)
    found, true = measured["bpt_class"].to_numpy(str)[is_clear], catalog["bpt_class"].to_numpy(str)[is_clear]
    probability = measured.loc[is_clear, ["p_sf", "p_composite", "p_agn", "p_none"]].to_numpy(np.float64)
    classes: dict[str, dict[str, float | int]] = {}
    for index, name in enumerate(BPT_CLASSES):
        n_found, n_true = int((found == name).sum()), int((true == name).sum())
        n_both = int(((found == name) & (true == name)).sum())
        classes[name] = {
            "n_found": n_found,
            "purity": n_both / n_found if n_found else float("nan"),
            "completeness": n_both / n_true if n_true else float("nan"),
            # Calibrated probabilities sum to the number of galaxies that are in the class.
            "expected": float(probability[:, index].sum()),
            "n_true": n_true,
        }
    return {"n": int(is_clear.sum()), "classes": classes}


def compare_with_sdss(path: Path) -> pd.DataFrame:
    """Measure an SDSS spectrum and compare its lines with the fits of SDSS's pipeline in the same file.

    Parameters
    ----------
    path : Path
        A spec file with the table SPZLINE.

    Returns
    -------
    DataFrame
        A row for each line that both have: line, flux, flux_err (without calibration, which cancels), flux_sdss,
        flux_sdss_err (1e-17 erg/s/cm2, observed frame), ratio, pull (difference over both errors in quadrature), ew
        and ew_sdss (rest frame, angstrom).

    Raises
    ------
    SpectrumError
        If the file has no spectrum or no table of lines.

    Notes
    -----
    The pipeline fits lines over a smoothed continuum, not over a stellar template: its Balmer fluxes lack what fills
    the absorption, and the weaker the emission the more so.
    """
    rest = to_rest_grid(read_sdss_spectrum(path))
    table = _read_line_table(path)
    measured = measure_spectra(rest.flux[None], rest.ivar[None], np.array([rest.redshift])).iloc[0]
    found = []
    for name in MEASURED_LINES:
        stem = line_stem(name)
        flux, snr = float(measured[f"flux_{stem}"]), float(measured[f"snr_{stem}"])
        members = table[table["name"].isin(SDSS_NAMES[name])]
        # An error of -1 or 0 is the pipeline's "not fitted".
        if len(members) != len(SDSS_NAMES[name]) or not (members["error"] > 0).all() or not np.isfinite(flux):
            continue
        flux_sdss, error_sdss = float(members["flux"].sum()), float(np.hypot.reduce(members["error"].to_numpy()))
        error = abs(flux / snr) if snr else float("nan")
        found.append(
            {
                "line": name,
                "flux": flux,
                "flux_err": error,
                "flux_sdss": flux_sdss,
                "flux_sdss_err": error_sdss,
                "ratio": flux / flux_sdss if flux_sdss else float("nan"),
                "pull": (flux - flux_sdss) / float(np.hypot(error, error_sdss)),
                "ew": float(measured[f"ew_{stem}"]),
                "ew_sdss": float(members["width"].sum()) / (1.0 + rest.redshift),
            }
        )
    columns = ["line", "flux", "flux_err", "flux_sdss", "flux_sdss_err", "ratio", "pull", "ew", "ew_sdss"]
    return pd.DataFrame(found, columns=columns)


def pipeline_summary(tables: list[pd.DataFrame]) -> dict[str, Any]:
    """Return medians over galaxies of what `compare_with_sdss` found, lines with a pipeline S/N above 5.

    Parameters
    ----------
    tables : list of DataFrame
        One a galaxy.

    Returns
    -------
    dict
        By line: n, and median ratio and pull; "metal lines" is all but the Balmer lines together.
    """
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["line", "flux_sdss"])
    rows = rows[rows["flux_sdss"] > _MIN_PIPELINE_SNR * rows["flux_sdss_err"]] if len(rows) else rows
    is_balmer = rows["line"].str.startswith("H")
    groups = {name: rows[rows["line"] == name] for name in MEASURED_LINES} | {"metal lines": rows[~is_balmer]}
    summary: dict[str, Any] = {"n_galaxies": len(tables)}
    for name, group in groups.items():
        if len(group):
            ratio, pull = float(group["ratio"].median()), float(group["pull"].median())
            summary[name] = {"n": len(group), "ratio": round(ratio, 3), "pull": round(pull, 3)}
    return summary


def _read_line_table(path: Path) -> pd.DataFrame:
    columns = {"flux": "LINEAREA", "error": "LINEAREA_ERR", "width": "LINEEW"}
    with open_fits(path, SpectrumError) as hdus:
        for hdu in hdus:
            names = {name.upper() for name in hdu.columns.names} if hasattr(hdu, "columns") else set()
            if names.issuperset({"LINENAME", *columns.values()}):
                values = {key: to_native(hdu.data[name], np.float64) for key, name in columns.items()}
                return pd.DataFrame({"name": [str(name).strip() for name in hdu.data["LINENAME"]], **values})
    raise SpectrumError(
        f"{Path(path).name} has no table of emission lines (SPZLINE with LINENAME, LINEAREA, ...); use a "
        "spec-PLATE-MJD-FIBER.fits file from the SDSS archive."
    )

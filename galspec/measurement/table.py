"""All measurements of many spectra as one table: a row a spectrum."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from galspec.core.lines import MEASURED_LINES, line_flux_column
from galspec.measurement.bpt import BPT_CLASSES, bpt_classes, bpt_probabilities, class_ratio
from galspec.measurement.indices import StellarIndices, measure_indices
from galspec.measurement.lines import LineMeasurements, as_measurable, measure_lines, require_redshift

Floats = NDArray[np.float64]

#: Mean chi squared around Halpha or [OIII]5007 above which a row is flagged: broad lines, or damage.
POOR_FIT_CHI2: Final = 3.0
_CHUNK_ROWS: Final = 2048
_INDEX: Final = {name: index for index, name in enumerate(MEASURED_LINES)}
_BPT_LINES: Final = [_INDEX[name] for name in ("Hbeta", "[OIII]5007", "Halpha", "[NII]6583")]
_ANGSTROM_COLUMNS: Final = {"hdelta_a", "hdelta_a_err", "mgb", "mgb_err"}


def line_stem(name: str) -> str:
    """Return what the columns of a line are called: "oiii5007" for "[OIII]5007"."""
    return line_flux_column(name).removeprefix("flux_").removesuffix("_true")


def column_unit(column: str, flux_unit: str) -> str:
    """Return the unit of a column of `measure_spectra`, "" without one.

    Parameters
    ----------
    column : str
    flux_unit : str
        Unit of line fluxes: that of the spectra times angstrom.
    """
    if column.startswith("flux_"):
        return flux_unit
    if column.startswith("ew_") or column in _ANGSTROM_COLUMNS:
        return "Angstrom"
    return "km / s" if column.endswith("_kms") else ""


def measure_spectra(flux: ArrayLike, ivar: ArrayLike | None = None, redshift: ArrayLike | None = None) -> pd.DataFrame:
    """Measure lines, indices and classes of spectra on the project's grid.

    Parameters
    ----------
    flux : array_like, shape (N, 1000)
        Flux density at the rest-frame pixels, any unit.
    ivar : array_like, shape (N, 1000), optional
        0 = no data. Without it the spectra are models: no gaps, no errors.
    redshift : array_like, shape (N,), optional
        For line fluxes in the observed frame: times 1 + z.

    Returns
    -------
    DataFrame
        For each line of `MEASURED_LINES`, e.g. "oiii5007": flux_, ew_ (rest frame, angstrom, positive in emission),
        each with _err, and snr_. Then dn4000, hdelta_a (fitted emission subtracted), mgb, log_n2, log_o3, each with
        _err; bpt_class and p_sf, p_composite, p_agn, p_none; sigma_kms, velocity_kms, and flag: words from
        "not-fitted", "lines-missing", "poor-fit", or "". What cannot be measured is NaN.

    Raises
    ------
    ShapeError
        If an array has the wrong shape.
    SpectrumError
        If ivar is negative, or flux or a redshift not finite where there are data.
    """
    flux64, ivar64 = as_measurable(flux, ivar)
    redshift64 = require_redshift(redshift, len(flux64))
    parts = [
        _measure_rows(flux64[rows], None if ivar64 is None else ivar64[rows], redshift64[rows])
        for rows in (slice(start, start + _CHUNK_ROWS) for start in range(0, max(len(flux64), 1), _CHUNK_ROWS))
    ]
    return pd.concat(parts, ignore_index=True)


def _measure_rows(flux: Floats, ivar: Floats | None, redshift: Floats) -> pd.DataFrame:
    lines = measure_lines(flux, ivar, redshift=redshift)
    indices = measure_indices(
        flux, ivar, emission=lines.emission, emission_err=np.nan_to_num(lines.ew_err[:, _INDEX["Hdelta"]])
    )
    return pd.DataFrame(_line_columns(lines) | _index_columns(indices) | _diagram_columns(lines) | _fit_columns(lines))


def _line_columns(lines: LineMeasurements) -> dict[str, Floats]:
    columns: dict[str, Floats] = {}
    for index, name in enumerate(MEASURED_LINES):
        stem = line_stem(name)
        columns |= {f"flux_{stem}": lines.flux[:, index], f"flux_{stem}_err": lines.flux_err[:, index]}
        columns |= {f"ew_{stem}": lines.ew[:, index], f"ew_{stem}_err": lines.ew_err[:, index]}
        columns[f"snr_{stem}"] = lines.snr[:, index]
    return columns


def _index_columns(indices: StellarIndices) -> dict[str, Floats]:
    names = ("dn4000", "dn4000_err", "hdelta_a", "hdelta_a_err", "mgb", "mgb_err")
    return {name: getattr(indices, name) for name in names}


def _log_ratio(flux: Floats, error: Floats, upper: int, lower: int) -> tuple[Floats, Floats]:
    """Return log10 of a ratio of two columns, NaN unless both are positive, and its error."""
    is_positive = (flux[:, upper] > 0) & (flux[:, lower] > 0)
    above, below = np.where(is_positive, flux[:, upper], np.nan), np.where(is_positive, flux[:, lower], np.nan)
    relative = np.hypot(error[:, upper] / above, error[:, lower] / below)
    return np.log10(above / below), relative / np.log(10.0)


def _diagram_columns(lines: LineMeasurements) -> dict[str, NDArray[np.generic]]:
    flux = lines.flux[:, _BPT_LINES]
    # Without the calibration's part of the errors: it is common to neighbouring lines.
    error = np.abs(np.divide(flux, lines.snr[:, _BPT_LINES], out=np.full(flux.shape, np.nan), where=flux != 0))
    ew, ew_err = lines.ew[:, _INDEX["Halpha"]], lines.ew_err[:, _INDEX["Halpha"]]
    log_n2, log_n2_err = _log_ratio(flux, error, 3, 2)
    log_o3, log_o3_err = _log_ratio(flux, error, 1, 0)
    is_known = np.isfinite(flux).all(axis=1)
    ew = np.where(is_known, ew, np.nan)
    ratios = class_ratio(flux[:, 3], flux[:, 2]), class_ratio(flux[:, 1], flux[:, 0])
    columns: dict[str, NDArray[np.generic]] = {"log_n2": log_n2, "log_n2_err": log_n2_err}
    columns |= {"log_o3": log_o3, "log_o3_err": log_o3_err, "bpt_class": bpt_classes(*ratios, ew)}
    probabilities = bpt_probabilities(flux, error, ew, ew_err)
    names = ("p_sf", "p_composite", "p_agn", "p_none")
    return columns | {name: probabilities[:, index] for index, name in enumerate(names[: len(BPT_CLASSES)])}


def _fit_columns(lines: LineMeasurements) -> dict[str, NDArray[np.generic]]:
    chi2 = lines.chi2[:, [_INDEX["Halpha"], _INDEX["[OIII]5007"]]]
    is_poor = (np.nan_to_num(chi2) > POOR_FIT_CHI2).any(axis=1)
    is_missing = lines.is_fitted & ~lines.has_line.all(axis=1)
    words = np.array(["not-fitted", "lines-missing", "poor-fit"])
    masks = np.stack([~lines.is_fitted, is_missing, is_poor], axis=1)
    flags = [" ".join(words[mask]) for mask in masks]
    return {
        "sigma_kms": lines.sigma_kms,
        "velocity_kms": lines.velocity_kms,
        "flag": np.array(flags, dtype=object),
    }

"""How far simulated spectra are from real ones: real galaxies fitted with vectors made of simulated ones.

The yardstick is that of Yip et al. (2004, AJ 128, 585): ten eigenspectra of 170,000 SDSS galaxies reproduce a good
SDSS spectrum to about 2 %. Ten vectors of noise-free simulated spectra do as well only if the simulation holds what
real galaxies hold.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import GalspecError, SpectrumError
from galspec.core.lines import LINES
from galspec.core.wavelength import wave_grid
from galspec.preprocess.spectra import normalise_spectra
from galspec.readers.fits_file import open_fits
from galspec.readers.sdss import read_sdss_spectrum, to_rest_grid
from galspec.store.survey import Survey
from galspec.training.pca_baseline import project

Floats = NDArray[np.float64]

#: Rest wavelengths of every fit, angstrom: the overlap of the grid with Yip's eigenspectra.
FIT_RANGE: Final = (3460.0, 8300.0)
#: A file counts if it is a nearby galaxy with enough good pixels.
MAX_REDSHIFT: Final = 0.3
MIN_PIXELS: Final = 600
MIN_SNR: Final = 5.0
N_SPECTRA: Final = 4000
#: Half width of what counts as a line in "continuum apart", angstrom: 700 km/s at Halpha.
_LINE_HALF_WIDTH: Final = 15.0
_BIN_ANGSTROM: Final = 100.0
_YIP_NAME: Final = "gal_eigenspec_Yip2004.fits"
_N_COEFFICIENTS: Final = 6


def in_fit_range() -> NDArray[np.bool_]:
    """Return the grid pixels of every fit, shape (1000,)."""
    wave = wave_grid()
    return np.asarray((wave >= FIT_RANGE[0]) & (wave <= FIT_RANGE[1]))


def near_lines() -> NDArray[np.bool_]:
    """Return the grid pixels within 15 A of a major line, in emission or absorption, shape (1000,)."""
    wave = wave_grid()
    lines = np.array([line.wave_vac for line in LINES if line.is_major])
    return np.asarray((np.abs(wave[:, None] - lines) < _LINE_HALF_WIDTH).any(axis=1))


def read_eigenspectra(path: Path) -> Floats:
    """Read the ten eigenspectra of Yip et al. (2004) onto the grid.

    Parameters
    ----------
    path : Path
        A table of one row with vectors "wave" (vacuum angstrom) and "pca" (wavelength fastest).

    Returns
    -------
    ndarray, shape (10, 1000)
        Zero outside the tabulated wavelengths.

    Raises
    ------
    SpectrumError
        If the file is absent or damaged, or no such table.
    """
    with open_fits(path, SpectrumError) as hdus:
        try:
            table = hdus[1].data
            names = {name.lower(): name for name in table.names}
            wave = np.asarray(table[names["wave"]], np.float64).ravel()
            vectors = np.asarray(table[names["pca"]], np.float64).reshape(-1, len(wave))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise SpectrumError(f"{path.name} holds no table with columns wave and pca: {error}") from error
    grid = wave_grid()
    return np.stack([np.interp(grid, wave, vector, left=0.0, right=0.0) for vector in vectors])


def read_real_spectra(folder: Path) -> tuple[list[str], Floats, Floats]:
    """Read the usable spectra of a folder, normalised on the grid.

    Parameters
    ----------
    folder : Path
        Of SDSS FITS files.

    Returns
    -------
    names : list of str
    flux, ivar : ndarray, shape (N, 1000)
        Galaxies with 0 < z < 0.3, at least 600 pixels with data and a median S/N above 5 per grid pixel.

    Raises
    ------
    SpectrumError
        If the folder holds no such spectrum.
    """
    names, fluxes, ivars = [], [], []
    for path in sorted(folder.glob("*.fits")):
        try:
            rest = to_rest_grid(read_sdss_spectrum(path))
        except GalspecError:
            continue  # an unplugged fibre, a quasar: not what is compared here
        good = rest.ivar > 0
        snr = float(np.median(rest.flux[good] * np.sqrt(rest.ivar[good])))
        if 0.0 < rest.redshift < MAX_REDSHIFT and good.sum() >= MIN_PIXELS and snr > MIN_SNR:
            names.append(path.name)
            fluxes.append(rest.flux)
            ivars.append(rest.ivar)
    if not names:
        raise SpectrumError(
            f"{folder} holds no usable galaxy spectrum; wanted are SDSS spec-PLATE-MJD-FIBER.fits files of galaxies "
            f"with 0 < z < {MAX_REDSHIFT:g}, {MIN_PIXELS} pixels with data and S/N above {MIN_SNR:g}."
        )
    flux, ivar, _ = normalise_spectra(np.stack(fluxes), np.stack(ivars))
    return names, np.asarray(flux, np.float64), np.asarray(ivar, np.float64)


def simulated_vectors(flux_true: NDArray[np.floating], n_vectors: int) -> Floats:
    """Return the leading singular vectors of noise-free spectra, as Yip et al. (2004) made theirs: mean not removed.

    Parameters
    ----------
    flux_true : ndarray, shape (N, 1000)
        Any unit; each is normalised first.
    n_vectors : int

    Returns
    -------
    ndarray, shape (n_vectors, 1000)
        Orthonormal over the fit range.
    """
    flux = normalise_spectra(flux_true, np.ones_like(flux_true))[0].astype(np.float64)
    flux[:, ~in_fit_range()] = 0.0
    _, vectors = np.linalg.eigh(flux.T @ flux)
    return np.asarray(vectors[:, ::-1][:, :n_vectors].T)


def fit_scores(flux: Floats, ivar: Floats, vectors: Floats) -> dict[str, Floats]:
    """Fit spectra with vectors by least chi squared.

    Parameters
    ----------
    flux, ivar : ndarray, shape (N, 1000)
    vectors : ndarray, shape (K, 1000)

    Returns
    -------
    dict
        "residual": median |residual| over median flux; "chi2": reduced; "chi2_continuum" and "chi2_lines": mean
        squared deviation away from and near major lines; all shape (N,). "relative": |residual| over
        median flux, (N, 1000), NaN without data. "coefficients": (N, K).
    """
    weight = np.where(in_fit_range(), ivar, 0.0)
    coefficients = project(flux, weight, np.zeros(flux.shape[1]), vectors)
    residual = flux - coefficients @ vectors
    lines = near_lines()
    rows: dict[str, list[Any]] = {name: [] for name in ("residual", "chi2", "chi2_continuum", "chi2_lines", "relative")}
    for one_flux, one_weight, one_residual in zip(flux, weight, residual, strict=True):
        good = one_weight > 0
        square = one_weight * one_residual**2
        size = np.where(good, np.abs(one_residual) / np.median(one_flux[good]), np.nan)
        rows["residual"].append(np.nanmedian(size))
        rows["chi2"].append(square[good].sum() / (good.sum() - len(vectors)))
        rows["chi2_continuum"].append(square[good & ~lines].mean())
        rows["chi2_lines"].append(square[good & lines].mean() if (good & lines).any() else np.nan)
        rows["relative"].append(size)
    return {name: np.array(values) for name, values in rows.items()} | {"coefficients": coefficients}


def _by_wavelength(relative: Floats) -> tuple[list[float], list[float]]:
    """Return bin starts (angstrom) and the mean |residual| over all spectra in each."""
    starts = np.arange(3400.0, FIT_RANGE[1], _BIN_ANGSTROM)
    wave = wave_grid()
    means = [
        float(np.nanmean(relative[:, (wave >= start) & (wave < start + _BIN_ANGSTROM) & in_fit_range()]))
        for start in starts
    ]
    return [float(start) for start in starts], [round(value, 4) for value in means]


def _unit_coefficients(flux: Floats, ivar: Floats, vectors: Floats) -> list[list[float]]:
    """Return the first coefficients of each spectrum divided by the length of all ten (Yip et al. 2004, eq. 4)."""
    found = fit_scores(flux, ivar, vectors)["coefficients"]
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    return [[round(float(value), 4) for value in row[:_N_COEFFICIENTS]] for row in found]


def measure_spectra(real_dir: Path, survey: Survey, n_spectra: int = N_SPECTRA) -> dict[str, Any]:
    """Compare the simulated spectra of a survey with real ones.

    Parameters
    ----------
    real_dir : Path
        Holds sdss/*.fits and templates/gal_eigenspec_Yip2004.fits.
    survey : Survey
        Simulated.
    n_spectra : int
        How many of its galaxies make the vectors, the first ones.

    Returns
    -------
    dict
        "names" of the files; "per_file" and "median" by basis ("yip10", "sim10", "sim20") of "residual", "chi2",
        "chi2_continuum", "chi2_lines"; "ratio" of the medians of sim10 to yip10; "wave_bins" (A) and
        "residual_by_wave"; "yip_coefficients" of the real and of up to 300 simulated spectra.

    Raises
    ------
    SpectrumError
        If a file is missing.
    SurveyError
        If the survey has no noise-free spectra.
    """
    names, flux, ivar = read_real_spectra(real_dir / "sdss")
    yip = read_eigenspectra(real_dir / "templates" / _YIP_NAME)
    n_used = min(n_spectra, len(survey))
    flux_true = survey.true_spectra_block(np.arange(n_used))
    bases = {"yip10": yip, "sim10": simulated_vectors(flux_true, 10), "sim20": simulated_vectors(flux_true, 20)}
    keys = ("residual", "chi2", "chi2_continuum", "chi2_lines")
    result: dict[str, Any] = {"names": names, "n_simulated": n_used, "per_file": {}, "median": {}}
    by_wave = {}
    for name, vectors in bases.items():
        scores = fit_scores(flux, ivar, vectors)
        result["per_file"][name] = {key: [round(float(value), 4) for value in scores[key]] for key in keys}
        result["median"][name] = {key: round(float(np.nanmedian(scores[key])), 4) for key in keys}
        result["wave_bins"], by_wave[name] = _by_wavelength(scores["relative"])
    result["residual_by_wave"] = by_wave
    result["ratio"] = {
        key: round(result["median"]["sim10"][key] / result["median"]["yip10"][key], 3) for key in ("residual", "chi2")
    }
    rows = np.arange(min(300, n_used))
    simulated_flux, simulated_ivar, _ = normalise_spectra(*survey.spectra_block(rows))
    result["yip_coefficients"] = {
        "real": _unit_coefficients(flux, ivar, yip),
        "simulated": _unit_coefficients(simulated_flux.astype(np.float64), simulated_ivar.astype(np.float64), yip),
    }
    return result

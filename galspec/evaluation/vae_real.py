"""How well the VAE brings real spectra back, beside the methods it competes with and Yip's eigenspectra."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import ConfigError, SpectrumError
from galspec.evaluation.realism_spectra import in_fit_range, read_eigenspectra, read_real_spectra
from galspec.evaluation.vae_comparison import FittedMethods, shipped_methods
from galspec.models.bundle import VaeBundle
from galspec.preprocess.spectra import is_encodable
from galspec.readers.sdss import read_sdss_spectrum, to_rest_grid
from galspec.training.compressors import METHODS, Reconstruct
from galspec.training.pca_baseline import reconstruct

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: Numbers of components compared on real spectra, where the configuration has them.
DIMS: Final = (6, 10)
#: Files that count for the requirement: secure redshift, good signal.
MIN_SNR: Final = 10.0
MIN_FILES: Final = 12
#: The refined reconstruction may leave this many times the residual of ten eigenspectra of real galaxies.
MAX_RATIO: Final = 1.5
_YIP_NAME: Final = "gal_eigenspec_Yip2004.fits"


def fit_residuals(model: NDArray[np.floating], flux: Floats, ivar: Floats) -> dict[str, Floats]:
    """Return what a model leaves of each spectrum.

    Parameters
    ----------
    model, flux, ivar : ndarray, shape (N, 1000)
        Normalised; ivar 0 = not compared.

    Returns
    -------
    dict of str to ndarray, shape (N,)
        "chi2": per pixel with data; "residual": median |residual| over median flux.
    """
    chi2, residual = [], []
    for one_model, one_flux, one_ivar in zip(model, flux, ivar, strict=True):
        good = one_ivar > 0
        gap = one_model[good] - one_flux[good]
        chi2.append((one_ivar[good] * gap**2).mean())
        residual.append(np.median(np.abs(gap)) / np.median(one_flux[good]))
    return {"chi2": np.array(chi2), "residual": np.array(residual)}


def yip_method(real_dir: Path) -> Reconstruct:
    """Return the fit with the ten eigenspectra of Yip et al. (2004, AJ 128, 585).

    Raises
    ------
    SpectrumError
        If ``real_dir/templates`` does not hold them.
    """
    vectors = read_eigenspectra(real_dir / "templates" / _YIP_NAME)
    return lambda flux, ivar: reconstruct(flux, ivar, np.zeros(flux.shape[1]), vectors).astype(np.float32)


def compare_real(
    real_dir: Path, vae: VaeBundle, methods: FittedMethods, kept: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Score every method on the usable real spectra of a folder.

    Parameters
    ----------
    real_dir : Path
        Holds sdss/*.fits and templates/gal_eigenspec_Yip2004.fits.
    vae : VaeBundle
    methods : FittedMethods
        Those of the survey, fitted with their first seed at 6 and 10 dimensions.
    kept : mapping, optional
        An earlier result of methods fitted to the same survey with the same settings: only PCA is fitted again, the
        others keep their scores.

    Returns
    -------
    dict
        "files": name, S/N, ZWARNING, redshift, and whether it counts; "per_file" and "median" (over the files that
        count, and over all) by method; "requirement".

    Raises
    ------
    SpectrumError
        If there is no usable spectrum, or no eigenspectra.
    ConfigError
        If ``kept`` is of other files.

    Notes
    -----
    Every method is given, and judged on, 3460-8300 angstrom, where Yip's eigenspectra are tabulated.
    """
    files, flux, ivar = _read(real_dir)
    if kept is not None and [file["name"] for file in kept["files"]] != [file["name"] for file in files]:
        raise ConfigError(
            f"the stored scores are of {len(kept['files'])} files, but {real_dir} holds {len(files)}, or others; "
            "measure anew without --keep-fits."
        )
    callables: dict[str, Reconstruct] = {"yip10": yip_method(real_dir), **shipped_methods(vae)}
    for method in METHODS:
        for n_dims in DIMS:
            if n_dims in methods.config.dims and (kept is None or method == "pca"):
                callables[f"{method}{n_dims}"] = methods.get(method, n_dims, methods.config.seeds[0])
    counts = np.array([file["counts"] for file in files])
    given = flux.astype(np.float32), ivar.astype(np.float32)
    per_file = {} if kept is None else {name: kept["per_file"][name] for name in kept["per_file"]}
    median = {} if kept is None else {name: kept["median"][name] for name in kept["median"]}
    for name, method_of in callables.items():
        scores = fit_residuals(method_of(*given), flux, ivar)
        per_file[name] = {key: [round(float(value), 5) for value in values] for key, values in scores.items()}
        median[name] = {
            key: {"counted": _median(values[counts]), "all": _median(values)} for key, values in scores.items()
        }
    return {
        "source": "REAL SDSS spectra",
        "measure": "chi squared per pixel, and median |residual| over median flux, rest 3460-8300 angstrom",
        "files": files,
        "per_file": per_file,
        "median": median,
        "requirement": judge(median, int(counts.sum())),
    }


def judge(median: dict[str, Any], n_counted: int) -> dict[str, Any]:
    """Check the requirement: at least 12 good files, and a refined residual within 1.5 times that of Yip's ten."""
    ratio = {
        name: median[name]["residual"]["counted"] / median["yip10"]["residual"]["counted"] if n_counted else None
        for name in ("shipped", "shipped_refined")
    }
    refined = ratio["shipped_refined"]
    return {
        "rule": f"S/N >= {MIN_SNR:g} and ZWARNING 0 in at least {MIN_FILES} files; median residual of the refined "
        f"reconstruction at most {MAX_RATIO:g} times that of ten eigenspectra of Yip et al. (2004)",
        "n_counted": n_counted,
        "ratio": {name: None if value is None else round(value, 4) for name, value in ratio.items()},
        "pass": bool(refined is not None and refined <= MAX_RATIO and n_counted >= MIN_FILES),
    }


def _median(values: Floats) -> float | None:
    return round(float(np.median(values)), 5) if len(values) else None


def _read(real_dir: Path) -> tuple[list[dict[str, Any]], Floats, Floats]:
    """Return what is known of each usable file, and normalised flux and ivar (N, 1000) inside the fit range."""
    names, flux, ivar = read_real_spectra(real_dir / "sdss")
    ivar = np.where(in_fit_range(), ivar, 0.0)
    usable = is_encodable(flux, ivar)
    if not usable.any():
        raise SpectrumError(f"no spectrum in {real_dir / 'sdss'} has data in enough pixels to be encoded.")
    files = []
    for name in np.array(names)[usable]:
        spectrum = read_sdss_spectrum(real_dir / "sdss" / str(name))
        rest = to_rest_grid(spectrum)
        good = rest.ivar > 0
        snr = float(np.median(rest.flux[good] * np.sqrt(rest.ivar[good])))
        files.append(
            {
                "name": str(name),
                "snr": round(snr, 2),
                "zwarning": spectrum.zwarning,
                "redshift": round(spectrum.redshift, 5),
                "counts": bool(snr >= MIN_SNR and spectrum.zwarning == 0),
            }
        )
    return files, flux[usable], ivar[usable]

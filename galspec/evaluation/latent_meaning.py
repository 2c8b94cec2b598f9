"""What the latents of a VAE mean, whether they fill their prior, and whether their stated errors are true.

Latents here are standardised by the train split, but for the comparison with the prior, which holds for raw ones.
"""

from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import kstest, kurtosis, skew

from galspec.core.errors import SurveyError
from galspec.core.wavelength import wave_grid
from galspec.models.bundle import VaeBundle
from galspec.models.vae import maximum_mean_discrepancy
from galspec.preprocess.spectra import is_encodable
from galspec.store.survey import Survey
from galspec.training.latent_names import name_latents, spearman_matrix

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Rows = NDArray[np.int64]

#: Catalogue columns that latents are correlated with, those of them that the survey has.
QUANTITIES: Final = (
    "ew_ha_true",
    "dn4000_true",
    "log_n2",
    "log_o3",
    "log_s2",
    "balmer_decrement",
    "a_v",
    "log_ssfr",
    "metallicity",
    "sigma_v",
    "sdss_g_r_fibre",
    "redshift",
    "snr_median",
)
TRAVERSAL_STEPS: Final = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
_TRAVERSAL_BINS: Final = 250
_HISTOGRAM: Final = np.linspace(-5.0, 5.0, 41)
_N_DISCREPANCY: Final = 2000
N_GALAXIES: Final = 5000
N_CALIBRATION: Final = 300
N_REALISATIONS: Final = 16
_N_SNR_BINS: Final = 4
_MIN_IN_BIN: Final = 5


def measure_meaning(
    vae: VaeBundle,
    survey: Survey,
    split: str = "valid",
    n_galaxies: int = N_GALAXIES,
    n_calibration: int = N_CALIBRATION,
    seed: int = 1,
) -> dict[str, Any]:
    """Measure meaning, traversals, aggregate posterior and calibration of a bundle's latents.

    Parameters
    ----------
    vae : VaeBundle
    survey : Survey
        Simulated: the calibration needs noise-free spectra.
    split : str
        Whose galaxies are used, the first ones that can be encoded.
    n_galaxies, n_calibration : int
        For correlations and the aggregate posterior, and for the calibration.
    seed : int
        Of the noise.

    Returns
    -------
    dict
        "names", "correlation", "traversals", "aggregate", "calibration" as the functions of these names give them.

    Raises
    ------
    SurveyError
        If the split has too few usable galaxies, or the survey no noise-free spectra.
    """
    rows = survey.rows_in_split(split)[: 2 * n_galaxies]
    flux, ivar = survey.spectra_block(rows)
    usable = np.flatnonzero(is_encodable(flux, ivar))[:n_galaxies]
    if len(usable) < 2 * _MIN_IN_BIN:
        raise SurveyError(
            f"survey {survey.name!r} has {len(usable)} usable galaxies in its {split} split; latents need "
            f"{2 * _MIN_IN_BIN} at least."
        )
    rows, flux, ivar = rows[usable], flux[usable], ivar[usable]
    mean, sigma = vae.posterior(flux, ivar)
    catalog = survey.catalog.iloc[rows]
    quantities = catalog_quantities(catalog)
    few = slice(0, n_calibration)
    return {
        "source": survey.source,
        "split": split,
        "n": len(rows),
        "names": name_latents(mean, quantities),
        "bundle_names": vae.latent_names,
        "correlation": correlations(mean, quantities),
        "traversals": traversals(vae),
        "aggregate": aggregate_posterior(vae.unstandardise(mean), sigma * vae.decoder.latent_std.numpy(), seed),
        "outliers": {f"beyond_{limit}": _share(np.abs(mean) > limit) for limit in (3, 5)},
        "calibration": latent_calibration(vae, survey.true_spectra_block(rows[few]), ivar[few], seed),
    }


def catalog_quantities(catalog: pd.DataFrame) -> dict[str, Floats]:
    """Return those of `QUANTITIES` that a catalogue has, (N,) each, NaN where not defined."""
    return {name: catalog[name].to_numpy(dtype=np.float64) for name in QUANTITIES if name in catalog}


def correlations(latents: NDArray[np.floating], quantities: dict[str, Floats]) -> dict[str, list[float | None]]:
    """Return Spearman's rho of each quantity with each latent: quantity -> D values, None where undefined."""
    names, matrix = spearman_matrix(latents, quantities)
    return {
        name: [round(float(value), 3) if np.isfinite(value) else None for value in column]
        for name, column in zip(names, matrix.T, strict=True)
    }


def traversals(vae: VaeBundle) -> dict[str, Any]:
    """Decode each latent from -3 to 3 standard deviations with the others at their mean.

    Returns
    -------
    dict
        "steps": seven values; "wave": mean wavelength of each of 250 bins, angstrom, and "flux": (D, 7) of them, in
        units of the norm; each row of 250 numbers is one text, which keeps the stored report small and readable.
    """
    steps = np.array(TRAVERSAL_STEPS)
    latents = np.zeros((vae.n_latent, len(steps), vae.n_latent), np.float32)
    for index in range(vae.n_latent):
        latents[index, :, index] = steps
    flux = vae.decode_standardised(latents.reshape(-1, vae.n_latent))
    binned = flux.reshape(vae.n_latent, len(steps), _TRAVERSAL_BINS, -1).mean(axis=-1)
    wave = wave_grid().reshape(_TRAVERSAL_BINS, -1).mean(axis=-1)
    return {
        "steps": list(TRAVERSAL_STEPS),
        "wave": " ".join(f"{value:.1f}" for value in wave),
        "flux": [[" ".join(f"{value:.3f}" for value in row) for row in latent] for latent in binned],
    }


def aggregate_posterior(mean: NDArray[np.floating], sigma: NDArray[np.floating], seed: int) -> dict[str, Any]:
    """Compare the latents of all galaxies together, one draw from each posterior, with the unit Gaussian prior.

    Parameters
    ----------
    mean, sigma : ndarray, shape (N, D)
        Of the encoder's posteriors, raw latents.
    seed : int

    Returns
    -------
    dict
        Per latent "mean", "sd", "skew", "kurtosis" (excess), "ks" (Kolmogorov-Smirnov distance), "beyond_3" and
        "beyond_5" (shares), "histogram" (density at "histogram_edges"); "correlation" (D, D) and
        "max_correlation" off the diagonal; "mmd" and "mmd_floor": the squared maximum mean discrepancy to the prior,
        and that of two samples of the prior of the same size.
    """
    rng = np.random.default_rng(seed)
    sample = np.asarray(mean, np.float64) + rng.standard_normal(mean.shape) * sigma
    matrix = np.atleast_2d(np.corrcoef(sample.T))
    off_diagonal = np.abs(matrix - np.eye(len(matrix)))
    few = sample[:_N_DISCREPANCY]
    prior, other = rng.standard_normal(few.shape), rng.standard_normal(few.shape)
    density = [np.histogram(values, _HISTOGRAM)[0] / len(values) / np.diff(_HISTOGRAM) for values in sample.T]
    return {
        "mean": _rounded(sample.mean(axis=0)),
        "sd": _rounded(sample.std(axis=0)),
        "skew": _rounded(np.asarray(skew(sample, axis=0))),
        "kurtosis": _rounded(np.asarray(kurtosis(sample, axis=0))),
        "ks": _rounded(np.array([kstest(values, "norm").statistic for values in sample.T])),
        "beyond_3": _share(np.abs(sample) > 3.0),
        "beyond_5": _share(np.abs(sample) > 5.0),
        "correlation": [_rounded(row) for row in matrix],
        "max_correlation": round(float(off_diagonal.max()), 4),
        "mmd": _discrepancy(few, prior),
        "mmd_floor": _discrepancy(other, prior),
        "histogram_edges": _rounded(_HISTOGRAM),
        "histogram": [_rounded(row) for row in density],
    }


def latent_calibration(
    vae: VaeBundle, flux_true: Floats32, ivar: Floats32, seed: int, n_realisations: int = N_REALISATIONS
) -> dict[str, Any]:
    """Compare the latent errors the encoder states with the scatter of latents over repeated observations.

    Parameters
    ----------
    vae : VaeBundle
    flux_true : ndarray, shape (N, 1000)
        Noise-free spectra.
    ivar : ndarray, shape (N, 1000)
        Inverse variance of the noise, same unit; 0 = no data.
    seed : int
    n_realisations : int

    Returns
    -------
    dict
        "snr_edges" of bins with equal numbers of galaxies, and per bin "snr" (median per pixel), "n", and per latent
        "ratio": median over galaxies of stated over actual error; "scatter" and "bias": rms scatter, and median shift
        from the latent of the noise-free spectrum, both in standard deviations of the train split; "bias_in_sigma":
        the same shift over the actual error.

    Raises
    ------
    SurveyError
        If fewer than 10 of the spectra can be encoded.

    Notes
    -----
    As Portillo et al. (2020, section 4.3) test their latent variances. A variational posterior need not equal the
    scatter of its mean: where a spectrum says little, the mean stays near the prior's and scatters less than stated.
    """
    scatter, stated, shift, snr = _repeat(vae, flux_true, ivar, seed, n_realisations)
    if len(snr) < 2 * _MIN_IN_BIN:
        raise SurveyError(f"only {len(snr)} spectra can be encoded; a calibration of latents needs {2 * _MIN_IN_BIN}.")
    n_bins = min(_N_SNR_BINS, len(snr) // _MIN_IN_BIN)
    edges = np.quantile(snr, np.linspace(0.0, 1.0, n_bins + 1))
    index = np.clip(np.searchsorted(edges, snr, side="right") - 1, 0, n_bins - 1)
    bins = []
    for one in range(n_bins):
        inside = index == one
        error = np.maximum(scatter[inside], 1e-9)
        bins.append(
            {
                "snr": round(float(np.median(snr[inside])), 2),
                "n": int(inside.sum()),
                "ratio": _rounded(np.median(stated[inside] / error, axis=0)),
                "scatter": _rounded(np.sqrt((scatter[inside] ** 2).mean(axis=0))),
                "bias": _rounded(np.median(shift[inside], axis=0)),
                "bias_in_sigma": _rounded(np.median(shift[inside] / error, axis=0)),
            }
        )
    return {
        "n_realisations": n_realisations,
        "snr_edges": _rounded(edges),
        "ratio": _rounded(np.median(stated / np.maximum(scatter, 1e-9), axis=0)),
        "bins": bins,
    }


def _repeat(
    vae: VaeBundle, flux_true: Floats32, ivar: Floats32, seed: int, n_realisations: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Observe each spectrum again and again; return scatter, stated error and shift (N, D) and S/N (N,)."""
    has_data = ivar > 0
    truth = np.where(has_data, flux_true, 0.0)
    sigma = np.zeros(ivar.shape)
    np.divide(1.0, np.sqrt(ivar), out=sigma, where=has_data)
    rng = np.random.default_rng(seed)
    observed = [truth + sigma * rng.standard_normal(sigma.shape) for _ in range(n_realisations)]
    usable = np.all([is_encodable(flux, ivar) for flux in (truth, *observed)], axis=0)
    if not usable.any():
        nothing = np.empty((0, vae.n_latent))
        return nothing, nothing, nothing, np.empty(0)
    truth, ivar, has_data = truth[usable], ivar[usable], has_data[usable]
    start = vae.posterior(truth, ivar)[0].astype(np.float64)
    found = [vae.posterior(flux[usable], ivar) for flux in observed]
    mean = np.stack([one[0] for one in found]).astype(np.float64)
    stated = np.sqrt(np.mean([np.square(one[1], dtype=np.float64) for one in found], axis=0))
    snr = np.nanmedian(np.where(has_data, truth * np.sqrt(ivar), np.nan), axis=1)
    return mean.std(axis=0, ddof=1), stated, mean.mean(axis=0) - start, snr


def _discrepancy(sample: Floats, prior: Floats) -> float:
    found = maximum_mean_discrepancy(torch.from_numpy(sample), torch.from_numpy(prior))
    return round(float(found), 6)


def _share(beyond: NDArray[np.bool_]) -> list[float]:
    return [round(float(value), 5) for value in beyond.mean(axis=0)]


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 4) for value in values]

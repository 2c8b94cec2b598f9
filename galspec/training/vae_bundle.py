"""From trained weights to a VAE bundle: latents ordered, signed and named, outliers calibrated, scores measured."""

import dataclasses
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from galspec.core.lines import line_by_name
from galspec.core.wavelength import wave_grid
from galspec.measurement.table import measure_spectra
from galspec.models.bundle import VaeBundle, save_vae_bundle
from galspec.models.novelty import calibrate_novelty
from galspec.models.vae import InfoVAE
from galspec.training.latent_names import name_latents
from galspec.training.pca_baseline import N_FIT, fit_chi2_components, reconstruct
from galspec.training.run_folder import Row
from galspec.training.vae_data import PreparedSpectra, VaeConfig

Floats32 = NDArray[np.float32]

_N_ORDER: Final = 8192
#: Train spectra from whose measured lines and indices the latents get their names.
_N_NAMES: Final = 4096
#: Ratios with a larger error (dex), and Balmer decrements of fainter lines, name nothing.
_MAX_RATIO_ERROR: Final = 0.15
_MIN_LINE_SNR: Final = 5.0


def line_strength(flux_norm: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return flux around H-alpha over the continuum beside it, (N,): a stand-in for EW(Ha) that fixes signs."""
    wave = wave_grid()
    centre = line_by_name("Halpha").wave_vac
    distance = np.abs(wave - centre)
    line, continuum = distance < 12.0, (distance > 50.0) & (distance < 110.0)
    return np.asarray(flux_norm[:, line].mean(axis=1) / flux_norm[:, continuum].mean(axis=1), np.float64)


@torch.no_grad()
def order_latents(model: InfoVAE, x: Tensor, mean_flux: NDArray[np.float64]) -> None:
    """Permute and flip the latents inside the weights: most explained variance first, all rising with EW(Ha).

    Parameters
    ----------
    model : InfoVAE
        Changed in place; it encodes and decodes as before.
    x : Tensor, shape (N, 1000)
        Train spectra minus the mean.
    mean_flux : ndarray, shape (1000,)
        Mean spectrum, to measure H-alpha on whole spectra.
    """
    latent = model.encode(x)[0]
    centre = latent.mean(dim=0)
    explained = []
    for index in range(model.n_latent):
        alone = centre.expand_as(latent).clone()
        alone[:, index] = latent[:, index]
        explained.append(float(model.decode(alone).var(dim=0).sum()))
    strength = torch.from_numpy(line_strength(model.decode(latent).numpy() + mean_flux)).float()
    centred = latent - centre
    covariance = (centred * (strength - strength.mean())[:, None]).mean(dim=0)
    order = torch.tensor(sorted(range(model.n_latent), key=lambda index: -explained[index]))
    sign = torch.where(covariance < 0, -1.0, 1.0)[order]
    last, first = model.encoder[-1], model.decoder[0]
    if not isinstance(last, nn.Linear) or not isinstance(first, nn.Linear):  # for the type checker: both end in linears
        raise TypeError("the encoder must end and the decoder begin with a linear layer")
    rows = torch.cat([order, order + model.n_latent])  # means, then log variances
    signs = torch.cat([sign, torch.ones_like(sign)])
    last.weight.copy_(last.weight[rows] * signs[:, None])
    last.bias.copy_(last.bias[rows] * signs)
    first.weight.copy_(first.weight[:, order] * sign)


def weighted_mse(model_flux: Floats32, flux: Floats32, ivar: Floats32) -> float:
    """Return the mean over spectra of chi squared per pixel with data."""
    has_data = ivar > 0
    chi2 = np.where(has_data, ivar * (model_flux - flux) ** 2, 0.0).sum(axis=1) / has_data.sum(axis=1)
    return float(chi2.mean())


def write_vae_bundle(
    folder: Path,
    model: InfoVAE,
    prepared: PreparedSpectra,
    config: VaeConfig,
    survey: Row,
    name: str,
    summary: Row,
) -> Row:
    """Order the latents, measure the reconstruction on valid beside principal components, write the bundle.

    Parameters
    ----------
    folder : Path
    model : InfoVAE
        In evaluation mode; its latents are permuted and flipped.
    prepared : PreparedSpectra
    config : VaeConfig
    survey : dict
        What the bundle says of its training data.
    name : str
    summary : dict
        Of the training, for the scores.

    Returns
    -------
    dict
        The scores in the bundle.
    """
    preprocessor = prepared.preprocessor
    order_latents(model, prepared.train_x[:_N_ORDER], preprocessor.mean_flux)
    latent = _encode(model, prepared.train_x)
    mean_flux = preprocessor.mean_flux.astype(np.float32)
    with torch.no_grad():
        vae_flux = model.decode(_encode(model, prepared.valid_x)).numpy() + mean_flux
    flux, ivar = prepared.valid_flux, prepared.valid_ivar
    scores: Row = {
        "measure": "chi squared per pixel with data, mean over valid spectra; PCA fitted to the same measure",
        "valid_chi2_vae": round(weighted_mse(vae_flux, flux, ivar), 4),
        "n_valid": len(flux),
        "n_train": len(latent),
        **summary,
    }
    for n_vectors in (6, 10):
        start = preprocessor.mean_flux, preprocessor.eigenvectors[:n_vectors]
        components = fit_chi2_components(prepared.train_flux[:N_FIT], prepared.train_ivar[:N_FIT], *start)
        model_flux = reconstruct(flux, ivar, *components).astype(np.float32)
        scores[f"valid_chi2_pca{n_vectors}"] = round(weighted_mse(model_flux, flux, ivar), 4)
    latent_mean, latent_std = latent.mean(dim=0), latent.std(dim=0)
    standardised = ((latent - latent_mean) / latent_std).numpy()
    recipe = {**dataclasses.asdict(config), "hidden": list(config.hidden)}
    bundle = VaeBundle(model, preprocessor, latent_mean, latent_std, {"recipe": recipe})
    measured = measure_spectra(prepared.train_flux[:_N_NAMES], prepared.train_ivar[:_N_NAMES])
    save_vae_bundle(
        folder,
        model=model,
        preprocessor=preprocessor,
        latent_mean=latent_mean,
        latent_std=latent_std,
        name=name,
        training_survey=survey,
        recipe=recipe,
        scores=scores,
        latent_names=name_latents(standardised[:_N_NAMES], naming_quantities(measured)),
        novelty=calibrate_novelty(bundle, standardised, prepared.calibration_flux, prepared.calibration_ivar),
    )
    return scores


def naming_quantities(measured: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return what `name_latents` correlates with, from `measure_spectra`: indices, widths, well measured ratios."""
    found = {
        name: measured[name].to_numpy(np.float64) for name in ("ew_halpha", "ew_oii3727", "dn4000", "hdelta_a", "mgb")
    }
    for name in ("log_n2", "log_o3"):
        found[name] = measured[name].where(measured[f"{name}_err"] < _MAX_RATIO_ERROR).to_numpy(np.float64)
    is_clear = (measured["snr_halpha"] > _MIN_LINE_SNR) & (measured["snr_hbeta"] > _MIN_LINE_SNR)
    decrement = measured["flux_halpha"] / measured["flux_hbeta"].where(is_clear)
    found["balmer_decrement"] = decrement.to_numpy(np.float64)
    return found


@torch.no_grad()
def _encode(model: InfoVAE, x: Tensor) -> Tensor:
    return torch.cat([model.encode(block)[0] for block in x.split(_N_ORDER)])

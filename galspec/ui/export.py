"""The three curves of a galaxy as a file: CSV, ECSV, VOTable or FITS, with units, UCDs and provenance."""

import datetime
from typing import Any, Final

import numpy as np

from galspec import __version__
from galspec.core.table_file import Column, write_table
from galspec.ui.comparison import Comparison
from galspec.ui.model_card import ModelCard

#: column -> (unit, UCD, description)
_COLUMNS: Final = {
    "wavelength_rest": ("Angstrom", "em.wl", "rest frame, vacuum"),
    "wavelength_observed": ("Angstrom", "em.wl", "observed frame, vacuum"),
    "flux_observed": ("", "phot.flux.density;em.wl", "observed F_lambda / norm; empty = no data"),
    "sigma_observed": ("", "stat.error;phot.flux.density;em.wl", "its standard error"),
    "flux_reconstruction": (
        "",
        "phot.flux.density;em.wl",
        "observed spectrum through the VAE, F_lambda / norm",
    ),
    "flux_predicted": (
        "",
        "phot.flux.density;em.wl",
        "predicted from the image, F_lambda / norm; no error is known",
    ),
}


def provenance(
    comparison: Comparison,
    *,
    galaxy_id: str,
    redshift: float,
    survey_name: str,
    source: str,
    card: ModelCard | None,
    link: str = "",
) -> dict[str, Any]:
    """Return what a reader of the file must know, as flat text and numbers.

    Parameters
    ----------
    comparison : Comparison
    galaxy_id : str
    redshift : float
    survey_name, source : str
        The survey and whether it is SIMULATED or REAL.
    card : ModelCard or None
        The predictor.
    link : str
        Address of the page that shows the same, if known.
    """
    facts: dict[str, Any] = {
        "object": galaxy_id,
        "survey": survey_name,
        "source": source,
        "redshift": float(redshift),
        "norm": f"median observed F_lambda in rest 4200-6700 Angstrom = {comparison.norm:.6g} 1e-17 erg/s/cm2/Angstrom",
        "prediction": "a predicted spectrum, not an observed one: shape only, without flux scale or error",
        "creator": f"galspec {__version__}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **({"link": link} if link else {}),
    }
    if card is not None:
        facts |= {
            "model": card.name,
            "model_sha256": card.sha256,
            "model_trained_on": f"{card.trained_on} ({card.training_survey})",
            "vae": card.vae_name,
            "vae_sha256": card.vae_sha256,
        }
    if comparison.latent_predicted is not None:
        facts["inference"] = comparison.inference
        facts["latent_predicted"] = [round(float(value), 5) for value in comparison.latent_predicted]
    if comparison.latent_true is not None:
        facts["latent_observed"] = [round(float(value), 5) for value in comparison.latent_true]
    return facts


def spectrum_columns(comparison: Comparison, redshift: float) -> list[Column]:
    """Return the curves that are known as columns of a table: float32, NaN = no data; wavelengths to 1e-5 A."""
    waves = {
        "wavelength_rest": np.round(comparison.wave, 5),
        "wavelength_observed": np.round(comparison.wave * (1.0 + redshift), 5),
    }
    curves = {
        "flux_observed": comparison.observed,
        "sigma_observed": comparison.sigma,
        "flux_reconstruction": comparison.reconstruction,
        "flux_predicted": comparison.prediction,
    }
    known = [(name, values.astype(np.float32)) for name, values in curves.items() if values is not None]
    made = [Column(name, values, *_COLUMNS[name]) for name, values in waves.items()]
    return made + [Column(name, values, *_COLUMNS[name]) for name, values in known]


def as_file(comparison: Comparison, redshift: float, facts: dict[str, Any], file_format: str) -> bytes:
    """Return the curves as the content of a file.

    Parameters
    ----------
    comparison : Comparison
    redshift : float
    facts : dict
        Of `provenance`.
    file_format : str
        A key of `galspec.core.table_file.FORMATS`.
    """
    return write_table(spectrum_columns(comparison, redshift), facts, file_format)

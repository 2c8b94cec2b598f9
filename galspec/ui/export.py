"""The three curves of a galaxy as a file: CSV or ECSV, with units and provenance in its head."""

import datetime
import io
from typing import Any

import numpy as np

from galspec import __version__
from galspec.ui.comparison import Comparison
from galspec.ui.model_card import ModelCard

_COLUMNS = {
    "wavelength_rest": ("Angstrom", "rest frame, vacuum"),
    "wavelength_observed": ("Angstrom", "observed frame, vacuum"),
    "flux_observed": ("", "observed F_lambda / norm; empty = no data"),
    "sigma_observed": ("", "its standard error"),
    "flux_reconstruction": ("", "observed spectrum through the VAE, F_lambda / norm"),
    "flux_predicted": ("", "predicted from the image, F_lambda / norm; no error is known"),
}


def provenance(
    comparison: Comparison, *, galaxy_id: str, redshift: float, survey_name: str, source: str, card: ModelCard | None
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


def _columns(comparison: Comparison, redshift: float) -> dict[str, Any]:
    curves = {
        "wavelength_rest": comparison.wave,
        "wavelength_observed": comparison.wave * (1.0 + redshift),
        "flux_observed": comparison.observed,
        "sigma_observed": comparison.sigma,
        "flux_reconstruction": comparison.reconstruction,
        "flux_predicted": comparison.prediction,
    }
    return {name: values for name, values in curves.items() if values is not None}


def as_csv(comparison: Comparison, redshift: float, facts: dict[str, Any]) -> bytes:
    """Write a CSV file whose first lines, starting with #, hold provenance and units."""
    columns = _columns(comparison, redshift)
    text = io.StringIO()
    text.writelines(f"# {name}: {value}\n" for name, value in facts.items())
    text.writelines(
        f"# column {name} [{_COLUMNS[name][0] or 'dimensionless'}]: {_COLUMNS[name][1]}\n" for name in columns
    )
    text.write(",".join(columns) + "\n")
    for row in zip(*columns.values(), strict=True):
        text.write(",".join("" if np.isnan(value) else f"{value:.7g}" for value in row) + "\n")
    return text.getvalue().encode("utf-8")


def as_ecsv(comparison: Comparison, redshift: float, facts: dict[str, Any]) -> bytes:
    """Write an ECSV file that astropy and TOPCAT read with units, masks and provenance."""
    from astropy.table import MaskedColumn, Table

    table = Table(meta=facts)
    for name, values in _columns(comparison, redshift).items():
        unit, description = _COLUMNS[name]
        table[name] = MaskedColumn(
            values, mask=~np.isfinite(values), unit=unit or None, description=description, format=".7g"
        )
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue().encode("utf-8")

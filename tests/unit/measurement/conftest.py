"""Spectra whose lines and continuum are known."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from galspec.core.lines import MEASURED_LINES
from galspec.measurement.continuum import shipped_templates
from galspec.measurement.profiles import FITTED_LINES, MEASURED_ROW, MEASURED_SHARE, line_profiles

Floats = NDArray[np.float64]
#: Rest-frame fluxes of the fitted lines in units of the norm times angstrom: a star-forming galaxy.
AMPLITUDES = {
    "[OII]3727": 25.0,
    "Hdelta": 2.0,
    "Hgamma": 4.0,
    "Hbeta": 9.0,
    "[OIII]4959": 1.7,
    "[OIII]5007": 5.0,
    "[OI]6300": 1.5,
    "Halpha": 30.0,
    "[NII]6583": 12.0,
    "[SII]6716": 6.0,
    "[SII]6731": 5.0,
    "HeI6678": 0.4,
}


@dataclasses.dataclass(frozen=True)
class Known:
    """Spectra, their continua, and the flux of each measured line, shape (N, 12)."""

    flux: Floats
    ivar: Floats
    continuum: Floats
    line_flux: Floats


def make_known(
    n: int = 40,
    *,
    seed: int = 3,
    noise: float = 0.05,
    sigma_kms: float = 130.0,
    velocity_kms: float = 0.0,
    scale: float = 20.0,
    amplitudes: dict[str, float] | None = None,
) -> Known:
    """Draw continua from the templates, add lines, and noise relative to the norm; the norm is `scale`."""
    rng = np.random.default_rng(seed)
    templates = shipped_templates()
    # Half of the real spread: Gaussian draws, unlike galaxies, can be negative in the blue.
    coefficients = 0.5 * rng.standard_normal((n, 6)) * np.sqrt(templates.variances[:6])
    continuum = templates.mean + coefficients @ templates.vectors[:6]
    amplitudes = AMPLITUDES if amplitudes is None else amplitudes
    amplitude = np.array([amplitudes.get(line.name, 0.0) for line in FITTED_LINES])
    flux = continuum + amplitude @ line_profiles(FITTED_LINES, sigma_kms, velocity_kms)
    line_flux = np.tile(amplitude[list(MEASURED_ROW)] * np.array(MEASURED_SHARE), (n, 1))
    noisy = flux + noise * rng.standard_normal(flux.shape)
    ivar = np.full(flux.shape, 1.0 / noise**2 if noise else 1e6)
    return Known(scale * noisy, ivar / scale**2, scale * continuum, scale * line_flux)


def line_index(name: str) -> int:
    return MEASURED_LINES.index(name)


@pytest.fixture(scope="session")
def known() -> Known:
    return make_known(60)

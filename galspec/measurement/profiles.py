"""The lines that are fitted, what is tied to what, and their profiles integrated over the grid's pixels."""

import dataclasses
import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from galspec.core.lines import MEASURED_LINES, line_by_name
from galspec.core.wavelength import LOGLAM_START, LOGLAM_STEP, N_WAVE, PIXEL_KMS, air_to_vacuum, wave_edges

Floats = NDArray[np.float64]

#: Velocity dispersions (km/s, instrument included) that a spectrum's lines may have. A flux goes with half the power
#: of the width it is fitted with: steps of 3 % leave less than 1 % of error.
SIGMA_GRID: Final = tuple(float(value) for value in np.geomspace(75.0, 500.0, 61))
#: Every so many of them are tried, then those around the best.
SIGMA_STRIDE: Final = 4
#: Shifts, km/s: second order in the flux, so steps of a fifth of a pixel do.
VELOCITY_GRID: Final = (-100.0, -50.0, 0.0, 50.0, 100.0)
#: Profiles are cut where they are this small (per angstrom), so that lines far apart share no pixel.
_NEGLIGIBLE: Final = 1e-9


@dataclasses.dataclass(frozen=True)
class FittedLine:
    """One amplitude of the fit.

    Parameters
    ----------
    name : str
    members : tuple of (float, float)
        Vacuum wavelength (angstrom) and flux relative to the amplitude of each line it moves.
    """

    name: str
    members: tuple[tuple[float, float], ...]


def _single(name: str) -> FittedLine:
    return FittedLine(name, ((line_by_name(name).wave_vac, 1.0),))


def _blend(name: str, shares: dict[str, float]) -> FittedLine:
    return FittedLine(name, tuple((line_by_name(member).wave_vac, share) for member, share in shares.items()))


def _by_air(name: str, *waves_air: float) -> FittedLine:
    waves = air_to_vacuum(np.array(waves_air))
    return FittedLine(name, tuple((float(wave), 1.0 / len(waves)) for wave in waves))


#: Reported lines. [OII] in the low-density limit of HII regions; [NII]6548 by its transition probability.
_REPORTED: Final = (
    _blend("[OII]3727", {"[OII]3726": 0.42, "[OII]3729": 0.58}),
    _single("Hdelta"),
    _single("Hgamma"),
    _single("Hbeta"),
    _single("[OIII]4959"),
    _single("[OIII]5007"),
    _single("[OI]6300"),
    _single("Halpha"),
    _blend("[NII]6583", {"[NII]6548": 1.0 / 3.0, "[NII]6583": 1.0}),
    _single("[SII]6716"),
    _single("[SII]6731"),
)
#: Fitted so that they do not pull the continuum; not reported. Na D absorption of gas is a line with a negative flux,
#: its two members in the ratio of nearly saturated gas.
_NUISANCE: Final = (
    _by_air("H10", 3797.90),
    _by_air("H9", 3835.38),
    _single("[NeIII]3869"),
    _single("H8+HeI3889"),
    _by_air("[NeIII]3967+Hepsilon", 3967.47, 3970.07),
    _single("[OIII]4363"),
    _by_air("HeI4471", 4471.48),
    _single("HeII4686"),
    _single("HeI5876"),
    _blend("NaD", {"NaD5890": 0.565, "NaD5896": 0.435}),
    _by_air("[OI]6364", 6363.78),
    _by_air("HeI6678", 6678.15),
    _by_air("HeI7065", 7065.19),
    _single("[ArIII]7136"),
)
FITTED_LINES: Final = (*_REPORTED, *_NUISANCE)
_ROW: Final = {line.name: row for row, line in enumerate(FITTED_LINES)} | {
    "[NII]6548": next(row for row, line in enumerate(FITTED_LINES) if line.name == "[NII]6583")
}
#: Which amplitude each of `MEASURED_LINES` comes from, and what part of it.
MEASURED_ROW: Final = tuple(_ROW[name] for name in MEASURED_LINES)
MEASURED_SHARE: Final = tuple(1.0 / 3.0 if name == "[NII]6548" else 1.0 for name in MEASURED_LINES)
#: Wavelengths of `MEASURED_LINES`, vacuum angstrom; of the blend's mean for [OII].
MEASURED_WAVES: Final = tuple(
    sum(wave * share for wave, share in FITTED_LINES[0].members) if name == "[OII]3727" else line_by_name(name).wave_vac
    for name in MEASURED_LINES
)
#: Amplitudes that width and shift are chosen by: strong lines, one for each multiplet of fixed ratio.
KINEMATIC_LINES: Final = (
    _REPORTED[0],
    _single("Hbeta"),
    _blend("[OIII]", {"[OIII]4959": 1.0 / 2.98, "[OIII]5007": 1.0}),
    _single("Halpha"),
    _REPORTED[8],
    _single("[SII]6716"),
    _single("[SII]6731"),
)


@functools.lru_cache(maxsize=128)
def line_profiles(lines: tuple[FittedLine, ...], sigma_kms: float, velocity_kms: float) -> Floats:
    """Return mean flux densities in the grid's pixels of Gaussian lines of unit amplitude.

    Parameters
    ----------
    lines : tuple of FittedLine
    sigma_kms, velocity_kms : float
        Dispersion, and shift to the red, of all lines.

    Returns
    -------
    ndarray, shape (L, 1000)
        Per angstrom; read-only. A member of share 1 integrates to 1.
    """
    edges = (np.arange(N_WAVE + 1) - 0.5) * PIXEL_KMS
    width = np.diff(wave_edges())
    profiles = np.zeros((len(lines), N_WAVE))
    for row, line in enumerate(lines):
        for wave, share in line.members:
            centre = (np.log10(wave) - LOGLAM_START) / LOGLAM_STEP * PIXEL_KMS + velocity_kms
            profiles[row] += share * np.diff(ndtr((edges - centre) / sigma_kms)) / width
    profiles[profiles < _NEGLIGIBLE] = 0.0
    profiles.setflags(write=False)
    return profiles

"""Emission lines: ratios of HII regions, Seyfert and LINER-like nuclei, and their profiles.

Metal lines follow the observed ridges, not the photo-ionisation grid, whose sequence leaves that
of SDSS above solar metallicity. All ratios here are intrinsic; dust is applied to the lines later.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from galspec.simulation.basis import (
    FINE_PIXEL_KMS,
    FINE_STEP,
    N_FINE,
    RECOMBINATION_LINES,
    Basis,
    FloatArray,
    fine_loglam,
    line_wave_vac,
)

METAL_LINES: Final = (
    "[OII]3726",
    "[OII]3729",
    "[NeIII]3869",
    "[NeIII]3967",
    "[OIII]4363",
    "HeII4686",
    "[OIII]4959",
    "[OIII]5007",
    "[OI]6300",
    "[OI]6364",
    "[NII]6548",
    "[NII]6583",
    "[SII]6716",
    "[SII]6731",
    "[ArIII]7136",
)
#: Order of every array of line luminosities: hydrogen and helium first, as in the basis.
LINE_NAMES: Final = (*RECOMBINATION_LINES, *METAL_LINES)
LINE_INDEX: Final = {name: index for index, name in enumerate(LINE_NAMES)}
LINE_WAVES: Final = np.array([line_wave_vac(name) for name in LINE_NAMES])
_N_RECOMBINATION: Final = len(RECOMBINATION_LINES)

#: Balmer lines relative to Hbeta in case B at 10^4 K and 100 cm^-3 (Osterbrock & Ferland 2006).
_CASE_B: Final = {
    "Hbeta": 1.0,
    "Hgamma": 0.468,
    "Hdelta": 0.259,
    "Hepsilon": 0.159,
    "H8": 0.105,
    "H9": 0.0731,
    "H10": 0.0530,
}
# Helium relative to Hbeta, for nuclei: close to HII regions of solar abundance.
_HELIUM: Final = {"HeI3889": 0.10, "HeI4471": 0.045, "HeI5876": 0.12, "HeI6678": 0.034, "HeI7065": 0.025}

# Mean log10([NII]6583 / Halpha) of star-forming galaxies by log10 of the stellar mass.
_N2_BY_MASS: Final = np.array([(8.5, -1.2), (9.0, -0.97), (9.5, -0.74), (10.0, -0.53), (10.5, -0.42), (11.0, -0.37)]).T
# The ridge of Kewley et al. (2013) dives to -infinity as N2 nears -0.08; real metal-rich galaxies stop here.
_LOG_O3_FLOOR: Final = -0.85


def balmer_and_helium(halpha: float, decrement: float) -> FloatArray:
    """Return case B hydrogen and helium luminosities of a nucleus, shape (13,).

    Parameters
    ----------
    halpha : float
        Halpha luminosity, any unit.
    decrement : float
        Intrinsic Halpha/Hbeta: 2.86, or 3.1 in an active nucleus.
    """
    ratios = {"Halpha": decrement, **_CASE_B, **_HELIUM}
    return np.array([ratios[name] for name in RECOMBINATION_LINES]) * (halpha / decrement)


def line_luminosities(recombination: FloatArray, log_ratios: dict[str, float]) -> FloatArray:
    """Return the luminosities of all lines of one emitting gas.

    Parameters
    ----------
    recombination : ndarray, shape (13,)
        Hydrogen and helium lines.
    log_ratios : dict
        log10 of "n2" ([NII]6583/Halpha), "o3" ([OIII]5007/Hbeta), "s2" ([SII]6716+6731/Halpha),
        "o1" ([OI]6300/Halpha), "o2" ([OII]3726+3729/Hbeta), "ne3" ([NeIII]3869/Hbeta),
        "ar3" ([ArIII]7136/Halpha), "he2" (HeII4686/Hbeta), "o4363" ([OIII]4363/5007).

    Returns
    -------
    ndarray, shape (28,), float64
        In the order of `LINE_NAMES`, unit of ``recombination``.
    """
    halpha, hbeta = recombination[LINE_INDEX["Halpha"]], recombination[LINE_INDEX["Hbeta"]]
    ratio = {name: 10.0**value for name, value in log_ratios.items()}
    o3 = hbeta * ratio["o3"]
    o2, s2 = hbeta * ratio["o2"], halpha * ratio["s2"]
    values = {
        # Low-density doublets; fixed ratios come from the transition probabilities.
        "[OII]3726": 0.42 * o2,
        "[OII]3729": 0.58 * o2,
        "[NeIII]3869": hbeta * ratio["ne3"],
        "[NeIII]3967": 0.30 * hbeta * ratio["ne3"],
        "[OIII]4363": o3 * ratio["o4363"],
        "HeII4686": hbeta * ratio["he2"],
        "[OIII]4959": o3 / 2.98,
        "[OIII]5007": o3,
        "[OI]6300": halpha * ratio["o1"],
        "[OI]6364": halpha * ratio["o1"] / 3.0,
        "[NII]6548": halpha * ratio["n2"] / 3.0,
        "[NII]6583": halpha * ratio["n2"],
        "[SII]6716": 0.57 * s2,
        "[SII]6731": 0.43 * s2,
        "[ArIII]7136": halpha * ratio["ar3"],
    }
    return np.concatenate([recombination, [values[name] for name in METAL_LINES]])


def draw_hii_ratios(rng: np.random.Generator, log_mass: float, log_sfr_excess: float) -> dict[str, float]:
    """Draw the line ratios of the HII regions of a galaxy.

    Parameters
    ----------
    rng : numpy.random.Generator
    log_mass : float
        log10 of the stellar mass, Msun.
    log_sfr_excess : float
        Offset from the main sequence, dex: gas-rich galaxies are metal-poorer.

    Notes
    -----
    One deviate moves all ratios as the ionisation parameter does, higher where star formation is more intense;
    one moves nitrogen alone, as N/O does; the rest is scatter of each line.
    """
    scatter = rng.standard_normal(9)
    excess = float(np.clip(log_sfr_excess, -1.0, 1.0))
    ionisation = 0.10 * scatter[7] + 0.15 * max(excess, 0.0)
    slope_below = 0.46 * min(0.0, log_mass - 8.5)
    n2 = float(np.interp(log_mass, _N2_BY_MASS[0], _N2_BY_MASS[1])) + slope_below
    n2 += -0.12 * excess + 0.10 * scatter[0]
    n2 = min(n2, -0.25)
    o3 = max(0.61 / (n2 + 0.08) + 1.1, _LOG_O3_FLOOR) + ionisation + 0.09 * scatter[1]
    return {
        "n2": n2 + 0.06 * scatter[8],
        "o3": o3,
        "s2": -0.42 - 0.6 * ionisation + 0.09 * scatter[2],
        "o1": -1.55 - 0.8 * ionisation + 0.12 * scatter[3],
        "o2": 0.35 - 0.75 * (n2 + 0.6) - 0.7 * ionisation + 0.10 * scatter[4],
        "ne3": o3 - 1.05 + 0.10 * scatter[5],
        "ar3": -1.75 + 0.10 * scatter[6],
        "he2": -3.0,
        "o4363": -2.3 - 0.7 * float(np.clip(n2 + 1.2, -0.3, 0.8)),
    }


def draw_seyfert_ratios(rng: np.random.Generator) -> dict[str, float]:
    """Draw the line ratios of a Seyfert nucleus."""
    scatter = rng.standard_normal(7)
    o3 = 0.85 + 0.18 * scatter[1]
    return {
        "n2": -0.02 + 0.18 * scatter[0],
        "o3": o3,
        "s2": -0.20 + 0.10 * scatter[2],
        "o1": -0.90 + 0.15 * scatter[3],
        "o2": 0.45 + 0.15 * scatter[4],
        "ne3": o3 - 0.95 + 0.12 * scatter[5],
        "ar3": -1.4 + 0.10 * scatter[6],
        "he2": -0.70 + 0.15 * scatter[6],
        "o4363": -1.9,
    }


def draw_liner_ratios(rng: np.random.Generator) -> dict[str, float]:
    """Draw the line ratios of gas ionised by old stars or a weak nucleus (LINER-like)."""
    scatter = rng.standard_normal(5)
    o3 = 0.28 + 0.18 * scatter[1]
    return {
        "n2": 0.08 + 0.16 * scatter[0],
        "o3": o3,
        "s2": 0.0 + 0.11 * scatter[2],
        "o1": -0.75 + 0.13 * scatter[3],
        "o2": 0.75 + 0.13 * scatter[4],
        "ne3": o3 - 1.0,
        "ar3": -1.8,
        "he2": -1.5,
        "o4363": -2.0,
    }


def hii_recombination(basis: Basis, young_mass: FloatArray) -> FloatArray:
    """Return hydrogen and helium lines of stars in birth clouds, Lsun, shape (13,).

    Parameters
    ----------
    basis : Basis
    young_mass : ndarray, shape (Z, B)
        Mass formed in the youngest age bins, Msun.
    """
    return np.asarray(np.einsum("zb,zbl->l", young_mass, basis.lines))


def add_lines(spectrum: NDArray[np.floating], wave_vac: FloatArray, luminosity: FloatArray, sigma_kms: float) -> None:
    """Add Gaussian lines to a spectrum on the fine grid, in place, conserving their luminosity.

    Parameters
    ----------
    spectrum : ndarray, shape (6160,)
        Lsun/A.
    wave_vac : ndarray, shape (L,)
        Vacuum wavelengths, angstrom.
    luminosity : ndarray, shape (L,)
        Lsun.
    sigma_kms : float
        Velocity dispersion including the instrument's, km/s.

    Notes
    -----
    Profiles are integrated over the pixels, since a pixel is as wide as a narrow line.
    """
    loglam = fine_loglam()
    position = (np.log10(wave_vac) - loglam[0]) / FINE_STEP
    sigma = sigma_kms / FINE_PIXEL_KMS
    half = int(np.ceil(5.0 * sigma)) + 2
    first = np.rint(position).astype(np.int64) - half
    edges = first[:, None] + np.arange(2 * half + 2) - 0.5
    share = np.diff(ndtr((edges - position[:, None]) / sigma), axis=1)
    pixels = first[:, None] + np.arange(2 * half + 1)
    width = 10.0 ** (loglam[0] + FINE_STEP * pixels) * (np.log(10.0) * FINE_STEP)
    is_inside = (pixels >= 0) & (pixels < N_FINE)
    np.add.at(spectrum, pixels[is_inside], (share * luminosity[:, None] / width)[is_inside].astype(spectrum.dtype))

"""Which galaxies there are: mass, redshift, class, nucleus, and what follows from mass alone."""

import dataclasses
import functools
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from galspec.simulation.basis import Basis, FloatArray
from galspec.simulation.physical import AgnClass, GalaxyClass, Physical

REDSHIFT_LIMITS: Final = (0.005, 0.25)
#: SDSS main galaxy sample (Strauss et al. 2002): r, and mean surface brightness within the half-light radius.
R_FAINT: Final = 17.77
#: SDSS itself saturates near 14.5; users bring galaxies of the NGC catalogue, so these are in the training range too.
R_BRIGHT: Final = 10.5
MU50_FAINT: Final = 24.5
#: Share of the draws that come from a sample limited at `_R_NEARBY` instead: near and bright galaxies are a
#: thousandth of a magnitude-limited sample, too few to learn from. Ten times more is a choice, not a measurement.
_NEARBY_SHARE: Final = 0.06
_R_NEARBY: Final = 14.5

#: Candidates are drawn this much deeper than the limit, so that scatter in M/L does not bite; half survive.
_MARGIN_MAG: Final = 0.45
_LOG_MASS_GRID: Final = np.linspace(8.4, 11.9, 351)
_SUN_R_AB: Final = 4.65
_MASS_TO_LIGHT: Final = {"Q": 2.2, "SF": 0.9}
_POST_STARBURST_FRACTION: Final = 0.015
_MERGER_FRACTION: Final = {"SF": 0.05, "GV": 0.05, "Q": 0.05, "PSB": 0.6}
_SEYFERT_FACTOR: Final = {"SF": 0.8, "GV": 2.2, "Q": 0.35, "PSB": 1.5}

# Median stellar metallicity by mass, Gallazzi et al. (2005), Table 2: log(M/Msun), log(Z/Zsun).
_GALLAZZI: Final = np.array(
    [
        (8.91, -0.60),
        (9.11, -0.61),
        (9.31, -0.65),
        (9.51, -0.61),
        (9.72, -0.52),
        (9.91, -0.41),
        (10.11, -0.23),
        (10.31, -0.11),
        (10.51, -0.01),
        (10.72, 0.04),
        (10.91, 0.07),
        (11.11, 0.10),
        (11.31, 0.12),
        (11.51, 0.13),
        (11.72, 0.14),
        (11.91, 0.15),
    ]
).T


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a galaxy lies on the sky (ICRS, degrees)."""

    ra_deg: float
    dec_deg: float


def sigmoid(x: ArrayLike) -> FloatArray:
    """Return 1 / (1 + exp(-x))."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(x, dtype=np.float64))))


def quiescent_fraction(log_mass: ArrayLike) -> FloatArray:
    """Return the fraction of quiescent galaxies by mass, 0.04 to 0.95."""
    return np.clip(sigmoid((np.asarray(log_mass) - 10.5) / 0.27), 0.04, 0.95)


def mass_function(log_mass: ArrayLike) -> FloatArray:
    """Return the galaxy stellar mass function of Baldry et al. (2012), per Mpc^3 and dex."""
    x = 10.0 ** (np.asarray(log_mass, dtype=np.float64) - 10.66)
    per_x = 3.96e-3 * x**-0.35 + 0.79e-3 * x**-1.47
    return np.asarray(np.log(10.0) * x * np.exp(-x) * per_x)


def main_sequence_log_sfr(log_mass: float) -> float:
    """Return log10 of the star-formation rate on the main sequence, Msun/yr (Renzini & Peng 2015)."""
    return 0.76 * log_mass - 7.64


def stellar_log_z(log_mass: float) -> float:
    """Return the median log10(Z/Zsun) of the stars by mass (Gallazzi et al. 2005)."""
    return float(np.interp(log_mass, _GALLAZZI[0], _GALLAZZI[1]))


def _limiting_redshift(basis: Basis, log_mass: FloatArray, mass_to_light: float, r_faint: float) -> FloatArray:
    redshift, distance = basis.cosmology[0], basis.cosmology[1]
    is_used = (redshift >= REDSHIFT_LIMITS[0]) & (redshift <= REDSHIFT_LIMITS[1] + 1e-9)
    # Distance modulus plus a mean K correction of 1 mag per unit redshift.
    dimming = 5.0 * np.log10(distance[is_used] * 1e5) + redshift[is_used]
    absolute = _SUN_R_AB - 2.5 * (log_mass - np.log10(mass_to_light))
    return np.asarray(np.interp(r_faint + _MARGIN_MAG - absolute, dimming, redshift[is_used]))


@functools.lru_cache(maxsize=4)
def _mass_cdf(basis: Basis, r_faint: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the cumulative distribution over (type, mass), shape (2 * 351,), and zmax and volume by both."""
    fraction = quiescent_fraction(_LOG_MASS_GRID)
    weights, limits = [], []
    for share, name in ((1.0 - fraction, "SF"), (fraction, "Q")):
        limit = _limiting_redshift(basis, _LOG_MASS_GRID, _MASS_TO_LIGHT[name], r_faint)
        volume = np.interp(limit, basis.cosmology[0], basis.cosmology[3])
        volume -= np.interp(REDSHIFT_LIMITS[0], basis.cosmology[0], basis.cosmology[3])
        weights.append(mass_function(_LOG_MASS_GRID) * share * volume)
        limits.append(limit)
    cumulative = np.cumsum(np.concatenate(weights))
    return cumulative / cumulative[-1], np.concatenate(limits), np.concatenate([_LOG_MASS_GRID, _LOG_MASS_GRID])


def _draw_type_mass_redshift(rng: np.random.Generator, basis: Basis) -> tuple[bool, float, float]:
    cumulative, limits, masses = _mass_cdf(basis, _R_NEARBY if rng.random() < _NEARBY_SHARE else R_FAINT)
    index = min(int(np.searchsorted(cumulative, rng.random())), len(cumulative) - 1)
    step = _LOG_MASS_GRID[1] - _LOG_MASS_GRID[0]
    log_mass = float(masses[index] + step * (rng.random() - 0.5))
    redshift, volume = basis.cosmology[0], basis.cosmology[3]
    ends = np.interp([REDSHIFT_LIMITS[0], limits[index]], redshift, volume)
    z = float(np.interp(ends[0] + rng.random() * (ends[1] - ends[0]), volume, redshift))
    return index >= len(_LOG_MASS_GRID), log_mass, z


def _draw_class(rng: np.random.Generator, is_quiescent: bool) -> GalaxyClass:
    u, v = rng.random(2)
    if u < _POST_STARBURST_FRACTION:
        return "PSB"
    if v < (0.14 if is_quiescent else 0.12):
        return "GV"
    return "Q" if is_quiescent else "SF"


def _draw_early(rng: np.random.Generator, galaxy_class: GalaxyClass, log_mass: float) -> float:
    centre = {"SF": 0.35, "GV": 0.6, "Q": 0.85, "PSB": 0.65}[galaxy_class]
    return float(np.clip(centre + 0.2 * (log_mass - 10.3) + 0.2 * rng.standard_normal(), 0.0, 1.0))


def _draw_agn(rng: np.random.Generator, galaxy_class: GalaxyClass, log_mass: float) -> AgnClass:
    u, v = rng.random(2)
    seyfert = (0.02 + 0.13 * float(sigmoid((log_mass - 10.6) / 0.15))) * _SEYFERT_FACTOR[galaxy_class]
    if u < seyfert:
        return "seyfert"
    ramp = float(np.clip((log_mass - 9.8) / 0.6, 0.0, 1.0))
    if galaxy_class in ("GV", "Q") and v < 0.55 * ramp:
        return "liner"
    return "none"


def draw_physical(rng: np.random.Generator, basis: Basis) -> Physical:
    """Draw one candidate galaxy, before selection.

    Parameters
    ----------
    rng : numpy.random.Generator
    basis : Basis
        For its cosmology.

    Returns
    -------
    Physical
    """
    is_quiescent, log_mass, redshift = _draw_type_mass_redshift(rng, basis)
    galaxy_class = _draw_class(rng, is_quiescent)
    return Physical(
        log_mass=log_mass,
        redshift=redshift,
        galaxy_class=galaxy_class,
        early=_draw_early(rng, galaxy_class, log_mass),
        agn=_draw_agn(rng, galaxy_class, log_mass),
        kpc_per_arcsec=basis.kpc_per_arcsec(redshift),
        is_merger=bool(rng.random() < _MERGER_FRACTION[galaxy_class]),
    )


def draw_position(rng: np.random.Generator) -> Position:
    """Draw a position uniform over the PS1 3-pi footprint, Dec > -30 degrees."""
    sin_low = np.sin(np.radians(-30.0))
    u, v = rng.random(2)
    return Position(float(360.0 * u), float(np.degrees(np.arcsin(sin_low + v * (1.0 - sin_low)))))


def draw_velocity_dispersion(rng: np.random.Generator, log_mass: float, bulge_to_total: float) -> float:
    """Draw a stellar velocity dispersion, km/s: Faber & Jackson (1976), lower for disks, 50 to 320."""
    log_sigma = 2.22 + 0.30 * (log_mass - 10.9) + 0.06 * rng.standard_normal()
    log_sigma -= 0.15 * max(0.0, 0.5 - bulge_to_total) / 0.5
    return float(np.clip(10.0**log_sigma, 50.0, 320.0))


def passes_selection(mag_r: float, half_light_arcsec: float) -> bool:
    """Return whether a galaxy is in the survey (Strauss et al. 2002).

    Parameters
    ----------
    mag_r : float
        Total SDSS r magnitude, without Galactic extinction.
    half_light_arcsec : float
        Radius of half the light, arcsec.
    """
    mu50 = mag_r + 2.5 * np.log10(2.0 * np.pi * half_light_arcsec**2)
    return bool(R_BRIGHT < mag_r < R_FAINT and mu50 < MU50_FAINT)

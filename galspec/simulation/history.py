"""When the stars of a galaxy formed, and of what metallicity.

A history is the formed mass in the basis' age bins, for the bulge and for the disk. Shapes are
evaluated on 10 steps a bin, as functions of the stars' age (Gyr before the galaxy is seen).
"""

import dataclasses
from typing import Final

import numpy as np

from galspec.simulation.basis import SUBSTEPS, Basis, FloatArray
from galspec.simulation.physical import Physical
from galspec.simulation.population import main_sequence_log_sfr, stellar_log_z

#: Living over formed mass of a middle-aged population, to turn observed into formed specific rates.
_LIVE: Final = 0.6
_SFR_WINDOW_GYR: Final = 0.1


@dataclasses.dataclass(frozen=True)
class History:
    """Formed stars of a galaxy.

    Parameters
    ----------
    bulge, disk : ndarray, shape (Z, A)
        Mass formed by metallicity and age bin of the basis, Msun.
    sfr : float
        Mean star-formation rate of the last 100 Myr, Msun/yr.
    log_sfr_excess : float
        log10 of the rate over that of the main sequence at this mass.
    log_z : float
        log10(Z/Zsun) of the stars' mean.
    """

    bulge: FloatArray
    disk: FloatArray
    sfr: float
    log_sfr_excess: float
    log_z: float


@dataclasses.dataclass(frozen=True)
class _Clock:
    """Sub-step ages and widths of the basis, and the age of the universe at the galaxy's redshift, Gyr."""

    age: FloatArray
    width: FloatArray
    universe: float

    def normalised(self, rate: FloatArray) -> FloatArray:
        """Return the mass in each sub-step for a rate, scaled to 1 in all."""
        mass = np.where(self.age < self.universe - 0.05, rate, 0.0) * self.width
        total = mass.sum()
        if total <= 0.0:  # a burst narrower than a step at the very edge of time
            mass = np.where(np.abs(self.age - 0.8 * self.universe) < 0.5, self.width, 0.0)
            total = mass.sum()
        return np.asarray(mass / total)


# Specific rate times elapsed time of a delayed-tau history, against x = time / tau; it falls with x.
_X_GRID: Final = np.concatenate([np.linspace(-4.0, -0.01, 200), np.linspace(0.01, 25.0, 800)])
_RATE_TIME: Final = _X_GRID**2 * np.exp(-_X_GRID) / (1.0 - np.exp(-_X_GRID) * (1.0 + _X_GRID))


def delayed_tau_x(specific_rate_per_gyr: float, elapsed_gyr: float) -> float:
    """Return elapsed/tau of the delayed-tau history that ends with a given specific star-formation rate.

    Parameters
    ----------
    specific_rate_per_gyr : float
        Rate over all mass formed, 1/Gyr.
    elapsed_gyr : float
        Time since star formation began, Gyr.

    Returns
    -------
    float
        Negative where the rate still rises; clipped to -4 and 25.
    """
    return float(np.interp(-specific_rate_per_gyr * elapsed_gyr, -_RATE_TIME, _X_GRID))


def _delayed_tau(clock: _Clock, start: float, x: float) -> FloatArray:
    since = np.clip((start - clock.age) / start, 0.0, None)
    return np.asarray(since * np.exp(-x * (since - 1.0)))


def _gaussian(clock: _Clock, mean_age: float, width: float) -> FloatArray:
    mean_age = float(np.clip(mean_age, 1.0, clock.universe - 0.5))
    return np.asarray(np.exp(-0.5 * ((clock.age - mean_age) / width) ** 2))


def _start_age(rng: np.random.Generator, clock: _Clock) -> float:
    return clock.universe - float(rng.uniform(0.7, 3.2))


def _old_age(rng: np.random.Generator, physical: Physical) -> float:
    return 6.4 + 1.3 * (physical.log_mass - 10.8) + 0.5 * physical.early + 1.7 * float(rng.standard_normal())


def _recent(clock: _Clock, log_rate_per_yr: float, duration_gyr: float = 1.0) -> FloatArray:
    """Return the mass per sub-step of a constant specific rate over the last ``duration_gyr``."""
    return np.asarray(np.where(clock.age < duration_gyr, 10.0 ** (log_rate_per_yr + 9.0) * clock.width, 0.0))


def _star_forming(
    rng: np.random.Generator, clock: _Clock, physical: Physical, bulge_to_total: float
) -> tuple[FloatArray, FloatArray]:
    log_sfr = main_sequence_log_sfr(physical.log_mass) + 0.28 * rng.standard_normal() - 0.10 * physical.early
    disk_like = rng.uniform(0.0, 0.6)
    bulge_gaussian = clock.normalised(_gaussian(clock, _old_age(rng, physical) - 0.7, rng.uniform(0.3, 1.2)))
    forming_mass = 10.0**physical.log_mass / _LIVE * ((1.0 - bulge_to_total) + disk_like * bulge_to_total)
    start = _start_age(rng, clock)
    x = delayed_tau_x(10.0 ** (log_sfr + 9.0) / max(forming_mass, 1e6), start)
    mass = clock.normalised(_delayed_tau(clock, start, x))
    short, long = 10.0 ** rng.normal(0.0, (0.25, 0.20))
    mass = mass * np.where(clock.age < 0.3, long, 1.0) * np.where(clock.age < 0.02, short, 1.0)
    has_burst, log_fraction, log_age = rng.random() < 0.12, rng.uniform(-2.5, -1.2), rng.uniform(-1.2, 0.2)
    if has_burst:
        age = 10.0**log_age
        burst = clock.normalised(_gaussian_burst(clock, age))
        mass = mass + 10.0**log_fraction * burst
    return (1.0 - disk_like) * bulge_gaussian + disk_like * mass / mass.sum(), mass


def _gaussian_burst(clock: _Clock, age: float) -> FloatArray:
    return np.asarray(np.exp(-0.5 * ((clock.age - age) / (0.2 * age)) ** 2))


def _green_valley(
    rng: np.random.Generator, clock: _Clock, physical: Physical, bulge_to_total: float
) -> tuple[FloatArray, FloatArray]:
    log_sfr = main_sequence_log_sfr(physical.log_mass) + 0.28 * rng.standard_normal()
    disk_like = rng.uniform(0.0, 0.6)
    bulge_gaussian = clock.normalised(_gaussian(clock, _old_age(rng, physical) - 0.7, rng.uniform(0.3, 1.2)))
    start = _start_age(rng, clock)
    quenched, fold = 10.0 ** rng.uniform(-0.5, 0.4), rng.uniform(0.15, 0.8)
    mass_formed = 10.0**physical.log_mass / _LIVE * ((1.0 - bulge_to_total) + disk_like * bulge_to_total)
    x = delayed_tau_x(10.0 ** (log_sfr + 9.0) / max(mass_formed, 1e6), start)
    rate = _delayed_tau(clock, start, x) * np.exp(-np.clip(quenched - clock.age, 0.0, None) / fold)
    mass = clock.normalised(rate) + _recent(clock, rng.uniform(-11.8, -11.0))
    return (1.0 - disk_like) * bulge_gaussian + disk_like * mass / mass.sum(), mass


def _quiescent(rng: np.random.Generator, clock: _Clock, physical: Physical) -> tuple[FloatArray, FloatArray]:
    age, width, younger = _old_age(rng, physical), rng.uniform(0.3, 1.2), rng.uniform(0.0, 2.0)
    has_frosting, log_rate = rng.random() < 0.30, rng.uniform(-12.6, -11.3)
    bulge = clock.normalised(_gaussian(clock, age, width))
    disk = clock.normalised(_gaussian(clock, age - younger, width))
    # No galaxy is quite dead; below 1e-13 per year it does not matter to any pixel.
    frosting = _recent(clock, log_rate if has_frosting else rng.normal(-13.2, 0.2))
    return bulge + frosting, disk + frosting


def _post_starburst(rng: np.random.Generator, clock: _Clock, physical: Physical) -> tuple[FloatArray, FloatArray]:
    old = clock.normalised(_gaussian(clock, _old_age(rng, physical) - 1.5, rng.uniform(0.5, 1.5)))
    fraction, age = 10.0 ** rng.uniform(-1.3, -0.3), 10.0 ** rng.uniform(-0.75, 0.1)
    decay = min(rng.uniform(0.02, 0.08), age / 5.0)
    burst = np.where(clock.age < age, np.exp(-np.clip(age - clock.age, 0.0, None) / decay), 0.0)
    burst = clock.normalised(burst)
    residual = _recent(clock, rng.uniform(-13.5, -11.5))
    bulge = (1.0 - fraction) * old + fraction * burst + residual
    disk = (1.0 - 0.35 * fraction) * old + 0.35 * fraction * burst + residual
    return bulge, disk


def _log_metallicities(rng: np.random.Generator, physical: Physical) -> tuple[float, float]:
    median = stellar_log_z(physical.log_mass)
    bulge = median + rng.uniform(0.02, 0.07) + 0.10 * rng.standard_normal()
    disk = median - rng.uniform(0.05, 0.15) + 0.15 * rng.standard_normal()
    return float(bulge), float(disk)


def draw_history(rng: np.random.Generator, basis: Basis, physical: Physical, bulge_to_total: float) -> History:
    """Draw when and of what metallicity the stars of a galaxy formed.

    Parameters
    ----------
    rng : numpy.random.Generator
    basis : Basis
    physical : Physical
        Its mass is that of the living stars and remnants.
    bulge_to_total : float
        Share of the bulge in that mass.

    Returns
    -------
    History
    """
    clock = _Clock(basis.substep_age, basis.substep_width, basis.age_of_universe_gyr(physical.redshift))
    if physical.galaxy_class == "SF":
        shapes = _star_forming(rng, clock, physical, bulge_to_total)
    elif physical.galaxy_class == "GV":
        shapes = _green_valley(rng, clock, physical, bulge_to_total)
    elif physical.galaxy_class == "Q":
        shapes = _quiescent(rng, clock, physical)
    else:
        shapes = _post_starburst(rng, clock, physical)
    log_z = _log_metallicities(rng, physical)
    shares = (bulge_to_total, 1.0 - bulge_to_total)
    formed, recent = [], 0.0
    for shape, mean_log_z, share in zip(shapes, log_z, shares, strict=True):
        by_bin = shape.reshape(-1, SUBSTEPS).sum(axis=1)
        masses = basis.metallicity_weights(mean_log_z)[:, None] * by_bin
        scale = share * 10.0**physical.log_mass / float((masses * basis.live_fraction).sum())
        formed.append(masses * scale)
        recent += float(shape[clock.age < _SFR_WINDOW_GYR].sum()) * scale
    sfr = recent / (_SFR_WINDOW_GYR * 1e9)
    mean_log_z = shares[0] * log_z[0] + shares[1] * log_z[1]
    excess = np.log10(max(sfr, 1e-6)) - main_sequence_log_sfr(physical.log_mass)
    return History(formed[0], formed[1], sfr, float(excess), float(mean_log_z))

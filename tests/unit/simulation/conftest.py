"""A basis of black bodies, so that the simulation is exercised where Bagpipes was never installed."""

import numpy as np
import pytest

from galspec.simulation.basis import (
    FILTERS,
    FINE_STEP,
    N_FILTER_GRID,
    N_FINE,
    RECOMBINATION_LINES,
    REDSHIFT_MAX,
    Basis,
    fine_loglam,
)

_N_AGES, _N_YOUNG = 42, 11
_BANDS = {
    "ps1_g": (4000.0, 5500.0),
    "ps1_r": (5500.0, 7000.0),
    "ps1_i": (6900.0, 8200.0),
    "ps1_z": (8200.0, 9200.0),
    "ps1_y": (9200.0, 10500.0),
    "sdss_g": (3900.0, 5500.0),
    "sdss_r": (5500.0, 7000.0),
}


def _cosmology() -> np.ndarray:
    """A flat universe with H0 = 70, Omega_m = 0.3, by the trapezium rule."""
    redshift = np.linspace(0.0, REDSHIFT_MAX, 301)
    expansion = np.sqrt(0.3 * (1 + redshift) ** 3 + 0.7)
    steps = 0.5 * (1 / expansion[1:] + 1 / expansion[:-1]) * np.diff(redshift)
    comoving = 299792.458 / 70.0 * np.concatenate([[0.0], np.cumsum(steps)])
    grid = np.geomspace(1.0, 1e4, 200001)
    integrand = 1.0 / np.sqrt(0.3 * grid**3 + 0.7) / grid
    pieces = 0.5 * (integrand[1:] + integrand[:-1]) * np.diff(grid)
    until = np.concatenate([[0.0], np.cumsum(pieces)])
    age = 977.8 / 70.0 * (until[-1] - np.interp(1 + redshift, grid, until))
    kpc_per_arcsec = comoving / (1 + redshift) * 1e3 * np.pi / 180 / 3600
    return np.stack([redshift, comoving * (1 + redshift), age, 4 / 3 * np.pi * comoving**3, kpc_per_arcsec])


def make_synthetic_basis() -> Basis:
    """Build a basis of black bodies that cool and fade with age, with a 4000 A break when old."""
    wave = 10.0 ** fine_loglam()
    edges = np.array([0.0, *10.0 ** (np.arange(_N_AGES - 1) * 0.1 + 6.05 - 9.0), 13.47])
    age = np.sqrt(np.maximum(edges[:-1], 5e-4) * edges[1:])
    temperature = np.interp(np.log10(age), [-3.0, -2.0, -0.5, 1.1], [30000.0, 20000.0, 8500.0, 4700.0])
    planck = wave**-5.0 / np.expm1(1.4388e8 / (wave * temperature[:, None]))
    planck /= planck[:, np.argmin(np.abs(wave - 5500.0))][:, None]
    depth = np.interp(np.log10(age), [-1.5, 1.0], [0.0, 0.45])[:, None]
    planck *= 1.0 - depth / (1.0 + np.exp((wave - 3990.0) / 15.0))
    # Light per mass at 5500 A, as real populations have it.
    light = 10.0 ** np.interp(np.log10(age), [-3.0, -2.1, 1.1], [-2.3, -2.0, -4.75])
    metallicity = np.array([0.005, 0.02, 0.2, 0.4, 1.0, 2.5, 5.0])
    ssp = planck * light[:, None] * (1.0 - 0.08 * np.log10(metallicity))[:, None, None]
    lines = np.zeros((len(metallicity), _N_YOUNG, len(RECOMBINATION_LINES)))
    ratios = np.array([2.86, 1.0, 0.468, 0.259, 0.159, 0.105, 0.073, 0.053, 0.1, 0.045, 0.12, 0.034, 0.025])
    lines[:] = ratios * np.geomspace(7.0, 0.02, _N_YOUNG)[:, None]
    filter_wave = 10.0 ** (fine_loglam()[0] + FINE_STEP * np.arange(N_FILTER_GRID))
    filters = [(filter_wave > _BANDS[name][0]) & (filter_wave < _BANDS[name][1]) for name in FILTERS]
    return Basis(
        ssp=ssp.astype(np.float32),
        nebular=np.full((len(metallicity), _N_YOUNG, N_FINE), 1e-4, dtype=np.float32),
        lines=lines,
        live_fraction=np.tile(np.linspace(1.0, 0.5, _N_AGES), (len(metallicity), 1)),
        metallicity=metallicity,
        age_edges=edges,
        filters=np.array(filters, dtype=np.float32),
        cosmology=_cosmology(),
    )


@pytest.fixture(scope="session")
def synthetic_basis() -> Basis:
    """A basis made of black bodies: the right shapes and roughly the right colours, no data files."""
    return make_synthetic_basis()

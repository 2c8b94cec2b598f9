"""Wavelength conventions: angstrom, vacuum, rest frame unless a name says otherwise."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_WAVE: Final = 1000
LOGLAM_START: Final = 3.53
LOGLAM_STEP: Final = 3.9e-4
#: Velocity width of one pixel: c ln(10) 3.9e-4 = 269 km/s.
PIXEL_KMS: Final = 299792.458 * 2.302585092994046 * LOGLAM_STEP
#: A spectrum is divided by its median unmasked flux in this rest-frame window (angstrom),
#: which SDSS sees for every 0 <= z <= 0.36.
NORM_WINDOW: Final = (4200.0, 6700.0)
#: Redshifts for which the normalisation window lies inside an SDSS spectrum.
REDSHIFT_RANGE: Final = (0.0, 0.36)


def loglam_grid() -> NDArray[np.float64]:
    """Return the project's grid: log10 of the rest-frame vacuum wavelength in angstrom, shape (1000,)."""
    return np.asarray(LOGLAM_START + LOGLAM_STEP * np.arange(N_WAVE), dtype=np.float64)


def wave_grid() -> NDArray[np.float64]:
    """Return the pixel centres of the grid in angstrom (rest frame, vacuum), shape (1000,), 3388.4-8310.2."""
    return np.asarray(10.0 ** loglam_grid())


def wave_edges() -> NDArray[np.float64]:
    """Return the pixel edges of the grid in angstrom (rest frame, vacuum), shape (1001,)."""
    return np.asarray(10.0 ** (LOGLAM_START + LOGLAM_STEP * (np.arange(N_WAVE + 1) - 0.5)))


def norm_window_mask() -> NDArray[np.bool_]:
    """Return True for the grid pixels inside the normalisation window, shape (1000,)."""
    wave = wave_grid()
    return (wave >= NORM_WINDOW[0]) & (wave <= NORM_WINDOW[1])


def _refractive_index(wave_vac: NDArray[np.float64]) -> NDArray[np.float64]:
    s_squared = (1e4 / wave_vac) ** 2
    return 1.0 + 8.34254e-5 + 0.02406147 / (130.0 - s_squared) + 1.5998e-4 / (38.9 - s_squared)


def _require_optical(wave: ArrayLike, name: str) -> NDArray[np.float64]:
    wave = np.asarray(wave, dtype=np.float64)
    is_valid = np.isfinite(wave) & (wave >= 2000.0)
    if not is_valid.all():
        raise ValueError(f"{name} must be finite and >= 2000 angstrom, got {wave[~is_valid].flat[0]}")
    return wave


def vacuum_to_air(wave_vac: ArrayLike) -> NDArray[np.float64]:
    r"""Convert vacuum wavelengths to wavelengths in air.

    Parameters
    ----------
    wave_vac : array_like, shape (...,)
        Vacuum wavelengths in angstrom; at least 2000.

    Returns
    -------
    wave_air : ndarray, shape (...,), float64
        Wavelengths in dry air at 1 atm and 15 degrees C, in angstrom.

    Raises
    ------
    ValueError
        If any wavelength is not finite or is below 2000 angstrom, where vacuum wavelengths
        are quoted by convention.

    Notes
    -----
    Morton (2000, ApJS 130, 403), the IAU standard, with :math:`s = 10^4 / \lambda_\mathrm{vac}`:

    .. math::

        n = 1 + 8.34254\times10^{-5} + \frac{0.02406147}{130 - s^2} + \frac{1.5998\times10^{-4}}{38.9 - s^2}

    Examples
    --------
    >>> vacuum_to_air([4862.68, 5008.24]).round(2)
    array([4861.32, 5006.84])
    """
    wave = _require_optical(wave_vac, "wave_vac")
    return wave / _refractive_index(wave)


def air_to_vacuum(wave_air: ArrayLike) -> NDArray[np.float64]:
    """Convert wavelengths in air to vacuum: the inverse of `vacuum_to_air` to 1e-9 angstrom.

    Parameters
    ----------
    wave_air : array_like, shape (...,)
        Wavelengths in air in angstrom; at least 2000.

    Returns
    -------
    wave_vac : ndarray, shape (...,), float64
        Vacuum wavelengths in angstrom.

    Raises
    ------
    ValueError
        As `vacuum_to_air`.

    Notes
    -----
    Fixed-point iteration of Morton (2000); the index changes so slowly that three steps are exact.

    Examples
    --------
    >>> air_to_vacuum(6562.8).round(2)
    np.float64(6564.61)
    """
    wave = _require_optical(wave_air, "wave_air")
    wave_vac = wave.copy()
    for _ in range(4):
        wave_vac = wave * _refractive_index(wave_vac)
    return wave_vac

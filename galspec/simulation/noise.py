"""What SDSS does to a spectrum: photon noise, sky, masked pixels and flux-calibration errors.

Everything here happens in the observed frame, sampled at the project's rest-frame pixels.
"""

import dataclasses
import functools
from typing import Final

import numpy as np
from scipy.interpolate import CubicSpline

from galspec.core.lines import SKY_LINES
from galspec.core.wavelength import LOGLAM_STEP, N_WAVE, wave_grid
from galspec.preprocess.quality import near_sky_line
from galspec.simulation.basis import Float32Array, FloatArray

#: Observed-frame range of the original SDSS spectrographs, angstrom.
SDSS_RANGE: Final = (3800.0, 9200.0)
_BAD_FRACTION: Final = 0.004
#: Photons per pixel for 1e-17 erg/s/cm2/A at 6000 A and full throughput; sets the S/N of the survey.
_PHOTONS: Final = 80.0
_READ_VARIANCE: Final = 150.0
#: Systematic error of extraction and sky subtraction, relative to the flux.
_FLAT_ERROR: Final = 0.006
# Sky in a 3 arcsec fibre as flux density: a source of r = 19.3, 1e-17 erg/s/cm2/A at 6200 A.
_SKY_CONTINUUM: Final = 5.4

# Relative throughput of the two arms together, observed angstrom.
_THROUGHPUT: Final = np.array(
    [
        (3700.0, 0.18),
        (3900.0, 0.36),
        (4300.0, 0.62),
        (5000.0, 0.85),
        (5700.0, 0.86),
        (6200.0, 0.95),
        (7000.0, 1.00),
        (7800.0, 0.88),
        (8500.0, 0.66),
        (9000.0, 0.45),
        (9300.0, 0.33),
    ]
).T
# OH bands: centre and width (angstrom), brightness over the continuum.
_OH_BANDS: Final = (
    (7300.0, 60.0, 1.5),
    (7780.0, 80.0, 2.0),
    (8370.0, 90.0, 3.5),
    (8850.0, 90.0, 4.5),
    (9130.0, 70.0, 3.0),
)
_SKY_LINE_STRENGTH: Final = {"sky5577": 25.0, "skyNaD": 2.0, "sky6300": 5.0, "sky6364": 2.0}


#: Telluric bands: observed range (angstrom) and mean depth of B, water and A; SDSS divides them out imperfectly.
_TELLURIC_BANDS: Final = (
    (6867.0, 6944.0, 0.20),
    (7160.0, 7340.0, 0.10),
    (7594.0, 7700.0, 0.50),
    (8120.0, 8350.0, 0.12),
    (8925.0, 9200.0, 0.30),
)
_TELLURIC_ERROR: Final = 0.10
#: Sky lines that the subtraction leaves, relative to the sky: none of it is in the stated errors.
_SKY_RESIDUAL: Final = 0.012


@dataclasses.dataclass(frozen=True)
class ObservedSpectrum:
    """A spectrum as a survey delivers it, on the project's grid.

    Parameters
    ----------
    flux, ivar : ndarray, shape (1000,), float32
        1e-17 erg/s/cm2/A and its inverse variance; both 0 where there are no data.
    snr_median : float
        Median signal to noise per pixel with data.
    """

    flux: Float32Array
    ivar: Float32Array
    snr_median: float


@functools.lru_cache(maxsize=1)
def _sky_table() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return observed wavelengths, sky (1e-17 erg/s/cm2/A in the fibre) and throughput, 2 A apart."""
    wave = np.arange(3300.0, 10900.0, 2.0)
    sky = _SKY_CONTINUUM * (wave / 6200.0) ** -0.5
    for centre, width, height in _OH_BANDS:
        sky += _SKY_CONTINUUM * height * np.exp(-0.5 * ((wave - centre) / (0.5 * width)) ** 2)
    for line in SKY_LINES:
        sky += _SKY_CONTINUUM * _SKY_LINE_STRENGTH[line.name] * np.exp(-0.5 * ((wave - line.wave_vac) / 3.0) ** 2)
    return wave, sky, np.interp(wave, _THROUGHPUT[0], _THROUGHPUT[1])


def noise_sigma(flux: FloatArray, redshift: float, exposure: float = 1.0) -> FloatArray:
    """Return the standard deviation of a fibre spectrum.

    Parameters
    ----------
    flux : ndarray, shape (1000,)
        Noise-free, at the project's pixels, 1e-17 erg/s/cm2/A (observed).
    redshift : float
    exposure : float
        Exposure relative to the survey's usual one.

    Returns
    -------
    ndarray, shape (1000,), float64
    """
    wave = wave_grid() * (1.0 + redshift)
    table_wave, table_sky, table_throughput = _sky_table()
    sky = np.interp(wave, table_wave, table_sky)
    throughput = np.interp(wave, table_wave, table_throughput)
    # Photons grow with wavelength twice: energy per photon, and the pixel's width in angstrom.
    per_flux = _PHOTONS * exposure * throughput * (wave / 6000.0) ** 2
    variance = (np.clip(flux, 0.0, None) + sky) / per_flux + _READ_VARIANCE / per_flux**2
    return np.asarray(np.sqrt(variance + np.square(_FLAT_ERROR * (flux + 0.5 * sky))))


def has_data(redshift: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return True for grid pixels that SDSS observes and whose sky is usable, shape (1000,)."""
    wave = wave_grid() * (1.0 + redshift)
    half = 0.5 * LOGLAM_STEP * np.log(10.0) * wave
    is_inside = (wave - half >= SDSS_RANGE[0]) & (wave + half <= SDSS_RANGE[1])
    return np.asarray(is_inside & ~near_sky_line(wave))


def draw_calibration(rng: np.random.Generator, redshift: float, scatter: float) -> FloatArray:
    """Draw a smooth spectrophotometric error, a factor of the flux, shape (1000,).

    Parameters
    ----------
    rng : numpy.random.Generator
    redshift : float
    scatter : float
        Amplitude: at 1, a 5 % tilt, 2 % curvature and 2 % wiggles of 350 A, rms over 3800-9200 A.
    """
    wave = wave_grid() * (1.0 + redshift)
    middle, half = 0.5 * (SDSS_RANGE[0] + SDSS_RANGE[1]), 0.5 * (SDSS_RANGE[1] - SDSS_RANGE[0])
    x = (wave - middle) / half
    tilt, curvature = rng.standard_normal(2)
    knots = np.arange(3000.0, 11001.0, 350.0)
    wiggle = CubicSpline(knots, rng.standard_normal(len(knots)))(wave)
    # Legendre polynomials with unit rms over the observed range.
    log_factor = 0.05 * tilt * np.sqrt(3.0) * x + 0.02 * curvature * np.sqrt(5.0) * (1.5 * x**2 - 0.5) + 0.02 * wiggle
    return np.asarray(np.exp(scatter * log_factor))


@functools.lru_cache(maxsize=1)
def _telluric_table() -> tuple[FloatArray, FloatArray]:
    """Return observed wavelengths (angstrom) and the optical depth of the atmosphere's bands."""
    wave = np.arange(6800.0, 9300.0, 4.0)
    depth = np.zeros(len(wave))
    for low, high, mean in _TELLURIC_BANDS:
        # Steep at the band head, and a long tail: as in oxygen's A and B bands.
        x = (wave - low) / (high - low)
        depth += np.where((x >= 0) & (x <= 1), -np.log1p(-mean) * (1.5 - x), 0.0)
    return wave, depth


def draw_sky_residual(rng: np.random.Generator, flux_true: FloatArray, redshift: float) -> FloatArray:
    """Draw what imperfect telluric correction and sky subtraction leave, shape (1000,), unit of the flux.

    Parameters
    ----------
    rng : numpy.random.Generator
    flux_true : ndarray, shape (1000,)
        1e-17 erg/s/cm2/A.
    redshift : float

    Notes
    -----
    The airglow's lines are far narrower than a pixel: which pixels they hit changes from one
    to the next, so that their residuals look like noise the errors do not know of.
    """
    wave = wave_grid() * (1.0 + redshift)
    telluric = np.interp(wave, *_telluric_table(), left=0.0, right=0.0)
    table_wave, table_sky, _ = _sky_table()
    airglow = np.interp(wave, table_wave, table_sky - _SKY_CONTINUUM * (table_wave / 6200.0) ** -0.5)
    depth_error, level = _TELLURIC_ERROR * rng.standard_normal(), abs(_SKY_RESIDUAL * rng.standard_normal())
    return np.asarray(flux_true * np.expm1(-depth_error * telluric) + level * airglow * rng.standard_normal(N_WAVE))


def observe(
    rng: np.random.Generator, flux_true: FloatArray, redshift: float, calibration: FloatArray
) -> ObservedSpectrum:
    """Add noise, masks and calibration errors to a noise-free fibre spectrum.

    Parameters
    ----------
    rng : numpy.random.Generator
    flux_true : ndarray, shape (1000,)
        1e-17 erg/s/cm2/A.
    redshift : float
    calibration : ndarray, shape (1000,)
        Factor from `draw_calibration`.

    Returns
    -------
    ObservedSpectrum
    """
    exposure = 10.0 ** (0.10 * rng.standard_normal())
    sigma = noise_sigma(flux_true, redshift, exposure)
    noisy = flux_true + sigma * rng.standard_normal(N_WAVE) + draw_sky_residual(rng, flux_true, redshift)
    is_good = has_data(redshift) & (rng.random(N_WAVE) >= _BAD_FRACTION)
    # Errors of the calibration scale signal and noise alike, and nobody knows of them.
    flux = np.where(is_good, noisy * calibration, 0.0)
    ivar = np.where(is_good, 1.0 / np.square(sigma * calibration), 0.0)
    snr = float(np.median((flux_true / sigma)[is_good])) if is_good.any() else 0.0
    return ObservedSpectrum(flux.astype(np.float32), ivar.astype(np.float32), snr)

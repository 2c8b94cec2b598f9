"""The seven component spectra that tie the spectrum and the image of a galaxy together.

Each has its own map in the image; the spectrum is their sum, each weighted by the fraction of
its map inside the fibre. Colour gradients and aperture effects follow by themselves.
"""

import dataclasses
import functools
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from galspec.core.lines import line_by_name
from galspec.simulation.basis import FINE_PIXEL_KMS, N_FINE, Basis, Float32Array, FloatArray, fine_loglam
from galspec.simulation.emission import (
    LINE_INDEX,
    LINE_NAMES,
    LINE_WAVES,
    add_lines,
    balmer_and_helium,
    draw_hii_ratios,
    draw_liner_ratios,
    draw_seyfert_ratios,
    hii_recombination,
    line_luminosities,
)
from galspec.simulation.history import History
from galspec.simulation.physical import Physical

#: Old stars of the bulge; its stars younger than 10 Myr; disk stars older than 1 Gyr; 10 Myr to
#: 1 Gyr; younger than 10 Myr with their gas; the narrow-line region; LINER-like gas.
COMPONENTS: Final = ("bulge", "bulge_young", "disk_old", "disk_young", "hii", "nlr", "lier")
COMPONENT_INDEX: Final = {name: index for index, name in enumerate(COMPONENTS)}

_TEMPLATE_KMS: Final = 60.0
_INSTRUMENT_KMS: Final = 69.0
_ISM_SLOPE: Final = 0.7
#: Steeper in birth clouds (da Cunha et al. 2008); with 0.7 Balmer decrements stay below those of SDSS.
_CLOUD_SLOPE: Final = 1.3
#: Ionising photons not absorbed by dust inside the HII regions.
_IONISING_SHARE: Final = 0.75
_REFERENCE_WAVE: Final = 5500.0
_Ranges = tuple[tuple[float, float], ...]

#: Bands of Lick indices (Worthey et al. 1994; vacuum angstrom) and the relative growth of the feature per dex of
#: [alpha/Fe] at fixed total metallicity, about as in the response functions of Korn, Maraston & Thomas (2005): CN,
#: Ca4227, G4300, Fe4383, Fe4531, C4668, Mg b, Fe5270, Fe5335, Fe5406, stellar Na D, TiO1, TiO2, TiO 7050.
_ABUNDANCE_BANDS: Final = (
    (4143.0, 4179.0, 0.6),
    (4223.0, 4236.0, 0.5),
    (4282.0, 4318.0, 0.3),
    (4370.0, 4422.0, -1.3),
    (4515.0, 4560.0, -0.4),
    (4635.0, 4722.0, -0.4),
    (5071.0, 5198.0, 0.8),
    (5247.0, 5287.0, -0.9),
    (5314.0, 5354.0, -1.0),
    (5389.0, 5417.0, -1.1),
    (5878.0, 5911.0, 0.5),
    (5939.0, 5996.0, 0.5),
    (6192.0, 6274.0, 0.6),
    (7050.0, 7250.0, 0.6),
)
#: Width of the local continuum that features are measured against.
_CONTINUUM_KMS: Final = 2500.0

_N_LINES: Final = len(LINE_NAMES)
#: Continuum beside Halpha and [NII], angstrom.
_HALPHA_SIDES: Final[_Ranges] = ((6490.0, 6530.0), (6600.0, 6650.0))


@dataclasses.dataclass(frozen=True)
class Dust:
    """Dust of a galaxy, magnitudes in V.

    Parameters
    ----------
    a_v_ism : float
        In front of all disk stars.
    a_v_cloud : float
        In addition, in front of stars younger than 10 Myr and of their lines.
    a_v_bulge : float
        In front of the bulge.
    slope : float
        Of the attenuation by the diffuse dust, A ~ wavelength^-slope.
    """

    a_v_ism: float
    a_v_cloud: float
    a_v_bulge: float
    slope: float = _ISM_SLOPE


@dataclasses.dataclass(frozen=True)
class ComponentSpectra:
    """Spectra and lines of the seven components, after dust.

    Parameters
    ----------
    luminosity : ndarray, shape (7, 6160), float32
        On the fine grid, lines included, Lsun/A.
    continuum : ndarray, shape (7, 6160), float32
        The same without emission lines.
    lines : ndarray, shape (7, 28)
        Line luminosities in the order of `LINE_NAMES`, Lsun; broad lines not included.
    halpha_continuum : ndarray, shape (7,)
        Continuum beside Halpha, Lsun/A.
    broad_halpha : float
        Broad Halpha of the narrow-line region's nucleus, Lsun; 0 without broad lines.
    hii_ratios : dict
        Drawn line ratios of the HII regions.
    """

    luminosity: Float32Array
    continuum: Float32Array
    lines: FloatArray
    halpha_continuum: FloatArray
    broad_halpha: float
    hii_ratios: dict[str, float]


def draw_dust(rng: np.random.Generator, physical: Physical, axis_ratio: float) -> Dust:
    """Draw the dust of a galaxy by its mass (Garn & Best 2010), class and inclination.

    Parameters
    ----------
    rng : numpy.random.Generator
    physical : Physical
    axis_ratio : float
        Apparent axis ratio of the disk: the long way through an inclined disk is dustier.
    """
    scatter = rng.standard_normal(4)
    if physical.galaxy_class == "Q":
        # One in eight early types has a dusty disk or lane; the others next to nothing.
        a_v = float(abs((0.35 if scatter[1] > 1.15 else 0.07) * scatter[0]))
        return Dust(a_v, 0.5 * a_v, a_v, _attenuation_slope(a_v, scatter[3]))
    x = float(np.clip(physical.log_mass - 10.0, -1.5, 1.5))
    a_halpha = max(0.0, 0.91 + 0.77 * x + 0.11 * x**2 - 0.09 * x**3 + 0.28 * scatter[0])
    a_v = a_halpha / 0.82 * {"SF": 1.0, "GV": 0.55, "PSB": 0.5}[physical.galaxy_class]
    share = float(np.clip(0.35 + 0.08 * scatter[1], 0.1, 0.7))
    path = 0.75 + 1.3 * np.log10(1.0 / max(axis_ratio, 0.1))
    a_v_ism = float(share * a_v * path * 10.0 ** (0.2 * scatter[2]))
    # Half of a bulge's light comes from in front of the disk.
    return Dust(a_v_ism, (1.0 - share) * a_v, 0.7 * a_v_ism, _attenuation_slope(a_v_ism, scatter[3]))


def _attenuation_slope(a_v: float, scatter: float) -> float:
    """Return the slope of the attenuation: shallower the more dust, with scatter (Salim & Narayanan 2020, sect. 3)."""
    slope = 0.8 - 0.4 * np.log10(float(np.clip(a_v, 0.05, 3.0)) / 0.5) + 0.15 * scatter
    return float(np.clip(slope, 0.4, 1.6))


def transmission(wave: NDArray[np.floating], a_v: float, slope: float = _ISM_SLOPE) -> FloatArray:
    """Return the transmission of dust with A proportional to wavelength^-slope (Charlot & Fall 2000)."""
    return np.asarray(10.0 ** (-0.4 * a_v * (np.asarray(wave) / _REFERENCE_WAVE) ** -slope))


@functools.lru_cache(maxsize=1)
def _log_wave_ratio() -> Float32Array:
    return np.asarray(np.log(10.0 ** fine_loglam() / _REFERENCE_WAVE), dtype=np.float32)


def _fine_transmission(a_v: float, slope: float) -> Float32Array:
    curve = np.exp(np.float32(-slope) * _log_wave_ratio())
    return np.asarray(np.exp(np.float32(-0.4 * np.log(10.0) * a_v) * curve))


def _stellar_continua(basis: Basis, history: History, dust: Dust) -> Float32Array:
    """Return the continua of bulge, bulge_young, disk_old, disk_young and hii behind their dust, (5, 6160)."""
    cloud, young = basis.birth_cloud_fraction, basis.young_fraction
    weights = np.stack(
        [
            history.bulge * (1.0 - cloud),
            history.bulge * cloud,
            history.disk * (1.0 - young),
            history.disk * (young - cloud),
            history.disk * cloud,
        ]
    )
    # Few metallicities carry weight: multiplying with the others would double the time.
    used = np.flatnonzero(weights.any(axis=(0, 2)))
    low, high = used[0], used[-1] + 1
    matrix = weights[:, low:high].reshape(5, -1).astype(np.float32)
    continua = np.asarray(matrix @ basis.ssp[low:high].reshape(-1, N_FINE))
    n_young = basis.nebular.shape[1]
    births = weights[[1, 4], low:high, :n_young].reshape(2, -1).astype(np.float32)
    continua[[1, 4]] += _IONISING_SHARE * (births @ basis.nebular[low:high].reshape(-1, N_FINE))
    ism, bulge = _fine_transmission(dust.a_v_ism, dust.slope), _fine_transmission(dust.a_v_bulge, dust.slope)
    birth_cloud = _fine_transmission(dust.a_v_cloud, _CLOUD_SLOPE)
    continua *= np.stack([bulge, bulge * birth_cloud, ism, ism, ism * birth_cloud])
    return continua


@functools.lru_cache(maxsize=1)
def _frequency_squared() -> Float32Array:
    return np.asarray(scipy.fft.rfftfreq(N_FINE) ** 2, dtype=np.float32)


def broaden(spectra: Float32Array, sigma_kms: float) -> Float32Array:
    """Convolve spectra on the fine grid with a Gaussian of velocity dispersion ``sigma_kms``."""
    sigma = sigma_kms / FINE_PIXEL_KMS
    window = np.exp(np.float32(-2.0 * np.pi**2 * sigma**2) * _frequency_squared())
    return np.asarray(scipy.fft.irfft(scipy.fft.rfft(spectra, axis=-1) * window, n=N_FINE, axis=-1), dtype=np.float32)


@functools.lru_cache(maxsize=1)
def _sodium_profile() -> Float32Array:
    """Return interstellar Na D absorption of 1 angstrom equivalent width, to be scaled."""
    profile = np.zeros(N_FINE)
    waves = np.array([line_by_name("NaD5890").wave_vac, line_by_name("NaD5896").wave_vac])
    # D2 to D1 is 1.3 for the nearly saturated lines of a galaxy's own gas, not 2.
    add_lines(profile, waves, np.array([0.565, 0.435]), 110.0)
    return profile.astype(np.float32)


@functools.lru_cache(maxsize=1)
def _abundance_response() -> Float32Array:
    """Return by how much the depth of absorption features grows per dex of [alpha/Fe], on the fine grid."""
    wave = 10.0 ** fine_loglam()
    response = np.zeros(N_FINE)
    for low, high, gain in _ABUNDANCE_BANDS:
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        response += gain * np.exp(-(((wave - middle) / (1.2 * half)) ** 4))
    return response.astype(np.float32)


def draw_alpha_enhancement(rng: np.random.Generator, log_mass: float) -> float:
    """Draw [alpha/Fe] of the old stars relative to the library's, dex: rising with mass (Thomas et al. 2005)."""
    return float(np.clip(0.10 + 0.12 * (log_mass - 10.5) + 0.09 * rng.standard_normal(), -0.2, 0.5))


def _apply_abundances(continua: Float32Array, alpha: float) -> None:
    """Deepen or flatten the absorption features of the old stars, in place.

    The library has the Sun's abundance ratios. In the bands of the Lick indices, the depth of what
    lies below the local continuum is raised to a power, as the indices of enhanced models respond.
    """
    old = [COMPONENT_INDEX["bulge"], COMPONENT_INDEX["disk_old"]]
    light = continua[old].sum(axis=0)
    depth = np.log(np.maximum(light, 1e-30) / np.maximum(broaden(light, _CONTINUUM_KMS), 1e-30))
    continua[old] *= np.exp(np.float32(alpha) * _abundance_response() * depth)


def _mean_between(wave: FloatArray, spectra: NDArray[np.floating], ranges: _Ranges) -> FloatArray:
    pieces = [slice(*np.searchsorted(wave, limits)) for limits in ranges]
    return np.asarray(np.mean([spectra[..., piece].mean(axis=-1) for piece in pieces], axis=0), dtype=np.float64)


def _seyfert(
    rng: np.random.Generator, physical: Physical, wave: FloatArray, r_continuum: float
) -> tuple[FloatArray, Float32Array, tuple[FloatArray, float] | None]:
    """Return the narrow lines, the nuclear continuum, and broad Balmer lines with their dispersion if any."""
    # Lines as observed: the nucleus has its own screen, seen in its Balmer decrement.
    log_o3 = 7.2 + 0.35 * (physical.log_mass - 10.7) + 0.62 * rng.standard_normal()
    screen = abs(0.9 + 0.5 * rng.standard_normal())
    ratios = draw_seyfert_ratios(rng)
    lines = line_luminosities(balmer_and_helium(1.0, 3.1), ratios) * transmission(LINE_WAVES, screen)
    lines *= 10.0**log_o3 / lines[LINE_INDEX["[OIII]5007"]]
    has_continuum, share = rng.random() < 0.5, rng.uniform(0.0, 0.06)
    slope = rng.uniform(-2.0, -1.0)
    amount = share * r_continuum if has_continuum else 0.0
    continuum = np.asarray(amount * (wave / 6200.0) ** slope, dtype=np.float32)
    # Brighter broad lines make a spectrum a quasar's for SDSS, and no galaxy of this survey.
    is_broad, log_ratio = rng.random() < 0.12, min(0.3 + 0.3 * float(rng.standard_normal()), 0.8)
    fwhm = 10.0 ** rng.uniform(3.25, 3.75)
    if not (is_broad and has_continuum):
        return lines, continuum, None
    broad = np.zeros(_N_LINES)
    balmer = balmer_and_helium(lines[LINE_INDEX["Halpha"]] * 10.0**log_ratio, 3.4)
    broad[: len(balmer)] = balmer * transmission(LINE_WAVES[: len(balmer)], 0.3)
    return lines, continuum, (broad, fwhm / 2.3548)


def _liner(rng: np.random.Generator, old_halpha_continuum: float) -> FloatArray:
    """Return the lines of LINER-like gas: an equivalent width of the old stars' continuum."""
    width = 10.0 ** (0.2 + 0.36 * rng.standard_normal())
    screen = abs(0.4 * rng.standard_normal())
    lines = line_luminosities(balmer_and_helium(1.0, 2.95), draw_liner_ratios(rng)) * transmission(LINE_WAVES, screen)
    return np.asarray(lines * width * old_halpha_continuum / lines[LINE_INDEX["Halpha"]])


def _star_formation_lines(basis: Basis, history: History, dust: Dust, ratios: dict[str, float]) -> FloatArray:
    """Return the lines of bulge_young and hii after dust, shape (2, 28)."""
    cloud = basis.birth_cloud_fraction
    n_young = basis.lines.shape[1]
    rows = []
    for mass, a_v in ((history.bulge, dust.a_v_bulge), (history.disk, dust.a_v_ism)):
        births = (mass * cloud)[:, :n_young] * _IONISING_SHARE
        lines = line_luminosities(hii_recombination(basis, births), ratios)
        clouds = transmission(LINE_WAVES, dust.a_v_cloud, _CLOUD_SLOPE)
        rows.append(lines * transmission(LINE_WAVES, a_v, dust.slope) * clouds)
    return np.stack(rows)


def build_components(
    rng: np.random.Generator, basis: Basis, physical: Physical, history: History, dust: Dust, sigma_v: float
) -> ComponentSpectra:
    """Build the spectra of the seven components of a galaxy.

    Parameters
    ----------
    rng : numpy.random.Generator
        For line ratios and the nucleus.
    basis : Basis
    physical : Physical
    history : History
    dust : Dust
    sigma_v : float
        Stellar velocity dispersion, km/s.

    Returns
    -------
    ComponentSpectra
    """
    wave = basis.wave
    continua = np.zeros((7, N_FINE), dtype=np.float32)
    continua[:5] = _stellar_continua(basis, history, dust)
    continua[:5] = broaden(continua[:5], float(np.sqrt(sigma_v**2 + _INSTRUMENT_KMS**2 - _TEMPLATE_KMS**2)))
    _apply_abundances(continua, draw_alpha_enhancement(rng, physical.log_mass))
    # Interstellar sodium follows the dust with a wide scatter (Chen et al. 2010, fig. 5).
    sodium = 0.55 * dust.a_v_ism * 10.0 ** (0.25 * float(rng.standard_normal()))
    continua[:4] *= np.clip(1.0 - np.float32(min(sodium, 4.0)) * _sodium_profile(), 0.05, 1.0)
    halpha_continuum = _mean_between(wave, continua, _HALPHA_SIDES)

    lines = np.zeros((7, _N_LINES))
    ratios = draw_hii_ratios(rng, physical.log_mass, history.log_sfr_excess)
    bulge_young, hii = COMPONENT_INDEX["bulge_young"], COMPONENT_INDEX["hii"]
    nlr, lier = COMPONENT_INDEX["nlr"], COMPONENT_INDEX["lier"]
    lines[[bulge_young, hii]] = _star_formation_lines(basis, history, dust, ratios)
    broad = None
    if physical.agn == "seyfert":
        r_continuum = float(_mean_between(wave, continua.sum(axis=0), ((5600.0, 6800.0),)))
        lines[nlr], continua[nlr], broad = _seyfert(rng, physical, wave, r_continuum)
        halpha_continuum[nlr] = _mean_between(wave, continua[nlr], _HALPHA_SIDES)
    elif physical.agn == "liner":
        old = halpha_continuum[COMPONENT_INDEX["bulge"]] + halpha_continuum[COMPONENT_INDEX["disk_old"]]
        lines[lier] = _liner(rng, float(old))

    continuum = continua.copy()
    gas = 0.8 * sigma_v
    for index, factor in ((bulge_young, 1.0), (hii, 1.0), (nlr, 1.3 / 0.8), (lier, 1.0 / 0.8)):
        if lines[index].any():
            add_lines(continua[index], LINE_WAVES, lines[index], float(np.hypot(gas * factor, _INSTRUMENT_KMS)))
    if broad is not None:
        add_lines(continua[nlr], LINE_WAVES, broad[0], broad[1])
    broad_halpha = 0.0 if broad is None else float(broad[0][LINE_INDEX["Halpha"]])
    return ComponentSpectra(continua, continuum, lines, halpha_continuum, broad_halpha, ratios)

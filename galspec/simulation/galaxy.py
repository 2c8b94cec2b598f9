"""One simulated galaxy, from a survey seed and a candidate number: spectrum, image, truth.

Candidates are counted before the selection, and each draws from its own random streams, so a
galaxy depends neither on the number of processes nor on the order of the work.
"""

import dataclasses
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from galspec.core.bands import AB_ZEROPOINT_NJY, BANDS
from galspec.core.lines import MEASURED_LINES, line_flux_column
from galspec.core.wavelength import wave_grid
from galspec.measurement.bpt import bpt_class
from galspec.measurement.indices import dn4000
from galspec.simulation.basis import FILTERS, Basis, Float32Array, FloatArray, rebin_to_grid
from galspec.simulation.components import (
    COMPONENT_INDEX,
    COMPONENTS,
    ComponentSpectra,
    Dust,
    build_components,
    draw_dust,
)
from galspec.simulation.emission import LINE_INDEX, LINE_WAVES
from galspec.simulation.history import History, draw_history
from galspec.simulation.maps import BAND_MICRON
from galspec.simulation.morphology import Morphology, draw_morphology, half_light_radius_arcsec
from galspec.simulation.noise import ObservedSpectrum, draw_calibration, observe
from galspec.simulation.physical import Physical
from galspec.simulation.population import (
    Position,
    draw_physical,
    draw_position,
    draw_velocity_dispersion,
    passes_selection,
)
from galspec.simulation.render import band_fibre_fractions, component_maps, render_row

#: Changes whenever the same seed would give another galaxy.
RECIPE_VERSION: Final = 2

#: A(band) / E(B-V) of PS1 grizy (Schlafly & Finkbeiner 2011); PS1 images are not dereddened.
EXTINCTION_PER_EBV: Final = (3.172, 2.271, 1.682, 1.322, 1.087)
#: The same curve at more wavelengths (angstrom): SDSS u and Landolt B of the same table continue it to the blue.
_EXTINCTION_WAVES: Final = (3586.0, 4361.0, 4866.0, 6215.0, 7545.0, 8679.0, 9633.0)
_EXTINCTION_CURVE: Final = (4.239, 3.626, *EXTINCTION_PER_EBV)
ZERO_POINT_SCATTER_MAG: Final = 0.012
#: Error of the fibre's position by drilling, plugging and guiding, rms per axis.
FIBRE_OFFSET_ARCSEC: Final = 0.2
#: Names of the independent random streams of a galaxy, in the order they are spawned.
STREAMS: Final = ("physical", "morphology", "stars", "sky", "spectrum", "calibration")
_SDSS_R: Final = FILTERS.index("sdss_r")
_SDSS_G: Final = FILTERS.index("sdss_g")
#: Flux unit of spectra, erg/s/cm2/A.
_SPECTRUM_UNIT: Final = 1e-17


@dataclasses.dataclass(frozen=True)
class SimulatedGalaxy:
    """An accepted galaxy.

    Parameters
    ----------
    id : str
        "sim<survey seed>-<candidate, 8 digits>".
    row : dict
        Its row of the catalogue: truths, photometry, and what the renderer needs.
    flux, ivar : ndarray, shape (1000,), float32
        Observed spectrum on the grid, 1e-17 erg/s/cm2/A; ivar 0 = no data.
    flux_true : ndarray, shape (1000,), float32
        The same without noise, masks and calibration errors.
    image : ndarray, shape (5, 224, 224), float32, or None
        Cutout in nJy, if asked for.
    continuum_true : ndarray, shape (1000,), float32, or None
        `flux_true` without emission lines, if asked for.
    """

    id: str
    row: dict[str, Any]
    flux: Float32Array
    ivar: Float32Array
    flux_true: Float32Array
    image: Float32Array | None = None
    continuum_true: Float32Array | None = None


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A candidate before its maps are built: enough to decide on its acceptance."""

    physical: Physical
    morphology: Morphology
    history: History
    dust: Dust
    sigma_v: float
    spectra: ComponentSpectra
    photometry: FloatArray


def random_stream(survey_seed: int, candidate: int, name: str) -> np.random.Generator:
    """Return the generator of one of the `STREAMS` of a galaxy.

    Raises
    ------
    ValueError
        If there is no stream called ``name``, or a number is negative.
    """
    sequence = np.random.SeedSequence([survey_seed, candidate], spawn_key=(STREAMS.index(name),))
    return np.random.default_rng(sequence)


def galaxy_id(survey_seed: int, candidate: int) -> str:
    """Return the id of a simulated galaxy."""
    return f"sim{survey_seed}-{candidate:08d}"


def _draw_candidate(basis: Basis, survey_seed: int, candidate: int) -> _Candidate:
    physical = draw_physical(random_stream(survey_seed, candidate, "physical"), basis)
    morphology = draw_morphology(random_stream(survey_seed, candidate, "morphology"), physical)
    rng = random_stream(survey_seed, candidate, "stars")
    history = draw_history(rng, basis, physical, morphology.bulge_to_total)
    dust = draw_dust(rng, physical, morphology.axis_ratio)
    sigma_v = draw_velocity_dispersion(rng, physical.log_mass, morphology.bulge_to_total)
    spectra = build_components(rng, basis, physical, history, dust, sigma_v)
    photometry = basis.photometry(spectra.luminosity, physical.redshift)
    return _Candidate(physical, morphology, history, dust, sigma_v, spectra, photometry)


def _is_selected(drawn: _Candidate) -> bool:
    mag_r = _ab_magnitude(drawn.photometry[:, _SDSS_R].sum())
    return passes_selection(mag_r, half_light_radius_arcsec(drawn.morphology))


def is_accepted(basis: Basis, survey_seed: int, candidate: int) -> bool:
    """Return whether `simulate_galaxy` accepts a candidate, without building its maps and spectrum."""
    return _is_selected(_draw_candidate(basis, survey_seed, candidate))


def simulate_galaxy(
    basis: Basis,
    survey_seed: int,
    candidate: int,
    *,
    calibration_scatter: float = 1.0,
    with_image: bool = False,
    with_continuum: bool = False,
) -> SimulatedGalaxy | None:
    """Simulate one candidate; return None if the survey's selection rejects it.

    Parameters
    ----------
    basis : Basis
    survey_seed : int
        Not negative.
    candidate : int
        Number before the selection, from 0.
    calibration_scatter : float
        Amplitude of the spectrophotometric errors; 1 resembles SDSS, 0 has none.
    with_image : bool
        Render the cutout too.
    with_continuum : bool
        Keep the noise-free spectrum without emission lines too.

    Returns
    -------
    SimulatedGalaxy or None
        Deterministic in (survey_seed, candidate).
    """
    drawn = _draw_candidate(basis, survey_seed, candidate)
    if not _is_selected(drawn):
        return None
    redshift = drawn.physical.redshift
    maps = component_maps(drawn.morphology, drawn.morphology.map_seed)
    calibration_rng = random_stream(survey_seed, candidate, "calibration")
    offset = FIBRE_OFFSET_ARCSEC * calibration_rng.standard_normal(2)
    fractions = band_fibre_fractions(drawn.morphology, maps, (float(offset[0]), float(offset[1])))
    shares = _at_wavelength(fractions, wave_grid() * (1.0 + redshift))
    sky = _draw_sky(random_stream(survey_seed, candidate, "sky"), drawn.photometry)
    # As in the images and in the archive's spectra, the Milky Way's dust is not corrected for.
    galactic = galactic_transmission(wave_grid() * (1.0 + redshift), sky.ebv)
    scale = galactic * basis.flux_scale(redshift) / _SPECTRUM_UNIT
    flux_true = (shares * rebin_to_grid(drawn.spectra.luminosity)).sum(axis=0) * scale
    calibration = draw_calibration(calibration_rng, redshift, calibration_scatter)
    observed = observe(random_stream(survey_seed, candidate, "spectrum"), flux_true, redshift, calibration)
    row = _catalog_row(drawn, sky, galaxy_id(survey_seed, candidate), fractions, flux_true, observed)
    row |= _line_flux_truths(drawn, fractions, sky.ebv, basis.flux_scale(redshift))
    row |= {"fibre_offset_x": float(offset[0]), "fibre_offset_y": float(offset[1])}
    row |= {"survey_seed": survey_seed, "candidate": candidate}
    return SimulatedGalaxy(
        id=row["id"],
        row=row,
        flux=observed.flux,
        ivar=observed.ivar,
        flux_true=flux_true.astype(np.float32),
        image=render_row(row) if with_image else None,
        continuum_true=_continuum(drawn, shares, scale) if with_continuum else None,
    )


def _continuum(drawn: _Candidate, shares: FloatArray, scale: FloatArray) -> Float32Array:
    return np.asarray((shares * rebin_to_grid(drawn.spectra.continuum)).sum(axis=0) * scale, dtype=np.float32)


def _at_wavelength(fractions: FloatArray, wave_obs: ArrayLike) -> FloatArray:
    """Interpolate shares in the bands, (7, 5), to observed wavelengths (N,), angstrom; returns (7, N)."""
    pivot = 1e4 * np.array(BAND_MICRON)
    return np.stack([np.interp(np.asarray(wave_obs), pivot, row) for row in fractions])


def _ab_magnitude(flux_njy: float | np.floating) -> float:
    return AB_ZEROPOINT_NJY - 2.5 * float(np.log10(max(float(flux_njy), 1e-3)))


def galactic_transmission(wave_obs: ArrayLike, ebv: float) -> FloatArray:
    """Return the transmission of the Milky Way's dust (Schlafly & Finkbeiner 2011, Table 6, R_V = 3.1).

    Parameters
    ----------
    wave_obs : array_like
        Observed wavelengths, angstrom.
    ebv : float
        E(B-V) of Schlegel, Finkbeiner & Davis (1998), mag.
    """
    curve = CubicSpline(1e4 / np.array(_EXTINCTION_WAVES[::-1]), _EXTINCTION_CURVE[::-1])
    return np.asarray(10.0 ** (-0.4 * ebv * curve(1e4 / np.asarray(wave_obs))))


def _line_truths(drawn: _Candidate, fractions: FloatArray) -> dict[str, Any]:
    shares = _at_wavelength(fractions, LINE_WAVES * (1.0 + drawn.physical.redshift))
    lines = (shares * drawn.spectra.lines).sum(axis=0)
    at_halpha = shares[:, LINE_INDEX["Halpha"]]
    halpha, hbeta = lines[LINE_INDEX["Halpha"]], lines[LINE_INDEX["Hbeta"]]
    has_lines = halpha > 0.0 and hbeta > 0.0

    def log_ratio(name: str, reference: float) -> float:
        return float(np.log10(lines[LINE_INDEX[name]] / reference)) if has_lines else float("nan")

    continuum = max(float(at_halpha @ drawn.spectra.halpha_continuum), 1e-30)
    ew_halpha = float(halpha / continuum)
    broad = float(at_halpha[COMPONENT_INDEX["nlr"]] * drawn.spectra.broad_halpha)
    log_n2, log_o3 = log_ratio("[NII]6583", halpha), log_ratio("[OIII]5007", hbeta)
    sulphur = lines[LINE_INDEX["[SII]6716"]] + lines[LINE_INDEX["[SII]6731"]]
    return {
        "ew_ha_true": ew_halpha,
        "ew_ha_broad_true": broad / continuum,
        "log_n2": log_n2,
        "log_o3": log_o3,
        "log_s2": float(np.log10(sulphur / halpha)) if has_lines else float("nan"),
        "log_o1": log_ratio("[OI]6300", halpha),
        "balmer_decrement": float(halpha / hbeta) if has_lines else float("nan"),
        "bpt_class": bpt_class(log_n2, log_o3, ew_halpha),
    }


def _line_flux_truths(drawn: _Candidate, fractions: FloatArray, ebv: float, flux_scale: float) -> dict[str, float]:
    """Return the fluxes of the measured lines in the fibre, 1e-17 erg/s/cm2, narrow components, no noise."""
    redshift = drawn.physical.redshift
    wave_obs = LINE_WAVES * (1.0 + redshift)
    shares = _at_wavelength(fractions, wave_obs)
    # The scale gives flux per observed angstrom at rest pixels: a line is 1 + z wider than there.
    scale = galactic_transmission(wave_obs, ebv) * flux_scale * (1.0 + redshift) / _SPECTRUM_UNIT
    fluxes = (shares * drawn.spectra.lines).sum(axis=0) * scale
    found = {}
    for name in MEASURED_LINES:
        members = ("[OII]3726", "[OII]3729") if name == "[OII]3727" else (name,)
        found[line_flux_column(name)] = float(np.float32(sum(fluxes[LINE_INDEX[member]] for member in members)))
    return found


@dataclasses.dataclass(frozen=True)
class _Sky:
    """Position, E(B-V) of the Milky Way there (mag), and component fluxes as the image shows them, (7, 5) nJy."""

    position: Position
    ebv: float
    fluxes: FloatArray


def _draw_sky(rng: np.random.Generator, photometry: FloatArray) -> _Sky:
    position = draw_position(rng)
    ebv = 0.035 * float(np.exp(0.6 * rng.standard_normal()))
    offset = ZERO_POINT_SCATTER_MAG * rng.standard_normal(len(BANDS)) + ebv * np.asarray(EXTINCTION_PER_EBV)
    return _Sky(position, ebv, photometry[:, : len(BANDS)] * 10.0 ** (-0.4 * offset))


def _catalog_row(
    drawn: _Candidate,
    sky: _Sky,
    name: str,
    fractions: FloatArray,
    flux_true: FloatArray,
    observed: ObservedSpectrum,
) -> dict[str, Any]:
    physical, history = drawn.physical, drawn.history
    in_fibre = (fractions * sky.fluxes).sum(axis=0)
    r_all = drawn.photometry[:, _SDSS_R]
    in_g, in_r = fractions[:, 0] @ drawn.photometry[:, _SDSS_G], fractions[:, 1] @ r_all
    colour = -2.5 * float(np.log10(in_g / in_r))
    log_sfr = float(np.log10(max(history.sfr, 1e-6)))
    row: dict[str, Any] = {
        "id": name,
        "ra_deg": sky.position.ra_deg,
        "dec_deg": sky.position.dec_deg,
        "redshift": physical.redshift,
        "galaxy_class": physical.galaxy_class,
        "agn_class": physical.agn,
        "log_mass": physical.log_mass,
        "sfr": history.sfr,
        "log_ssfr": log_sfr - physical.log_mass,
        "ebv_mw": sky.ebv,
        "a_v": drawn.dust.a_v_ism,
        "dust_slope": drawn.dust.slope,
        "sigma_v": drawn.sigma_v,
        "metallicity": history.log_z,
        "fibre_fraction_r": float(in_r / r_all.sum()),
        "sdss_r": _ab_magnitude(r_all.sum()),
        "sdss_g_r_fibre": colour,
        "snr_median": observed.snr_median,
        "dn4000_true": dn4000(flux_true),
        **_line_truths(drawn, fractions),
    }
    for band, total, aperture in zip(BANDS, sky.fluxes.sum(axis=0), in_fibre, strict=True):
        row[f"mag_{band}"] = _ab_magnitude(total)
        row[f"apmag_{band}"] = _ab_magnitude(aperture)
    for component, values in zip(COMPONENTS, sky.fluxes, strict=True):
        row |= {f"c_{component}_{band}": float(value) for band, value in zip(BANDS, values, strict=True)}
    return row | drawn.morphology.to_row()

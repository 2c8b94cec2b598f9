"""Light distributions of a galaxy's seven components before the PSF, on a grid a little larger than the cutout."""

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

from galspec.core.bands import CUTOUT_SIZE_PIX, PIXEL_SCALE_ARCSEC, SDSS_FIBRE_DIAMETER_ARCSEC
from galspec.simulation.morphology import Morphology, sersic_b

Map = NDArray[np.float32]

#: Maps are drawn with a margin, so that light scatters into the cutout as it scatters out of it.
MARGIN_PIX: Final = 8
GRID_PIX: Final = CUTOUT_SIZE_PIX + 2 * MARGIN_PIX
CENTRE_PIX: Final = (GRID_PIX - 1) / 2
INNER: Final = slice(MARGIN_PIX, MARGIN_PIX + CUTOUT_SIZE_PIX)

#: The central pixels of a Sersic cusp are averaged over 9 x 9 samples.
_CORE_PIX: Final = 24
_CORE_SAMPLES: Final = 9
_SEEING_FWHM_ARCSEC: Final = 1.35

BULGE, BULGE_YOUNG, DISK_OLD, DISK_YOUNG, HII, NLR, LIER = range(7)


@functools.lru_cache(maxsize=1)
def _axes() -> tuple[Map, Map]:
    """Return columns and rows in arcsec from the grid's centre, (1, G) and (G, 1)."""
    offset = (np.arange(GRID_PIX, dtype=np.float32) - np.float32(CENTRE_PIX)) * np.float32(PIXEL_SCALE_ARCSEC)
    return offset[None, :], offset[:, None]


def _rotated(morph: Morphology, x: Map, y: Map) -> tuple[Map, Map]:
    """Return coordinates along the major and minor axes, arcsec, from the nucleus."""
    angle = np.radians(morph.position_angle_deg)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx = x - np.float32(morph.offset_x * PIXEL_SCALE_ARCSEC)
    dy = y - np.float32(morph.offset_y * PIXEL_SCALE_ARCSEC)
    return dx * cos + dy * sin, dy * cos - dx * sin


def _core_axes() -> tuple[slice, Map, Map]:
    """Return the slice of the central pixels and their 9 x 9 sample coordinates, arcsec."""
    start = (GRID_PIX - _CORE_PIX) // 2
    step = 1.0 / _CORE_SAMPLES
    samples = (np.arange(_CORE_PIX * _CORE_SAMPLES) + 0.5) * step - 0.5 + start - CENTRE_PIX
    offset = (samples * PIXEL_SCALE_ARCSEC).astype(np.float32)
    return slice(start, start + _CORE_PIX), offset[None, :], offset[:, None]


def _profile(radius: Map, n: float, b: float) -> Map:
    """Return exp(-b r^(1/n)) with r in half-light radii."""
    if n == 1.0:
        return np.asarray(np.exp(np.float32(-b) * radius), np.float32)
    # r^(1/n) as exp(log(r)/n): twice as fast as a power in float32.
    root = np.exp(np.log(radius + np.float32(1e-6)) * np.float32(1.0 / n))
    return np.asarray(np.exp(np.float32(-b) * root), np.float32)


def sersic_map(morph: Morphology, half_light_arcsec: float, n: float, axis_ratio: float) -> Map:
    """Return a Sersic profile averaged over pixels; its sum is the share of the light inside the grid.

    Parameters
    ----------
    morph : Morphology
        Gives position and angle.
    half_light_arcsec : float
        Along the major axis.
    n : float
        Sersic index.
    axis_ratio : float

    Returns
    -------
    ndarray, shape (240, 240), float32
    """
    b = sersic_b(n)
    total = 2.0 * np.pi * n * gamma(2.0 * n) * b ** (-2.0 * n) * axis_ratio * half_light_arcsec**2
    scale = np.float32(PIXEL_SCALE_ARCSEC**2 / total)

    def evaluate(x: Map, y: Map) -> Map:
        major, minor = _rotated(morph, x, y)
        ellipse = np.sqrt(major**2 + (minor / np.float32(axis_ratio)) ** 2)
        radius = np.asarray(ellipse / np.float32(half_light_arcsec), np.float32)
        return _profile(radius, n, b)

    image = evaluate(*_axes())
    core, x, y = _core_axes()
    fine = evaluate(x, y).reshape(_CORE_PIX, _CORE_SAMPLES, _CORE_PIX, _CORE_SAMPLES)
    image[core, core] = fine.mean(axis=(1, 3))
    return image * scale


def _modulated(base: Map, factor: Map) -> Map:
    """Return base * factor with the sum of base."""
    result: Map = base * factor
    return result * np.float32(base.sum(dtype=np.float64) / max(float(result.sum(dtype=np.float64)), 1e-30))


class _DiskPlane:
    """Polar coordinates in the plane of the disk, radius in scale lengths."""

    def __init__(self, morph: Morphology):
        major, minor = _rotated(morph, *_axes())
        self.x = major / np.float32(morph.disk_h)
        self.y = minor / np.float32(morph.axis_ratio * morph.disk_h)
        self.radius = np.sqrt(self.x**2 + self.y**2) + np.float32(1e-3)
        self.angle = np.arctan2(self.y, self.x)
        self.log_radius = np.log(self.radius)


def _irregularity(rng: np.random.Generator, plane: _DiskPlane, amplitude: float) -> Map:
    """Return a smooth random field of unit rms times ``amplitude``: waves in log radius and angle."""
    field = np.zeros_like(plane.radius)
    for _ in range(4):
        m, frequency = int(rng.integers(1, 7)), rng.uniform(-4.0, 4.0)
        wave = np.float32(m) * plane.angle + np.float32(frequency) * plane.log_radius + np.float32(rng.uniform(0, 6.3))
        field += np.cos(wave)
    return field * np.float32(amplitude / np.sqrt(2.0))


def _arm_factor(rng: np.random.Generator, morph: Morphology, plane: _DiskPlane) -> Map:
    """Return the arm pattern: mean 1 along a circle, starting outside the central half scale length."""
    twist = np.float32(morph.winding / np.tan(np.radians(morph.pitch_deg)))
    phase = np.float32(morph.n_arms) * (plane.angle - twist * plane.log_radius) + np.float32(morph.arm_phase)
    phase += _irregularity(rng, plane, morph.flocculence)
    contrast = morph.arm_contrast
    pattern = np.exp(np.float32(contrast) * (np.cos(phase) - np.float32(1.0)))
    # The mean of exp(k (cos - 1)) over a circle is e^-k I0(k).
    pattern *= np.float32(1.0 / (np.exp(-contrast) * np.i0(contrast)))
    rise = np.float32(1.0) - np.exp(-((plane.radius / np.float32(0.55)) ** 2))
    return np.asarray(np.float32(1.0) + rise * (pattern - np.float32(1.0)), np.float32)


def _bar(morph: Morphology, plane: _DiskPlane, base: Map) -> Map:
    """Return a bar with the flux of ``base``: a flat-topped ellipse in the disk plane."""
    angle = np.radians(morph.bar_angle_deg)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = (plane.x * cos + plane.y * sin) / np.float32(morph.bar_length)
    across = (plane.y * cos - plane.x * sin) / np.float32(0.33 * morph.bar_length)
    shape = np.exp(-((along**2 + across**2) ** np.float32(1.25)))
    scale = np.float32(base.sum(dtype=np.float64) / max(float(shape.sum(dtype=np.float64)), 1e-30))
    return np.asarray(shape * scale, np.float32)


def _tidal_arcs(rng: np.random.Generator, morph: Morphology, plane: _DiskPlane, base: Map) -> Map:
    """Return one or two fading spiral arcs outside the disk, with the flux of ``base``."""
    arcs = np.zeros_like(base)
    first = rng.uniform(0.0, 2.0 * np.pi)
    for index in range(morph.n_tidal):
        start = first + index * np.pi * rng.uniform(0.8, 1.2)
        angle = np.mod(plane.angle - np.float32(start), np.float32(2.0 * np.pi))
        length, radius, growth = rng.uniform(1.6, 3.6), rng.uniform(2.2, 3.4), rng.uniform(0.12, 0.45)
        ridge = np.float32(radius) * np.exp(np.float32(growth) * angle)
        width = np.float32(rng.uniform(0.25, 0.5)) * (np.float32(1.0) + np.float32(0.3) * angle)
        fade = np.exp(-((angle / np.float32(length)) ** 3)) * (
            np.float32(1.0) - np.exp(-((angle / np.float32(0.5)) ** 2))
        )
        arcs += fade * np.exp(np.float32(-0.5) * ((plane.radius - ridge) / width) ** 2)
    scale = np.float32(base.sum(dtype=np.float64) / max(float(arcs.sum(dtype=np.float64)), 1e-30))
    return np.asarray(arcs * scale, np.float32)


def deposit(image: Map, columns: NDArray[np.float64], rows: NDArray[np.float64], flux: NDArray[np.float64]) -> None:
    """Add point sources to an image at fractional pixel positions, shared among four pixels; outside is dropped."""
    column0, row0 = np.floor(columns).astype(int), np.floor(rows).astype(int)
    right, up = columns - column0, rows - row0
    size = image.shape[0]
    for d_row, share_row in ((0, 1.0 - up), (1, up)):
        for d_column, share_column in ((0, 1.0 - right), (1, right)):
            row, column = row0 + d_row, column0 + d_column
            inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
            values = (flux * share_row * share_column)[inside].astype(np.float32)
            np.add.at(image, (row[inside], column[inside]), values)


def _hii_map(rng: np.random.Generator, morph: Morphology, smooth: Map) -> Map:
    """Return HII light: part follows the arms, part sits in knots drawn from them with L^-1.8."""
    cumulative = np.cumsum(smooth.ravel(), dtype=np.float64)
    total = cumulative[-1]
    if total <= 0.0:
        return smooth
    pixel = np.searchsorted(cumulative, rng.random(morph.n_knots) * total)
    rows, columns = np.divmod(np.minimum(pixel, smooth.size - 1), GRID_PIX)
    luminosity = (1.0 - rng.random(morph.n_knots) * (1.0 - 0.02**0.8)) ** (-1.0 / 0.8)
    image = smooth * np.float32(1.0 - morph.knot_share)
    jitter = rng.uniform(-0.5, 0.5, (2, morph.n_knots))
    deposit(image, columns + jitter[0], rows + jitter[1], luminosity / luminosity.sum() * morph.knot_share * total)
    return image


def _disk_maps(rng: np.random.Generator, morph: Morphology) -> tuple[Map, Map, Map]:
    """Return the maps of old disk, young disk and HII regions on the grid."""
    plane = _DiskPlane(morph)
    old = sersic_map(morph, 1.678 * morph.disk_h, 1.0, morph.axis_ratio)
    young = np.exp(-plane.radius * np.float32(1.0 / 1.2))
    young *= np.float32(PIXEL_SCALE_ARCSEC**2 / (2.0 * np.pi * 1.2**2 * morph.axis_ratio * morph.disk_h**2))
    if morph.lopsidedness:
        angle = plane.angle - np.float32(np.radians(morph.lopsided_angle_deg))
        lean = np.float32(morph.lopsidedness) * np.cos(angle) * (plane.radius / (np.float32(1.0) + plane.radius))
        old, young = _modulated(old, 1 + lean), _modulated(young, 1 + lean)
    if morph.arm_contrast > 0.05:
        young = _modulated(young, _arm_factor(rng, morph, plane))
    if morph.bar_share:
        old = old * np.float32(1.0 - morph.bar_share) + _bar(morph, plane, old) * np.float32(morph.bar_share)
    if morph.n_tidal:
        share = np.float32(morph.tidal_share)
        arcs = _tidal_arcs(rng, morph, plane, old)
        old = old * (1 - share) + arcs * share
        young = young * (1 - share) + arcs * (share * np.float32(young.sum() / max(float(old.sum()), 1e-30)))
    return old, young, _hii_map(rng, morph, young)


def grid_maps(morph: Morphology, seed: int) -> Map:
    """Return the component maps on the grid with margin, (7, 240, 240); see `component_maps`."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    maps = np.empty((7, GRID_PIX, GRID_PIX), np.float32)
    bulge = sersic_map(morph, morph.bulge_re, morph.bulge_n, morph.bulge_q)
    maps[BULGE] = maps[BULGE_YOUNG] = bulge
    if morph.bulge_to_total == 1.0:
        maps[DISK_OLD] = maps[DISK_YOUNG] = maps[HII] = bulge
        if morph.n_tidal:
            arcs = _tidal_arcs(rng, morph, _DiskPlane(morph), bulge)
            maps[:HII] = bulge * np.float32(1.0 - morph.tidal_share) + arcs * np.float32(morph.tidal_share)
    else:
        maps[DISK_OLD], maps[DISK_YOUNG], maps[HII] = _disk_maps(rng, morph)
    maps[NLR] = np.float32(0.3) * bulge
    nucleus = np.array([CENTRE_PIX + morph.offset_x]), np.array([CENTRE_PIX + morph.offset_y])
    deposit(maps[NLR], *nucleus, np.array([0.7]))
    share = np.float32(morph.bulge_to_total)
    maps[LIER] = share * bulge + (1 - share) * maps[DISK_OLD]
    return maps


def component_maps(morph: Morphology, seed: int) -> Map:
    """Return the light distribution of each component over the cutout, before the PSF.

    Parameters
    ----------
    morph : Morphology
    seed : int
        Of arms and knots: `Morphology.map_seed`.

    Returns
    -------
    ndarray, shape (7, 224, 224), float32
        In the order of `galspec.simulation.components.COMPONENTS`; each sums to the share of the
        component's light inside the cutout, so at most 1.
    """
    return grid_maps(morph, seed)[:, INNER, INNER]


@functools.lru_cache(maxsize=1)
def _fibre_window() -> tuple[slice, Map]:
    """Return the window that gives the flux inside a 3 arcsec fibre after 1.35 arcsec seeing."""
    half = 20
    samples = 5
    middle = (CUTOUT_SIZE_PIX - 1) / 2
    start = int(middle + 0.5) - half
    fine = (np.arange(2 * half * samples) + 0.5) / samples - 0.5 + start - middle
    radius = np.hypot(fine[None, :], fine[:, None]) * PIXEL_SCALE_ARCSEC
    inside = (radius <= SDSS_FIBRE_DIAMETER_ARCSEC / 2).astype(np.float64)
    sigma = _SEEING_FWHM_ARCSEC / 2.3548 / PIXEL_SCALE_ARCSEC * samples
    kernel = np.exp(-0.5 * ((np.arange(2 * half * samples) - half * samples) / sigma) ** 2)
    transfer = np.abs(np.fft.rfft(kernel / kernel.sum()))
    # A circle blurred by a Gaussian, by symmetry the same as a Gaussian image seen through a circle.
    blurred = np.fft.irfft(np.fft.rfft(inside, axis=0) * transfer[:, None], n=len(fine), axis=0)
    blurred = np.fft.irfft(np.fft.rfft(blurred, axis=1) * transfer[None, :], n=len(fine), axis=1)
    window = blurred.reshape(2 * half, samples, 2 * half, samples).mean(axis=(1, 3))
    return slice(start, start + 2 * half), window.astype(np.float32)


def fibre_fractions(maps: Map) -> NDArray[np.float64]:
    """Return the share of each component's light in the SDSS fibre, (7,): 3 arcsec wide, 1.35 arcsec seeing."""
    where, window = _fibre_window()
    return np.asarray((maps[:, where, where] * window).sum(axis=(1, 2), dtype=np.float64))

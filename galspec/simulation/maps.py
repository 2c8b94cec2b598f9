"""Light distributions of a galaxy's seven components before the PSF, on a grid a little larger than the cutout."""

import functools
from typing import Final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.special import expit, gamma

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

#: Arms fade here, in scale lengths; beyond the edge of star formation no HII regions are drawn.
_ARM_EXTENT: Final = 3.8
_HII_EXTENT: Final = 4.0
#: A single knot holds at most this share of the light in knots.
_MAX_KNOT_SHARE: Final = 0.12
#: Resolved knots are drawn as so many points.
_POINTS_PER_KNOT: Final = 6
_ELLIPSE_TOLERANCE: Final = 0.06

_DUST_TO_STARS: Final = 1.4
#: Pivot wavelengths of grizy, micron.
BAND_MICRON: Final = (0.481, 0.617, 0.752, 0.866, 0.962)

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


def _isophote_radius(major: Map, minor: Map, boxiness: float) -> Map:
    """Return the radius whose isophotes are |x|^c + |y|^c = const."""
    if abs(boxiness - 2.0) < _ELLIPSE_TOLERANCE:
        return np.asarray(np.sqrt(major**2 + minor**2), np.float32)
    # In units of the larger coordinate only one logarithm and two exponentials are left.
    x, y = np.abs(major), np.abs(minor)
    larger = np.maximum(x, y) + np.float32(1e-6)
    ratio = np.minimum(x, y) / larger
    power = np.exp(np.float32(boxiness) * np.log(ratio + np.float32(1e-6)))
    return np.asarray(larger * np.exp(np.log1p(power) * np.float32(1.0 / boxiness)), np.float32)


def _isophote_area(boxiness: float) -> float:
    """Return the area inside |x|^c + |y|^c = 1 over that of a circle."""
    if abs(boxiness - 2.0) < _ELLIPSE_TOLERANCE:
        return 1.0
    return float(4.0 * gamma(1.0 + 1.0 / boxiness) ** 2 / gamma(1.0 + 2.0 / boxiness) / np.pi)


def sersic_map(morph: Morphology, half_light_arcsec: float, n: float, axis_ratio: float, boxiness: float = 2.0) -> Map:
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
    boxiness : float
        Exponent of the isophotes; 2 is an ellipse.

    Returns
    -------
    ndarray, shape (240, 240), float32
    """
    b = sersic_b(n)
    total = 2.0 * np.pi * n * gamma(2.0 * n) * b ** (-2.0 * n) * axis_ratio * half_light_arcsec**2
    total *= _isophote_area(boxiness)
    scale = np.float32(PIXEL_SCALE_ARCSEC**2 / total)

    def evaluate(x: Map, y: Map) -> Map:
        major, minor = _rotated(morph, x, y)
        ellipse = _isophote_radius(major, minor / np.float32(axis_ratio), boxiness)
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
        self.radius = _isophote_radius(self.x, self.y, morph.disk_boxiness) + np.float32(1e-3)
        self.angle = np.arctan2(self.y, self.x)
        self.log_radius = np.log(self.radius)


def _irregularity(rng: np.random.Generator, plane: _DiskPlane, amplitude: float) -> Map:
    """Return a smooth random field of unit rms times ``amplitude``: waves in log radius and angle."""
    field = np.zeros_like(plane.radius)
    for _ in range(4):
        m, frequency = int(rng.integers(1, 5)), rng.uniform(-2.5, 2.5)
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
    # Arms dissolve in the outer disk: beyond some three scale lengths little gas is left to form stars.
    rise *= np.exp(-((plane.radius / np.float32(_ARM_EXTENT)) ** 4))
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


def _with_ring(morph: Morphology, plane: _DiskPlane, base: Map, share: float) -> Map:
    """Return ``base`` with a share of its light moved into a ring in the plane of the disk."""
    ring = np.exp(
        np.float32(-0.5) * ((plane.radius - np.float32(morph.ring_radius)) / np.float32(morph.ring_width)) ** 2
    )
    scale = float(base.sum(dtype=np.float64)) / max(float(ring.sum(dtype=np.float64)), 1e-30)
    return np.asarray(base * np.float32(1.0 - share) + ring * np.float32(share * scale), np.float32)


def _shells(rng: np.random.Generator, morph: Morphology, base: Map) -> Map:
    """Return shells with the flux of ``base``: arcs about the major axis, sharp outside, at growing radii."""
    major, minor = _rotated(morph, *_axes())
    radius = np.hypot(major, minor) / np.float32(morph.bulge_re)
    angle = np.arctan2(minor, major)
    shells, edge = np.zeros_like(base), rng.uniform(1.2, 2.0)
    for index in range(morph.n_shells):
        inside = np.float32(edge) - radius
        profile = np.exp(-np.clip(inside, 0.0, None) / np.float32(0.15 * edge)) * expit(inside / np.float32(0.03))
        # Shells alternate between the two sides.
        toward = np.cos(angle - np.float32(np.pi * (index % 2)))
        shells += profile * np.exp(np.float32(rng.uniform(4.0, 15.0)) * (toward - 1.0))
        edge *= rng.uniform(1.3, 1.7)
    scale = np.float32(base.sum(dtype=np.float64) / max(float(shells.sum(dtype=np.float64)), 1e-30))
    return np.asarray(shells * scale, np.float32)


def disk_dust(morph: Morphology, window: tuple[slice, slice] = (slice(None), slice(None))) -> Map:
    """Return the relative transmission of the disk's dust in the bands grizy.

    Parameters
    ----------
    morph : Morphology
    window : tuple of slice
        Rows and columns of the grid.

    Returns
    -------
    ndarray, shape (5, rows, columns), float32
        Times the light of the disk it leaves each band's total as it is, and only moves the
        light outwards: the total attenuation is in the component's spectrum already.

    Notes
    -----
    The dust is an exponential disk 1.4 times as long as the stars' (Xilouris et al. 1999).
    """
    columns, rows = _axes()
    x, y = _rotated(morph, columns[:, window[1]], rows[window[0]])
    radius = np.hypot(x, y / np.float32(morph.axis_ratio)) / np.float32(morph.disk_h)
    depth = np.exp(radius * np.float32(-1.0 / _DUST_TO_STARS))
    tau = morph.disk_dust_tau * 0.55 / np.asarray(BAND_MICRON)
    samples = np.linspace(0.0, 12.0, 241)
    light = samples * np.exp(-samples)
    mean = (light * np.exp(-tau[:, None] * np.exp(-samples / _DUST_TO_STARS))).sum(axis=1) / light.sum()
    return np.asarray(np.exp(-tau.astype(np.float32)[:, None, None] * depth) / mean[:, None, None], np.float32)


def _tidal_arcs(rng: np.random.Generator, morph: Morphology, plane: _DiskPlane, base: Map) -> Map:
    """Return one or two fading spiral arcs outside the disk, with the flux of ``base``."""
    arcs = np.zeros_like(base)
    first = rng.uniform(0.0, 2.0 * np.pi)
    for index in range(morph.n_tidal):
        start = first + index * np.pi * rng.uniform(0.8, 1.2)
        angle = np.mod(plane.angle - np.float32(start), np.float32(2.0 * np.pi))
        length, radius, growth = rng.uniform(1.6, 3.6), rng.uniform(2.2, 3.4), rng.uniform(0.12, 0.45)
        ridge = np.float32(radius) * np.exp(np.float32(growth) * angle)
        width = np.float32(rng.uniform(0.35, 0.65)) * (np.float32(1.0) + np.float32(0.4) * angle)
        fade = np.exp(-((angle / np.float32(length)) ** 3)) * (
            np.float32(1.0) - np.exp(-((angle / np.float32(0.5)) ** 2))
        )
        # Tides fling stars outwards: the inner edge is sharper than the outer one.
        width = np.where(plane.radius > ridge, np.float32(1.6) * width, width)
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


def _hii_map(rng: np.random.Generator, morph: Morphology, smooth: Map, radius: Map) -> Map:
    """Return HII light: part follows the arms, part sits in knots drawn from them with L^-1.8."""
    total = float(smooth.sum(dtype=np.float64))
    cumulative = np.cumsum(np.where(radius < _HII_EXTENT, smooth, np.float32(0.0)).ravel(), dtype=np.float64)
    if total <= 0.0:
        return smooth
    pixel = np.searchsorted(cumulative, rng.random(morph.n_knots) * cumulative[-1])
    rows, columns = np.divmod(np.minimum(pixel, smooth.size - 1), GRID_PIX)
    luminosity = (1.0 - rng.random(morph.n_knots) * (1.0 - 0.02**0.8)) ** (-1.0 / 0.8)
    share = np.minimum(luminosity / luminosity.sum(), _MAX_KNOT_SHARE)
    image = smooth * np.float32(1.0 - morph.knot_share)
    spread = morph.knot_arcsec / PIXEL_SCALE_ARCSEC
    n_points = _POINTS_PER_KNOT if spread > 0.4 else 1
    jitter = rng.uniform(-0.5, 0.5, (2, morph.n_knots, 1)) + spread * rng.standard_normal((2, morph.n_knots, n_points))
    flux = np.repeat(share / share.sum() * morph.knot_share * total / n_points, n_points)
    deposit(image, (columns[:, None] + jitter[0]).ravel(), (rows[:, None] + jitter[1]).ravel(), flux)
    return image


def _disk_maps(rng: np.random.Generator, morph: Morphology) -> tuple[Map, Map, Map]:
    """Return the maps of old disk, young disk and HII regions on the grid."""
    plane = _DiskPlane(morph)
    old = sersic_map(morph, 1.678 * morph.disk_h, 1.0, morph.axis_ratio, morph.disk_boxiness)
    young = np.exp(-plane.radius * np.float32(1.0 / 1.2))
    area = 2.0 * np.pi * 1.2**2 * morph.axis_ratio * morph.disk_h**2 * _isophote_area(morph.disk_boxiness)
    young *= np.float32(PIXEL_SCALE_ARCSEC**2 / area)
    if morph.lopsidedness:
        angle = plane.angle - np.float32(np.radians(morph.lopsided_angle_deg))
        lean = np.float32(morph.lopsidedness) * np.cos(angle) * (plane.radius / (np.float32(1.0) + plane.radius))
        old, young = _modulated(old, 1 + lean), _modulated(young, 1 + lean)
    if morph.arm_contrast > 0.05:
        young = _modulated(young, _arm_factor(rng, morph, plane))
    if morph.ring_share:
        young = _with_ring(morph, plane, young, morph.ring_share)
        old = _with_ring(morph, plane, old, 0.2 * morph.ring_share)
    if morph.bar_share:
        old = old * np.float32(1.0 - morph.bar_share) + _bar(morph, plane, old) * np.float32(morph.bar_share)
    if morph.n_tidal:
        share = np.float32(morph.tidal_share)
        arcs = _tidal_arcs(rng, morph, plane, old)
        old = old * (1 - share) + arcs * share
        young = young * (1 - share) + arcs * (share * np.float32(young.sum() / max(float(old.sum()), 1e-30)))
    return old, young, _hii_map(rng, morph, young, plane.radius)


def grid_maps(morph: Morphology, seed: int) -> Map:
    """Return the component maps on the grid with margin, (7, 240, 240); see `component_maps`."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    maps = np.empty((7, GRID_PIX, GRID_PIX), np.float32)
    bulge = sersic_map(morph, morph.bulge_re, morph.bulge_n, morph.bulge_q, morph.bulge_boxiness)
    maps[BULGE] = maps[BULGE_YOUNG] = bulge
    if morph.bulge_to_total == 1.0:
        maps[DISK_OLD] = maps[DISK_YOUNG] = maps[HII] = bulge
        if morph.n_tidal:
            arcs = _tidal_arcs(rng, morph, _DiskPlane(morph), bulge)
            maps[:HII] = bulge * np.float32(1.0 - morph.tidal_share) + arcs * np.float32(morph.tidal_share)
        elif morph.n_shells:
            shells = _shells(rng, morph, bulge)
            maps[:HII] = bulge * np.float32(1.0 - morph.tidal_share) + shells * np.float32(morph.tidal_share)
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


def _shifted_window(offset_arcsec: tuple[float, float]) -> tuple[slice, Map]:
    where, window = _fibre_window()
    if offset_arcsec != (0.0, 0.0):
        # The blurred window is smooth over a pixel, so a linear shift of it is good to a per mille.
        shift = (offset_arcsec[1] / PIXEL_SCALE_ARCSEC, offset_arcsec[0] / PIXEL_SCALE_ARCSEC)
        window = scipy.ndimage.shift(window, shift, order=1, mode="constant")
    return where, window


def fibre_fractions(maps: Map, offset_arcsec: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Return the share of each component's light in the SDSS fibre, 3 arcsec wide, in 1.35 arcsec seeing.

    Parameters
    ----------
    maps : ndarray, shape (7, 224, 224)
    offset_arcsec : tuple of float
        Of the fibre's centre from the cutout's, along columns and rows.

    Returns
    -------
    ndarray, shape (7,), float64
        Without the gradient of the disk's dust; see `band_fibre_fractions`.
    """
    where, window = _shifted_window(offset_arcsec)
    return np.asarray((maps[:, where, where] * window).sum(axis=(1, 2), dtype=np.float64))


def band_fibre_fractions(
    morph: Morphology, maps: Map, offset_arcsec: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """Return `fibre_fractions` in each of the bands grizy, with the gradient of the disk's dust, shape (7, 5)."""
    fractions = np.repeat(fibre_fractions(maps, offset_arcsec)[:, None], len(BAND_MICRON), axis=1)
    if morph.disk_dust_tau and morph.bulge_to_total < 1.0:
        where, window = _shifted_window(offset_arcsec)
        on_grid = slice(where.start + MARGIN_PIX, where.stop + MARGIN_PIX)
        seen = disk_dust(morph, (on_grid, on_grid)) * window
        disk = maps[DISK_OLD : HII + 1, where, where]
        fractions[DISK_OLD : HII + 1] = np.einsum("cyx,byx->cb", disk, seen, dtype=np.float64)
    return fractions

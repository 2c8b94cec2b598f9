"""What a simulated galaxy looks like: sizes, shapes, arms, bars, tidal arcs, drawn from its physical state."""

import dataclasses
from typing import Any, Final, Self

import numpy as np

from galspec.simulation.physical import Physical

_PREFIX: Final = "m_"
_EDGE_ON_DEG: Final = 68.0
#: Shen et al. (2003) measured half-light radii of azimuthally averaged profiles. Along the major axis they are
#: longer by 1 / sqrt(q), on average over random orientations for disks, over the shapes of ellipticals.
_DISK_CIRCULARISED: Final = 0.72
_ELLIPTICAL_CIRCULARISED: Final = 0.88


@dataclasses.dataclass(frozen=True)
class Morphology:
    """Everything the renderer needs beside the component fluxes; angles in degrees, sizes in arcsec.

    Parameters
    ----------
    map_seed : int
        Seed of arms, knots, neighbours, noise and gaps.
    offset_x, offset_y : float
        Offset of the nucleus from the cutout's centre, in pixels (image columns and rows).
    bulge_to_total : float
        Share of the stellar mass in the bulge; 1 for an elliptical.
    bulge_re, bulge_n, bulge_q : float
        Half-light radius along the major axis (arcsec), Sersic index, axis ratio.
    disk_h : float
        Exponential scale length of the disk, arcsec.
    axis_ratio : float
        Apparent axis ratio of the disk.
    inclination_deg : float
        0 is face on.
    position_angle_deg : float
        Of the major axis, from the column axis of the image.
    n_arms : int
    arm_contrast, pitch_deg, flocculence, arm_phase, winding : float
        Sharpness k of the arm profile exp(k (cos - 1)), pitch angle, amplitude of its
        irregularity (rad), phase, sense (+1 or -1).
    n_knots : int
        HII knots.
    knot_share : float
        Share of the HII light in knots.
    bar_share, bar_length, bar_angle_deg : float
        Share of the old disk in the bar, its half length in scale lengths, its angle in the disk.
    lopsidedness, lopsided_angle_deg : float
    tidal_share : float
        Share of the disk's light (of an elliptical's light) in tidal arcs.
    n_tidal : int
    dust_tau : float
        Optical depth at 0.55 micron of the dust lane of an edge-on disk; 0 without.
    bulge_boxiness, disk_boxiness : float
        Exponent of the isophotes |x|^c + |y/q|^c = const: 2 an ellipse, more boxy, less disky (pointed).
    ring_share, ring_radius, ring_width : float
        Share of the young disk in a ring; its radius and width in scale lengths; 0 without.
    disk_dust_tau : float
        Optical depth at 0.55 micron that the disk's centre has more than its mean.
    knot_arcsec : float
        Size of HII knots.
    n_shells : int
        Faint shells round an elliptical; they hold ``tidal_share`` of the light.
    n_companions : int
        Galaxies at the same distance, with the colours of this one's stars.
    """

    map_seed: int
    offset_x: float
    offset_y: float
    bulge_to_total: float
    bulge_re: float
    bulge_n: float
    bulge_q: float
    disk_h: float
    axis_ratio: float
    inclination_deg: float
    position_angle_deg: float
    n_arms: int
    arm_contrast: float
    pitch_deg: float
    flocculence: float
    arm_phase: float
    winding: float
    n_knots: int
    knot_share: float
    bar_share: float
    bar_length: float
    bar_angle_deg: float
    lopsidedness: float
    lopsided_angle_deg: float
    tidal_share: float
    n_tidal: int
    dust_tau: float
    bulge_boxiness: float = 2.0
    disk_boxiness: float = 2.0
    ring_share: float = 0.0
    ring_radius: float = 1.0
    ring_width: float = 0.2
    disk_dust_tau: float = 0.0
    knot_arcsec: float = 0.0
    n_shells: int = 0
    n_companions: int = 0

    def to_row(self) -> dict[str, Any]:
        """Return the fields as catalogue columns ``m_<name>``."""
        return {_PREFIX + name: value for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Rebuild from the catalogue columns that `to_row` made."""
        kinds: dict[str, Any] = {field.name: int for field in dataclasses.fields(cls) if field.type in (int, "int")}
        values = {field.name: row[_PREFIX + field.name] for field in dataclasses.fields(cls)}
        return cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})


def _late_size_kpc(log_mass: float) -> float:
    """Return the median half-light radius of late types (Shen et al. 2003, eq. 18), kpc."""
    mass = 10.0**log_mass
    return float(0.1 * mass**0.14 * (1.0 + mass / 3.98e10) ** 0.25)


def _early_size_kpc(log_mass: float) -> float:
    """Return the median half-light radius of early types (Shen et al. 2003, eq. 17), kpc."""
    return float(2.88e-6 * 10.0 ** (0.56 * log_mass))


def _draw_bulge_to_total(rng: np.random.Generator, physical: Physical) -> float:
    log_mass, kind = physical.log_mass, physical.galaxy_class
    if kind == "Q":
        is_elliptical = rng.random() < np.clip(0.35 + 0.45 * (log_mass - 10.6), 0.05, 0.95)
        return 1.0 if is_elliptical else float(np.clip(0.5 + 0.13 * rng.standard_normal(), 0.15, 0.85))
    shift = {"SF": 0.0, "GV": 0.18, "PSB": 0.35}[kind]
    mean = 0.05 + 0.16 * (log_mass - 9.3) + 0.08 * physical.early + shift
    return float(np.clip(mean + 0.08 * rng.standard_normal(), 0.01, 0.85))


def _draw_sizes(rng: np.random.Generator, physical: Physical, bulge_to_total: float) -> tuple[float, float]:
    """Return half-light radius of the bulge and scale length of the disk, arcsec."""
    scatter = float(np.exp(0.30 * rng.standard_normal()))
    log_mass = physical.log_mass
    if bulge_to_total == 1.0:
        return _early_size_kpc(log_mass) * scatter / (_ELLIPTICAL_CIRCULARISED * physical.kpc_per_arcsec), 0.0
    weight = {"SF": 0.0, "GV": 0.35, "PSB": 0.5, "Q": 0.7}[physical.galaxy_class]
    size = (1.0 - weight) * _late_size_kpc(log_mass) + weight * _early_size_kpc(log_mass)
    size *= scatter / (_DISK_CIRCULARISED * physical.kpc_per_arcsec)
    disk_h = size / 1.678 * (1.0 + 0.45 * bulge_to_total)
    # Bulges are a fifth to a half of the disk's half-light radius, larger where they dominate.
    ratio = (0.18 + 0.35 * bulge_to_total) * float(np.exp(0.25 * rng.standard_normal()))
    return 1.678 * disk_h * ratio, disk_h


def _draw_sersic_index(rng: np.random.Generator, physical: Physical, bulge_to_total: float) -> float:
    is_elliptical = bulge_to_total == 1.0
    mean = 4.0 + 0.9 * (physical.log_mass - 10.8) if is_elliptical else 2.4 + (physical.log_mass - 10.5)
    return float(np.clip(mean + 0.8 * rng.standard_normal(), 0.8, 6.0))


def draw_morphology(rng: np.random.Generator, physical: Physical) -> Morphology:
    """Draw the appearance of a galaxy.

    Parameters
    ----------
    rng : Generator
    physical : Physical

    Returns
    -------
    Morphology

    Notes
    -----
    Sizes after Shen et al. (2003, MNRAS 343, 978) with a scatter of 0.30 in ln R; disks with random
    orientation and thickness q0 = 0.14-0.22 plus 0.1 B/T.
    """
    bulge_to_total = _draw_bulge_to_total(rng, physical)
    bulge_re, disk_h = _draw_sizes(rng, physical, bulge_to_total)
    bulge_n = _draw_sersic_index(rng, physical, bulge_to_total)
    cos_i = rng.random()
    thickness = 0.14 + 0.08 * rng.random() + 0.1 * bulge_to_total
    axis_ratio = float(np.sqrt(cos_i**2 * (1.0 - thickness**2) + thickness**2))
    inclination = float(np.degrees(np.arccos(cos_i)))
    if bulge_to_total == 1.0:
        bulge_q = float(np.clip(0.78 + 0.14 * rng.standard_normal(), 0.4, 1.0))
        axis_ratio = bulge_q
    else:
        bulge_q = float(1.0 - (1.0 - axis_ratio) * 0.5)
    shape: dict[str, Any] = {
        "map_seed": int(rng.integers(2**62)),
        "offset_x": float(np.clip(0.25 * rng.standard_normal(), -0.75, 0.75)),
        "offset_y": float(np.clip(0.25 * rng.standard_normal(), -0.75, 0.75)),
        "bulge_to_total": bulge_to_total,
        "bulge_re": max(bulge_re, 0.15),
        "bulge_n": bulge_n,
        "bulge_q": bulge_q,
        "disk_h": max(disk_h, 0.3),
        "axis_ratio": axis_ratio,
        "inclination_deg": inclination,
        "position_angle_deg": float(180.0 * rng.random()),
    }
    structure = _draw_structure(rng, physical, bulge_to_total, inclination)
    return Morphology(**shape, **structure, **_draw_detail(rng, physical, bulge_to_total, inclination))


def _draw_structure(
    rng: np.random.Generator, physical: Physical, bulge_to_total: float, inclination_deg: float
) -> dict[str, Any]:
    """Draw arms, knots, bar, lopsidedness, tidal arcs and dust lane."""
    kind = physical.galaxy_class
    contrast = rng.uniform(0.8, 2.8) if kind == "SF" else rng.uniform(0.4, 1.6)
    if kind == "Q":
        contrast = rng.uniform(0.0, 0.4)
    has_bar = rng.random() < 0.30 and bulge_to_total < 0.8
    lopsidedness = abs(0.12 * rng.standard_normal())
    tidal_share, n_tidal = 0.0, 0
    if physical.is_merger:
        n_tidal = int(rng.integers(1, 3))
        tidal_share = rng.uniform(0.04, 0.22)
        lopsidedness += rng.uniform(0.1, 0.4)
    elif bulge_to_total == 1.0:
        tidal_share = rng.uniform(0.01, 0.04)  # in shells, if it has any
    has_lane = kind in ("SF", "GV") and inclination_deg > _EDGE_ON_DEG and bulge_to_total < 0.8
    return {
        "n_arms": int(rng.choice([2, 2, 2, 3, 4])),
        "arm_contrast": float(contrast),
        "pitch_deg": float(np.clip(22.0 - 5.0 * physical.early + 6.0 * rng.standard_normal(), 8.0, 40.0)),
        "flocculence": float(rng.uniform(0.2, 0.9)),
        "arm_phase": float(rng.uniform(0.0, 2.0 * np.pi)),
        "winding": 1.0 if rng.random() < 0.5 else -1.0,
        # Near galaxies show knots that blend in distant ones.
        "n_knots": int(np.clip(rng.lognormal(3.3, 0.6) * np.clip(1.0 / physical.kpc_per_arcsec, 1.0, 6.0), 3, 400)),
        "knot_share": float(rng.uniform(0.3, 0.65)),
        "bar_share": float(rng.uniform(0.08, 0.28)) if has_bar else 0.0,
        "bar_length": float(rng.uniform(0.8, 1.5)),
        "bar_angle_deg": float(rng.uniform(0.0, 180.0)),
        "lopsidedness": float(min(lopsidedness, 0.6)),
        "lopsided_angle_deg": float(rng.uniform(0.0, 360.0)),
        "tidal_share": float(tidal_share),
        "n_tidal": n_tidal,
        "dust_tau": float(rng.uniform(0.4, 1.6)) if has_lane else 0.0,
    }


def _draw_detail(
    rng: np.random.Generator, physical: Physical, bulge_to_total: float, inclination_deg: float
) -> dict[str, Any]:
    """Draw isophote shapes, rings, shells, the disk's dust gradient, knot size and companions."""
    kind, is_elliptical = physical.galaxy_class, bulge_to_total == 1.0
    # Massive ellipticals are boxy, the others disky (Bender et al. 1989); a4/a of +-1 % is about +-0.1 here.
    mean_boxiness = 2.0 + (0.25 * np.clip(physical.log_mass - 10.9, -0.5, 0.5) if is_elliptical else 0.0)
    # An exponential disk of finite thickness seen edge on has pointed isophotes (van der Kruit & Searle 1981).
    edge_on = float(np.clip((inclination_deg - 65.0) / 20.0, 0.0, 1.0))
    # Buta & Combes (1996): rings in a fifth of disks, half of them inner ones at the bar's end.
    has_ring, is_inner = rng.random() < (0.18 if kind != "Q" else 0.06), rng.random() < 0.5
    # Shells round a tenth of massive early types (Malin & Carter 1983).
    has_shells = is_elliptical and physical.log_mass > 10.6 and rng.random() < 0.12
    dust = {"SF": 0.6, "GV": 0.3, "PSB": 0.3, "Q": 0.0}[kind] * float(rng.lognormal(-0.2, 0.5))
    mean_companions = {"SF": 0.10, "GV": 0.18, "PSB": 0.2, "Q": 0.35}[kind] + (0.6 if physical.is_merger else 0.0)
    return {
        "bulge_boxiness": float(np.clip(mean_boxiness + 0.15 * rng.standard_normal(), 1.6, 2.8)),
        "disk_boxiness": 2.0 - 0.45 * edge_on,
        "ring_share": float(rng.uniform(0.1, 0.45)) if has_ring and not is_elliptical else 0.0,
        "ring_radius": float(rng.uniform(0.8, 1.5) if is_inner else rng.uniform(2.0, 2.8)),
        "ring_width": float(rng.uniform(0.12, 0.3)),
        "disk_dust_tau": 0.0 if is_elliptical else float(min(dust, 1.5)),
        "knot_arcsec": float(0.12 * rng.lognormal(0.0, 0.3) / physical.kpc_per_arcsec),
        "n_shells": int(rng.integers(2, 5)) if has_shells else 0,
        "n_companions": int(min(rng.poisson(mean_companions), 4)),
    }


def half_light_radius_arcsec(morph: Morphology) -> float:
    """Return the circularised half-light radius by mass, arcsec: what the surface-brightness cut needs.

    Notes
    -----
    The radius inside which bulge and disk together have half the light, from their closed or
    fitted growth curves (Sersic by Ciotti & Bertin 1999, interpolated in log radius).
    """
    from scipy.special import gammainc

    bulge_re = morph.bulge_re * np.sqrt(morph.bulge_q)
    if morph.bulge_to_total == 1.0:
        return float(bulge_re)
    disk_h = morph.disk_h * np.sqrt(morph.axis_ratio)
    radius = np.geomspace(0.05, 10.0, 48) * max(bulge_re, 1.678 * disk_h)
    b = sersic_b(morph.bulge_n)
    bulge = gammainc(2.0 * morph.bulge_n, b * (radius / bulge_re) ** (1.0 / morph.bulge_n))
    disk = gammainc(2.0, radius / disk_h)
    growth = morph.bulge_to_total * bulge + (1.0 - morph.bulge_to_total) * disk
    return float(np.interp(0.5, growth, radius))


def sersic_b(n: float) -> float:
    """Return b_n of the Sersic profile (Ciotti & Bertin 1999, A&A 352, 447, eq. 18), good to 1e-4 for n > 0.5."""
    return 2.0 * n - 1.0 / 3.0 + 4.0 / (405.0 * n) + 46.0 / (25515.0 * n**2)

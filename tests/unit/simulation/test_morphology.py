"""Morphology: sizes, bounds, round trip, growth curve."""

import dataclasses

import numpy as np
import pytest

from galspec.simulation.morphology import Morphology, draw_morphology, half_light_radius_arcsec, sersic_b
from galspec.simulation.physical import Physical


def _physical(**changes: object) -> Physical:
    usual = Physical(10.6, 0.08, "SF", 0.4, "none", 1.5, False)
    return dataclasses.replace(usual, **changes)


def _draw(seed: int = 0, **changes: object) -> Morphology:
    return draw_morphology(np.random.default_rng(seed), _physical(**changes))


def test_the_same_seed_draws_the_same_galaxy():
    assert _draw(3) == _draw(3)
    assert _draw(3) != _draw(4)


@pytest.mark.parametrize("kind", ["SF", "GV", "Q", "PSB"])
def test_shapes_stay_physical(kind):
    for seed in range(200):
        morph = _draw(seed, galaxy_class=kind, is_merger=kind == "PSB")
        assert 0.0 < morph.bulge_to_total <= 1.0
        assert 0.1 < morph.axis_ratio <= 1.0
        assert 0.1 < morph.bulge_q <= 1.0
        assert 0.5 < morph.bulge_n <= 6.0
        assert morph.bulge_re >= 0.15
        assert morph.disk_h >= 0.3
        assert 0.0 <= morph.tidal_share < 0.3


def test_only_quiescent_galaxies_are_pure_bulges():
    assert all(_draw(seed).bulge_to_total < 1.0 for seed in range(100))
    shares = [_draw(seed, galaxy_class="Q", log_mass=11.3).bulge_to_total == 1.0 for seed in range(100)]
    assert 0.4 < np.mean(shares) < 0.95


def test_massive_galaxies_are_larger_on_the_sky():
    small = np.median([half_light_radius_arcsec(_draw(seed, log_mass=9.5)) for seed in range(200)])
    large = np.median([half_light_radius_arcsec(_draw(seed, log_mass=11.0)) for seed in range(200)])
    assert large > 1.5 * small


def test_circularised_sizes_follow_the_relation_they_are_drawn_from():
    # Shen et al. (2003): 3.4 kpc for late types of 10^10.5 solar masses, at 1.5 kpc per arcsec.
    drawn = [_draw(seed, log_mass=10.5) for seed in range(400)]
    radii = [1.678 * morph.disk_h * np.sqrt(morph.axis_ratio) / (1 + 0.45 * morph.bulge_to_total) for morph in drawn]
    assert np.median(radii) == pytest.approx(3.41 / 1.5, rel=0.08)


def test_row_round_trip_is_exact():
    morph = _draw(11, is_merger=True)
    row = morph.to_row()
    assert all(name.startswith("m_") for name in row)
    assert Morphology.from_row(row) == morph


def test_half_light_radius_of_a_pure_disk_is_1_678_scale_lengths():
    morph = dataclasses.replace(_draw(0), bulge_to_total=1e-6, axis_ratio=1.0, disk_h=2.0)
    assert half_light_radius_arcsec(morph) == pytest.approx(1.678 * 2.0, rel=0.02)


def test_sersic_b_halves_the_light():
    from scipy.special import gammainc

    for n in (0.7, 1.0, 2.5, 4.0, 6.0):
        assert gammainc(2 * n, sersic_b(n)) == pytest.approx(0.5, abs=1e-4)

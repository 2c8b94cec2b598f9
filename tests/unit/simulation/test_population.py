import numpy as np
import pytest

from galspec.simulation.basis import SUBSTEPS, Basis
from galspec.simulation.history import _X_GRID, delayed_tau_x, draw_history
from galspec.simulation.physical import Physical
from galspec.simulation.population import (
    REDSHIFT_LIMITS,
    draw_physical,
    draw_position,
    draw_velocity_dispersion,
    main_sequence_log_sfr,
    mass_function,
    passes_selection,
    quiescent_fraction,
    stellar_log_z,
)


def physical(galaxy_class: str = "SF", log_mass: float = 10.3, **changes) -> Physical:
    values = {
        "log_mass": log_mass,
        "redshift": 0.08,
        "galaxy_class": galaxy_class,
        "early": 0.4,
        "agn": "none",
        "kpc_per_arcsec": 1.5,
        "is_merger": False,
    }
    return Physical(**(values | changes))


@pytest.fixture(scope="module")
def drawn(synthetic_basis: Basis) -> list[Physical]:
    rng = np.random.default_rng(4)
    return [draw_physical(rng, synthetic_basis) for _ in range(4000)]


def test_population_stays_in_the_tables(drawn) -> None:
    assert all(REDSHIFT_LIMITS[0] <= one.redshift <= REDSHIFT_LIMITS[1] for one in drawn)
    assert all(8.3 < one.log_mass < 12.0 and 0.0 <= one.early <= 1.0 for one in drawn)


def test_near_galaxies_are_common_enough_to_learn_from(drawn) -> None:
    # NGC 6928 lies at z = 0.0157; a magnitude-limited survey alone would have a handful of such galaxies.
    redshift = np.array([one.redshift for one in drawn])
    assert 0.01 < np.mean(redshift < 0.02) < 0.12
    assert redshift.min() >= 0.005


def test_class_fractions_before_selection(drawn) -> None:
    share = {name: np.mean([one.galaxy_class == name for one in drawn]) for name in ("SF", "GV", "Q", "PSB")}
    assert 0.3 < share["SF"] < 0.6
    assert 0.3 < share["Q"] < 0.55
    assert 0.1 < share["GV"] < 0.17
    assert 0.01 < share["PSB"] < 0.02


def test_massive_galaxies_are_seen_further(drawn) -> None:
    mass = np.array([one.log_mass for one in drawn])
    redshift = np.array([one.redshift for one in drawn])
    assert np.median(redshift[mass > 11.0]) > 1.8 * np.median(redshift[mass < 10.0])


def test_only_old_and_valley_galaxies_are_liners(drawn) -> None:
    assert {one.galaxy_class for one in drawn if one.agn == "liner"} <= {"GV", "Q"}
    seyferts = np.mean([one.agn == "seyfert" for one in drawn])
    assert 0.03 < seyferts < 0.12


def test_mergers_are_rare_except_after_starbursts(drawn) -> None:
    assert np.mean([one.is_merger for one in drawn if one.galaxy_class != "PSB"]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([one.is_merger for one in drawn if one.galaxy_class == "PSB"]) > 0.35


def test_mass_function_of_baldry_2012() -> None:
    # Baldry et al. (2012), Table 1, GAMA: about 4e-3 per Mpc^3 and dex near 10^10.5, 1e-2 at 10^9.
    assert mass_function(10.5) == pytest.approx(4.9e-3, rel=0.15)
    assert mass_function(9.0) == pytest.approx(1.2e-2, rel=0.3)
    assert mass_function(11.5) < 2e-4


def test_relations_at_known_points() -> None:
    assert quiescent_fraction([7.0, 10.5, 13.0]).tolist() == pytest.approx([0.04, 0.5, 0.95])
    assert main_sequence_log_sfr(10.5) == pytest.approx(0.34)
    assert stellar_log_z(10.91) == pytest.approx(0.07)


def test_positions_are_uniform_over_the_three_pi_survey(rng) -> None:
    positions = [draw_position(rng) for _ in range(4000)]
    dec = np.array([one.dec_deg for one in positions])
    assert dec.min() >= -30.0
    assert dec.max() <= 90.0
    # Two thirds of the area of the sky north of -30 degrees lie north of the equator.
    assert np.mean(dec > 0.0) == pytest.approx(2 / 3, abs=0.03)
    assert np.mean([one.ra_deg for one in positions]) == pytest.approx(180.0, abs=6.0)


def test_velocity_dispersion_rises_with_mass_and_bulge(rng) -> None:
    def mean(log_mass: float, bulge: float) -> float:
        return float(np.mean([draw_velocity_dispersion(rng, log_mass, bulge) for _ in range(200)]))

    assert mean(11.0, 0.8) > mean(10.0, 0.8) > mean(10.0, 0.1)
    assert 50.0 <= mean(8.5, 0.0) <= mean(12.0, 1.0) <= 320.0


@pytest.mark.parametrize(
    ("mag_r", "radius", "is_in"),
    [(17.0, 3.0, True), (17.8, 3.0, False), (10.3, 3.0, False), (17.7, 12.0, False)],
)
def test_selection_of_strauss_2002(mag_r, radius, is_in) -> None:
    assert passes_selection(mag_r, radius) is is_in


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.2, 0.25])
def test_delayed_tau_ends_with_the_asked_rate(rate) -> None:
    elapsed = 10.0
    x = delayed_tau_x(rate, elapsed)
    time = np.linspace(0.0, 1.0, 20001)
    shape = time * np.exp(-x * time)
    assert shape[-1] / (np.trapezoid(shape, time) * elapsed) == pytest.approx(rate, rel=1e-2)


def test_delayed_tau_is_clipped_not_extrapolated() -> None:
    assert delayed_tau_x(0.0, 10.0) == _X_GRID[-1]
    assert delayed_tau_x(1e3, 10.0) == _X_GRID[0]


@pytest.mark.parametrize("kind", ["SF", "GV", "Q", "PSB"])
def test_history_has_the_mass_and_nothing_older_than_the_universe(synthetic_basis, rng, kind) -> None:
    for _ in range(20):
        history = draw_history(rng, synthetic_basis, physical(kind), 0.3)
        living = (history.bulge + history.disk) * synthetic_basis.live_fraction
        assert living.sum() == pytest.approx(10.0**10.3, rel=1e-9)
        assert (history.bulge * synthetic_basis.live_fraction).sum() == pytest.approx(0.3 * 10.0**10.3, rel=1e-9)
        assert history.bulge.min() >= 0.0
        assert history.disk.min() >= 0.0
        is_too_old = synthetic_basis.age_edges[:-1] > synthetic_basis.age_of_universe_gyr(0.08)
        assert history.disk[:, is_too_old].sum() == 0.0
        assert synthetic_basis.substep_age.size == history.disk.shape[1] * SUBSTEPS


def test_classes_are_ordered_by_specific_star_formation_rate(synthetic_basis, rng) -> None:
    def median(kind: str) -> float:
        draws = [draw_history(rng, synthetic_basis, physical(kind), 0.3).sfr for _ in range(150)]
        return float(np.median(np.log10(draws))) - 10.3

    star_forming, valley, quiescent = median("SF"), median("GV"), median("Q")
    assert star_forming == pytest.approx(main_sequence_log_sfr(10.3) - 10.3, abs=0.2)
    assert star_forming > valley + 0.4 > quiescent + 1.0
    assert quiescent > -14.0


def test_an_elliptical_has_no_disk(synthetic_basis, rng) -> None:
    history = draw_history(rng, synthetic_basis, physical("Q", 11.2), 1.0)
    assert history.disk.sum() == 0.0

import dataclasses
import json

import astropy.units as u
import numpy as np
import pytest

from galspec.core.bands import AB_ZEROPOINT_NJY, BANDS, CUTOUT_SHAPE
from galspec.core.wavelength import N_WAVE, wave_grid
from galspec.simulation.basis import Basis
from galspec.simulation.components import COMPONENTS
from galspec.simulation.galaxy import (
    STREAMS,
    SimulatedGalaxy,
    galactic_transmission,
    galaxy_id,
    is_accepted,
    random_stream,
    simulate_galaxy,
)
from galspec.simulation.morphology import Morphology
from galspec.simulation.render import band_fibre_fractions, component_maps, fibre_fractions, render_row


@pytest.fixture(scope="module")
def galaxies(synthetic_basis: Basis) -> list[SimulatedGalaxy]:
    found = (simulate_galaxy(synthetic_basis, 5, candidate) for candidate in range(60))
    return [galaxy for galaxy in found if galaxy is not None]


def test_about_half_of_the_candidates_are_accepted(galaxies) -> None:
    assert 15 < len(galaxies) < 50


def test_is_accepted_agrees_with_simulate(synthetic_basis, galaxies) -> None:
    accepted = {galaxy.row["candidate"] for galaxy in galaxies}
    assert {k for k in range(60) if is_accepted(synthetic_basis, 5, k)} == accepted


def test_a_galaxy_does_not_depend_on_the_order_of_the_work(synthetic_basis, galaxies) -> None:
    for galaxy in (galaxies[7], galaxies[2]):
        again = simulate_galaxy(synthetic_basis, 5, galaxy.row["candidate"])
        assert again.row == galaxy.row
        np.testing.assert_array_equal(again.flux, galaxy.flux)
        np.testing.assert_array_equal(again.ivar, galaxy.ivar)


def test_another_seed_is_another_survey(synthetic_basis, galaxies) -> None:
    for one in galaxies[:4]:
        other = simulate_galaxy(synthetic_basis, 6, one.row["candidate"])
        assert other is None or other.row["log_mass"] != one.row["log_mass"]


def test_streams_are_independent() -> None:
    first = {name: random_stream(1, 2, name).random() for name in STREAMS}
    assert len(set(first.values())) == len(STREAMS)
    with pytest.raises(ValueError, match="not in tuple"):
        random_stream(1, 2, "nothing")


def test_calibration_scatter_changes_the_spectrum_only(synthetic_basis, galaxies) -> None:
    one = galaxies[0]
    exact = simulate_galaxy(synthetic_basis, 5, one.row["candidate"], calibration_scatter=0.0)
    assert exact.row == one.row
    np.testing.assert_array_equal(exact.flux_true, one.flux_true)
    is_good = exact.ivar > 0
    ratio = one.flux[is_good] / exact.flux[is_good]
    assert ratio.std() > 1e-4
    pulls = ((exact.flux - exact.flux_true) * np.sqrt(exact.ivar))[is_good]
    assert pulls.std() == pytest.approx(1.0, abs=0.15)


def test_spectra_have_the_projects_grid(galaxies) -> None:
    for galaxy in galaxies:
        for values in (galaxy.flux, galaxy.ivar, galaxy.flux_true):
            assert values.shape == (N_WAVE,)
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
        assert galaxy.flux_true.min() > 0.0
        assert galaxy.image is None
        observed = wave_grid() * (1 + galaxy.row["redshift"])
        assert not galaxy.ivar[(observed < 3800.0) | (observed > 9200.0)].any()


def test_rows_are_plain_and_complete(galaxies) -> None:
    columns = set(galaxies[0].row)
    assert {f"c_{component}_{band}" for component in COMPONENTS for band in BANDS} <= columns
    assert {f"mag_{band}" for band in BANDS} | {f"apmag_{band}" for band in BANDS} <= columns
    assert {"id", "ra_deg", "dec_deg", "redshift", "galaxy_class", "agn_class", "log_mass", "snr_median"} <= columns
    for galaxy in galaxies:
        assert set(galaxy.row) == columns
        assert {type(value) for value in galaxy.row.values()} <= {str, float, int, bool}
        json.dumps(galaxy.row, allow_nan=True)
        assert galaxy.id == galaxy.row["id"] == galaxy_id(5, galaxy.row["candidate"])
        assert galaxy.row["sdss_r"] < 17.77
        assert 0.0 < galaxy.row["fibre_fraction_r"] < 1.0
        assert Morphology.from_row(galaxy.row).to_row().items() <= galaxy.row.items()


def test_total_magnitude_is_the_sum_of_the_components(galaxies) -> None:
    row = galaxies[0].row
    total = sum(row[f"c_{component}_i"] for component in COMPONENTS)
    assert row["mag_i"] == pytest.approx(AB_ZEROPOINT_NJY - 2.5 * np.log10(total))
    assert row["apmag_i"] > row["mag_i"]


def test_extinction_and_zero_points_are_in_the_image(galaxies) -> None:
    # PS1 r and SDSS r of the synthetic basis are the same top hat: they differ by dust and zero point.
    offset = [g.row["mag_r"] - g.row["sdss_r"] - 2.271 * g.row["ebv_mw"] for g in galaxies]
    assert np.std(offset) == pytest.approx(0.012, abs=0.006)
    assert np.mean(offset) == pytest.approx(0.0, abs=0.012)


def test_spectrum_has_the_aperture_flux(galaxies) -> None:
    # Synthetic r of the fibre spectrum against the catalogue's aperture magnitude: both behind the Milky Way's dust.
    for galaxy in galaxies:
        observed = wave_grid() * (1 + galaxy.row["redshift"])
        is_in = (observed > 5500.0) & (observed < 7000.0)
        x = observed[is_in]
        f_nu = np.trapezoid(galaxy.flux_true[is_in] * 1e-17 * x, x) / (2.99792458e18 * np.trapezoid(1 / x, x))
        mag = AB_ZEROPOINT_NJY - 2.5 * np.log10(f_nu * 1e32)
        assert mag == pytest.approx(galaxy.row["apmag_r"], abs=0.06)


def test_image_is_that_of_the_row(synthetic_basis, galaxies) -> None:
    candidate = galaxies[0].row["candidate"]
    galaxy = simulate_galaxy(synthetic_basis, 5, candidate, with_image=True)
    assert galaxy.image.shape == CUTOUT_SHAPE
    assert galaxy.image.dtype == np.float32
    np.testing.assert_array_equal(galaxy.image, render_row(galaxies[0].row))


@pytest.mark.parametrize("wave", [3700.0, 4361.0, 4866.0, 5448.0, 6215.0, 7545.0, 9200.0])
def test_galactic_extinction_is_that_of_fitzpatrick_1999(wave) -> None:
    extinction = pytest.importorskip("dust_extinction.parameter_averages", reason="make setup installs it")
    # Schlafly & Finkbeiner (2011), Table 6: A_V = 2.742 E(B-V).
    expected = 2.742 * float(extinction.F99(3.1)(1e4 / wave / u.um))
    assert -2.5 * np.log10(galactic_transmission(wave, 1.0)) == pytest.approx(expected, rel=0.015)


def test_the_fibre_sees_the_gradient_that_the_image_has(synthetic_basis, galaxies) -> None:
    # A dusty centre: the spectrum of the fibre is redder than the same galaxy's without the gradient.
    row = next(g.row for g in galaxies if g.row["m_disk_dust_tau"] > 0.2 and g.row["m_bulge_to_total"] < 0.5)
    morph = dataclasses.replace(Morphology.from_row(row), offset_x=0.0, offset_y=0.0)
    image = component_maps(morph, morph.map_seed)
    with_dust, without = band_fibre_fractions(morph, image), fibre_fractions(image)
    disk = COMPONENTS.index("disk_old")
    assert with_dust[disk, 0] < with_dust[disk, 4] < without[disk]
    assert with_dust[COMPONENTS.index("bulge")] == pytest.approx(without[0])


def test_survey_resembles_sdss(basis: Basis) -> None:
    found = [simulate_galaxy(basis, 12, candidate) for candidate in range(700)]
    rows = [galaxy.row for galaxy in found if galaxy is not None]
    column = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    kind = column["galaxy_class"]
    assert 0.35 < len(rows) / len(found) < 0.6
    assert 0.36 < np.mean(kind == "SF") < 0.54
    assert 0.30 < np.mean(kind == "Q") < 0.48
    # Kauffmann et al. (2003), Strateva et al. (2001): two sequences in break, lines and colour.
    assert 1.1 < np.median(column["dn4000_true"][kind == "SF"]) < 1.45
    assert 1.7 < np.median(column["dn4000_true"][kind == "Q"]) < 2.0
    assert 10.0 < np.median(column["ew_ha_true"][kind == "SF"]) < 40.0
    assert np.median(column["ew_ha_true"][kind == "Q"]) < 3.0
    assert 10.3 < np.median(column["log_mass"]) < 10.8
    assert 0.08 < np.median(column["redshift"]) < 0.115
    assert 20.0 < np.median(column["snr_median"]) < 36.0
    assert 0.27 < np.median(column["fibre_fraction_r"]) < 0.42
    is_hii = (kind == "SF") & (column["agn_class"] == "none")
    assert np.mean(column["bpt_class"][is_hii] == "star-forming") > 0.9
    assert 3.5 < np.median(column["balmer_decrement"][is_hii]) < 4.6

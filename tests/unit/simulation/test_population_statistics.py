"""A thousand simulated galaxies against what SDSS finds: colours, breaks, lines and ionisation, class by class."""

import numpy as np
import pytest

from galspec.core.wavelength import wave_grid
from galspec.simulation.basis import FILTERS, N_FINE, Basis, FloatArray, rebin_to_grid
from galspec.simulation.galaxy import galactic_transmission, simulate_galaxy

pytestmark = pytest.mark.slow

N_CANDIDATES = 2600
SEED = 31


def rest_g_minus_r(basis: Basis, flux: FloatArray) -> float:
    """Return g - r through the SDSS filters of a rest-frame spectrum on the grid, AB mag."""
    response = rebin_to_grid(basis.filters[[FILTERS.index("sdss_g"), FILTERS.index("sdss_r")], :N_FINE])
    # Photon-weighted mean of f_nu; on a logarithmic grid d(lambda) takes one power of lambda.
    g, r = (response @ (flux * wave_grid() ** 2)) / response.sum(axis=1)
    return float(-2.5 * np.log10(g / r))


@pytest.fixture(scope="module")
def column(basis: Basis) -> dict[str, np.ndarray]:
    """Columns of the catalogue of about 1200 galaxies, and their rest-frame g - r without the Milky Way's dust."""
    rows = []
    for candidate in range(N_CANDIDATES):
        galaxy = simulate_galaxy(basis, SEED, candidate)
        if galaxy is None:
            continue
        row = galaxy.row
        galactic = galactic_transmission(wave_grid() * (1.0 + row["redshift"]), row["ebv_mw"])
        rows.append({**row, "g_r_rest": rest_g_minus_r(basis, galaxy.flux_true / galactic)})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def of_class(column: dict[str, np.ndarray], name: str, galaxy_class: str) -> np.ndarray:
    return column[name][column["galaxy_class"] == galaxy_class]


def test_there_are_enough_galaxies(column) -> None:
    assert 1000 < len(column["id"]) < 1500


def test_a_flat_spectrum_has_no_colour(basis: Basis) -> None:
    assert rest_g_minus_r(basis, wave_grid() ** -2.0) == pytest.approx(0.0, abs=1e-6)


def test_the_red_sequence_is_where_sdss_has_it(column) -> None:
    # Blanton et al. (2003), Baldry et al. (2004): 0.75-0.80 at redshift 0, and narrow.
    colour = of_class(column, "g_r_rest", "Q")
    assert 0.75 <= np.median(colour) <= 0.80
    assert np.ptp(np.percentile(colour, [16, 84])) / 2 < 0.07


def test_the_blue_cloud_is_blue_and_wide(column) -> None:
    # In the fibre, which sees more of the bulge, the blue cloud lies on the red side of 0.3-0.5.
    colour = of_class(column, "g_r_rest", "SF")
    assert 0.40 < np.median(colour) < 0.60
    assert 0.08 < np.ptp(np.percentile(colour, [16, 84])) / 2 < 0.18
    assert np.median(colour) < np.median(of_class(column, "g_r_rest", "GV")) < 0.75


def test_breaks_follow_the_classes(column) -> None:
    # Kauffmann et al. (2003): a peak at 1.3 and one at 1.85.
    medians = {name: np.median(of_class(column, "dn4000_true", name)) for name in ("SF", "GV", "Q")}
    assert 1.70 <= medians["Q"] <= 2.00
    assert 1.20 <= medians["SF"] <= 1.45
    assert medians["SF"] + 0.1 < medians["GV"] < medians["Q"] - 0.1


def test_halpha_of_star_forming_galaxies(column) -> None:
    found = np.percentile(of_class(column, "ew_ha_true", "SF"), [16, 50, 84])
    # To 0.15 dex, the sampling error of a percentile of 500 galaxies and the choice of a sample together.
    np.testing.assert_allclose(np.log10(found), np.log10([7.0, 20.0, 47.0]), atol=0.15)


def test_halpha_of_quiescent_galaxies_is_weak(column) -> None:
    width = of_class(column, "ew_ha_true", "Q")
    assert 0.3 < np.median(width) < 2.0
    # Beyond 6 angstrom nuclei count as strong (Cid Fernandes et al. 2011), and early types rarely have one.
    assert np.percentile(width, 84) < 6.0


@pytest.mark.parametrize(("name", "share"), [("star-forming", 0.67), ("composite", 0.12), ("agn", 0.21)])
def test_ionisation_classes_of_emission_line_galaxies(column, name, share) -> None:
    # Of galaxies whose Halpha is wider than 1.5 angstrom (Brinchmann et al. 2004; Kewley et al. 2006).
    emitting = column["bpt_class"][column["ew_ha_true"] > 1.5]
    assert np.mean(emitting == name) == pytest.approx(share, abs=0.08)

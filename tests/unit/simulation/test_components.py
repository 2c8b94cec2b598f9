import numpy as np
import pytest

from galspec.core.lines import line_by_name
from galspec.simulation.basis import FINE_PIXEL_KMS, N_FINE, Basis, fine_loglam
from galspec.simulation.components import (
    COMPONENT_INDEX,
    COMPONENTS,
    ComponentSpectra,
    Dust,
    _apply_abundances,
    broaden,
    build_components,
    draw_alpha_enhancement,
    draw_dust,
    transmission,
)
from galspec.simulation.emission import (
    LINE_INDEX,
    LINE_NAMES,
    LINE_WAVES,
    add_lines,
    balmer_and_helium,
    draw_hii_ratios,
    draw_liner_ratios,
    draw_seyfert_ratios,
    line_luminosities,
)
from galspec.simulation.history import draw_history
from galspec.simulation.physical import Physical

WAVE = 10.0 ** fine_loglam()
WIDTH = WAVE * np.log(10.0) * (fine_loglam()[1] - fine_loglam()[0])
DUST = Dust(a_v_ism=0.3, a_v_cloud=0.6, a_v_bulge=0.2)


def build(basis: Basis, kind: str = "SF", agn: str = "none", dust: Dust = DUST, seed: int = 3) -> ComponentSpectra:
    physical = Physical(10.5, 0.08, kind, 0.5, agn, 1.5, False)
    history = draw_history(np.random.default_rng(11), basis, physical, 0.3)
    return build_components(np.random.default_rng(seed), basis, physical, history, dust, 130.0)


@pytest.mark.parametrize("sigma", [40.0, 130.0, 2000.0])
def test_lines_keep_their_luminosity_place_and_width(sigma) -> None:
    spectrum = np.zeros(N_FINE)
    add_lines(spectrum, np.array([6564.61]), np.array([5.0]), sigma)
    assert (spectrum * WIDTH).sum() == pytest.approx(5.0, rel=1e-4)
    velocity = np.log(WAVE / 6564.61) * 299792.458
    mean = np.average(velocity, weights=spectrum * WIDTH)
    assert mean == pytest.approx(0.0, abs=0.02 * FINE_PIXEL_KMS + 1e-2 * sigma)
    spread = np.sqrt(np.average((velocity - mean) ** 2, weights=spectrum * WIDTH))
    assert spread == pytest.approx(np.hypot(sigma, FINE_PIXEL_KMS / np.sqrt(12)), rel=0.02)


def test_lines_outside_the_grid_are_cut_not_wrapped() -> None:
    spectrum = np.zeros(N_FINE)
    add_lines(spectrum, np.array([WAVE[0], 20000.0]), np.array([1.0, 1.0]), 100.0)
    assert (spectrum * WIDTH).sum() == pytest.approx(0.5, abs=0.2)
    assert spectrum[100:].sum() == 0.0


def test_broadening_has_the_asked_dispersion_and_keeps_flux() -> None:
    spectrum = np.zeros((1, N_FINE), dtype=np.float32)
    spectrum[0, 3000] = 1.0
    out = broaden(spectrum, 150.0)[0]
    pixel = np.arange(N_FINE) - 3000
    assert out.sum() == pytest.approx(1.0, rel=1e-4)
    is_near = np.abs(pixel) < 20  # float32 noise times the square of a large distance is not a width
    assert np.sqrt((out * pixel**2)[is_near].sum()) * FINE_PIXEL_KMS == pytest.approx(150.0, rel=0.02)


def test_dust_dims_blue_light_more() -> None:
    out = transmission(np.array([4000.0, 5500.0, 8000.0]), 1.0)
    assert out[1] == pytest.approx(10.0**-0.4)
    assert out[0] < out[1] < out[2]
    assert transmission(np.array([5000.0]), 0.0) == 1.0


def test_inclined_and_massive_disks_are_dustier(rng) -> None:
    def median(log_mass: float, axis_ratio: float, kind: str = "SF") -> float:
        physical = Physical(log_mass, 0.08, kind, 0.5, "none", 1.5, False)
        return float(np.median([draw_dust(rng, physical, axis_ratio).a_v_ism for _ in range(300)]))

    assert median(10.5, 0.2) > 1.5 * median(10.5, 1.0)
    assert median(11.0, 0.7) > 1.5 * median(9.5, 0.7)
    assert median(10.5, 0.7, "Q") < 0.15


def test_dusty_galaxies_have_shallower_attenuation(rng) -> None:
    physical = Physical(10.5, 0.08, "SF", 0.5, "none", 1.5, False)
    drawn = [draw_dust(rng, physical, 0.6) for _ in range(500)]
    amount, slope = np.array([(one.a_v_ism, one.slope) for one in drawn]).T
    assert np.corrcoef(np.log(amount + 0.01), slope)[0, 1] < -0.4
    assert slope.min() >= 0.4
    assert slope.max() <= 1.6


def test_a_shallow_slope_reddens_less(synthetic_basis) -> None:
    shallow, steep = (build(synthetic_basis, dust=Dust(1.0, 0.6, 0.7, slope)) for slope in (0.5, 1.4))
    blue, red = (np.abs(WAVE - 3900) < 40), (np.abs(WAVE - 7500) < 40)
    disk = COMPONENT_INDEX["disk_old"]
    colours = [float(one.luminosity[disk, blue].mean() / one.luminosity[disk, red].mean()) for one in (shallow, steep)]
    assert colours[1] < colours[0]


def test_alpha_enhancement_rises_with_mass_and_deepens_mg_b(synthetic_basis, rng) -> None:
    low, high = (np.mean([draw_alpha_enhancement(rng, mass) for _ in range(300)]) for mass in (9.5, 11.3))
    assert high > low + 0.15
    spectra = np.ones((7, N_FINE), np.float32)
    feature = np.exp(-0.5 * ((WAVE - 5176.0) / 12.0) ** 2)
    iron = np.exp(-0.5 * ((WAVE - 5270.0) / 8.0) ** 2)
    spectra *= (1.0 - 0.3 * feature - 0.2 * iron).astype(np.float32)
    before = spectra.copy()
    _apply_abundances(spectra, 0.3)
    old, young = COMPONENT_INDEX["bulge"], COMPONENT_INDEX["disk_young"]
    np.testing.assert_array_equal(spectra[young], before[young])
    at_mg, at_fe = np.argmin(np.abs(WAVE - 5176.0)), np.argmin(np.abs(WAVE - 5270.0))
    assert spectra[old, at_mg] < before[old, at_mg] - 0.02
    assert spectra[old, at_fe] > before[old, at_fe] + 0.02
    far = np.abs(WAVE - 6500.0) < 200
    np.testing.assert_allclose(spectra[old, far], before[old, far], rtol=1e-3)


def test_interstellar_sodium_follows_the_dust(synthetic_basis) -> None:
    disk = COMPONENT_INDEX["disk_old"]
    sodium, beside = (np.abs(WAVE - 5893.0) < 4), (np.abs(WAVE - 5940.0) < 10)

    def depth(a_v: float) -> float:
        spectra = [build(synthetic_basis, dust=Dust(a_v, 0.5, a_v), seed=seed).luminosity[disk] for seed in range(8)]
        return float(np.median([one[beside].mean() / one[sodium].mean() for one in spectra]))

    assert depth(1.5) > depth(0.0) + 0.05


def test_line_table_is_complete_and_vacuum() -> None:
    assert LINE_WAVES.shape == (len(LINE_NAMES),)
    assert LINE_WAVES[LINE_INDEX["[OIII]5007"]] == line_by_name("[OIII]5007").wave_vac


def test_doublets_have_their_atomic_ratios(rng) -> None:
    lines = line_luminosities(balmer_and_helium(1.0, 2.86), draw_seyfert_ratios(rng))
    assert lines[LINE_INDEX["[OIII]5007"]] / lines[LINE_INDEX["[OIII]4959"]] == pytest.approx(2.98)
    assert lines[LINE_INDEX["[NII]6583"]] / lines[LINE_INDEX["[NII]6548"]] == pytest.approx(3.0)
    assert lines[LINE_INDEX["Halpha"]] / lines[LINE_INDEX["Hbeta"]] == pytest.approx(2.86)


def test_hii_regions_lie_below_the_maximum_starburst_line(rng) -> None:
    ratios = [draw_hii_ratios(rng, log_mass, 0.0) for log_mass in rng.uniform(8.4, 11.7, 500)]
    n2, o3 = np.array([[one["n2"], one["o3"]] for one in ratios]).T
    kewley = 0.61 / (n2 - 0.47) + 1.19
    assert np.mean(o3 < kewley) > 0.99
    assert np.corrcoef(n2, o3)[0, 1] < -0.8


def test_nuclei_lie_above_it(rng) -> None:
    for draw in (draw_seyfert_ratios, draw_liner_ratios):
        n2, o3 = np.array([[r["n2"], r["o3"]] for r in (draw(rng) for _ in range(300))]).T
        kauffmann = np.where(n2 < 0.05, 0.61 / np.minimum(n2 - 0.05, -1e-3) + 1.3, -9.0)
        assert np.mean(o3 > kauffmann) > 0.97


def test_components_are_positive_and_named(synthetic_basis) -> None:
    spectra = build(synthetic_basis, "SF", "seyfert")
    assert spectra.luminosity.shape == (len(COMPONENTS), N_FINE)
    assert spectra.luminosity.dtype == np.float32
    assert np.isfinite(spectra.luminosity).all()
    assert spectra.luminosity.min() > -1e-6 * spectra.luminosity.max()


def test_only_its_own_component_carries_nuclear_lines(synthetic_basis) -> None:
    nlr, lier = COMPONENT_INDEX["nlr"], COMPONENT_INDEX["lier"]
    none, seyfert, liner = (build(synthetic_basis, "GV", agn) for agn in ("none", "seyfert", "liner"))
    assert not none.luminosity[[nlr, lier]].any()
    assert seyfert.lines[nlr].sum() > 0.0
    assert not seyfert.luminosity[lier].any()
    assert liner.lines[lier].sum() > 0.0
    assert not liner.luminosity[nlr].any()


def test_spectrum_holds_the_lines_it_lists(synthetic_basis) -> None:
    spectra = build(synthetic_basis, "Q", "liner")
    lier = COMPONENT_INDEX["lier"]
    assert (spectra.luminosity[lier] * WIDTH).sum() == pytest.approx(spectra.lines[lier].sum(), rel=1e-3)


def test_dust_reddens_lines_and_continuum(synthetic_basis) -> None:
    clear, dusty = build(synthetic_basis, dust=Dust(0.0, 0.0, 0.0)), build(synthetic_basis, dust=Dust(0.5, 1.0, 0.3))
    hii = COMPONENT_INDEX["hii"]

    def decrement(spectra: ComponentSpectra) -> float:
        return float(spectra.lines[hii, LINE_INDEX["Halpha"]] / spectra.lines[hii, LINE_INDEX["Hbeta"]])

    assert decrement(clear) == pytest.approx(2.86, rel=1e-6)
    assert decrement(dusty) > 3.8
    assert dusty.luminosity[:5].sum() < clear.luminosity[:5].sum()


def test_broad_lines_appear_in_some_seyferts(synthetic_basis) -> None:
    nlr = COMPONENT_INDEX["nlr"]
    is_near = (np.abs(WAVE - 6564.6) > 45.0) & (np.abs(WAVE - 6564.6) < 70.0)
    is_far = (np.abs(WAVE - 6564.6) > 140.0) & (np.abs(WAVE - 6564.6) < 145.0)
    excess = []
    for seed in range(60):
        spectrum = build(synthetic_basis, "SF", "seyfert", seed=seed).luminosity[nlr]
        scale = spectrum[np.abs(WAVE - 6564.6) < 20.0].max()
        excess.append((spectrum[is_near].mean() - spectrum[is_far].mean()) / scale)
    assert 0.0 < np.mean(np.array(excess) > 0.02) < 0.25

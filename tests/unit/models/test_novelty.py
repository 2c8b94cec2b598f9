"""Novelty: p-values that mean what they say, and oddities that are found."""

import dataclasses

import numpy as np
import pytest

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.home import demo_survey_dir
from galspec.models.bundle import VaeBundle, load_vae_bundle, shipped_vae_dir
from galspec.models.novelty import NoveltyCalibration, calibrate_novelty, spectrum_novelty
from galspec.store.survey import Survey, open_survey


@pytest.fixture(scope="module")
def demo() -> Survey:
    return open_survey(demo_survey_dir())


@pytest.fixture(scope="module")
def vae(demo: Survey) -> VaeBundle:
    """The shipped VAE, calibrated on 300 calibration galaxies of the demo survey."""
    vae = load_vae_bundle(shipped_vae_dir())
    rows = demo.rows_in_split("calibration")
    reference = vae.latents(*demo.spectra_block(rows[300:700]))
    vae.novelty = calibrate_novelty(vae, reference, *demo.spectra_block(rows[:300]))
    return vae


def test_p_values_of_the_calibration_distribution_are_uniform():
    rng = np.random.default_rng(0)
    snr = rng.uniform(5, 50, 6000).astype(np.float32)
    # The score depends on signal to noise: calibrated together, faint and bright ones would differ.
    score = (rng.gamma(2.0, 1.0, (6000, 3)) * (1.0 + snr[:, None] / 10)).astype(np.float32)
    calibration = NoveltyCalibration(np.zeros((5, 6), np.float32), snr[:3000], score[:3000])
    single, combined = calibration.p_values(score[3000:], snr[3000:])
    for level in (0.01, 0.1, 0.5):
        assert (single < level).mean(axis=0) == pytest.approx([level] * 3, abs=0.02 + 0.1 * level)
        assert (combined < level).mean() == pytest.approx(level, abs=0.02 + 0.1 * level)
    is_bright = snr[3000:] > 40
    assert (single[is_bright] < 0.1).mean() < 0.2


def test_the_rarest_levels_are_not_too_frequent():
    rng = np.random.default_rng(3)
    below = []
    for _ in range(20):
        score = rng.normal(size=(1400, 3)).astype(np.float32)
        snr = rng.uniform(5, 50, 1400).astype(np.float32)
        calibration = NoveltyCalibration(np.zeros((5, 6), np.float32), snr[:400], score[:400])
        below.append((calibration.p_values(score[400:], snr[400:])[1] < 0.01).mean())
    assert 0.007 < np.mean(below) < 0.0135  # 0.01 by construction


def test_usual_galaxies_are_usual_and_a_shifted_one_is_not(demo, vae):
    flux, ivar = demo.spectra_block(demo.rows_in_split("test")[:120])
    usual = spectrum_novelty(vae, flux, ivar)
    assert (usual.p_combined < 0.05).mean() < 0.15
    shifted = spectrum_novelty(vae, np.roll(flux[:40], 60, axis=1), np.roll(ivar[:40], 60, axis=1))
    assert (shifted.p_combined < 0.02).mean() > 0.8
    assert "badly reconstructed" in shifted.reason(0) or "feature" in shifted.reason(0)
    assert shifted.severity.max(axis=1).min() > 1.0


def test_the_flux_scale_does_not_matter(demo, vae):
    flux, ivar = demo.spectra_block(np.arange(20))
    first, second = spectrum_novelty(vae, flux, ivar), spectrum_novelty(vae, flux * 7, ivar / 49)
    assert first.score == pytest.approx(second.score, rel=2e-3)


def test_a_bundle_without_calibration_says_so(demo):
    vae = load_vae_bundle(shipped_vae_dir())
    vae.novelty = None
    with pytest.raises(SpectrumError, match="no novelty calibration"):
        spectrum_novelty(vae, *demo.spectra_block(np.arange(2)))


def test_other_shapes_are_refused(vae):
    with pytest.raises(ShapeError, match=r"\(N, 1000\)"):
        spectrum_novelty(vae, np.ones((2, 999)), np.ones((2, 999)))
    with pytest.raises(ShapeError, match="novelty calibration needs"):
        dataclasses.replace(vae.novelty, snr=np.ones(30, np.float32))
    with pytest.raises(SpectrumError, match="3 calibration spectra"):
        NoveltyCalibration(vae.novelty.reference, vae.novelty.snr[:3], vae.novelty.score[:3])


def test_without_calibration_spectra_there_is_no_calibration(vae):
    assert calibrate_novelty(vae, np.zeros((10, 6)), np.empty((0, 1000)), np.empty((0, 1000))) is None


def test_arrays_survive_a_bundle(vae):
    back = NoveltyCalibration.from_arrays(vae.novelty.to_arrays())
    assert (back.score == vae.novelty.score).all()
    assert (back.reference == vae.novelty.reference).all()

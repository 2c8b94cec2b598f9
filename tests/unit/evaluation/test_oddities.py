"""Injected oddities: they change what they should, and the score finds them."""

import numpy as np
import pytest

from galspec.core.home import demo_survey_dir
from galspec.core.wavelength import wave_grid
from galspec.evaluation.oddities import ODDITIES, measure_oddities
from galspec.models.bundle import load_vae_bundle, shipped_vae_dir
from galspec.models.novelty import calibrate_novelty
from galspec.preprocess.spectra import spectrum_norms
from galspec.store.survey import open_survey


@pytest.mark.parametrize("name", ODDITIES)
def test_an_oddity_keeps_shape_and_gaps_and_changes_the_spectrum(name):
    flux, ivar = open_survey(demo_survey_dir()).spectra_block(np.arange(12))
    before = flux.copy()
    odd_flux, odd_ivar = ODDITIES[name](np.random.default_rng(1), flux, ivar)
    assert odd_flux.shape == flux.shape
    assert np.isfinite(odd_flux[odd_ivar > 0]).all()
    assert (flux == before).all()  # the input is left alone
    if name != "wrong redshift":
        assert (odd_ivar == ivar).all()
    norm = spectrum_norms(flux, ivar)[:, None]
    assert (np.abs(odd_flux - flux) / norm > 0.05).sum(axis=1).min() >= 10


def test_broad_lines_are_broad():
    flux, ivar = open_survey(demo_survey_dir()).spectra_block(np.arange(30))
    odd, _ = ODDITIES["broad lines"](np.random.default_rng(1), flux, ivar)
    added = odd - flux
    wave = wave_grid()
    far = np.abs(wave - 6564.6)
    reached = added[:, (far > 30) & (far < 40)].max(axis=1)
    assert (reached > 0.3 * added[:, far < 8].max(axis=1)).mean() > 0.7


def test_oddities_are_found_and_usual_galaxies_are_not():
    survey, vae = open_survey(demo_survey_dir()), load_vae_bundle(shipped_vae_dir())
    rows = survey.rows_in_split("calibration")[:300]
    vae.novelty = calibrate_novelty(vae, vae.latents(*survey.spectra_block(rows)), *survey.spectra_block(rows))
    found = measure_oddities(vae, survey, "test", 80)
    assert found["n"] == 80
    assert found["usual"]["p<0.1"] < 0.25
    for name, row in found["oddities"].items():
        assert row["auc"] > 0.9, name
        assert sum(row["strongest_score"].values()) == pytest.approx(1.0, abs=0.01)

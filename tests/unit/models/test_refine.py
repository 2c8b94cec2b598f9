"""Latents refined by gradient steps: never worse than the encoder's, independent of the batch, gaps ignored."""

import numpy as np
import pytest
import torch

from galspec.core.errors import ConfigError, SpectrumError
from galspec.core.home import demo_survey_dir
from galspec.models.bundle import load_vae_bundle, shipped_vae_dir
from galspec.models.vae import DEFAULT_SOFTENING, InfoVAE, refine_latents
from galspec.preprocess.spectra import normalise_spectra
from galspec.store.survey import open_survey


@pytest.fixture(scope="module")
def spectra() -> tuple[np.ndarray, np.ndarray]:
    return open_survey(demo_survey_dir()).spectra_block(np.arange(24))


def test_the_search_finds_latents_of_a_decoded_spectrum():
    torch.manual_seed(2)
    model = InfoVAE(3, (32, 16)).eval().requires_grad_(False)
    truth = 0.7 * torch.randn(8, 3)
    x, weight = model.decode(truth), torch.full((8, 1000), 1e4)
    before = (model.decode(model.encode(x)[0]) - x).square().mean()
    after = (model.decode(refine_latents(model, x, weight, 200)) - x).square().mean()
    assert after < 0.3 * before  # not all: a random decoder has local minima


def test_refined_latents_fit_better_and_few_steps_never_worse(spectra):
    vae = load_vae_bundle(shipped_vae_dir())
    flux, ivar, _ = normalise_spectra(*spectra)
    weight = ivar / (1 + ivar * DEFAULT_SOFTENING**2)

    def loss(latent_std):
        raw = vae.unstandardise(latent_std)
        residual = vae.decode_standardised(latent_std) - flux
        return 0.5 * (weight * residual**2).sum(axis=1) + 0.5 * (raw**2).sum(axis=1)

    start, one, fifty = loss(vae.latents(*spectra)), loss(vae.refine(*spectra, 1)), loss(vae.refine(*spectra, 50))
    assert (one <= start * (1 + 1e-5)).all()
    assert (fifty <= start * (1 + 1e-5)).all()
    assert fifty.mean() < start.mean()


def test_rows_do_not_influence_one_another(spectra):
    vae = load_vae_bundle(shipped_vae_dir())
    flux, ivar = spectra
    together = vae.refine(flux, ivar, 10)
    alone = vae.refine(flux[5:6], ivar[5:6], 10)
    assert alone[0] == pytest.approx(together[5], abs=2e-3)


def test_no_steps_and_bad_spectra_are_refused(spectra):
    vae = load_vae_bundle(shipped_vae_dir())
    flux, ivar = spectra
    with pytest.raises(ConfigError, match="n_steps is 0"):
        vae.refine(flux, ivar, 0)
    with pytest.raises(SpectrumError, match="negative"):
        vae.refine(flux, -ivar)
    empty = ivar.copy()
    empty[3, :500] = 0.0
    with pytest.raises(SpectrumError, match=r"less than 60%.*rows 3"):
        vae.latents(flux, empty)
    bad = flux.copy()
    bad[1, np.flatnonzero(ivar[1])[0]] = np.nan
    with pytest.raises(SpectrumError, match=r"not finite where ivar > 0 \(rows 1\)"):
        vae.latents(bad, ivar)


def test_the_encoders_posterior_is_standardised_like_its_latents(spectra):
    vae = load_vae_bundle(shipped_vae_dir())
    mean, sigma = vae.posterior(*spectra)
    assert mean == pytest.approx(vae.latents(*spectra), abs=1e-6)
    assert sigma.shape == mean.shape
    assert (sigma > 0).all()
    assert np.median(sigma) < 1.0

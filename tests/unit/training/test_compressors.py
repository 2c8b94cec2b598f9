"""Each compared method must do what it is named for, or the comparison flatters its rival."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from galspec.core.errors import ConfigError, RunError, SpectrumError
from galspec.core.wavelength import wave_grid
from galspec.evaluation.vae_report import CONFIG_PATH
from galspec.training import compressors
from galspec.training.compressors import (
    METHODS,
    ComparisonConfig,
    FitSpectra,
    fit_compressor,
    nonnegative_coefficients,
)
from galspec.training.config import load_config

SMALL = ComparisonConfig(dims=(1, 2), seeds=(1,), n_train=400, n_valid=60, n_epochs=25, batch_size=32, max_lr=4e-3)


def rank_two(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n flat spectra with two bumps of random height outside the window of the norm, noise and gaps."""
    rng = np.random.default_rng(seed)
    wave = wave_grid()
    bumps = np.stack([np.exp(-0.5 * ((wave - centre) / width) ** 2) for centre, width in ((3800, 90), (7500, 150))])
    flux = 1.0 + rng.uniform(0.0, 1.0, (n, 2)) @ bumps
    sigma = rng.uniform(0.02, 0.04, (n, 1)) * np.ones(len(wave))
    ivar = 1.0 / sigma**2
    flux = flux + sigma * rng.standard_normal(flux.shape)
    for row, start in enumerate(rng.integers(0, 900, n)):
        ivar[row, start : start + 60] = 0.0
    flux[ivar == 0] = 0.0
    return flux.astype(np.float32), ivar.astype(np.float32)


def chi2(model: np.ndarray, flux: np.ndarray, ivar: np.ndarray) -> float:
    return float((ivar * (model - flux) ** 2).sum() / (ivar > 0).sum())


@pytest.fixture(scope="module")
def spectra() -> FitSpectra:
    return FitSpectra.prepare(rank_two(400, 1), rank_two(60, 2), n_vectors=3)


def test_two_components_bring_back_what_one_cannot(spectra):
    flux, ivar = rank_two(50, 3)
    one, two = (fit_compressor("pca", spectra, n, 1, SMALL)(flux, ivar) for n in (1, 2))
    assert chi2(two, flux, ivar) < 1.1
    assert chi2(one, flux, ivar) > 2.0


def test_nmf_needs_one_component_more_for_it_has_no_mean(spectra):
    flux, ivar = rank_two(50, 3)
    two, three = (chi2(fit_compressor("nmf", spectra, n, 1, SMALL)(flux, ivar), flux, ivar) for n in (2, 3))
    assert three < 1.2
    assert two > 2.0


def test_networks_learn_more_than_the_mean(spectra):
    flux, ivar = rank_two(50, 3)
    mean = chi2(spectra.preprocessor.mean_flux, flux, ivar)
    found = {name: fit_compressor(name, spectra, 2, 1, SMALL)(flux, ivar) for name in ("ae", "vae")}
    plain, variational = (chi2(found[name], flux, ivar) for name in ("ae", "vae"))
    assert plain < 0.2 * mean
    assert variational < 0.2 * mean
    assert not np.allclose(found["ae"], found["vae"], atol=1e-3)  # they are two networks


@pytest.mark.parametrize("method", METHODS)
def test_pixels_without_data_have_no_say(spectra, method):
    flux, ivar = rank_two(8, 4)
    quick = dataclasses.replace(SMALL, n_epochs=1)
    reconstruct = fit_compressor(method, spectra, 2, 1, quick)
    damaged = np.where(ivar > 0, flux, 7.0).astype(np.float32)
    np.testing.assert_allclose(reconstruct(damaged, ivar), reconstruct(flux, ivar), atol=1e-5)
    assert np.isfinite(reconstruct(flux, ivar)).all()


@pytest.mark.parametrize("method", ["nmf", "ae", "vae"])
def test_a_seed_decides_the_result(spectra, method):
    flux, ivar = rank_two(4, 5)
    quick = dataclasses.replace(SMALL, n_epochs=1)
    first, again, other = (fit_compressor(method, spectra, 2, seed, quick)(flux, ivar) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_coefficients_are_those_of_non_negative_least_squares(rng):
    templates = rng.uniform(0.0, 1.0, (4, 200))
    flux = rng.uniform(-0.5, 1.0, (6, 4)) @ templates + 0.05 * rng.standard_normal((6, 200))
    ivar = rng.uniform(0.0, 30.0, (6, 200))
    ivar[:, 50:70] = 0.0
    found = nonnegative_coefficients(flux, ivar, templates)
    assert (found >= 0).all()
    assert (found == 0).any()  # the constraint binds in this example
    for row in range(6):
        root = np.sqrt(ivar[row])
        np.testing.assert_allclose(found[row], nnls((templates * root).T, flux[row] * root)[0], atol=1e-5)


def test_an_early_stop_ends_with_the_best_weights(spectra, monkeypatch):
    losses = [3.0, 1.0, 2.0, 2.0, 2.0, 0.5]
    n_calls = 0

    def valid_loss(model, valid, config, generator):
        nonlocal n_calls
        n_calls += 1
        model.decoder[-1].bias.fill_(float(n_calls))  # each epoch leaves its number in the output
        return losses[n_calls - 1]

    monkeypatch.setattr(compressors, "_valid_loss", torch.no_grad()(valid_loss))
    patient = dataclasses.replace(SMALL, n_epochs=6, stop_patience=3, max_lr=1e-9)
    reconstruct = fit_compressor("ae", spectra, 2, 1, patient)
    assert n_calls == 5  # three epochs after the best; the sixth, which would be better, is not reached
    n_calls, losses = 0, [3.0, 1.0]
    short = fit_compressor("ae", spectra, 2, 1, dataclasses.replace(patient, n_epochs=2))
    flux, ivar = rank_two(4, 5)
    np.testing.assert_allclose(reconstruct(flux, ivar), short(flux, ivar), atol=1e-4)


def test_a_loss_that_explodes_is_reported(spectra):
    broken = dataclasses.replace(spectra, valid_filled=np.full_like(spectra.valid_filled, np.nan))
    with pytest.raises(RunError, match="not finite in epoch 1"):
        fit_compressor("ae", broken, 2, 1, dataclasses.replace(SMALL, n_epochs=1))


def test_wrong_input_is_explained(spectra):
    with pytest.raises(ConfigError, match="no method 'umap'"):
        fit_compressor("umap", spectra, 2, 1, SMALL)
    with pytest.raises(SpectrumError, match="some of both"):
        FitSpectra.prepare(rank_two(20, 1), (np.empty((0, 1000)), np.empty((0, 1000))))
    with pytest.raises(ConfigError, match="n_train is 0"):
        ComparisonConfig(n_train=0)
    with pytest.raises(ConfigError, match="dims must hold"):
        ComparisonConfig(dims=())
    with pytest.raises(ConfigError, match="mmd_lambda"):
        ComparisonConfig(mmd_lambda=0.5)


def test_the_reports_settings_can_be_read():
    config = load_config(ComparisonConfig, CONFIG_PATH, "comparison")
    assert config.dims == (2, 4, 6, 10)
    assert len(config.seeds) == 3

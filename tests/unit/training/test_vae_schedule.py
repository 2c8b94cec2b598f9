"""When the VAE's training slows down and stops, and what it refuses."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from galspec.core.errors import RunError
from galspec.core.wavelength import N_WAVE, wave_grid
from galspec.models.bundle import load_vae_bundle
from galspec.training import vae as vae_training
from galspec.training.vae import VaeTraining, train_vae
from galspec.training.vae_bundle import weighted_mse
from galspec.training.vae_data import PreparedSpectra, SpectrumSet, VaeConfig

SMALL = VaeConfig(n_epochs=2, batch_size=64, hidden=(16, 8))


@pytest.fixture(scope="module")
def spectra() -> SpectrumSet:
    generator = np.random.default_rng(8)
    slope = generator.normal(size=(160, 1))
    flux = 5.0 * (1.0 + 0.2 * slope * (wave_grid() - 5500.0) / 2000.0) + generator.normal(0.0, 0.3, (160, N_WAVE))
    ivar = np.full(flux.shape, 1.0 / 0.09, np.float32)
    ivar[:, 100:140] = 0.0
    split = np.array(["train"] * 120 + ["valid"] * 40)
    return SpectrumSet(flux.astype(np.float32), ivar, split, {"name": "toy", "source": "SIMULATED"})


def play(config: VaeConfig, losses: list[float]) -> tuple[VaeTraining, list[float]]:
    """Judge made-up valid losses until training says it is finished; return the learning rates too."""
    training = VaeTraining(config)
    rates = []
    for loss in losses:
        if training.is_finished:
            break
        training.judge(loss)
        training.epoch += 1
        rates.append(training.optimiser.param_groups[0]["lr"])
    return training, rates


def test_plateau_lowers_the_rate_tenfold_and_then_stops():
    config = dataclasses.replace(SMALL, n_epochs=100)
    training, rates = play(config, [10.0] * 60)
    assert training.best_epoch == 0
    assert training.epoch == 1 + config.stop_patience
    assert rates == pytest.approx([1e-3] * 5 + [1e-4] * 5 + [1e-5])


def test_small_improvements_do_not_count():
    training, _ = play(dataclasses.replace(SMALL, n_epochs=100), [10.0 * 0.9995**k for k in range(3)] + [9.0] * 2)
    assert training.best_epoch == 3
    assert training.best_loss == 9.0


def test_steady_improvement_uses_all_epochs():
    training, rates = play(dataclasses.replace(SMALL, n_epochs=20), [10.0 * 0.9**k for k in range(40)])
    assert training.epoch == 20
    assert rates == [1e-3] * 20


def test_loss_that_is_not_finite_ends_the_run_with_advice(spectra: SpectrumSet, tmp_path: Path):
    with pytest.raises(RunError, match="lower max_lr"):
        train_vae(spectra, dataclasses.replace(SMALL, max_lr=1e18, n_epochs=5), tmp_path)
    assert json.loads((tmp_path / "exit.json").read_text())["state"] == "failed"


def test_flux_without_weight_is_never_seen(spectra: SpectrumSet, tmp_path: Path):
    other = spectra.flux.copy()
    other[:, 100:140] = 1e5
    bundles = [
        train_vae(data, SMALL, tmp_path / name)
        for name, data in (("a", spectra), ("b", dataclasses.replace(spectra, flux=other)))
    ]
    assert load_vae_bundle(bundles[0]).sha256 == load_vae_bundle(bundles[1]).sha256


def test_softening_bounds_the_weight_of_a_pixel(spectra: SpectrumSet):
    noiseless = dataclasses.replace(spectra, ivar=np.where(spectra.ivar > 0, np.float32(1e10), np.float32(0.0)))
    prepared = PreparedSpectra(noiseless, 0.022)
    assert float(prepared.train_weight.max()) == pytest.approx(0.022**-2, rel=1e-3)
    assert (prepared.train_weight[:, 100:140] == 0).all()


def test_input_noise_is_that_of_the_pixels_and_leaves_the_target_alone(spectra: SpectrumSet, monkeypatch):
    prepared = PreparedSpectra(spectra, 0.022)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    real = vae_training.info_vae_loss

    def watch(model, x, weight, mmd_lambda, generator, noisy=None):
        seen.append((x, noisy))
        return real(model, x, weight, mmd_lambda, generator, noisy)

    monkeypatch.setattr(vae_training, "info_vae_loss", watch)
    VaeTraining(dataclasses.replace(SMALL, input_noise=0.5)).train_epoch(prepared)
    noise = torch.cat([noisy - x for x, noisy in seen])
    targets = torch.cat([x for x, _ in seen])
    assert (noise[:, 100:140] == 0).all(), "infilled pixels carry no noise of their own"
    error = float(prepared.train_error[:, 200:].mean())
    assert float(noise[:, 200:].std()) == pytest.approx(0.5 * error, rel=0.02)
    assert sorted(targets.sum(dim=1).tolist()) == pytest.approx(sorted(prepared.train_x.sum(dim=1).tolist()))


def test_validation_in_blocks_is_the_mean_over_spectra(spectra: SpectrumSet, monkeypatch: pytest.MonkeyPatch):
    prepared, training = PreparedSpectra(spectra, 0.022), VaeTraining(SMALL)
    whole = training.validate(prepared)
    monkeypatch.setattr(vae_training, "_N_VALID", 16)  # 16 + 16 + 8 of 40
    blocks = training.validate(prepared)
    assert blocks["valid_kl"] == pytest.approx(whole["valid_kl"], rel=1e-4)
    model, sums = training.model, 0.0
    generator = torch.Generator().manual_seed(SMALL.seed)
    with torch.no_grad():
        for x, weight in zip(prepared.valid_x.split(16), prepared.valid_weight.split(16), strict=True):
            loss = vae_training.info_vae_loss(model, x, weight, SMALL.mmd_lambda, generator)
            sums += len(x) * float(loss.total)
    assert blocks["valid_loss"] == pytest.approx(sums / 40, rel=1e-5)


def test_every_epoch_leaves_all_terms_of_the_loss(spectra: SpectrumSet, tmp_path: Path):
    seen: list[dict] = []
    train_vae(spectra, SMALL, tmp_path, seen.append)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == len(seen) == 2
    for row in rows:
        for split in ("train", "valid"):
            assert all(math.isfinite(row[f"{split}_{term}"]) for term in ("loss", "reconstruction", "kl", "mmd"))
        total = row["valid_reconstruction"] + row["valid_kl"] + (SMALL.mmd_lambda - 1.0) * 6 * row["valid_mmd"]
        assert row["valid_loss"] == pytest.approx(total, rel=1e-3)


def test_starting_anew_forgets_the_earlier_run(spectra: SpectrumSet, tmp_path: Path):
    first = load_vae_bundle(train_vae(spectra, SMALL, tmp_path)).sha256
    again = load_vae_bundle(train_vae(spectra, SMALL, tmp_path, resume=False)).sha256
    assert again == first
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_weighted_mse_is_chi_squared_per_pixel_with_data():
    flux, model_flux = np.zeros((2, 4), np.float32), np.ones((2, 4), np.float32)
    ivar = np.array([[4.0, 4.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]], np.float32)
    assert weighted_mse(model_flux, flux, ivar) == pytest.approx((4.0 + 1.0) / 2)

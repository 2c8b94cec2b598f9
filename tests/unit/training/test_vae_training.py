"""Training the VAE: reproducible, resumable bit for bit, latents ordered and signed."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from galspec.core.errors import ConfigError, RunError, SpectrumError
from galspec.core.wavelength import wave_grid
from galspec.models.bundle import load_vae_bundle
from galspec.models.vae import InfoVAE, info_vae_loss, maximum_mean_discrepancy
from galspec.preprocess.spectra import normalise_spectra
from galspec.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from galspec.training.run_folder import RunStopped
from galspec.training.vae import one_cycle_lr, train_vae
from galspec.training.vae_bundle import line_strength, order_latents, weighted_mse
from galspec.training.vae_data import SpectrumSet, VaeConfig

SMALL = VaeConfig(n_epochs=3, batch_size=32, hidden=(32, 16))


@pytest.fixture(scope="module")
def spectra() -> SpectrumSet:
    rng = np.random.default_rng(5)
    n, wave = 260, wave_grid()
    age, line = rng.normal(size=(n, 1)), rng.gamma(2.0, 1.0, (n, 1))
    shape = 1.0 + 0.25 * age * (wave - 5500) / 2000 + 0.8 * line * np.exp(-0.5 * ((wave - 6564.6) / 6) ** 2)
    norm = rng.uniform(2, 40, (n, 1))
    noise = 0.05 * rng.normal(size=(n, 1000))
    ivar = np.broadcast_to(1.0 / (0.05 * norm) ** 2, (n, 1000)).astype(np.float32).copy()
    ivar[: n // 2, :60] = 0.0
    split = np.array(["train"] * 200 + ["valid"] * 40 + ["test"] * 20)
    return SpectrumSet(((shape + noise) * norm).astype(np.float32), ivar, split, {"name": "toy", "source": "SIMULATED"})


def _weights(path):
    return (path / "weights.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_bundle(tmp_path, spectra):
    first = train_vae(spectra, SMALL, tmp_path / "a")
    second = train_vae(spectra, SMALL, tmp_path / "b")
    assert _weights(first) == _weights(second)
    third = train_vae(spectra, dataclasses.replace(SMALL, seed=1), tmp_path / "c")
    assert _weights(third) != _weights(first)


def test_a_stopped_run_continues_bit_for_bit(tmp_path, spectra):
    whole = train_vae(spectra, SMALL, tmp_path / "whole")
    with pytest.raises(RunStopped, match="after epoch 1"):
        train_vae(spectra, SMALL, tmp_path / "parts", stop=lambda: True)
    assert json.loads((tmp_path / "parts" / "exit.json").read_text())["state"] == "stopped"
    parts = train_vae(spectra, SMALL, tmp_path / "parts")
    assert _weights(parts) == _weights(whole)
    rows = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_a_checkpoint_of_another_run_is_refused(tmp_path, spectra):
    train_vae(spectra, SMALL, tmp_path / "run")
    with pytest.raises(RunError, match="mmd_lambda is"):
        train_vae(spectra, dataclasses.replace(SMALL, mmd_lambda=7.0), tmp_path / "run")


def test_latents_are_standardised_on_train_and_rise_with_halpha(tmp_path, spectra):
    config = dataclasses.replace(SMALL, n_epochs=150, plateau_patience=60, stop_patience=120)
    vae = load_vae_bundle(train_vae(spectra, config, tmp_path / "run"))
    train = spectra.split == "train"
    latent = vae.latents(spectra.flux[train], spectra.ivar[train])
    assert latent.mean(axis=0) == pytest.approx(np.zeros(6), abs=0.01)
    assert latent.std(axis=0) == pytest.approx(np.ones(6), abs=0.02)
    strength = line_strength(vae.decode_standardised(latent))
    used = [np.corrcoef(latent[:, index], strength)[0, 1] for index in range(2)]
    assert max(used) > 0.3
    assert min(used) > -0.2
    valid = spectra.split == "valid"
    flux, ivar, _ = normalise_spectra(spectra.flux[valid], spectra.ivar[valid])
    of_the_mean = weighted_mse(vae.preprocessor.mean_flux.astype(np.float32), flux, ivar)
    assert vae.info["scores"]["valid_chi2_vae"] < 0.8 * of_the_mean


def test_valid_and_test_spectra_do_not_change_what_is_fitted(tmp_path, spectra):
    changed = spectra.flux.copy()
    changed[spectra.split == "test"] *= 3.0
    config = dataclasses.replace(SMALL, n_epochs=1)
    first = train_vae(spectra, config, tmp_path / "a")
    second = train_vae(dataclasses.replace(spectra, flux=changed), config, tmp_path / "b")
    assert _weights(first) == _weights(second)


def test_too_few_spectra_are_refused(tmp_path, spectra):
    few = SpectrumSet(spectra.flux[:50], spectra.ivar[:50], spectra.split[:50], spectra.survey)
    with pytest.raises(SpectrumError, match="50 train and 0 valid spectra are too few"):
        train_vae(few, SMALL, tmp_path / "run")


def test_one_cycle_rises_falls_and_continues_bit_for_bit(tmp_path, spectra):
    rates = [one_cycle_lr(position, 0.01) for position in np.linspace(0.0, 1.0, 101)]
    assert max(rates) == pytest.approx(0.01)
    assert np.argmax(rates) == 15
    assert rates[-1] == pytest.approx(1e-5, rel=0.01)
    config = dataclasses.replace(SMALL, schedule="one_cycle", input_noise=0.5)
    whole = train_vae(spectra, config, tmp_path / "whole")
    with pytest.raises(RunStopped):
        train_vae(spectra, config, tmp_path / "parts", stop=lambda: True)
    assert _weights(train_vae(spectra, config, tmp_path / "parts")) == _weights(whole)
    assert _weights(whole) != _weights(train_vae(spectra, SMALL, tmp_path / "plateau"))


@pytest.mark.parametrize(
    "bad",
    [
        {"n_epochs": 0},
        {"mmd_lambda": 0.5},
        {"softening": 0.0},
        {"schedule": "none"},
        {"grad_clip": -1.0},
        {"input_noise": -1.0},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ConfigError, match=r"must (not )?be"):
        VaeConfig(**bad)


def test_ordering_changes_neither_encoding_nor_decoding():
    torch.manual_seed(0)
    model = InfoVAE(4, (24, 12)).eval()
    x = 0.3 * torch.randn(64, 1000)
    with torch.no_grad():
        before = model.decode(model.encode(x)[0])
        order_latents(model, x, np.ones(1000))
        after = model.decode(model.encode(x)[0])
    assert torch.allclose(before, after, atol=1e-5)


def test_mmd_vanishes_for_equal_distributions():
    generator = torch.Generator().manual_seed(0)
    sample = [torch.randn(2000, 6, generator=generator) for _ in range(2)]
    assert abs(float(maximum_mean_discrepancy(*sample))) < 2e-3
    assert float(maximum_mean_discrepancy(sample[0], sample[1] + 2.0)) > 0.1


def test_pixels_without_data_do_not_enter_the_loss():
    torch.manual_seed(0)
    model = InfoVAE(2, (8,))
    weight = torch.ones(4, 1000)
    weight[:, 500:] = 0.0
    x = torch.randn(4, 1000)
    with torch.no_grad():
        output, _, _, _ = model(x, torch.Generator().manual_seed(1))
        loss = info_vae_loss(model, x, weight, 1.0, torch.Generator().manual_seed(1))
    expected = 0.5 * (output[:, :500] - x[:, :500]).square().sum(dim=1).mean()
    assert float(loss.reconstruction) == pytest.approx(float(expected), rel=1e-5)


def test_checkpoints_survive_a_crash_between_the_renames(tmp_path):
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, {"a": torch.arange(3)}, {"epoch": 1})
    folder.rename(tmp_path / "checkpoint.new")  # as a crash after the first rename leaves it
    assert has_checkpoint(folder)
    tensors, numbers = load_checkpoint(folder)
    assert numbers == {"epoch": 1}
    assert tensors["a"].tolist() == [0, 1, 2]


def test_a_damaged_checkpoint_says_so(tmp_path):
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, {"a": torch.arange(3)}, {"epoch": 1})
    (folder / "tensors.safetensors").write_bytes(b"nonsense")
    with pytest.raises(RunError, match="is damaged"):
        load_checkpoint(folder)
    with pytest.raises(RunError, match="holds no checkpoint"):
        load_checkpoint(tmp_path / "none")

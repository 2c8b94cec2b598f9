"""A small VAE bundle and a predictor that belongs to it, with random weights and settled statistics."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from galspec.core.wavelength import N_WAVE
from galspec.models.bundle import VaeBundle, load_vae_bundle, save_predictor_bundle, save_vae_bundle
from galspec.models.catalog import build_network
from galspec.models.vae import InfoVAE
from galspec.models.xresnet import SimpleSelfAttention
from galspec.preprocess.cutouts import ImageScaler
from galspec.preprocess.spectra import SpectrumPreprocessor

TOLD = {"training_survey": {"name": "random", "source": "SIMULATED"}, "recipe": {"seed": 3}, "scores": {}}


def settled_network(name: str, size: int = 32, options: dict[str, Any] | None = None) -> nn.Sequential:
    """A network as training leaves it: statistics of data, no layer at its initial zero or one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = build_network(name, options)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.3, 0.7)
                nn.init.normal_(module.bias, std=0.1)
            if isinstance(module, SimpleSelfAttention):
                nn.init.constant_(module.gamma, 1e-4)
        network.train()
        with torch.no_grad():
            for _ in range(6):
                network(torch.randn(4, 5, size, size) * 2.0 + 0.5)
    return network


def make_preprocessor() -> SpectrumPreprocessor:
    generator = np.random.default_rng(3)
    vectors = np.linalg.qr(generator.normal(size=(N_WAVE, 4)))[0].T
    return SpectrumPreprocessor(np.linspace(0.5, 1.5, N_WAVE), vectors, np.array([4.0, 3.0, 2.0, 1.0]))


def save_vae(folder: Path, seed: int = 3) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = InfoVAE()
    mean, std = torch.arange(6.0), torch.arange(6.0) + 0.5
    return save_vae_bundle(
        folder, model=model, preprocessor=make_preprocessor(), latent_mean=mean, latent_std=std, name="vae6", **TOLD
    )


def save_predictor(folder: Path, vae: VaeBundle, network: nn.Module, architecture: str) -> Path:
    scaler = ImageScaler(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([10.0, 20.0, 30.0, 40.0, 50.0]))
    return save_predictor_bundle(
        folder, network=network, architecture=architecture, vae=vae, image_scaler=scaler, name="small", **TOLD
    )


@pytest.fixture(scope="session")
def vae_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vae(tmp_path_factory.mktemp("bundles") / "vae6")


@pytest.fixture(scope="session")
def vae(vae_dir: Path) -> VaeBundle:
    return load_vae_bundle(vae_dir)


@pytest.fixture(scope="session")
def predictor_dir(tmp_path_factory: pytest.TempPathFactory, vae: VaeBundle) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "small"
    return save_predictor(folder, vae, settled_network("simple-deconv"), "simple-deconv")

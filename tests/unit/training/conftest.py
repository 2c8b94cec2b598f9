"""Small training sets and a small VAE bundle, random but fixed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from galspec.core.wavelength import N_WAVE
from galspec.models.bundle import VaeBundle, load_vae_bundle, save_vae_bundle
from galspec.models.vae import InfoVAE
from galspec.preprocess.spectra import SpectrumPreprocessor
from galspec.training.data import TrainingSet


def save_random_vae(folder: Path) -> None:
    """Save a VAE with random weights."""
    generator = np.random.default_rng(3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = InfoVAE()
    vectors = np.linalg.qr(generator.normal(size=(N_WAVE, 4)))[0].T
    save_vae_bundle(
        folder,
        model=model,
        preprocessor=SpectrumPreprocessor(np.ones(N_WAVE), vectors, np.ones(4)),
        latent_mean=torch.zeros(6),
        latent_std=torch.ones(6),
        name="vae6",
        training_survey={"name": "random", "source": "SIMULATED"},
        recipe={},
        scores={},
    )


@pytest.fixture(scope="session")
def vae_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a VAE bundle with random weights."""
    folder = tmp_path_factory.mktemp("vae") / "vae6"
    save_random_vae(folder)
    return folder


@pytest.fixture(scope="session")
def vae(vae_dir: Path) -> VaeBundle:
    """The same bundle, loaded."""
    return load_vae_bundle(vae_dir)


@pytest.fixture
def bright_set() -> TrainingSet:
    """120 images of 16 x 16 pixels whose mean brightness by band tells five of the six targets."""
    return make_bright_set(120, 16)


@pytest.fixture
def large_set() -> TrainingSet:
    """400 images of 64 x 64 pixels of the same kind."""
    return make_bright_set(400, 64)


def make_bright_set(n: int, size: int) -> TrainingSet:
    """Images whose mean brightness by band tells five of the six targets."""
    generator = np.random.default_rng(11)
    latents = generator.normal(size=(n, 6)).astype(np.float32)
    images = generator.normal(size=(n, 5, size, size)).astype(np.float16)
    images += latents[:, :5, None, None].astype(np.float16)
    images[3, 1, 2:5] = np.nan
    split = np.array(["train", "train", "train", "valid", "train", "train", "test", "train"] * (n // 8 + 1))[:n]
    ids = np.array([f"sim1-{i:08d}" for i in range(n)])
    survey = {"name": "random", "source": "SIMULATED", "ranges": {}}
    return TrainingSet(images, latents, split, ids, survey)

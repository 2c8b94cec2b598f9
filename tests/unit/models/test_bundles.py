"""Bundles: round trip, float16, pairing, and every way a folder can be wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from galspec.core.errors import BundleError, ShapeError
from galspec.core.wavelength import wave_grid
from galspec.models.bundle import (
    VaeBundle,
    load_predictor_bundle,
    load_vae_bundle,
    save_predictor_bundle,
    save_vae_bundle,
)
from galspec.models.catalog import build_network
from galspec.models.vae import InfoVAE
from galspec.preprocess.cutouts import ImageScaler
from galspec.preprocess.spectra import SpectrumPreprocessor

SURVEY = {"name": "toy", "source": "SIMULATED", "n_galaxies": 8}


def _spectra(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    wave = wave_grid()
    slope = rng.normal(size=(n, 1))
    flux = 10.0 * (1.0 + 0.2 * slope * (wave - 5500) / 2000) + 0.1 * rng.normal(size=(n, 1000))
    ivar = np.full((n, 1000), 100.0)
    ivar[:, :30] = 0.0
    return flux.astype(np.float32), ivar.astype(np.float32)


def _save_vae(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    flux, ivar = _spectra()
    preprocessor = SpectrumPreprocessor.fit(flux / 10.0, ivar * 100.0)
    return save_vae_bundle(
        folder,
        model=InfoVAE(),
        preprocessor=preprocessor,
        latent_mean=torch.linspace(-0.1, 0.1, 6),
        latent_std=torch.linspace(0.5, 1.5, 6),
        name="toy-vae",
        training_survey=SURVEY,
        recipe={"n_epochs": 1},
        scores={},
    )


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> VaeBundle:
    return load_vae_bundle(_save_vae(tmp_path_factory.mktemp("bundles") / "vae"))


def _save_predictor(folder: Path, vae: VaeBundle, name: str = "toy") -> tuple[Path, torch.nn.Module]:
    torch.manual_seed(3)
    network = build_network("simple-deconv").train()
    network(torch.randn(4, 5, 48, 48))
    path = save_predictor_bundle(
        folder,
        network=network,
        architecture="simple-deconv",
        vae=vae,
        image_scaler=ImageScaler(np.array([1.0, 2, 3, 4, 5]), np.array([10.0, 20, 30, 40, 50])),
        name=name,
        training_survey=SURVEY,
        recipe={},
        scores={"valid_mse": 0.5},
    )
    return path, network


def test_a_vae_bundle_round_trips(vae):
    flux, ivar = _spectra()
    latent = vae.latents(flux, ivar)
    assert latent.shape == (40, 6)
    assert vae.unstandardise(latent) == pytest.approx(vae.encode(flux, ivar), abs=1e-5)
    assert vae.decode(vae.encode(flux, ivar)) == pytest.approx(vae.reconstruct(flux, ivar), abs=1e-5)
    assert vae.info["trainable_parameters"] == 1_223_090


def test_latents_do_not_depend_on_the_flux_unit(vae):
    flux, ivar = _spectra()
    assert vae.latents(flux * 100, ivar / 1e4) == pytest.approx(vae.latents(flux, ivar), abs=1e-4)


def test_a_predictor_carries_its_own_decoder(tmp_path, vae):
    path, network = _save_predictor(tmp_path / "predictor", vae)
    predictor = load_predictor_bundle(path, vae)
    images = np.random.default_rng(0).normal(5.0, 20.0, (3, 5, 48, 48)).astype(np.float32)
    images[0, 0, :4] = np.nan
    latent = predictor.predict_latents(images)
    scaled = torch.from_numpy(predictor.image_scaler.apply(images))
    with torch.no_grad():
        expected = network.eval()(scaled).numpy()
    assert latent == pytest.approx(expected, abs=5e-3)  # weights are stored as float16
    assert predictor.decode(latent) == pytest.approx(vae.decode_standardised(latent), abs=2e-3)
    assert predictor.predict_flux(images).shape == (3, 1000)
    assert predictor.provenance["trained_on"] == "SIMULATED"


def test_folded_and_unfolded_predictors_agree(tmp_path, vae):
    path, _ = _save_predictor(tmp_path / "predictor", vae)
    images = np.random.default_rng(0).normal(5.0, 20.0, (3, 5, 48, 48)).astype(np.float32)
    folded = load_predictor_bundle(path).predict_latents(images)
    assert folded == pytest.approx(load_predictor_bundle(path, fold=False).predict_latents(images), abs=1e-4)


GREY = ImageScaler(np.zeros(5), np.ones(5), "grey", weights=np.full(5, 0.2))
ARCSINH = ImageScaler(np.zeros(5), np.ones(5), softening=np.arange(1.0, 6.0))
COLOUR = ImageScaler(np.zeros(5), np.full(5, 30.0), "colour")


@pytest.mark.parametrize("scaler", [GREY, ARCSINH, COLOUR], ids=["grey", "arcsinh", "colour"])
def test_a_bundle_rebuilds_its_own_network_and_image_treatment(tmp_path, vae, scaler):
    options = {"deconv_iterations": 7, "deconv_eps": 1e-4}
    torch.manual_seed(3)
    network = build_network("simple-deconv", options).train()
    network(torch.randn(4, 5, 48, 48))
    told = {"name": "toy", "training_survey": SURVEY, "recipe": {}, "scores": {}}
    path = save_predictor_bundle(
        tmp_path / "a",
        network=network,
        architecture="simple-deconv",
        vae=vae,
        image_scaler=scaler,
        network_options=options,
        **told,
    )
    again = load_predictor_bundle(path, fold=False)
    assert (again.network[0].n_iter, again.network[0].eps) == (7, 1e-4)
    assert again.info["network_args"] == options
    assert (again.image_scaler.form, again.image_scaler.scaling) == (scaler.form, scaler.scaling)
    images = np.random.default_rng(0).normal(5.0, 20.0, (3, 5, 48, 48)).astype(np.float32)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(scaler.apply(images))).numpy()
    assert load_predictor_bundle(path).predict_latents(images) == pytest.approx(expected, abs=5e-3)


def test_a_published_network_on_whole_images_says_nothing_of_options(tmp_path, vae):
    path, _ = _save_predictor(tmp_path / "predictor", vae)
    assert not {"network_args", "image_form"} & json.loads((path / "model.json").read_text()).keys()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network_args": {"depth": 34}}, "unknown option.* depth"),
        ({"network_args": {"groups": 1}}, "does not change a simple-deconv"),
        ({"network_args": [1]}, "network_args"),
        ({"image_form": "sepia"}, "no form of image is called 'sepia'"),
        ({"image_form": "grey"}, "needs a weight for each band"),
        ({"architecture": "resnet50"}, "no network is called 'resnet50'"),
    ],
)
def test_an_unknown_network_or_treatment_is_refused(tmp_path, vae, changes, words):
    path, _ = _save_predictor(tmp_path / "predictor", vae)
    _edit(path, **changes)
    with pytest.raises(BundleError, match=words):
        load_predictor_bundle(path)


def test_another_vae_is_refused(tmp_path, vae):
    path, _ = _save_predictor(tmp_path / "predictor", vae)
    other = load_vae_bundle(_save_vae(tmp_path / "other", seed=9))
    with pytest.raises(BundleError, match=r"belongs to VAE .* but the VAE given is"):
        load_predictor_bundle(path, other)


def _corrupt(path: Path) -> None:
    content = bytearray((path / "weights.safetensors").read_bytes())
    content[-3] ^= 0xFF
    (path / "weights.safetensors").write_bytes(bytes(content))


def _edit(path: Path, **changes: object) -> None:
    info = json.loads((path / "model.json").read_text())
    (path / "model.json").write_text(json.dumps({**info, **changes}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_corrupt, "is corrupt: its SHA-256 is"),
        (lambda path: (path / "weights.safetensors").unlink(), "holds no weights.safetensors"),
        (lambda path: (path / "model.json").unlink(), "is not a model bundle"),
        (lambda path: (path / "model.json").write_text("{"), "is not valid JSON"),
        (lambda path: (path / "model.json").write_text("[]"), "does not describe a galspec bundle"),
        (lambda path: _edit(path, version=99), "bundle of version 99; this galspec reads version 1"),
        (lambda path: _edit(path, kind="predictor"), "is a predictor bundle, but a vae bundle is needed"),
        (lambda path: _edit(path, name="../../evil"), "lacks a valid kind"),
        (lambda path: _edit(path, conventions={}), "other bands, pixels or wavelengths"),
        (lambda path: _edit(path, architecture_args={"n_latent": 4, "hidden": [8]}), "do not fit the network"),
        (lambda path: _edit(path, architecture_args=None), "lacks a part of a VAE bundle"),
    ],
)
def test_a_damaged_bundle_says_what_is_wrong(tmp_path, vae, damage, words):
    path = tmp_path / "copy"
    _save_vae(path)
    damage(path)
    with pytest.raises(BundleError, match=words):
        load_vae_bundle(path)


def test_a_name_with_a_path_is_refused_before_anything_is_written(tmp_path, vae):
    with pytest.raises(BundleError, match="no bundle name"):
        _save_predictor(tmp_path / "predictor", vae, name="../up")
    assert list(tmp_path.iterdir()) == []


def test_saving_again_replaces_the_bundle_whole(tmp_path, vae):
    path, _ = _save_predictor(tmp_path / "predictor", vae)
    (path / "leftover").write_text("old")
    _save_predictor(tmp_path / "predictor", vae)
    assert sorted(found.name for found in path.iterdir()) == ["model.json", "weights.safetensors"]
    shutil.rmtree(path)


def test_wrong_shapes_are_named(vae):
    with pytest.raises(ShapeError, match=r"latents of shape \(N, 6\), got \(2, 5\)"):
        vae.decode_standardised(np.zeros((2, 5)))

"""What the bundle format keeps, refuses and survives, beyond the round trips of test_bundles."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from galspec.core.errors import BundleError, ShapeError
from galspec.core.files import sha256_of, write_json
from galspec.models import bundle_file
from galspec.models.bundle import (
    PredictorBundle,
    VaeBundle,
    load_predictor_bundle,
    load_vae_bundle,
    read_bundle_info,
    shipped_vae_dir,
)
from galspec.models.bundle_file import read_bundle, write_bundle

INFO = {
    "kind": "vae",
    "name": "a",
    "architecture": "InfoVAE",
    "architecture_args": {},
    "trainable_parameters": 1,
    "training_survey": {"name": "a", "source": "SIMULATED"},
    "recipe": {},
    "scores": {},
}
LOADERS: dict[str, Callable[[Path], Any]] = {"vae": load_vae_bundle, "predictor": load_predictor_bundle}


@pytest.fixture
def copies(tmp_path: Path, vae_dir: Path, predictor_dir: Path) -> dict[str, Path]:
    return {
        kind: Path(shutil.copytree(folder, tmp_path / kind))
        for kind, folder in (("vae", vae_dir), ("predictor", predictor_dir))
    }


@pytest.fixture(scope="module")
def predictor(predictor_dir: Path) -> PredictorBundle:
    return load_predictor_bundle(predictor_dir)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(5.0, 20.0, (5, 5, 32, 32)).astype(np.float32)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights and make the SHA-256 fit, as a bundle written wrongly would be."""
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    change(tensors)
    path.unlink()
    save_file(tensors, path)
    info = json.loads((folder / "model.json").read_text())
    write_json(folder / "model.json", {**info, "sha256": sha256_of(path)})


def complaint_of(kind: str, folder: Path) -> str:
    """What loading says of a bundle; nothing if it loads. Any other error than BundleError escapes."""
    try:
        LOADERS[kind](folder)
    except BundleError as error:
        return str(error)
    return ""


def test_weights_are_float16_and_tables_float32_on_disk(vae_dir: Path, predictor_dir: Path):
    for folder in (vae_dir, predictor_dir):
        for name, value in load_file(folder / "weights.safetensors").items():
            is_table = any(word in name for word in ("scaler", "latent", "preprocessor", "running_"))
            if value.is_floating_point():
                assert value.dtype == (torch.float32 if is_table else torch.float16), name
    tensors, _ = read_bundle(predictor_dir, "predictor")
    assert {value.dtype for value in tensors.values() if value.is_floating_point()} == {torch.float32}


def test_metadata_says_what_a_reader_needs(vae_dir: Path, predictor_dir: Path, vae: VaeBundle):
    for folder in (vae_dir, predictor_dir):
        info = read_bundle_info(folder)
        assert info["conventions"]["bands"] == ["g", "r", "i", "z", "y"]
        assert info["conventions"]["grid"]["n_wave"] == 1000
        assert info["sha256"] == sha256_of(folder / "weights.safetensors")
    assert read_bundle_info(predictor_dir)["vae_sha256"] == vae.sha256


def test_nan_is_sky(predictor: PredictorBundle, images: np.ndarray):
    with_gap, with_zero = images.copy(), images.copy()
    with_gap[:, 2, 3:9], with_zero[:, 2, 3:9] = np.nan, 0.0
    assert (predictor.predict_latents(with_gap) == predictor.predict_latents(with_zero)).all()


def test_one_image_gives_what_it_gives_in_company(predictor: PredictorBundle, images: np.ndarray):
    alone = np.concatenate([predictor.predict_latents(image[None]) for image in images])
    assert predictor.predict_latents(images) == pytest.approx(alone, abs=1e-5)
    many = np.concatenate([images] * 14)  # more than one internal batch
    assert predictor.predict_latents(many)[-5:] == pytest.approx(alone, abs=1e-5)


def test_no_images_give_no_latents(predictor: PredictorBundle):
    assert predictor.predict_latents(np.empty((0, 5, 32, 32))).shape == (0, 6)
    assert predictor.predict_flux(np.empty((0, 5, 32, 32))).shape == (0, 1000)


@pytest.mark.parametrize("shape", [(5, 32, 32), (1, 4, 32, 32)])
def test_wrong_images_are_named(predictor: PredictorBundle, shape: tuple[int, ...]):
    with pytest.raises(ShapeError, match=r"images of shape \(N, 5, H, W\)"):
        predictor.predict_latents(np.zeros(shape))


def test_pixels_without_data_do_not_change_the_latents(vae: VaeBundle, rng: np.random.Generator):
    flux = rng.normal(10.0, 1.0, (4, 1000))
    ivar = np.ones((4, 1000))
    ivar[:, 40:120] = 0.0
    other = flux.copy()
    other[:, 40:120] = -1e6
    assert (vae.latents(flux, ivar) == vae.latents(other, ivar)).all()


@pytest.mark.parametrize("kind", ["vae", "predictor"])
@pytest.mark.parametrize("value", ["absent", None, 7, [], {}, "x", {"n_latent": 6, "hidden": [10**12]},
                                   {"n_latent": -1, "hidden": [1]}], ids=repr)  # fmt: skip
def test_damaged_metadata_is_one_sentence_or_harmless(copies: dict[str, Path], kind: str, value: object):
    path = copies[kind] / "model.json"
    info = json.loads(path.read_text())
    allowed = {
        "galspec",
        "recipe",
        "scores",
        "trainable_parameters",
        "name",
        "architecture",
        "vae_name",
        "latent_names",
    }
    for key in info:
        damaged = {name: content for name, content in info.items() if name != key}
        if value != "absent":
            damaged[key] = value
        path.write_text(json.dumps(damaged))
        complaint = complaint_of(kind, copies[kind])
        assert complaint or key in allowed, key
        assert "\n" not in complaint, key


@pytest.mark.parametrize("kind", ["vae", "predictor"])
def test_each_tensor_is_needed(copies: dict[str, Path], kind: str):
    before = (copies[kind] / "weights.safetensors").read_bytes()
    names = [name for name in load_file(copies[kind] / "weights.safetensors") if "num_batches" not in name]
    for name in names:
        (copies[kind] / "weights.safetensors").write_bytes(before)
        rewrite(copies[kind], lambda tensors, name=name: tensors.pop(name))
        with pytest.raises(BundleError):
            LOADERS[kind](copies[kind])


@pytest.mark.parametrize("kind", ["vae", "predictor"])
@pytest.mark.parametrize("name", ["latent_mean", "latent_std"])
def test_latent_scaler_of_the_wrong_length_is_refused(copies: dict[str, Path], kind: str, name: str):
    rewrite(copies[kind], lambda tensors: tensors.update({name: torch.ones(5)}))
    with pytest.raises(BundleError, match="6 latent means"):
        LOADERS[kind](copies[kind])


@pytest.mark.parametrize("architecture", ["xresnet18-hybrid", "resnet152"])
def test_another_architecture_is_refused(copies: dict[str, Path], architecture: str):
    path = copies["predictor"] / "model.json"
    write_json(path, {**json.loads(path.read_text()), "architecture": architecture})
    with pytest.raises(BundleError):
        load_predictor_bundle(copies["predictor"])


def test_truncated_weights_are_corrupt(copies: dict[str, Path]):
    path = copies["vae"] / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="is corrupt"):
        load_vae_bundle(copies["vae"])


def test_weights_that_are_no_safetensors_are_refused(copies: dict[str, Path]):
    path = copies["vae"] / "weights.safetensors"
    path.write_bytes(b"nonsense")
    info = json.loads((copies["vae"] / "model.json").read_text())
    write_json(copies["vae"] / "model.json", {**info, "sha256": sha256_of(path)})
    with pytest.raises(BundleError, match="cannot be read"):
        load_vae_bundle(copies["vae"])


@pytest.mark.parametrize("content", [b"[" * 400_000, b"\xff\xfe", b" " * 1_000_001])
def test_hostile_metadata_is_refused(copies: dict[str, Path], content: bytes):
    (copies["vae"] / "model.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"not valid JSON|bytes"):
        load_vae_bundle(copies["vae"])


@pytest.mark.parametrize("number", [7e4, float("inf"), float("nan")])
def test_weights_that_float16_cannot_hold_are_not_written(tmp_path: Path, number: float):
    with pytest.raises(BundleError, match="not finite or too large"):
        write_bundle(tmp_path / "a", {"weight": torch.tensor([number])}, INFO)
    assert list(tmp_path.iterdir()) == []


def test_large_running_statistics_are_kept(tmp_path: Path):
    write_bundle(tmp_path / "a", {"0.running_var": torch.tensor([7e4])}, INFO)
    assert float(read_bundle(tmp_path / "a", "vae")[0]["0.running_var"]) == 7e4


def test_only_bundles_are_replaced(tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(BundleError, match="is no model bundle"):
            write_bundle(tmp_path / name, {"weight": torch.ones(1)}, INFO)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "x"
    (tmp_path / "empty").mkdir()
    write_bundle(tmp_path / "empty", {"weight": torch.ones(1)}, INFO)


def test_failed_writing_leaves_the_older_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_bundle(tmp_path / "a", {"weight": torch.ones(1)}, INFO)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(bundle_file, "write_json", fail)
    with pytest.raises(OSError, match="no space"):
        write_bundle(tmp_path / "a", {"weight": torch.zeros(1)}, INFO)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert float(read_bundle(tmp_path / "a", "vae")[0]["weight"]) == 1.0


def test_shipped_vae_beats_principal_components_of_its_size():
    if not (shipped_vae_dir() / "model.json").is_file():
        pytest.skip("no shipped VAE in weights/")
    vae = load_vae_bundle(shipped_vae_dir())
    scores = vae.info["scores"]
    assert scores["valid_chi2_vae"] < scores["valid_chi2_pca6"]
    assert np.isfinite(vae.decode_standardised(np.zeros((1, 6)))).all()

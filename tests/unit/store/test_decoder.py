"""The decoder in numpy equals the one in torch, needs no torch, and refuses what is no predictor."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from galspec.core.errors import BundleError, ShapeError
from galspec.core.files import sha256_of
from galspec.core.home import shipped_weights_dir
from galspec.models.bundle import load_predictor_bundle
from galspec.models.vae import LEAKY_SLOPE as TORCH_SLOPE
from galspec.store.decoder import LEAKY_SLOPE, read_decoder

SHIPPED = shipped_weights_dir() / "xresnet18-hybrid"


@pytest.fixture
def bundle_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))


def test_it_equals_the_decoder_in_torch(rng):
    latents = (2.5 * rng.standard_normal((64, 6))).astype(np.float32)
    found = read_decoder(SHIPPED).decode(latents)
    expected = load_predictor_bundle(SHIPPED).decode(latents)
    assert found.shape == (64, 1000)
    assert found.dtype == np.float32
    assert np.ptp(expected) > 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert LEAKY_SLOPE == TORCH_SLOPE


@pytest.mark.parametrize("shape", [(6,), (2, 5), (1, 2, 6)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r"\(N, 6\)"):
        read_decoder(SHIPPED).decode(np.zeros(shape))


def test_reading_and_decoding_need_no_torch():
    code = (
        "import sys; from pathlib import Path; from galspec.store.decoder import read_decoder; "
        f"read_decoder(Path({str(SHIPPED)!r})).decode([[0.0] * 6]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_vae_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(BundleError, match="'vae' bundle"):
        read_decoder(shipped_weights_dir() / "vae6")
    with pytest.raises(BundleError, match=r"model\.json cannot be read"):
        read_decoder(tmp_path)


def test_damaged_weights_are_refused(bundle_dir):
    path = bundle_dir / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="corrupt"):
        read_decoder(bundle_dir)
    path.unlink()
    with pytest.raises(BundleError, match="holds no"):
        read_decoder(bundle_dir)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [("decoder.2.bias", None, r"lacks 'decoder\.2\.bias'"), ("decoder.2.weight", (549, 111), "do not fit together")],
)
def test_missing_or_misshapen_layers_are_refused(bundle_dir, name, shape, message):
    path = bundle_dir / "weights.safetensors"
    tensors = load_file(path)
    if shape is None:
        del tensors[name]
    else:
        tensors[name] = np.zeros(shape, np.float16)
    save_file(tensors, path)
    info = json.loads((bundle_dir / "model.json").read_text())
    (bundle_dir / "model.json").write_text(json.dumps(info | {"sha256": sha256_of(path)}))
    with pytest.raises(BundleError, match=message):
        read_decoder(bundle_dir)

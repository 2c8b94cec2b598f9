"""Distance to train galaxies as a percentile."""

import json

import numpy as np
import pytest

from galspec.core.errors import BundleError, ShapeError
from galspec.core.home import shipped_weights_dir
from galspec.store.latent_density import LatentDensity, bundle_density, survey_density

VAE = shipped_weights_dir() / "vae6"
SHA256 = json.loads((VAE / "model.json").read_text())["sha256"]


def test_percentiles_of_fresh_draws_of_the_same_distribution_are_uniform(rng):
    density = LatentDensity(rng.standard_normal((3000, 3)).astype(np.float32), "draws")
    found = density.percentile(rng.standard_normal((3000, 3)))
    for percent in (25.0, 50.0, 75.0, 95.0):
        assert (found <= percent).mean() * 100.0 == pytest.approx(percent, abs=3.0)


def test_distance_is_the_mean_of_the_eight_nearest(rng):
    reference = rng.standard_normal((200, 6)).astype(np.float32)
    point = rng.standard_normal((1, 6))
    expected = np.sort(np.linalg.norm(reference - point, axis=1))[:8].mean()
    assert LatentDensity(reference, "").distance(point)[0] == pytest.approx(expected)


def test_the_shipped_vae_keeps_train_latents_and_calls_far_points_rare():
    density = bundle_density(VAE, SHA256)
    assert density.reference.shape == (4000, 6)
    assert "4,000 train galaxies of vae6" in density.source
    near, far = density.percentile(np.stack([np.zeros(6), np.full(6, 4.0)]))
    assert near < 50.0
    assert far > 99.0


def test_another_vae_a_missing_one_and_a_wrong_shape_are_refused(tmp_path):
    with pytest.raises(BundleError, match="is wanted"):
        bundle_density(VAE, "0" * 64)
    with pytest.raises(BundleError, match="cannot be read"):
        bundle_density(tmp_path, SHA256)
    with pytest.raises(ShapeError, match="expected latents"):
        bundle_density(VAE, SHA256).distance(np.zeros((2, 5)))


def test_a_survey_stands_in_by_a_seeded_sample_without_gaps(rng):
    latents = rng.standard_normal((5000, 2)).astype(np.float32)
    latents[7] = np.nan
    one, other = survey_density(latents, "toy"), survey_density(latents, "toy")
    assert one.reference.shape == (4000, 2)
    np.testing.assert_array_equal(one.reference, other.reference)
    assert np.isfinite(one.reference).all()
    assert "not the train galaxies" in one.source
    with pytest.raises(ShapeError, match="more than 8"):
        survey_density(latents[:8], "toy")

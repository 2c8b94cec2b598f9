"""Ablations at evaluation time: what of the image is left, and what is gone."""

import numpy as np
import pytest

from galspec.core.errors import ConfigError
from galspec.evaluation.degraded_images import (
    ABLATIONS,
    MEANING,
    central_colours,
    d4_average,
    greyscale,
    require_ablations,
)
from galspec.evaluation.photometric_features import annulus_fluxes
from tests.toy_survey import toy_cutout


def test_central_colours_keep_the_flux_of_the_fibre_and_lose_the_shape(rng):
    images = np.stack([toy_cutout(rng, share, has_gap=False) for share in (0.1, 0.9)])
    images[1, 4] = np.nan
    found = central_colours(images)
    before, after = annulus_fluxes(images)[..., 0], annulus_fluxes(found)[..., 0]
    np.testing.assert_allclose(after[0], before[0], rtol=0.02)
    np.testing.assert_allclose(after[1, :4], before[1, :4], rtol=0.02)
    assert (found[1, 4] == 0).all()
    np.testing.assert_allclose(found[0, 0] / found[0, 0].max(), found[1, 2] / found[1, 2].max(), rtol=1e-4)
    np.testing.assert_array_equal(found, found[..., ::-1, :])


def test_greyscale_has_one_colour_and_keeps_the_shape(rng):
    images = rng.normal(size=(2, 5, 8, 8)).astype(np.float32)
    images[0, 2, 3, 3] = np.nan
    images[1, :, 0, 0] = np.nan
    scale = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    found = greyscale(images, scale)
    scaled = found / scale[:, None, None]
    np.testing.assert_allclose(scaled, np.broadcast_to(scaled[:, :1], scaled.shape), rtol=1e-6)
    expected = np.nanmean(images[0, :, 3, 3] / scale)
    assert scaled[0, 0, 3, 3] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(found[1, :, 0, 0]).all()
    assert np.isfinite(found[0]).all()


def test_d4_average_does_not_know_how_an_image_is_turned(rng):
    weight = rng.normal(size=(6, 6))

    def predict(images):
        return np.stack([(images * weight).sum(axis=(1, 2, 3)), (images[:, 0] * weight).max(axis=(1, 2))], axis=1)

    images = rng.normal(size=(3, 5, 6, 6)).astype(np.float32)
    turned = np.ascontiguousarray(np.rot90(images, axes=(2, 3)))
    average = d4_average(predict)
    np.testing.assert_allclose(average(images), average(turned), rtol=1e-5, atol=1e-5)
    assert np.abs(predict(images) - predict(turned)).max() > 0.1


def test_unknown_ablations_are_refused():
    require_ablations(ABLATIONS)
    assert MEANING.keys() == ABLATIONS.keys()
    with pytest.raises(ConfigError, match="no ablation blurred; those at evaluation time are d4"):
        require_ablations(["d4", "blurred"])

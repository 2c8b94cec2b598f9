import numpy as np
import pytest
import torch

from galspec.core.errors import ShapeError
from galspec.training.augment import N_ELEMENTS, apply_elements, draw_elements, view_element


def test_eight_elements_are_the_eight_symmetries_of_a_square(rng):
    image = rng.normal(size=(1, 4, 4))
    ours = {view_element(image, element).tobytes() for element in range(N_ELEMENTS)}
    expected = {np.rot90(turned, k, axes=(1, 2)).tobytes() for turned in (image, image[:, ::-1]) for k in range(4)}
    assert ours == expected
    assert len(ours) == 8


def test_batch_on_the_device_agrees_with_views_of_single_images(rng):
    images = rng.normal(size=(16, 5, 6, 6)).astype(np.float32)
    elements = np.arange(16, dtype=np.uint8) % N_ELEMENTS
    turned = apply_elements(torch.from_numpy(images), torch.from_numpy(elements)).numpy()
    for one, image, element in zip(turned, images, elements, strict=True):
        np.testing.assert_array_equal(one, view_element(image, int(element)))


def test_element_zero_changes_nothing(rng):
    image = rng.normal(size=(5, 3, 3))
    assert view_element(image, 0) is image


def test_draws_are_uniform_and_repeat_with_the_seed():
    drawn = draw_elements(np.random.default_rng(1), 8000)
    assert np.bincount(drawn, minlength=8).min() > 850
    np.testing.assert_array_equal(drawn, draw_elements(np.random.default_rng(1), 8000))


@pytest.mark.parametrize(("shape", "n"), [((2, 5, 4, 6), 2), ((2, 5, 4, 4), 3), ((5, 4, 4), 5)])
def test_shapes_are_checked(shape, n):
    with pytest.raises(ShapeError, match="square images"):
        apply_elements(torch.zeros(shape), torch.zeros(n))

"""BPT classes and their probabilities."""

import numpy as np
import pytest

from galspec.core.errors import ShapeError
from galspec.measurement.bpt import BPT_CLASSES, bpt_class, bpt_classes, bpt_probabilities, class_ratio


@pytest.mark.parametrize(
    ("log_n2", "log_o3", "ew", "expected"),
    [
        (-0.6, -0.2, 20.0, "star-forming"),
        (-0.25, 0.0, 20.0, "composite"),
        (0.0, 0.9, 20.0, "agn"),
        (0.6, -0.5, 20.0, "agn"),
        (-0.6, -0.2, 1.0, "none"),
        (float("nan"), 0.0, 20.0, "none"),
    ],
)
def test_bpt_classes(log_n2, log_o3, ew, expected) -> None:
    assert bpt_class(log_n2, log_o3, ew) == expected
    assert bpt_classes([log_n2] * 2, [log_o3] * 2, [ew] * 2).tolist() == [expected] * 2


def lines_at(log_n2: float, log_o3: float) -> np.ndarray:
    """Return fluxes of Hbeta, [OIII], Halpha, [NII], shape (1, 4)."""
    return np.array([[10.0, 10.0 * 10.0**log_o3, 30.0, 30.0 * 10.0**log_n2]])


def test_without_errors_the_class_is_certain() -> None:
    flux = np.concatenate([lines_at(-0.6, -0.2), lines_at(-0.25, 0.0), lines_at(0.0, 0.9), lines_at(-0.6, -0.2)])
    width = np.array([20.0, 20.0, 20.0, 1.0])
    found = bpt_probabilities(flux, np.full(flux.shape, np.nan), width, np.full(4, np.nan))
    np.testing.assert_array_equal(found, np.eye(4))
    assert BPT_CLASSES == ("star-forming", "composite", "agn", "none")


def test_probabilities_are_shares_of_random_draws(rng) -> None:
    flux, error = lines_at(-0.3, 0.1), np.array([[2.0, 2.0, 2.0, 3.0]])
    found = bpt_probabilities(flux, error, np.array([20.0]), np.array([1.3]))[0]
    draws = flux + error * rng.standard_normal((20_000, 4))
    draws = draws[(draws > 0).all(axis=1)]
    classes = bpt_classes(
        np.log10(draws[:, 3] / draws[:, 2]), np.log10(draws[:, 1] / draws[:, 0]), np.full(len(draws), 20)
    )
    expected = [np.mean(classes == name) for name in BPT_CLASSES]
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert found.max() < 0.9
    assert found.sum() == pytest.approx(1.0)


def test_width_near_the_limit_is_a_matter_of_chance() -> None:
    found = bpt_probabilities(lines_at(-0.6, -0.2), 0.01 * np.ones((1, 4)), np.array([1.5]), np.array([0.5]))[0]
    assert found[3] == pytest.approx(0.5, abs=0.02)
    assert found[0] == pytest.approx(0.5, abs=0.02)


def test_undetected_lines() -> None:
    no_metals = bpt_probabilities([[10.0, -1.0, 30.0, -1.0]], np.zeros((1, 4)), [20.0], [0.0])[0]
    assert no_metals[0] == 1.0
    no_hydrogen = bpt_probabilities([[-1.0, 10.0, 30.0, 5.0]], np.zeros((1, 4)), [20.0], [0.0])[0]
    assert no_hydrogen[3] == 1.0
    assert np.isnan(bpt_probabilities([[np.nan, 1.0, 1.0, 1.0]], np.ones((1, 4)), [20.0], [0.0])).all()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="must be \\(N, 4\\)"):
        bpt_probabilities(np.ones((2, 3)), np.ones((2, 3)), np.ones(2), np.ones(2))


def test_a_metal_line_that_noise_made_negative_is_faint_and_not_missing() -> None:
    ratio = class_ratio([-0.1, 1.0, 1.0, np.nan], [1.0, 10.0, -1.0, 1.0])
    assert ratio[:2].tolist() == [-4.0, -1.0]
    assert np.isnan(ratio[2:]).all()
    assert bpt_classes(ratio[:1], ratio[:1], [20.0]).tolist() == ["star-forming"]
    assert bpt_classes([-0.5], [0.0], [np.nan]).tolist() == [""]

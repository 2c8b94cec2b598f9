"""Points in hand-drawn outlines."""

import numpy as np

from galspec.core.regions import inside_polygon


def test_a_concave_outline_agrees_with_its_triangles():
    # An arrowhead: the notch is outside.
    inside = inside_polygon([0.5, 0.5, 0.1, np.nan], [0.2, 0.9, 0.85, 0.5], [0, 0.5, 1, 0.5], [0, 1, 0, 0.5])
    assert inside.tolist() == [False, True, False, False]


def test_many_points_in_a_circle():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-1, 1, (2, 5000))
    angle = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
    inside = inside_polygon(x, y, 0.7 * np.cos(angle), 0.7 * np.sin(angle))
    radius = np.hypot(x, y)
    sure = np.abs(radius - 0.7) > 1e-3
    assert np.array_equal(inside[sure], radius[sure] < 0.7)


def test_fewer_than_three_corners_hold_nothing():
    assert not inside_polygon([0.0], [0.0], [-1, 1], [0, 0]).any()

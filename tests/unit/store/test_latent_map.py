"""Axes, samples and drawn shapes of the latent map."""

import numpy as np
import pytest

from galspec.core.errors import ConfigError, ShapeError
from galspec.store.latent_map import (
    density_grid,
    make_plane,
    nearest_rows,
    principal_axes,
    rows_in_box,
    rows_in_lasso,
    stratified_sample,
)


def test_a_plane_of_latents_is_those_latents(rng):
    latents = rng.standard_normal((10, 6))
    np.testing.assert_allclose(make_plane("L5", "L2", latents).project(latents), latents[:, [4, 1]])


def test_principal_components_are_uncorrelated_centred_and_ordered(rng):
    mixing = np.array([[3.0, 0, 0], [1.0, 1.0, 0], [0, 0, 0.2]])
    latents = rng.standard_normal((2000, 3)) @ mixing + 5.0
    points = make_plane("PC1", "PC2", latents).project(latents)
    covariance = np.cov(points, rowvar=False)
    assert abs(covariance[0, 1]) < 1e-9
    assert covariance[0, 0] > covariance[1, 1] > 0.2
    np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-9)
    latents[3] = np.nan
    assert np.isfinite(principal_axes(latents)[1]).all()
    with pytest.raises(ShapeError):
        principal_axes(latents[3:4])


def test_an_unknown_axis_names_those_there_are(rng):
    with pytest.raises(ConfigError, match="L1, L2, L3, PC1"):
        make_plane("L9", "L1", rng.standard_normal((5, 3)))


def test_a_sample_is_seeded_keeps_every_cell_and_leaves_out_unknown_points(rng):
    points = rng.standard_normal((5000, 2))
    points[0] = [9.0, 9.0]  # alone in its cell
    points[1] = np.nan
    rows = stratified_sample(points, 2500, seed=4)
    assert len(rows) == len(set(rows.tolist())) == 2500
    assert 0 in rows
    assert 1 not in rows
    np.testing.assert_array_equal(rows, stratified_sample(points, 2500, seed=4))
    assert (rows != stratified_sample(points, 2500, seed=5)).any()
    np.testing.assert_array_equal(stratified_sample(points, 9999, seed=4), np.delete(np.arange(5000), 1))
    assert len(stratified_sample(points, 50, seed=4)) == 50


def test_a_sample_has_the_shape_of_the_whole(rng):
    points = rng.standard_normal((60_000, 2))
    sample = points[stratified_sample(points, 10_000, seed=1)]
    assert np.quantile(np.abs(sample[:, 0]), 0.5) == pytest.approx(0.6745, abs=0.05)


def test_a_density_counts_points(rng):
    points = np.concatenate([rng.standard_normal((4000, 2)), [[np.nan, 0.0]]])
    counts, x, y = density_grid(points, 30)
    assert counts.shape == (30, 30)
    assert 0.99 * 4000 < counts.sum() <= 4000
    at = np.abs(points[:4000] - [x[15], y[12]]) < [(x[1] - x[0]) / 2, (y[1] - y[0]) / 2]
    assert counts[12, 15] == at.all(axis=1).sum()


def test_a_box_takes_corners_in_any_order():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5], [np.nan, 0.5]])
    assert rows_in_box(points, (2.0, 0.5), (1.5, 0.0)).tolist() == [1, 2]


def test_a_lasso_is_a_polygon_also_a_concave_one(rng):
    corners = np.array([[0, 0], [4, 0], [4, 3], [2, 1], [0, 3]], float)  # a notch from above
    inside = [[0.5, 1.0], [3.5, 1.0], [2.0, 0.5]]
    outside = [[2.0, 2.0], [-1.0, 1.0], [5.0, 1.0], [2.0, -0.1]]
    found = rows_in_lasso(np.array(inside + outside), *corners.T)
    assert found.tolist() == [0, 1, 2]
    triangle = np.array([[0, 0], [1, 0], [0, 1]], float)
    points = rng.uniform(-0.5, 1.5, (3000, 2))
    expected = np.flatnonzero((points > 0).all(axis=1) & (points.sum(axis=1) < 1))
    np.testing.assert_array_equal(rows_in_lasso(points, *triangle.T), expected)
    with pytest.raises(ShapeError, match="three corners"):
        rows_in_lasso(points, [0, 1], [0, 1])


def test_nearest_rows_are_ordered_and_skip_unknown_latents(rng):
    latents = rng.standard_normal((500, 6)).astype(np.float32)
    latents[10] = np.nan
    point = rng.standard_normal(6)
    rows, distance = nearest_rows(point, latents, 8)
    expected = np.argsort(np.where(np.isnan(latents[:, 0]), np.inf, np.linalg.norm(latents - point, axis=1)))[:8]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(distance, np.linalg.norm(latents[rows] - point, axis=1), rtol=1e-5)
    assert len(nearest_rows(point, latents[8:12], 8)[0]) == 3
    with pytest.raises(ShapeError):
        nearest_rows(point[:5], latents, 3)

"""Aperture photometry: exact overlap, gaps, refusals."""

import numpy as np
import pytest

from galspec.core.bands import PIXEL_SCALE_ARCSEC
from galspec.core.errors import ImageError, ShapeError
from galspec.preprocess.photometry import aperture_photometry, circle_overlap

CENTRES = [(111.5, 111.5), (111.0, 112.0), (110.83, 111.27)]


@pytest.mark.parametrize("radius", [0.3, 0.5, 1.0, 6.0, 40.0])
@pytest.mark.parametrize("centre", CENTRES)
def test_overlap_sums_to_the_area_of_the_circle(radius, centre):
    overlap = circle_overlap(radius, centre, (224, 224))
    assert overlap.sum() == pytest.approx(np.pi * radius**2, rel=1e-12)
    assert overlap.min() == 0.0
    assert overlap.max() <= 1.0


def test_overlap_agrees_with_counting_points():
    radius, centre = 3.3, (7.2, 6.6)
    overlap = circle_overlap(radius, centre, (15, 16))
    n = 80
    fine_columns, fine_rows = (np.arange(16 * n) + 0.5) / n - 0.5, (np.arange(15 * n) + 0.5) / n - 0.5
    inside = np.hypot(fine_columns[None, :] - centre[0], fine_rows[:, None] - centre[1]) <= radius
    assert overlap == pytest.approx(inside.reshape(15, n, 16, n).mean(axis=(1, 3)), abs=4e-3)


def test_a_circle_inside_one_pixel_is_in_that_pixel_only():
    overlap = circle_overlap(0.3, (4.0, 2.0), (5, 9))
    assert overlap[2, 4] == pytest.approx(np.pi * 0.09, rel=1e-12)
    assert np.count_nonzero(overlap) == 1


def test_a_circle_across_the_edge_counts_its_inner_part():
    assert circle_overlap(3.0, (-0.5, 4.5), (10, 10)).sum() == pytest.approx(np.pi * 4.5, rel=1e-12)


@pytest.mark.parametrize("centre", CENTRES)
def test_flat_sky_gives_area_times_brightness_in_every_band(centre):
    levels = np.array([1.0, -2.0, 3.0, 10.0, 0.0])
    image = np.broadcast_to(levels[:, None, None], (5, 224, 224)).astype(np.float32)
    flux = aperture_photometry(image, 1.5, centre)
    assert flux.shape == (5,)
    assert flux == pytest.approx(levels * np.pi * (1.5 / PIXEL_SCALE_ARCSEC) ** 2, rel=1e-9)


def test_a_gaussian_star_has_the_closed_form_flux():
    # Sub-pixel errors of hard-edged masks would be several per cent here; sampling of the profile leaves 1e-3.
    sigma, radius = 4.0, 6.0
    pixel = np.arange(224) - 111.5
    star = np.exp(-0.5 * (pixel[None, :] ** 2 + pixel[:, None] ** 2) / sigma**2) / (2 * np.pi * sigma**2)
    expected = 1.0 - np.exp(-0.5 * (radius / sigma) ** 2)
    assert aperture_photometry(star) == pytest.approx(expected, rel=3e-3)


def test_leading_axes_are_kept(rng):
    images = rng.standard_normal((3, 5, 224, 224)).astype(np.float32)
    flux = aperture_photometry(images, 2.0)
    assert flux.shape == (3, 5)
    assert flux[1] == pytest.approx(aperture_photometry(images[1], 2.0), rel=1e-9)


def test_a_gap_matters_only_where_the_circle_touches_it():
    image = np.ones((5, 224, 224), np.float32)
    image[0, 111, 111] = np.nan
    image[1, 0, 0] = np.nan
    image[2, 111, 105:107] = np.nan
    flux = aperture_photometry(image, 1.5)
    assert np.isnan(flux[[0, 2]]).all()
    assert np.isfinite(flux[[1, 3, 4]]).all()


def test_repeated_calls_do_not_change_the_cached_window():
    image = np.ones((224, 224))
    first = aperture_photometry(image)
    image[:] = 2.0
    assert aperture_photometry(image) == pytest.approx(2.0 * first)


def test_a_circle_that_leaves_the_image_is_refused():
    for centre in [(3.0, 111.5), (111.5, 220.0), (np.nan, 111.5)]:
        with pytest.raises(ImageError, match="leaves the image"):
            aperture_photometry(np.ones((224, 224)), 1.5, centre)
    assert aperture_photometry(np.ones((224, 224)), 28.0) == pytest.approx(np.pi * 112.0**2)


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan, np.inf])
def test_a_radius_must_be_positive(radius):
    with pytest.raises(ImageError, match="positive"):
        aperture_photometry(np.ones((224, 224)), radius)


def test_a_row_of_pixels_is_no_image():
    with pytest.raises(ShapeError, match="rows, columns"):
        aperture_photometry(np.ones(224))

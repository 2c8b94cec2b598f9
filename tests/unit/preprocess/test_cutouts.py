"""The cutout grid: flux, positions, NaN; and the image scaling."""

import numpy as np
import pytest
from numpy.typing import NDArray

from galspec.core.errors import ImageError, ShapeError
from galspec.preprocess.cutouts import (
    ImageScaler,
    PixelFrame,
    central_aperture,
    footprint_fraction,
    resample_image,
    sky_noise,
)

SIZE = 224


def make_frame(scale: float = 1.0, angle_deg: float = 0.0, x: float = 149.5, y: float = 149.5) -> PixelFrame:
    """Cutout pixels are `scale` source pixels wide, turned by `angle_deg`."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return PixelFrame(x, y, scale * np.array([[c, -s], [s, c]]))


def gaussian(shape: tuple[int, int], x: float, y: float, sigma: float) -> NDArray[np.float64]:
    row, column = np.indices(shape)
    return np.exp(-0.5 * ((column - x) ** 2 + (row - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)


def centroid(image: NDArray[np.float32]) -> tuple[float, float]:
    row, column = np.indices(image.shape)
    return float((image * column).sum() / image.sum()), float((image * row).sum() / image.sum())


def test_resample_image_crops_an_aligned_image_without_touching_pixels(rng: np.random.Generator) -> None:
    image = rng.normal(size=(300, 310)).astype(np.float32)
    np.testing.assert_array_equal(resample_image(image, make_frame()), image[38:262, 38:262])
    shifted = resample_image(image, make_frame(x=151.9, y=147.2))
    np.testing.assert_array_equal(shifted, image[36:260, 40:264])
    turned = resample_image(image, make_frame(angle_deg=3.9))
    np.testing.assert_array_equal(turned, image[38:262, 38:262])


def test_resample_image_turns_and_flips_without_touching_pixels(rng: np.random.Generator) -> None:
    image = rng.normal(size=(300, 300)).astype(np.float32)
    crop = image[38:262, 38:262]
    mirrored = resample_image(image, PixelFrame(149.5, 149.5, np.array([[-1.0, 0.0], [0.0, 1.0]])))
    np.testing.assert_array_equal(mirrored, crop[:, ::-1])
    quarter = resample_image(image, make_frame(angle_deg=90))
    np.testing.assert_array_equal(np.sort(quarter, axis=None), np.sort(crop, axis=None))
    # cutout x axis runs along source y: cutout[row, column] = source[y = column, x = -row]
    np.testing.assert_array_equal(quarter, crop[:, ::-1].T)


@pytest.mark.parametrize("scale", [0.3, 0.63, 1.02, 1.3, 2.5, 4.9])
@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 45.0, 122.0])
def test_resample_image_conserves_flux_and_position(scale: float, angle_deg: float) -> None:
    size = int(300 * max(scale, 1))
    frame = make_frame(scale, angle_deg, x=size / 2 + 0.3, y=size / 2 - 0.4)
    x, y = frame.to_source(130.25, 95.5)
    cutout = resample_image(gaussian((size, size), float(x), float(y), 3 * max(scale, 0.5)), frame)
    assert np.nansum(cutout) == pytest.approx(1.0, abs=1e-3)
    column, row = centroid(np.nan_to_num(cutout))
    assert column == pytest.approx(130.25, abs=0.01)
    assert row == pytest.approx(95.5, abs=0.01)


@pytest.mark.parametrize("scale", [0.3, 0.77, 1.02, 1.7, 4.9])
@pytest.mark.parametrize("angle_deg", [0.0, 30.0])
def test_resample_image_keeps_a_constant_surface_brightness(scale: float, angle_deg: float) -> None:
    size = int(400 * max(scale, 1))
    cutout = resample_image(np.full((size, size), 2.0), make_frame(scale, angle_deg, size / 2, size / 2))
    np.testing.assert_allclose(cutout, 2.0 * scale**2, rtol=2e-3)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0])
def test_resample_image_scales_a_tenfold_single_pixel_right(angle_deg: float) -> None:
    image = np.zeros((400, 400))
    image[180, 210] = 1.0
    assert resample_image(image, make_frame(1.3, angle_deg, 200, 200)).sum() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("frame", [make_frame(), make_frame(1.3), make_frame(1.0, 30.0)])
def test_resample_image_keeps_holes(frame: PixelFrame) -> None:
    image = np.ones((330, 330))
    image[140:160, 140:160] = np.nan
    image[20:60, 150] = np.inf
    cutout = resample_image(image, frame)
    hole = np.isnan(cutout[105:119, 105:119])
    assert hole.mean() > 0.6
    valid = cutout[np.isfinite(cutout)]
    np.testing.assert_allclose(valid, frame.pixel_area, rtol=5e-3)


def test_resample_image_marks_pixels_outside() -> None:
    frame = make_frame(x=49.5, y=49.5)
    cutout = resample_image(np.ones((100, 100), np.float32), frame)
    assert np.isfinite(cutout).mean() == pytest.approx((100 / 224) ** 2)
    assert footprint_fraction((100, 100), frame) == pytest.approx((100 / 224) ** 2)
    rotated = resample_image(np.ones((100, 100)), make_frame(1.0, 30.0, 49.5, 49.5))
    assert np.isfinite(rotated).mean() == pytest.approx((100 / 224) ** 2, rel=0.02)
    assert np.isnan(resample_image(np.ones((100, 100)), make_frame(1.0, 30.0, 1e5, 1e5))).all()


def test_resample_image_accepts_big_endian_and_refuses_cubes() -> None:
    cutout = resample_image(np.ones((300, 300), ">f4"), make_frame())
    assert cutout.dtype == np.dtype(np.float32)
    assert cutout.dtype.isnative
    with pytest.raises(ShapeError, match="two dimensions"):
        resample_image(np.ones((2, 300, 300)), make_frame())
    with pytest.raises(ImageError, match="do not define a pixel grid"):
        resample_image(np.ones((300, 300)), PixelFrame(1.0, 1.0, np.zeros((2, 2))))


def test_image_scaler_gives_zero_mean_and_unit_deviation(rng: np.random.Generator) -> None:
    images = rng.normal(50.0, 7.0, (12, 5, 16, 16)).astype(np.float32) * np.arange(1, 6)[:, None, None]
    images[3, 2, :4] = np.nan
    scaler = ImageScaler.fit([images[:5], images[5], images[6:]])
    scaled = scaler.apply(images)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=(0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 2, 3)), 1.0, rtol=1e-5)
    np.testing.assert_allclose(scaled[3, 2, :4], -scaler.mean[2] / scaler.std[2], rtol=1e-5)
    again = ImageScaler.from_arrays(scaler.to_arrays())
    np.testing.assert_array_equal(again.apply(images[0]), scaled[0])


def test_image_scaler_takes_float16_blocks_without_overflow(rng: np.random.Generator) -> None:
    block = rng.uniform(6e4, 6.5e4, (4, 5, 8, 8)).astype(np.float16)
    assert ImageScaler.fit([block]).mean == pytest.approx(6.25e4, rel=0.01)


def test_image_scaler_refuses_what_it_cannot_scale() -> None:
    with pytest.raises(ImageError, match="at least one cutout"):
        ImageScaler.fit([])
    with pytest.raises(ImageError, match="positive deviations"):
        ImageScaler.fit([np.ones((5, 4, 4))])
    with pytest.raises(ShapeError, match=r"\.\.\., 5, H, W"):
        ImageScaler.fit([np.ones((4, 4, 4))])
    with pytest.raises(ShapeError, match="mean and std"):
        ImageScaler(np.zeros(3), np.ones(3))


def test_plain_scaler_keeps_only_mean_and_deviation(rng: np.random.Generator) -> None:
    scaler = ImageScaler.fit(rng.normal(0, 1, (3, 5, 8, 8)))
    assert set(scaler.to_arrays()) == {"mean", "std"}
    assert (scaler.form, scaler.scaling) == ("full", "linear")


def test_colour_image_is_the_flux_in_the_fibre(rng: np.random.Generator) -> None:
    images = rng.normal(0, 1, (2, 5, 20, 20)).astype(np.float32)
    row, column = np.indices((20, 20)) - 9.5
    inside = np.hypot(row, column) <= 6.0  # 1.5 arcsec of 0.25 arcsec pixels
    assert (central_aperture(20) == inside).all()
    treated = ImageScaler(np.zeros(5), np.ones(5), "colour").apply(images)
    expected = np.array([[band[inside].mean() for band in image] for image in images])
    assert treated == pytest.approx(np.broadcast_to(expected[..., None, None], images.shape), abs=1e-6)
    turned = ImageScaler(np.zeros(5), np.ones(5), "colour").apply(np.rot90(images, axes=(-2, -1)))
    assert turned == pytest.approx(treated, abs=1e-6)


def test_grey_image_is_the_weighted_mean_of_the_bands(rng: np.random.Generator) -> None:
    images = rng.normal(0, 1, (2, 5, 6, 6)).astype(np.float32)
    weights = np.array([0.4, 0.3, 0.1, 0.1, 0.1])
    treated = ImageScaler(np.zeros(5), np.ones(5), "grey", weights=weights).apply(images)
    for band in range(5):
        assert treated[:, band] == pytest.approx(np.einsum("b,nbhw->nhw", weights, images), abs=1e-5)


def test_arcsinh_scaling_is_linear_in_the_noise_and_logarithmic_in_cores() -> None:
    scaler = ImageScaler(np.zeros(5), np.ones(5), softening=np.full(5, 20.0))
    images = np.zeros((5, 2, 2))
    images[:, 0, 0], images[:, 0, 1] = 0.2, 2e6
    assert scaler.apply(images)[:, 0, 0] == pytest.approx(0.01, rel=1e-4)
    assert scaler.apply(images)[:, 0, 1] == pytest.approx(np.log(2 * 2e6 / 20.0), rel=1e-6)


@pytest.mark.parametrize("form", ["full", "colour", "grey"])
def test_every_treatment_is_standardised_and_survives_saving(form: str, rng: np.random.Generator) -> None:
    images = rng.normal(5.0, 30.0, (8, 5, 16, 16))
    images[0, 0, :3] = np.nan
    noise = sky_noise(images)
    weights = noise**-2 / (noise**-2).sum() if form == "grey" else None
    scaler = ImageScaler.fit([images[:3], images[3:]], form, noise, weights)
    scaled = scaler.apply(images)
    assert scaled.mean(axis=(0, 2, 3)) == pytest.approx(np.zeros(5), abs=1e-4)
    assert scaled.std(axis=(0, 2, 3)) == pytest.approx(np.ones(5), rel=1e-4)
    again = ImageScaler.from_arrays(scaler.to_arrays(), form)
    assert (again.apply(images) == scaled).all()


def test_sky_noise_is_not_that_of_the_galaxy(rng: np.random.Generator) -> None:
    images = rng.normal(0.0, np.arange(10.0, 60.0, 10.0)[:, None, None], (6, 5, 60, 60))
    images[:, :, 25:35, 25:35] += 1e4
    images[0, 2] = np.nan
    assert sky_noise(images) == pytest.approx(np.arange(10.0, 60.0, 10.0), rel=0.05)
    with pytest.raises(ImageError, match="noise of the images cannot be measured"):
        sky_noise(np.zeros((1, 5, 8, 8)))


def test_impossible_treatments_are_refused() -> None:
    zeros, ones = np.zeros(5), np.ones(5)
    with pytest.raises(ImageError, match="no form of image is called 'sepia'"):
        ImageScaler(zeros, ones, "sepia")
    with pytest.raises(ImageError, match="needs a weight"):
        ImageScaler(zeros, ones, "grey")
    with pytest.raises(ImageError, match="needs a weight"):
        ImageScaler(zeros, ones, "full", weights=ones)
    with pytest.raises(ImageError, match="positive deviations"):
        ImageScaler(zeros, ones, softening=zeros)
    with pytest.raises(ShapeError, match=r"must be \(5,\)"):
        ImageScaler(zeros, ones, softening=np.ones(4))
    with pytest.raises(ImageError, match="has no gamma"):
        ImageScaler.from_arrays({"mean": zeros, "std": ones, "gamma": ones})

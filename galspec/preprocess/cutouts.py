"""Images on the project's cutout grid: resampling that conserves flux, and the scaling the networks expect.

Cutouts are (5, 224, 224) float32 in nJy per pixel, 0.25 arcsec pixels, rows growing to the north, columns to the
west (east is left), the target at (111.5, 111.5), NaN where there is no data.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.bands import CUTOUT_SIZE_PIX, N_BANDS, PIXEL_SCALE_ARCSEC, SDSS_FIBRE_DIAMETER_ARCSEC
from galspec.core.errors import ImageError, ShapeError

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: The target's position along both axes of a cutout, 0-based.
CUTOUT_CENTRE_PIX: Final = (CUTOUT_SIZE_PIX - 1) / 2
#: An output pixel of which less than this fraction is covered by valid pixels is NaN.
MIN_COVERAGE: Final = 0.5
#: An image counts as already on the grid, and is cropped, if its pixels are 0.25 arcsec wide to 0.5 % and its axes
#: lie within 4 degrees of the cutout's. Both are what PS1's own grid does: gnomonic cells 4 degrees wide stretch
#: pixels by up to 0.25 %, and at declination 60 the axes of a cell's edge are 3.5 degrees off north.
_CROP_SCALE_TOLERANCE: Final = 5e-3
_CROP_ROTATION_DEG: Final = 4.0
#: Source pixels are split until a part is at most this wide, in output pixels.
_PART_WIDTH: Final = 0.125
_MAX_PARTS_PER_CHUNK: Final = 2_000_000
FIBRE_RADIUS_PIX: Final = SDSS_FIBRE_DIAMETER_ARCSEC / 2 / PIXEL_SCALE_ARCSEC
#: What a network may see of an image, and on which flux scale (`ImageScaler`).
IMAGE_FORMS: Final = ("full", "colour", "grey")
IMAGE_SCALINGS: Final = ("linear", "arcsinh")


@dataclasses.dataclass(frozen=True)
class PixelFrame:
    """Where the cutout's grid lies on a source image: an affine map, good to 1e-3 pixel over 56 arcsec.

    Parameters
    ----------
    x_pix, y_pix : float
        The target on the source image, 0-based pixel coordinates (column, row).
    matrix : ndarray, shape (2, 2), float64
        Source offset (x, y) = matrix @ cutout offset (columns to the west, rows to the north), in pixels.
    """

    x_pix: float
    y_pix: float
    matrix: Floats

    @property
    def pixel_area(self) -> float:
        """Area of a cutout pixel in source pixels."""
        return float(abs(np.linalg.det(self.matrix)))

    @property
    def rotation_deg(self) -> float:
        """Angle between the image's axes and the cutout's, flips and quarter turns aside: -45 to 45 degrees."""
        along_x, along_y = self.matrix[:, 0]
        return float((np.degrees(np.arctan2(along_y, along_x)) + 45.0) % 90.0 - 45.0)

    def crop_matrix(self) -> NDArray[np.int64] | None:
        """Return the flip or quarter turn that puts the image on the grid without resampling, or None."""
        nearest = np.rint(self.matrix).astype(np.int64)
        is_permutation = np.array_equal(nearest @ nearest.T, np.eye(2, dtype=np.int64))
        stretch = np.abs(np.linalg.svd(self.matrix, compute_uv=False) - 1.0).max()
        is_close = stretch <= _CROP_SCALE_TOLERANCE and abs(self.rotation_deg) <= _CROP_ROTATION_DEG
        return nearest if is_permutation and is_close else None

    def to_source(self, column: ArrayLike, row: ArrayLike) -> tuple[Floats, Floats]:
        """Return source pixel coordinates (x, y) of cutout pixel coordinates."""
        right = np.asarray(column, np.float64) - CUTOUT_CENTRE_PIX
        up = np.asarray(row, np.float64) - CUTOUT_CENTRE_PIX
        x = self.x_pix + self.matrix[0, 0] * right + self.matrix[0, 1] * up
        y = self.y_pix + self.matrix[1, 0] * right + self.matrix[1, 1] * up
        return x, y


def footprint_fraction(shape: tuple[int, int], frame: PixelFrame) -> float:
    """Return the fraction of the cutout's pixels whose centres lie on an image of this shape (rows, columns)."""
    row, column = np.indices((CUTOUT_SIZE_PIX, CUTOUT_SIZE_PIX))
    x, y = frame.to_source(column, row)
    inside = (x >= -0.5) & (x < shape[1] - 0.5) & (y >= -0.5) & (y < shape[0] - 0.5)
    return float(inside.mean())


def resample_image(image: ArrayLike, frame: PixelFrame) -> Floats32:
    """Put one image onto the cutout grid, conserving flux.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Flux per source pixel; NaN and infinite values are no data.
    frame : PixelFrame
        Where the cutout lies on it.

    Returns
    -------
    cutout : ndarray, shape (224, 224), float32
        Flux per cutout pixel; NaN where less than half of a pixel is covered by data.

    Raises
    ------
    ShapeError
        If the image is not two-dimensional.
    ImageError
        If the map of the frame is singular or not finite.

    Notes
    -----
    An image that already has the grid's scale and axes (up to flips, quarter turns, 4 degrees of rotation and half
    a pixel of shift) is cropped: interpolation would correlate the noise and blur the PSF, and the models know
    neither. A crop keeps the flux of every pixel, so it conserves flux exactly. Otherwise source pixels are taken as
    uniform squares, split into parts of at most an eighth of an output pixel, and each part is shared among the
    output pixels it overlaps. Axis-aligned grids are then exact; rotated ones are right to better than 1e-3 per
    pixel. A pixel that is covered in part is scaled up to full coverage.
    """
    image = np.asarray(image)
    if image.ndim != 2:
        raise ShapeError(f"an image of one band has two dimensions; got shape {image.shape}")
    if not np.isfinite([frame.x_pix, frame.y_pix, *frame.matrix.flat]).all() or frame.pixel_area < 1e-6:
        raise ImageError("the image's world coordinates do not define a pixel grid at the target; check its WCS")
    turn = frame.crop_matrix()
    return _crop(image, frame, turn) if turn is not None else _share_flux(image, frame)


def _crop(image: NDArray[np.floating], frame: PixelFrame, turn: NDArray[np.int64]) -> Floats32:
    """Copy whole pixels; the target lands within half a pixel of the centre along each axis."""
    row, column = np.indices((CUTOUT_SIZE_PIX, CUTOUT_SIZE_PIX))
    corner = np.array([frame.x_pix, frame.y_pix]) - turn @ np.array([CUTOUT_CENTRE_PIX, CUTOUT_CENTRE_PIX])
    x0, y0 = np.floor(corner + 0.5).astype(int)
    x = x0 + turn[0, 0] * column + turn[0, 1] * row
    y = y0 + turn[1, 0] * column + turn[1, 1] * row
    inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
    cutout = np.full(inside.shape, np.nan, np.float32)
    cutout[inside] = image[y[inside], x[inside]]
    cutout[~np.isfinite(cutout)] = np.nan
    return cutout


def _share_flux(image: NDArray[np.floating], frame: PixelFrame) -> Floats32:
    """Deposit parts of source pixels onto the output pixels that they overlap."""
    edges = np.array([-0.5, CUTOUT_SIZE_PIX - 0.5])
    corner_x, corner_y = frame.to_source(edges[[0, 1, 0, 1]], edges[[0, 0, 1, 1]])
    x_range = _clipped_range(corner_x, image.shape[1])
    y_range = _clipped_range(corner_y, image.shape[0])
    pixel_width = 1.0 / np.sqrt(frame.pixel_area)  # of a source pixel, in output pixels
    n_parts = int(np.clip(np.ceil(pixel_width / _PART_WIDTH), 1, 64))
    part = (np.arange(n_parts) + 0.5) / n_parts - 0.5
    x = (np.arange(*x_range)[:, None] + part).ravel()
    flux = np.zeros(CUTOUT_SIZE_PIX**2)
    covered = np.zeros(CUTOUT_SIZE_PIX**2)
    rows_per_chunk = max(1, _MAX_PARTS_PER_CHUNK // max(1, len(x) * n_parts))
    for start in range(*y_range, rows_per_chunk):
        rows = np.arange(start, min(start + rows_per_chunk, y_range[1]))
        values = image[rows[:, None], np.arange(*x_range)].astype(np.float64)
        values = np.repeat(np.repeat(values, n_parts, axis=0), n_parts, axis=1) / n_parts**2
        _deposit(values, x, (rows[:, None] + part).ravel(), frame, pixel_width / n_parts, flux, covered)
    fraction = covered / (frame.pixel_area * n_parts**2)
    cutout = np.full(flux.shape, np.nan)
    np.divide(flux, fraction, out=cutout, where=fraction >= MIN_COVERAGE)
    return cutout.reshape(CUTOUT_SIZE_PIX, CUTOUT_SIZE_PIX).astype(np.float32)


def _clipped_range(corners: Floats, size: int) -> tuple[int, int]:
    low = int(np.clip(np.floor(corners.min()) - 1, 0, size))
    return low, int(np.clip(np.ceil(corners.max()) + 2, low, size))


def _deposit(
    values: Floats, x: Floats, y: Floats, frame: PixelFrame, width: float, flux: Floats, covered: Floats
) -> None:
    """Add parts (rows y, columns x; square, `width` output pixels wide) to flux and to the count of valid parts."""
    inverse = np.linalg.inv(frame.matrix)
    dx, dy = x[None, :] - frame.x_pix, y[:, None] - frame.y_pix
    column = inverse[0, 0] * dx + inverse[0, 1] * dy + CUTOUT_CENTRE_PIX
    row = inverse[1, 0] * dx + inverse[1, 1] * dy + CUTOUT_CENTRE_PIX
    touches = (column > -1) & (column < CUTOUT_SIZE_PIX) & (row > -1) & (row < CUTOUT_SIZE_PIX)
    keep = touches & np.isfinite(values)
    column, row, values = column[keep], row[keep], values[keep]
    # A part reaches into at most two output pixels along each axis: `first` and the next one.
    first_column, share_column = _shares(column, width)
    first_row, share_row = _shares(row, width)
    for i_row, weight_row in enumerate((share_row, 1.0 - share_row)):
        for i_column, weight_column in enumerate((share_column, 1.0 - share_column)):
            r, c = first_row + i_row, first_column + i_column
            inside = (r >= 0) & (r < CUTOUT_SIZE_PIX) & (c >= 0) & (c < CUTOUT_SIZE_PIX)
            index = (r * CUTOUT_SIZE_PIX + c)[inside]
            weight = (weight_row * weight_column)[inside]
            flux += np.bincount(index, weight * values[inside], minlength=len(flux))
            covered += np.bincount(index, weight, minlength=len(covered))


def _shares(position: Floats, width: float) -> tuple[NDArray[np.int64], Floats]:
    """Return the output pixel that holds the lower end of each part, and the share of the part inside it."""
    lower = position - 0.5 * width
    first = np.floor(lower + 0.5).astype(np.int64)
    return first, np.clip((first + 0.5 - lower) / width, 0.0, 1.0)


def central_aperture(size: int) -> NDArray[np.bool_]:
    """Return the mask (size, size) of the pixels whose centres lie in the 3 arcsec fibre around the image's centre."""
    offset = np.arange(size) - (size - 1) / 2
    return np.asarray(np.hypot(offset[:, None], offset) <= FIBRE_RADIUS_PIX)


def sky_noise(images: ArrayLike) -> Floats:
    """Measure the noise of each band, (5,) in nJy per pixel: 1.4826 times the median absolute deviation.

    Parameters
    ----------
    images : array_like, shape (n, 5, H, W)
        Cutouts in nJy per pixel; every second row and column is looked at, NaN is left out.

    Raises
    ------
    ImageError
        If a band has no data, or no noise.
    """
    images = _require_cutouts(images)
    noise = np.zeros(N_BANDS)
    for band in range(N_BANDS):
        pixels = images[..., band, ::2, ::2].astype(np.float64)
        pixels = pixels[np.isfinite(pixels)]
        if pixels.size:
            noise[band] = 1.4826 * np.median(np.abs(pixels - np.median(pixels)))
    if not (noise > 0).all():
        raise ImageError(f"the noise of the images cannot be measured: {noise} nJy per pixel in g r i z y; use others.")
    return noise


@dataclasses.dataclass(frozen=True)
class ImageScaler:
    """Treat cutouts as the networks expect them: zero mean and unit standard deviation over the train split, per band.

    Parameters
    ----------
    mean, std : ndarray, shape (5,), float64
        Of the treated images of the train split, bands in the order g r i z y: nJy per pixel, or dimensionless after
        arcsinh.
    form : str
        What the network sees of an image. "full": all. "grey": every band is the same mean of the bands, weighted by
        ``weights``, so that shapes remain and colours do not. "colour": every band is constant, at its mean flux per
        pixel within the fibre of 3 arcsec, so that five aperture fluxes remain and shapes do not.
    softening : ndarray, shape (5,), optional
        If given, fluxes f become arcsinh(f / softening) before they are scaled: linear in the noise, logarithmic in
        bright cores, as the magnitudes of Lupton, Gunn & Szalay (1999). nJy per pixel.
    weights : ndarray, shape (5,), optional
        Of the bands in the grey image, sum 1; needed by it.

    Raises
    ------
    ShapeError
        If an array is not (5,).
    ImageError
        If a deviation or a softening is not positive, the form is unknown, or the grey image has no weights.
    """

    mean: Floats
    std: Floats
    form: str = "full"
    softening: Floats | None = None
    weights: Floats | None = None

    def __post_init__(self) -> None:
        given = [array for array in (self.softening, self.weights) if array is not None]
        if any(array.shape != (N_BANDS,) for array in (self.mean, self.std, *given)):
            raise ShapeError(
                f"mean and std must be ({N_BANDS},); got {self.mean.shape} and {self.std.shape}"
                + "".join(f", {array.shape}" for array in given)
            )
        is_usable = np.isfinite(self.mean).all() and all(
            np.isfinite(array).all() and (array > 0).all() for array in (self.std, *given)
        )
        if not is_usable:
            raise ImageError(f"an image scaler needs finite means and positive deviations; got {self.mean}, {self.std}")
        if self.form not in IMAGE_FORMS:
            raise ImageError(f"no form of image is called {self.form!r}; they are {', '.join(IMAGE_FORMS)}.")
        if (self.form == "grey") != (self.weights is not None):
            raise ImageError("the grey image, and it alone, needs a weight for each band.")

    @property
    def scaling(self) -> str:
        """How fluxes are scaled: "linear" or "arcsinh"."""
        return "linear" if self.softening is None else "arcsinh"

    @classmethod
    def fit(
        cls,
        images: Iterable[ArrayLike],
        form: str = "full",
        softening: Floats | None = None,
        weights: Floats | None = None,
    ) -> Self:
        """Measure mean and standard deviation over all pixels of the treated images, NaN counted as 0 (sky).

        Parameters
        ----------
        images : iterable of array_like, shape (5, H, W) or (n, 5, H, W)
            Cutouts or blocks of cutouts in nJy per pixel, of the train split only.
        form, softening, weights
            As in the class.

        Returns
        -------
        ImageScaler

        Raises
        ------
        ImageError
            If there are no images, a band is constant, or the form is unknown.
        ShapeError
            If a block has the wrong number of bands.
        """
        treatment = cls(np.zeros(N_BANDS), np.ones(N_BANDS), form, softening, weights)
        count = 0
        mean, scatter = np.zeros(N_BANDS), np.zeros(N_BANDS)
        for image in _one_by_one(images):
            pixels = treatment.treat(_finite(image.astype(np.float64))).reshape(N_BANDS, -1)
            if pixels.size == 0:
                continue
            # Chan et al. (1983): images are combined without the cancellation of sum(x^2) - mean^2.
            n_new = pixels.shape[1]
            image_mean = pixels.mean(axis=1)
            delta = image_mean - mean
            total = count + n_new
            offset = pixels - image_mean[:, None]
            scatter += np.einsum("bi,bi->b", offset, offset) + delta**2 * count * n_new / total
            mean += delta * n_new / total
            count = total
        if count == 0:
            raise ImageError("an image scaler needs at least one cutout; none was given")
        return cls(mean, np.sqrt(scatter / count), form, softening, weights)

    def treat(self, pixels: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return finite cutouts (..., 5, H, W) in the form and on the flux scale of this scaler, not yet standardised.

        An image whose form and scale are those of the survey is returned as it is, not copied.
        """
        dtype = pixels.dtype
        if self.weights is not None:
            grey = (pixels * self.weights.astype(dtype)[:, None, None]).sum(axis=-3, keepdims=True)
            pixels = np.broadcast_to(grey, pixels.shape)
        elif self.form == "colour":
            flux = pixels[..., central_aperture(pixels.shape[-1])].mean(axis=-1)
            pixels = np.broadcast_to(flux[..., None, None], pixels.shape)
        if self.softening is not None:
            pixels = np.asarray(np.arcsinh(pixels / self.softening.astype(dtype)[:, None, None]))
        return pixels

    def apply(self, images: ArrayLike) -> Floats32:
        """Return (treated images - mean) / std with NaN first set to 0.

        Parameters
        ----------
        images : array_like, shape (..., 5, H, W)
            nJy per pixel; NaN = no data.

        Returns
        -------
        scaled : ndarray, shape (..., 5, H, W), float32
        """
        pixels = self.treat(_finite(_require_cutouts(images).astype(np.float32)))
        mean, std = self.mean.astype(np.float32)[:, None, None], self.std.astype(np.float32)[:, None, None]
        return np.asarray((pixels - mean) / std, np.float32)

    def to_arrays(self) -> dict[str, Floats]:
        """Return the arrays by name; the form, a word, is kept beside them."""
        arrays = {"mean": self.mean, "std": self.std, "softening": self.softening, "weights": self.weights}
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike], form: str = "full") -> Self:
        """Rebuild a scaler from `to_arrays` and the form.

        Raises
        ------
        ImageError
            If an array is unknown, or the form is, or they do not fit each other.
        """
        names = ("mean", "std", "softening", "weights")
        if unknown := sorted(arrays.keys() - set(names)):
            raise ImageError(f"an image scaler has no {', '.join(unknown)}; it has {', '.join(names)}.")
        known = {name: np.asarray(arrays[name], np.float64) for name in names if name in arrays}
        return cls(known["mean"], known["std"], form, known.get("softening"), known.get("weights"))


def _one_by_one(blocks: Iterable[ArrayLike]) -> Iterator[NDArray[np.floating]]:
    """Yield the images of blocks singly: one fits into the processor's cache, which a block does not."""
    for block in blocks:
        images = _require_cutouts(block)
        yield from images.reshape(-1, *images.shape[-3:])


def _finite(images: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the images with 0 where they are not finite; the array itself if they are."""
    is_finite = np.isfinite(images)
    return images if is_finite.all() else np.where(is_finite, images, images.dtype.type(0))


def _require_cutouts(images: ArrayLike) -> NDArray[np.floating]:
    images = np.asarray(images)
    if images.ndim < 3 or images.shape[-3] != N_BANDS:
        raise ShapeError(f"cutouts have shape (..., {N_BANDS}, H, W); got {images.shape}")
    return images

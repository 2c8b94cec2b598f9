"""Small colour composites: R = z, G = i, B = g, so that long wavelength is red (Lupton et al. 2004)."""

import io
from typing import Final

import numpy as np
from astropy.visualization import make_lupton_rgb
from numpy.typing import NDArray
from PIL import Image

from galspec.core.bands import BANDS, NJY_PER_COUNT_ZP25

THUMBNAIL_SIZE_PIX: Final = 64
_STRETCH_COUNTS: Final = 1.0
_Q: Final = 8.0
# An old population has about these flux ratios to the i band; dividing by them makes it white-yellow.
_BALANCE: Final = {"z": 1.15, "i": 1.0, "g": 0.55}


def composite_rgb(flux_njy: NDArray[np.float32], stretch: float = _STRETCH_COUNTS, q: float = _Q) -> NDArray[np.uint8]:
    """Make a colour composite with one stretch for all galaxies, so that they can be compared.

    Parameters
    ----------
    flux_njy : ndarray, shape (5, H, W)
        Cutout in nJy per pixel, bands g r i z y; NaN is drawn as sky.
    stretch : float
        Linear stretch in counts/s at zero point 25 (363 nJy).
    q : float
        Softening of the asinh stretch.

    Returns
    -------
    ndarray, shape (H, W, 3), uint8
        North up: row 0 is the northern edge.
    """
    red, green, blue = (
        np.nan_to_num(flux_njy[BANDS.index(band)]) / (NJY_PER_COUNT_ZP25 * _BALANCE[band]) for band in "zig"
    )
    rgb = make_lupton_rgb(red, green, blue, minimum=-0.15 * stretch, stretch=stretch, Q=q)
    return np.asarray(rgb[::-1], dtype=np.uint8)  # row 0 of a cutout is its southern edge


def thumbnail_webp(flux_njy: NDArray[np.float32], size_pix: int = THUMBNAIL_SIZE_PIX, crop: float = 0.75) -> bytes:
    """Encode a thumbnail of the cutout's central part as WebP.

    Parameters
    ----------
    flux_njy : ndarray, shape (5, H, W)
        Cutout in nJy per pixel.
    size_pix : int
        Edge of the thumbnail in pixels.
    crop : float
        Share of the cutout's edge that is shown.

    Returns
    -------
    bytes
    """
    height, width = flux_njy.shape[1:]
    half_y, half_x = int(height * crop / 2), int(width * crop / 2)
    middle = flux_njy[:, height // 2 - half_y : height // 2 + half_y, width // 2 - half_x : width // 2 + half_x]
    image = Image.fromarray(composite_rgb(middle)).resize((size_pix, size_pix), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=80, method=6)
    return buffer.getvalue()

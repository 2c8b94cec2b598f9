"""Pictures on the cards of Browse: colour or one band, with a stretch of the reader's choice."""

import base64
import dataclasses
import io
from typing import Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from galspec.core.bands import BANDS, NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.core.errors import GalspecError
from galspec.store.survey import Survey
from galspec.ui.cache import READING, thumbnail_uri
from galspec.ui.gallery import DEFAULT_SIZE
from galspec.ui.images import band_grey

COLOUR: Final = "colour"
PICTURES: Final = (COLOUR, *BANDS)
SIZES: Final = (96, DEFAULT_SIZE, 128, 160, 192, 224)
PER_PAGE: Final = (24, 48, 96)
STRETCHES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
#: Share of the cutout's edge that a card shows.
CROP: Final = 0.75
#: Stored thumbnails have 64 pixels: enough for cards smaller than this.
_STORED_UP_TO: Final = 127
_BRIGHT_PERCENTILE: Final = 99.8


@dataclasses.dataclass(frozen=True)
class Look:
    """How the cards look.

    Parameters
    ----------
    per_page : int
    size : int
        Least width of a card in CSS pixels.
    picture : str
        "colour" or a band.
    stretch : float
        Brightness where the asinh stretch turns from linear to logarithmic, relative to the standard one; less shows
        fainter light.
    is_inverted : bool
        Dark on light.
    is_each : bool
        Every galaxy with its own scale; otherwise one scale for all, so that they can be compared.
    """

    per_page: int = 24
    size: int = DEFAULT_SIZE
    picture: str = COLOUR
    stretch: float = 1.0
    is_inverted: bool = False
    is_each: bool = False

    @property
    def is_stored(self) -> bool:
        """True if the thumbnails that come with the survey are what is wanted."""
        is_plain = self.picture == COLOUR and self.stretch == 1.0 and not self.is_inverted and not self.is_each
        return is_plain and self.size <= _STORED_UP_TO

    @property
    def words(self) -> str:
        """What the pictures show, for the line under them."""
        what = "R = z, G = i, B = g" if self.picture == COLOUR else f"{self.picture} band"
        scale = "each with its own asinh stretch" if self.is_each else "one asinh stretch for all"
        parts = [what, scale + (f" (× {self.stretch:g})" if self.stretch != 1.0 else "")]
        return ", ".join(parts + (["inverted"] if self.is_inverted else []))


def card_uri(survey: Survey, key: str, row: int, look: Look) -> str:
    """Return the picture of a card as a data URI; empty if there is no image."""
    if look.is_stored:
        return thumbnail_uri(survey, key, row)
    plain = dataclasses.replace(look, per_page=PER_PAGE[0], size=min(2 * look.size, 256))
    return _rendered(survey, key, row, plain)


@st.cache_data(show_spinner=False, max_entries=4_000)
def _rendered(_survey: Survey, key: str, row: int, look: Look) -> str:  # noqa: ARG001
    try:
        with READING:
            cutout = _survey.cutout(row)
    except GalspecError:
        return ""
    return "data:image/webp;base64," + base64.b64encode(picture_webp(cutout, look)).decode("ascii")


def picture_webp(cutout_njy: NDArray[np.float32], look: Look) -> bytes:
    """Draw the middle of a cutout.

    Parameters
    ----------
    cutout_njy : ndarray, shape (5, H, W)
        nJy per pixel; NaN is drawn as sky.
    look : Look
        Its size is that of the picture, in pixels.

    Returns
    -------
    bytes
        WebP, north up, east left.
    """
    from galspec.store.thumbnails import composite_rgb

    height, width = cutout_njy.shape[1:]
    half_y, half_x = int(height * CROP / 2), int(width * CROP / 2)
    middle = cutout_njy[:, height // 2 - half_y : height // 2 + half_y, width // 2 - half_x : width // 2 + half_x]
    if look.picture == COLOUR:
        rgb = composite_rgb(middle, stretch=look.stretch * (_own_scale(middle) if look.is_each else 1.0))
    else:
        grey = _grey(middle[BANDS.index(look.picture)], look)[::-1]  # row 0 of a cutout is its southern edge
        rgb = np.repeat(grey[..., None], 3, axis=2)
    image = Image.fromarray(255 - rgb if look.is_inverted else rgb)
    buffer = io.BytesIO()
    image.resize((look.size, look.size), Image.Resampling.LANCZOS).save(buffer, format="WEBP", quality=80, method=1)
    return buffer.getvalue()


def _own_scale(middle: NDArray[np.float32]) -> float:
    """Return the stretch of a colour picture in which the galaxy's own centre is nearly white."""
    bright = float(np.nanpercentile(middle[BANDS.index("i")], _BRIGHT_PERCENTILE)) / NJY_PER_COUNT_ZP25
    return float(np.clip(bright / 5.0, 0.02, 50.0))


def _grey(image_njy: NDArray[np.float32], look: Look) -> NDArray[np.uint8]:
    if look.is_each:
        return band_grey(image_njy)
    softening = look.stretch * NJY_PER_COUNT_ZP25 / 8.0
    scaled = np.arcsinh(np.nan_to_num(image_njy) / softening) / np.arcsinh(20.0 * 8.0)
    return np.asarray(np.clip(0.08 + 0.92 * scaled, 0.0, 1.0) * 255.0, np.uint8)


def field_words() -> str:
    """Say how large the shown field is and how it lies."""
    from galspec.core.bands import CUTOUT_SIZE_PIX

    return f"{CROP * CUTOUT_SIZE_PIX * PIXEL_SCALE_ARCSEC:.0f}″ on a side, N up, E left"

"""Pictures of a galaxy: colour composite and five bands, with scale bar, compass and spectrograph fibre."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from galspec.core.bands import BANDS, CUTOUT_SIZE_PIX, PIXEL_SCALE_ARCSEC, SDSS_FIBRE_DIAMETER_ARCSEC

SCALE_BAR_ARCSEC: Final = 10.0
FIELD_ARCSEC: Final = CUTOUT_SIZE_PIX * PIXEL_SCALE_ARCSEC
#: The asinh stretch of a band turns from linear to logarithmic at this many sky sigmas.
SOFTENING_SIGMAS: Final = 3.0
WHITE_PERCENTILE: Final = 99.9
_WHITE: Final = (255, 255, 255)
_NO_DATA: Final = (74, 84, 104)
_HATCH: Final = (124, 134, 154)
_COMPOSITE_SIZE: Final = 560
_PANEL_SIZE: Final = 196
_GAP: Final = 4

Rgb = NDArray[np.uint8]


def composite_image(cutout_njy: NDArray[np.float32]) -> bytes:
    """Draw the colour composite with its overlays.

    Parameters
    ----------
    cutout_njy : ndarray, shape (5, 224, 224)
        nJy per pixel; pixels without data in z, i or g are hatched.

    Returns
    -------
    bytes
        JPEG, 560 pixels on a side, north up, east left.
    """
    from galspec.store.thumbnails import composite_rgb

    used = [BANDS.index(band) for band in "zig"]
    missing = np.asarray(np.isnan(cutout_njy[used]).any(axis=0))
    image = _panel(_hatched(composite_rgb(cutout_njy), missing[::-1]), _COMPOSITE_SIZE)
    draw = ImageDraw.Draw(image)
    _ring(draw, _COMPOSITE_SIZE / 2, _COMPOSITE_SIZE / 2, _fibre_radius(_COMPOSITE_SIZE))
    _draw_scale(draw, 16, _COMPOSITE_SIZE - 18, _COMPOSITE_SIZE / FIELD_ARCSEC, 20)
    _draw_compass(draw, _COMPOSITE_SIZE - 26, _COMPOSITE_SIZE - 26, 52, 20)
    return _jpeg(image)


def band_images(cutout_njy: NDArray[np.float32]) -> bytes:
    """Draw the five bands in grey, three panels a row, with the key in the sixth panel.

    Parameters
    ----------
    cutout_njy : ndarray, shape (5, 224, 224)
        nJy per pixel; pixels without data are hatched.

    Returns
    -------
    bytes
        JPEG; every panel is the whole cutout, north up, east left.
    """
    width, height = 3 * _PANEL_SIZE + 2 * _GAP, 2 * _PANEL_SIZE + _GAP
    sheet = Image.new("RGB", (width, height), (40, 40, 44))
    draw = ImageDraw.Draw(sheet)
    for index, band in enumerate(BANDS):
        left, top = (index % 3) * (_PANEL_SIZE + _GAP), (index // 3) * (_PANEL_SIZE + _GAP)
        grey = band_grey(cutout_njy[index])[::-1]
        rgb = _hatched(np.repeat(grey[..., None], 3, axis=2), np.isnan(cutout_njy[index])[::-1])
        sheet.paste(_panel(rgb, _PANEL_SIZE), (left, top))
        middle = _PANEL_SIZE / 2
        _ring(draw, left + middle, top + middle, _fibre_radius(_PANEL_SIZE), is_thin=True)
        _label(draw, (left + 8, top + 4), band, 26)
    _draw_key(draw, 2 * (_PANEL_SIZE + _GAP), _PANEL_SIZE + _GAP)
    return _jpeg(sheet)


def band_grey(image_njy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretch one band to grey: asinh with the band's own sky noise as unit.

    Parameters
    ----------
    image_njy : ndarray, shape (H, W)
        nJy per pixel; NaN gives 0.

    Returns
    -------
    ndarray, shape (H, W), uint8
        Black at -2 sky sigma, white at the 99.9 percentile; row order as given.
    """
    good = image_njy[np.isfinite(image_njy)]
    if not good.size:
        return np.zeros(image_njy.shape, np.uint8)
    sky = float(np.median(good))
    # Galaxies cover the bright side only, so the noise is read off the faint half.
    sigma = max(1.4826 * float(np.median(np.abs(good[good <= sky] - sky))), 1e-6)
    stretched = np.arcsinh((np.nan_to_num(image_njy, nan=sky) - sky) / (SOFTENING_SIGMAS * sigma))
    black = np.arcsinh(-2.0 / SOFTENING_SIGMAS)
    white = max(float(np.percentile(stretched, WHITE_PERCENTILE)), np.arcsinh(10.0 / SOFTENING_SIGMAS))
    return np.asarray(np.clip((stretched - black) / (white - black), 0.0, 1.0) * 255.0, np.uint8)


def missing_share(cutout_njy: NDArray[np.float32]) -> dict[str, float]:
    """Return the share of pixels without data by band, for the bands that have any."""
    shares = {band: float(1.0 - np.isfinite(cutout_njy[index]).mean()) for index, band in enumerate(BANDS)}
    return {band: share for band, share in shares.items() if share > 0}


def _hatched(rgb: Rgb, missing: NDArray[np.bool_]) -> Rgb:
    if not missing.any():
        return rgb
    rows, columns = np.indices(missing.shape)
    stripes = (rows + columns) % 8 < 2
    hatched = rgb.copy()
    hatched[missing & stripes] = _HATCH
    hatched[missing & ~stripes] = _NO_DATA
    return hatched


def _panel(rgb: Rgb, size: int) -> Image.Image:
    return Image.fromarray(rgb).resize((size, size), Image.Resampling.BICUBIC)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _label(draw: ImageDraw.ImageDraw, position: tuple[float, float], text: str, size: int, anchor: str = "la") -> None:
    draw.text(position, text, fill=_WHITE, font=_font(size), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _line(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], width: int = 3) -> None:
    draw.line(points, fill=(0, 0, 0), width=width + 3)
    draw.line(points, fill=_WHITE, width=width)


def _fibre_radius(size: int) -> float:
    return SDSS_FIBRE_DIAMETER_ARCSEC / 2 / FIELD_ARCSEC * size


def _ring(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, is_thin: bool = False) -> None:
    outlines = ((0.5, (255, 221, 85), 1),) if is_thin else ((1.5, (0, 0, 0), 5), (0.5, (255, 221, 85), 2))
    for extra, colour, width in outlines:
        reach = radius + extra
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=width)


def _draw_scale(draw: ImageDraw.ImageDraw, x: float, y: float, pix_per_arcsec: float, size: int) -> None:
    length = SCALE_BAR_ARCSEC * pix_per_arcsec
    _line(draw, [(x, y), (x + length, y)])
    _label(draw, (x + length / 2, y - 6), f'{SCALE_BAR_ARCSEC:.0f}"', size, "ms")


def _draw_compass(draw: ImageDraw.ImageDraw, x: float, y: float, length: float, size: int) -> None:
    for tip, barbs, text, anchor in (
        ((x, y - length), ((-5, 9), (5, 9)), "N", "ms"),
        ((x - length, y), ((9, -5), (9, 5)), "E", "rm"),
    ):
        _line(draw, [(x, y), tip])
        for barb in barbs:
            _line(draw, [tip, (tip[0] + barb[0], tip[1] + barb[1])])
        shift = (0, -6) if text == "N" else (-7, 0)
        _label(draw, (tip[0] + shift[0], tip[1] + shift[1]), text, size, anchor)


def _draw_key(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    _draw_scale(draw, left + 14, top + 40, _PANEL_SIZE / FIELD_ARCSEC, 22)
    _draw_compass(draw, left + _PANEL_SIZE - 22, top + 84, 44, 22)
    _ring(draw, left + 24, top + 112, 8)
    _label(draw, (left + 44, top + 112), '3" fibre', 22, "lm")
    _label(draw, (left + 14, top + 148), f'{PIXEL_SCALE_ARCSEC}" / pixel', 22, "lm")
    _label(draw, (left + 14, top + 176), f'{FIELD_ARCSEC:.0f}" wide', 22, "lm")


def _jpeg(image: Image.Image) -> bytes:
    # Streamlit hands a JPEG on as it is; any other format it would encode as one again, at every rerun.
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=92, subsampling=0)
    return buffer.getvalue()

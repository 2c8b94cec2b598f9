"""Pictures of cards: bands, stretch, inversion, own scale."""

import io

import numpy as np
import pytest
from PIL import Image

from galspec.core.bands import BANDS, CUTOUT_SHAPE
from galspec.ui.card_pictures import Look, picture_webp


@pytest.fixture
def cutout() -> np.ndarray:
    """A faint and a bright blob, the bright one north; only the z band sees a third one, east."""
    image = np.zeros(CUTOUT_SHAPE, np.float32)
    image[:, 60:66, 110:116] = 30.0
    image[:, 150:156, 110:116] = 3000.0
    image[BANDS.index("z"), 110:116, 60:66] = 3000.0
    return image


def _pixels(cutout: np.ndarray, **how) -> np.ndarray:
    webp = picture_webp(cutout, Look(size=168, **how))
    return np.asarray(Image.open(io.BytesIO(webp)).convert("L"), np.float64)


def _blob(pixels: np.ndarray, y: int, x: int) -> float:
    """Return the mean brightness around a pixel of the cutout; the picture shows its middle 168, north up."""
    row, column = 168 - (y - 28), x - 28
    return float(pixels[row - 2 : row + 3, column - 2 : column + 3].mean())


def test_north_is_up_and_a_band_shows_what_it_sees(cutout):
    z, g = _pixels(cutout, picture="z"), _pixels(cutout, picture="g")
    assert _blob(z, 153, 113) > _blob(z, 63, 113) + 50
    assert _blob(z, 113, 63) > _blob(z, 100, 150) + 50
    assert _blob(g, 113, 63) == pytest.approx(_blob(g, 100, 150), abs=8)


def test_a_deeper_stretch_shows_the_faint_one(cutout):
    plain, deep = _pixels(cutout, picture="r"), _pixels(cutout, picture="r", stretch=0.1)
    contrast = [_blob(picture, 63, 113) - _blob(picture, 100, 150) for picture in (plain, deep)]
    assert contrast[1] > contrast[0] + 15


def test_inverted_is_dark_on_light(cutout):
    inverted = _pixels(cutout, picture="r", is_inverted=True)
    assert _blob(inverted, 153, 113) < _blob(inverted, 100, 150) - 50


@pytest.mark.parametrize("picture", ["colour", "i"])
def test_its_own_scale_does_not_depend_on_the_flux(cutout, picture):
    one, other = (_pixels(cutout * factor, picture=picture, is_each=True) for factor in (1.0, 3.0))
    assert np.abs(one - other).mean() < 4.0


def test_only_the_plain_small_look_is_stored():
    assert Look().is_stored
    assert not Look(size=160).is_stored
    assert not Look(picture="g").is_stored
    assert not Look(stretch=0.5).is_stored
    assert Look(per_page=96).is_stored
    assert (
        Look(picture="g", stretch=0.5, is_inverted=True).words == "g band, one asinh stretch for all (× 0.5), inverted"
    )

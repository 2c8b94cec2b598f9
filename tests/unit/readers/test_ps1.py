"""PS1 images: band, flux scale, position and orientation, and a reason for every refusal."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from galspec.core.bands import BANDS, CUTOUT_SHAPE, NJY_PER_COUNT_ZP25
from galspec.core.errors import ImageError
from galspec.readers import fits_file, ps1
from galspec.readers.ps1 import read_ps1_band, read_ps1_cutout

RA_DEG, DEC_DEG = 150.0, 2.2
Writer = Callable[..., Path]


def write_all(write_ps1: Writer, **settings: Any) -> dict[str, Path]:
    return {band: write_ps1(band, **settings) for band in BANDS}


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("is_asinh", [False, True])
def test_read_ps1_band_gets_the_flux_of_every_encoding(write_ps1: Writer, is_asinh: bool, is_compressed: bool) -> None:
    path = write_ps1("r", 1e5, exptime=876.0, is_asinh=is_asinh, is_compressed=is_compressed, noise=0.1)
    image = read_ps1_band(path)
    assert image.band == "r"
    assert image.exptime_s == 876.0
    assert image.is_asinh == is_asinh
    assert image.flux_njy.dtype == np.dtype(np.float32)
    assert image.flux_njy.dtype.isnative
    expected = 1e5 / 876.0 * NJY_PER_COUNT_ZP25
    assert image.flux_njy.sum() == pytest.approx(expected, rel=1e-3)
    magnitude = -2.5 * np.log10(image.flux_njy.sum()) + 31.4
    assert magnitude == pytest.approx(-2.5 * np.log10(1e5) + 25 + 2.5 * np.log10(876.0), abs=2e-3)


def test_read_ps1_cutout_puts_a_colour_of_equal_counts_down_to_exptime(write_ps1: Writer) -> None:
    exptimes = dict(zip(BANDS, (980.0, 876.0, 900.0, 660.0, 640.0), strict=True))
    paths = [write_ps1(band, 1e5, exptime=exptimes[band]) for band in reversed(BANDS)]
    cutout = read_ps1_cutout(paths)
    assert cutout.flux_njy.shape == CUTOUT_SHAPE
    assert cutout.flux_njy.dtype == np.dtype(np.float32)
    for band, plane in zip(BANDS, cutout.flux_njy, strict=True):
        assert plane.sum() == pytest.approx(1e5 / exptimes[band] * NJY_PER_COUNT_ZP25, rel=1e-4)
    assert cutout.exptime_s == exptimes
    assert list(cutout.files) == list(BANDS)
    assert cutout.ra_deg == pytest.approx(RA_DEG, abs=1e-5)
    assert cutout.nan_fraction == dict.fromkeys(BANDS, 0.0)


@pytest.mark.parametrize(
    ("cards", "given", "band"),
    [
        ({"HIERARCH FPA.FILTERID": "z.00000 ", "FILTER": "g"}, None, "z"),
        ({"FILTER": "i.00000"}, None, "i"),
        ({"FILTER": "PS1_y"}, None, "y"),
        ({"HIERARCH FPA.FILTERID": "NaN", "FILTER": "rp1"}, None, "r"),
        ({}, "g", "g"),
        ({"FILTER": "g"}, "g", "g"),
    ],
)
def test_read_ps1_band_finds_the_band(write_ps1: Writer, cards: dict[str, str], given: str | None, band: str) -> None:
    assert read_ps1_band(write_ps1(filter_cards=cards), given).band == band


@pytest.mark.parametrize("rotation_deg", [0.0, 2.0, 33.0, 90.0, 180.0, 251.0])
@pytest.mark.parametrize("scale_arcsec", [0.25, 0.396])
def test_read_ps1_cutout_is_north_up_east_left(write_ps1: Writer, rotation_deg: float, scale_arcsec: float) -> None:
    offset = (6.0, 10.0)  # arcsec to the west and to the north of the frame's centre
    size = (420, 430)
    paths = write_all(write_ps1, rotation_deg=rotation_deg, scale_arcsec=scale_arcsec, offset_arcsec=offset, shape=size)
    cutout = read_ps1_cutout(list(paths.values()))
    plane = cutout.flux_njy[2]
    row, column = np.indices(plane.shape)
    total = plane.sum()
    x, y = (plane * column).sum() / total - 111.5, (plane * row).sum() / total - 111.5
    is_crop = rotation_deg == 2.0 and scale_arcsec == 0.25
    tolerance = 1.7 if is_crop else 0.51  # a crop keeps the frame's axes, and whole pixels
    assert x == pytest.approx(offset[0] / 0.25, abs=tolerance)
    assert y == pytest.approx(offset[1] / 0.25, abs=tolerance)
    assert total == pytest.approx(1e5 / 1000 * NJY_PER_COUNT_ZP25, rel=1e-3)
    is_aligned = scale_arcsec == 0.25 and rotation_deg in {0.0, 2.0, 90.0, 180.0}
    assert cutout.is_resampled == dict.fromkeys(BANDS, not is_aligned)
    assert abs(cutout.rotation_deg["g"]) == pytest.approx(2.0 if is_crop else 0.0, abs=0.01)


def test_read_ps1_cutout_centres_on_the_position(write_ps1: Writer) -> None:
    offset = (8.0, -5.0)
    dec = DEC_DEG + offset[1] / 3600
    ra = RA_DEG - offset[0] / 3600 / np.cos(np.radians(dec))
    paths = write_all(write_ps1, offset_arcsec=offset)
    cutout = read_ps1_cutout(list(paths.values()), ra, dec)
    peak = np.unravel_index(cutout.flux_njy[0].argmax(), (224, 224))
    assert peak in {(111, 111), (111, 112), (112, 111), (112, 112)}
    assert cutout.offset_arcsec["g"] == pytest.approx(np.hypot(*offset), abs=0.05)
    assert (cutout.ra_deg, cutout.dec_deg) == pytest.approx((ra, dec))
    beyond = read_ps1_cutout(list(paths.values()), ra - 360.0, dec)
    np.testing.assert_array_equal(beyond.flux_njy, cutout.flux_njy)


def test_read_ps1_cutout_accepts_bands_of_different_shape_and_centre(write_ps1: Writer) -> None:
    paths = write_all(write_ps1)
    paths["y"] = write_ps1("y", shape=(280, 320), name="other.fits", offset_arcsec=(-1.0, 2.0), centre=(150.0, 2.2006))
    cutout = read_ps1_cutout(list(paths.values()), RA_DEG, DEC_DEG)
    row, column = np.unravel_index(cutout.flux_njy[4].argmax(), (224, 224))
    assert abs(row - 111.5 - (2.0 + 0.0006 * 3600) / 0.25) < 1.1
    assert abs(column - 111.5 + 1.0 / 0.25) < 1.1


def test_read_ps1_cutout_keeps_nan_and_negative_flux(write_ps1: Writer) -> None:
    def edit(data: np.ndarray) -> None:
        data[150:160, 100:110] = np.nan
        data[60, 60] = -50.0

    paths = write_all(write_ps1)
    paths["z"] = write_ps1("z", name="holes.fits", edit=edit)
    cutout = read_ps1_cutout(list(paths.values()))
    assert np.isnan(cutout.flux_njy[3]).sum() == 100
    assert cutout.nan_fraction["z"] == pytest.approx(100 / 224**2)
    assert cutout.nan_fraction["g"] == 0
    assert np.nanmin(cutout.flux_njy[3]) == pytest.approx(-50.0 / 1000 * NJY_PER_COUNT_ZP25)


def test_read_ps1_cutout_reports_a_masked_core(write_ps1: Writer) -> None:
    def edit(data: np.ndarray) -> None:
        data[147:153, 147:153] = np.nan

    paths = write_all(write_ps1, edit=edit)
    cutout = read_ps1_cutout(list(paths.values()))
    assert 0.2 < cutout.core_nan_fraction["i"] < 0.5


def test_read_ps1_cutout_reads_uploads_and_leaves_them_open(write_ps1: Writer) -> None:
    paths = write_all(write_ps1)
    uploads = [io.BytesIO(path.read_bytes()) for path in paths.values()]
    first = read_ps1_cutout(uploads)
    assert not any(upload.closed for upload in uploads)
    np.testing.assert_array_equal(read_ps1_cutout(uploads).flux_njy, first.flux_njy)


def test_read_ps1_cutout_names_missing_and_repeated_bands(write_ps1: Writer) -> None:
    paths = write_all(write_ps1)
    with pytest.raises(ImageError, match=r"^band y missing; one file for each of g, r, i, z, y"):
        read_ps1_cutout([paths[band] for band in "zirg"])
    with pytest.raises(ImageError, match=r"^bands i, y missing"):
        read_ps1_cutout([paths[band] for band in "grz"])
    again = write_ps1("g", name="again.fits")
    with pytest.raises(ImageError, match=r"band g is given twice \(stack_g.fits and again.fits\)"):
        read_ps1_cutout([*paths.values(), again])
    with pytest.raises(ImageError, match="none was given"):
        read_ps1_cutout([])


def as_cube(data: np.ndarray) -> np.ndarray:
    return data[None].repeat(5, axis=0)


def as_nothing(data: np.ndarray) -> None:
    data[:] = np.nan


REFUSALS = [
    ({"edit": as_cube}, r"has 3 axes \(5, 300, 300\), but one band is a plane"),
    ({"edit": as_nothing}, "has no pixel with data"),
    ({"has_wcs": False}, "has no celestial world coordinates"),
    ({"exptime": None}, "has no positive EXPTIME"),
    ({"exptime": "NaN"}, "has no positive EXPTIME"),
    ({"exptime": 0.0}, "has no positive EXPTIME"),
    ({"filter_cards": {}}, "does not say its band"),
    ({"filter_cards": {"HIERARCH FPA.FILTERID": "w.00000"}}, "taken through filter 'w.00000'"),
    ({"filter_cards": {"FILTER": "SDSS u"}}, "taken through filter 'SDSS u'"),
]


@pytest.mark.parametrize(("settings", "reason"), REFUSALS)
def test_read_ps1_band_refuses_with_a_reason(write_ps1: Writer, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as refusal:
        read_ps1_band(write_ps1("g", **settings))
    assert "\n" not in str(refusal.value)


def test_read_ps1_band_refuses_a_contradicted_or_unknown_band(write_ps1: Writer) -> None:
    with pytest.raises(ImageError, match=r"given as band r, but its header says 'g.00000'"):
        read_ps1_band(write_ps1("g"), "r")
    with pytest.raises(ImageError, match="there is no band 'u'"):
        read_ps1_band(write_ps1("i"), "u")


def test_read_ps1_band_refuses_what_is_no_whole_fits_image(write_ps1: Writer, tmp_path: Path) -> None:
    good = write_ps1("g").read_bytes()
    cases = {
        "missing.fits": (None, "there is no file 'missing.fits'"),
        "page.fits": (b"<html>Not found</html>", "is not a FITS file"),
        "empty.fits": (b"", "is not a FITS file"),
        "packed.fits.gz": (b"\x1f\x8b" + good[:100], "compressed archive"),
        "short.fits": (good[: len(good) // 2], "truncated or damaged"),
        "header.fits": (good[:400], "truncated or damaged"),
    }
    for name, (content, reason) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=re.escape(reason)):
            read_ps1_band(tmp_path / name)
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "bare.fits")
    with pytest.raises(ImageError, match=r"bare.fits holds no image"):
        read_ps1_band(tmp_path / "bare.fits")


@pytest.mark.parametrize("fraction", [0.2, 0.6, 0.9])
def test_read_ps1_band_refuses_truncated_compressed_files(write_ps1: Writer, tmp_path: Path, fraction: float) -> None:
    content = write_ps1("g", is_compressed=True, noise=5.0).read_bytes()
    path = tmp_path / "short.fits"
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_ps1_band(path)


def test_read_ps1_band_refuses_huge_files_before_reading_them(
    write_ps1: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = tmp_path / "huge.fits"
    with huge.open("wb") as handle:
        handle.write(b"SIMPLE  =")
        handle.truncate(fits_file.MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match="has 200 MB, and at most 200 MB"):
        read_ps1_band(huge)
    monkeypatch.setattr(ps1, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match="300 x 300 pixels, more than"):
        read_ps1_band(write_ps1("g"))


def test_read_ps1_cutout_refuses_positions_it_cannot_serve(write_ps1: Writer) -> None:
    paths = list(write_all(write_ps1).values())
    cases = [
        ((RA_DEG + 0.1, DEC_DEG), r"ra=150.10000 dec=\+2.20000 is not on the image of band g .* 359.. arcsec away"),
        ((RA_DEG + 180, -DEC_DEG), "is not on the image of band g"),
        ((RA_DEG + 0.0095, DEC_DEG + 0.0095), r"only \d+% of the 56 x 56 arcsec cutout"),
        ((RA_DEG, None), "needs both right ascension and declination"),
        ((RA_DEG, 95.0), "is no position"),
        ((float("nan"), 2.0), "is no position"),
    ]
    for (ra, dec), reason in cases:
        with pytest.raises(ImageError, match=reason):
            read_ps1_cutout(paths, ra, dec)


def test_read_ps1_cutout_refuses_bands_of_different_galaxies(write_ps1: Writer) -> None:
    paths = write_all(write_ps1)
    paths["i"] = write_ps1("i", name="elsewhere.fits", centre=(150.0, 2.21))
    with pytest.raises(ImageError, match=r"bands g and i are centred 36.0 arcsec apart"):
        read_ps1_cutout(list(paths.values()))


def test_read_ps1_cutout_refuses_a_band_that_is_mostly_masked(write_ps1: Writer) -> None:
    def edit(data: np.ndarray) -> None:
        data[:, 140:] = np.nan

    paths = write_all(write_ps1)
    paths["y"] = write_ps1("y", name="masked.fits", edit=edit)
    with pytest.raises(ImageError, match=r"band y \(masked.fits\) has no data in 5\d% of the cutout"):
        read_ps1_cutout(list(paths.values()))


def test_read_ps1_cutout_refuses_pixels_of_absurd_size(write_ps1: Writer) -> None:
    with pytest.raises(ImageError, match="4 arcsec wide"):
        read_ps1_cutout(list(write_all(write_ps1, scale_arcsec=4.0).values()))


@pytest.mark.real_data
def test_read_ps1_cutout_reads_ngc6928(real_dir: Path) -> None:
    paths = sorted((real_dir / "ps1" / "NGC6928").glob("*.fits"))
    cutout = read_ps1_cutout(paths, 308.20896, 9.92675)
    assert cutout.exptime_s == {"g": 980.0, "r": 876.0, "i": 900.0, "z": 660.0, "y": 640.0}
    assert not any(cutout.is_resampled.values())
    magnitudes = 31.4 - 2.5 * np.log10(np.nansum(cutout.flux_njy[:, 60:164, 40:184], axis=(1, 2)))
    assert (np.diff(magnitudes) < 0).all()  # a red galaxy: brighter band by band
    assert 12 < magnitudes[0] < 15
    # The nucleus: the brightest pixel of y within 3 arcsec is at the catalogue's position.
    core = cutout.flux_njy[4, 100:124, 100:124]
    row, column = np.unravel_index(np.nanargmax(core), core.shape)
    assert np.hypot(row + 100 - 111.5, column + 100 - 111.5) < 4


@pytest.mark.real_data
def test_read_ps1_cutout_names_the_band_missing_from_the_spiral(real_dir: Path) -> None:
    paths = sorted((real_dir / "ps1" / "stripe82_spiral").glob("*.fits"))
    assert {read_ps1_band(path).band for path in paths} == set("griz")
    with pytest.raises(ImageError, match=r"^band y missing"):
        read_ps1_cutout(paths)

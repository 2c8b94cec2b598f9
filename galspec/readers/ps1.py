"""Pan-STARRS1 stack images: five band files in any order become one cutout in nJy.

Stack files differ in scaling (linear counts or asinh), exposure time, compression, shape and centre from band to
band; nothing is taken from the order or the names of the files.
"""

import dataclasses
import re
import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import pixel_to_skycoord, skycoord_to_pixel
from numpy.typing import NDArray

from galspec.core.bands import AB_ZEROPOINT_NJY, BANDS, CUTOUT_SIZE_PIX, PIXEL_SCALE_ARCSEC, SDSS_FIBRE_DIAMETER_ARCSEC
from galspec.core.errors import ImageError
from galspec.preprocess.cutouts import CUTOUT_CENTRE_PIX, PixelFrame, footprint_fraction, resample_image
from galspec.readers.fits_file import FitsSource, header_number, open_fits, source_name, to_native

MAX_PIXELS: Final = 64 * 1024**2
#: Zero point of PS1 stacks in magnitudes for 1 count/s, unless the header states another.
PS1_ZEROPOINT_MAG: Final = 25.0
#: Band images whose frame centres differ by more than this do not say which galaxy is meant.
MAX_CENTRE_SPREAD_ARCSEC: Final = 10.0
#: A cutout with more of its pixels outside an image, or without data, is refused.
MAX_MISSING_FRACTION: Final = 0.5
_SCALE_RANGE_ARCSEC: Final = (0.05, 1.5)
_FILTER_NAME: Final = re.compile(r"^(?:ps1?|panstarrs|gpc1)?[ ._-]*([grizy])(?:\.0+|_?p1)?$")


@dataclasses.dataclass(frozen=True)
class BandImage:
    """One band as read from its file.

    Parameters
    ----------
    band : str
        One of g r i z y.
    flux_njy : ndarray, shape (H, W), float32
        nJy per pixel; NaN = no data.
    wcs : astropy.wcs.WCS
        Celestial, two axes.
    exptime_s : float
    zeropoint_mag : float
        AB magnitude of 1 count/s.
    is_asinh : bool
        The file was asinh-scaled.
    name : str
        Of the file.
    """

    band: str
    flux_njy: NDArray[np.float32]
    wcs: WCS
    exptime_s: float
    zeropoint_mag: float
    is_asinh: bool
    name: str

    @property
    def centre(self) -> SkyCoord:
        """ICRS position of the frame's centre."""
        n_rows, n_columns = self.flux_njy.shape
        return pixel_to_skycoord((n_columns - 1) / 2, (n_rows - 1) / 2, self.wcs).icrs


@dataclasses.dataclass(frozen=True)
class Cutout:
    """Five bands on the project's grid, and what there is to know about their quality.

    Parameters
    ----------
    flux_njy : ndarray, shape (5, 224, 224), float32
        nJy per pixel, bands g r i z y, N up, E left, the position at (111.5, 111.5); NaN = no data.
    ra_deg, dec_deg : float
        ICRS position of the centre.
    nan_fraction : dict of str to float
        Fraction of the cutout without data, by band.
    core_nan_fraction : dict of str to float
        The same within the 3 arcsec fibre at the centre.
    exptime_s : dict of str to float
        Exposure time, by band.
    offset_arcsec : dict of str to float
        Distance of the position from the centre of the band's frame.
    is_resampled : dict of str to bool
        False where the pixels are the file's own (a crop), True where they are interpolated.
    rotation_deg : dict of str to float
        Angle between the cutout's axes and north and east, by band: not 0 for crops, which keep the axes of the
        survey's cell (at most 4 degrees off).
    files : dict of str to str
        Name of the file, by band.
    """

    flux_njy: NDArray[np.float32]
    ra_deg: float
    dec_deg: float
    nan_fraction: dict[str, float]
    core_nan_fraction: dict[str, float]
    exptime_s: dict[str, float]
    offset_arcsec: dict[str, float]
    is_resampled: dict[str, bool]
    rotation_deg: dict[str, float]
    files: dict[str, str]


def read_ps1_band(path: FitsSource, band: str | None = None) -> BandImage:
    """Read one PS1 stack image.

    Parameters
    ----------
    path : path or binary file
        FITS with a two-dimensional image, plain or tile-compressed, linear counts or asinh-scaled.
    band : str, optional
        Used where the header names no filter (`HIERARCH FPA.FILTERID`, then FILTER).

    Returns
    -------
    BandImage

    Raises
    ------
    ImageError
        If the file is absent, too large, not FITS or damaged; has no two-dimensional image, no usable filter,
        exposure time or celestial coordinates; contradicts `band`; or has no finite pixel.

    Notes
    -----
    counts = BOFFSET + BSOFTEN (e^x - e^-x) with x = 0.4 ln(10) value if the header has those keywords (Waters et al.
    2020, ApJS 251, 4; STScI, "PS1 Stack images"), else the value itself; then
    m_AB = -2.5 log10(counts) + 25 + 2.5 log10(EXPTIME), and 1 nJy is m_AB = 31.4.
    """
    name = source_name(path)
    with open_fits(path, ImageError) as hdus:
        hdu = _find_image(hdus, name)
        header = hdu.header.copy()
        for card in hdus[0].header.cards:  # a compressed image keeps some of its cards in the primary header
            if card.keyword in {"FPA.FILTERID", "FILTER", "EXPTIME", "FPA.ZP"} and card.keyword not in header:
                header[f"HIERARCH {card.keyword}" if "." in card.keyword else card.keyword] = card.value
        with np.errstate(over="ignore", invalid="ignore"):
            values = to_native(hdu.data, np.float32)  # a full skycell has 39 million pixels: not in float64
        band = _find_band(header, band, name)
        exptime = header_number(header, "EXPTIME")
        if exptime is None or exptime <= 0:
            raise ImageError(
                f"{name} (band {band}) has no positive EXPTIME in its header, so its counts have no flux scale; "
                "use the stack image itself, whose header states the exposure time in seconds"
            )
        zeropoint = header_number(header, "FPA.ZP") or PS1_ZEROPOINT_MAG
        counts, is_asinh = _to_counts(values, header)
        with np.errstate(over="ignore", invalid="ignore"):
            flux = counts * np.float32(10 ** (0.4 * (AB_ZEROPOINT_NJY - zeropoint)) / exptime)
        flux[~np.isfinite(flux)] = np.nan
        if np.isnan(flux).all():
            raise ImageError(f"{name} (band {band}) has no pixel with data; the survey may not cover this position")
        wcs = _find_wcs(header, name)
    return BandImage(band, flux, wcs, exptime, zeropoint, is_asinh, name)


def _find_image(hdus: Any, name: str) -> Any:
    """Return the first image HDU, refusing what is not one plane of sane size, before its pixels are read."""
    for hdu in hdus:
        if not getattr(hdu, "is_image", False) or len(hdu.shape) == 0:
            continue
        if len(hdu.shape) != 2:
            raise ImageError(
                f"the image in {name} has {len(hdu.shape)} axes {hdu.shape}, but one band is a plane with 2; "
                "give each band as its own file"
            )
        if hdu.shape[0] * hdu.shape[1] > MAX_PIXELS:
            raise ImageError(
                f"the image in {name} has {hdu.shape[1]} x {hdu.shape[0]} pixels, more than {MAX_PIXELS // 1024**2} "
                "million; cut out the part around the galaxy first"
            )
        return hdu
    raise ImageError(f"{name} holds no image; a FITS file with one two-dimensional image per band is needed")


def _find_band(header: Any, given: str | None, name: str) -> str:
    if given is not None and given not in BANDS:
        raise ImageError(f"there is no band {given!r}; PS1 has {', '.join(BANDS)}")
    for keyword in ("FPA.FILTERID", "FILTER"):
        text = str(header.get(keyword, "")).strip()
        if not text or text.lower() == "nan":
            continue
        match = _FILTER_NAME.match(text.lower())
        if match is None:
            raise ImageError(f"{name} was taken through filter {text!r}; PS1 bands {', '.join(BANDS)} are needed")
        if given is not None and given != match[1]:
            raise ImageError(f"{name} was given as band {given}, but its header says {text!r}; give the right file")
        return match[1]
    if given is None:
        raise ImageError(
            f"{name} does not say its band (no FPA.FILTERID or FILTER in the header); name the band explicitly"
        )
    return given


def _to_counts(values: NDArray[np.float32], header: Any) -> tuple[NDArray[np.float32], bool]:
    soften, offset = header_number(header, "BSOFTEN"), header_number(header, "BOFFSET")
    if soften is None or offset is None:
        return values, False
    with np.errstate(over="ignore", invalid="ignore"):
        x = values * np.float32(0.4 * np.log(10.0))
        return np.float32(offset) + np.float32(2.0 * soften) * np.sinh(x), True


def _find_wcs(header: Any, name: str) -> WCS:
    with warnings.catch_warnings():
        # PS1 headers use a deprecated form of PCi_ja, which is read correctly, and have MJD-OBS without DATE-OBS.
        warnings.filterwarnings("ignore", message="(?s).*this form of the PCi_ja keyword", category=FITSFixedWarning)
        warnings.filterwarnings("ignore", message=".*datfix", category=FITSFixedWarning)
        try:
            wcs = WCS(header)
        except Exception as error:  # wcslib has a dozen error classes, all of them about this header
            raise ImageError(
                f"the world coordinates of {name} cannot be read ({error}); use the stack image"
            ) from error
    if not wcs.has_celestial or wcs.naxis != 2:
        raise ImageError(
            f"{name} has no celestial world coordinates (CTYPE, CRVAL, CRPIX, CDELT) in its header, so no position "
            "can be found on it; use the stack image, whose header has them"
        )
    return wcs


def read_ps1_cutout(paths: Sequence[FitsSource], ra_deg: float | None = None, dec_deg: float | None = None) -> Cutout:
    """Read five band images and put them on the project's grid, centred on a position.

    Parameters
    ----------
    paths : sequence of path or binary file
        One file per band g r i z y, in any order.
    ra_deg, dec_deg : float, optional
        ICRS position of the galaxy in degrees; without it, the centre of the frames.

    Returns
    -------
    Cutout

    Raises
    ------
    ImageError
        As `read_ps1_band`; and if a band is missing or given twice, the frames' centres disagree and no position is
        given, the position is not on an image, or more than half of the cutout has no data in a band.

    Notes
    -----
    PS1's own pixels are cropped, not interpolated (`resample_image`): the position falls within half a pixel,
    0.125 arcsec, of the centre along each axis, and the axes may be up to 4 degrees off north (`rotation_deg`).
    """
    images = _require_bands([read_ps1_band(path) for path in paths])
    position = _find_position(images, ra_deg, dec_deg)
    flux = np.empty((len(BANDS), CUTOUT_SIZE_PIX, CUTOUT_SIZE_PIX), np.float32)
    is_resampled, rotation = {}, {}
    for i_band, image in enumerate(images):
        frame = _frame_at(image, position)
        _require_inside(image, frame, position)
        flux[i_band] = resample_image(image.flux_njy, frame)
        is_resampled[image.band] = frame.crop_matrix() is None
        rotation[image.band] = 0.0 if is_resampled[image.band] else frame.rotation_deg
    missing = np.isnan(flux)
    for image, fraction in zip(images, missing.mean(axis=(1, 2)), strict=True):
        if fraction > MAX_MISSING_FRACTION:
            raise ImageError(
                f"band {image.band} ({image.name}) has no data in {fraction:.0%} of the cutout around "
                f"{_format(position)}; at least half is needed"
            )
    return Cutout(
        flux_njy=flux,
        ra_deg=float(position.ra.deg),
        dec_deg=float(position.dec.deg),
        nan_fraction=dict(zip(BANDS, missing.mean(axis=(1, 2)).tolist(), strict=True)),
        core_nan_fraction=dict(zip(BANDS, missing[:, _core_mask()].mean(axis=1).tolist(), strict=True)),
        exptime_s={image.band: image.exptime_s for image in images},
        offset_arcsec={image.band: float(position.separation(image.centre).arcsec) for image in images},
        is_resampled=is_resampled,
        rotation_deg=rotation,
        files={image.band: image.name for image in images},
    )


def _core_mask() -> NDArray[np.bool_]:
    offset = (np.arange(CUTOUT_SIZE_PIX) - CUTOUT_CENTRE_PIX) * PIXEL_SCALE_ARCSEC
    return np.asarray(np.hypot(offset[:, None], offset) <= SDSS_FIBRE_DIAMETER_ARCSEC / 2)


def _require_bands(images: list[BandImage]) -> list[BandImage]:
    """Return the images in the order of BANDS."""
    by_band: dict[str, BandImage] = {}
    for image in images:
        if image.band in by_band:
            raise ImageError(
                f"band {image.band} is given twice ({by_band[image.band].name} and {image.name}); "
                f"give one file for each of {', '.join(BANDS)}"
            )
        by_band[image.band] = image
    missing = [band for band in BANDS if band not in by_band]
    if missing:
        raise ImageError(
            f"{'band' if len(missing) == 1 else 'bands'} {', '.join(missing)} missing; "
            f"one file for each of {', '.join(BANDS)} is needed, and {', '.join(by_band) or 'none'} was given"
        )
    return [by_band[band] for band in BANDS]


def _find_position(images: list[BandImage], ra_deg: float | None, dec_deg: float | None) -> SkyCoord:
    if (ra_deg is None) != (dec_deg is None):
        raise ImageError("a position needs both right ascension and declination, in degrees")
    if ra_deg is not None and dec_deg is not None:
        if not (np.isfinite(ra_deg) and -90 <= dec_deg <= 90 and -360 <= ra_deg <= 360):
            raise ImageError(
                f"ra={ra_deg} dec={dec_deg} is no position; right ascension is 0-360 and declination -90-90 degrees"
            )
        return SkyCoord(ra_deg, dec_deg, unit="deg")
    centre = images[0].centre
    for image in images[1:]:
        spread = float(centre.separation(image.centre).arcsec)
        if not spread <= MAX_CENTRE_SPREAD_ARCSEC:
            raise ImageError(
                f"the images of bands {images[0].band} and {image.band} are centred {spread:.1f} arcsec apart "
                f"({_format(centre)} and {_format(image.centre)}); give the position of the galaxy"
            )
    return centre


def _frame_at(image: BandImage, position: SkyCoord) -> PixelFrame:
    """Linearise the image's world coordinates at a position, over +-10 arcsec to the north and to the west."""
    step = 10.0 * units.arcsec
    angles = [0, 180, 270, 90] * units.deg  # north, south, west, east
    around = position.directional_offset_by(angles, step)
    with np.errstate(invalid="ignore"):
        x, y = skycoord_to_pixel(around, image.wcs)
        x0, y0 = skycoord_to_pixel(position, image.wcs)
    per_pixel = PIXEL_SCALE_ARCSEC / (2.0 * step.value)
    matrix = per_pixel * np.array([[x[2] - x[3], x[0] - x[1]], [y[2] - y[3], y[0] - y[1]]])
    return PixelFrame(float(x0), float(y0), matrix)


def _require_inside(image: BandImage, frame: PixelFrame, position: SkyCoord) -> None:
    n_rows, n_columns = image.flux_njy.shape
    on_image = -0.5 <= frame.x_pix < n_columns - 0.5 and -0.5 <= frame.y_pix < n_rows - 0.5  # False for NaN
    if not on_image:
        distance = float(position.separation(image.centre).arcsec)
        raise ImageError(
            f"{_format(position)} is not on the image of band {image.band} ({image.name}), whose centre "
            f"{_format(image.centre)} is {distance:.1f} arcsec away; give a position inside it"
        )
    scale = PIXEL_SCALE_ARCSEC / np.sqrt(frame.pixel_area)
    if not _SCALE_RANGE_ARCSEC[0] <= scale <= _SCALE_RANGE_ARCSEC[1]:
        raise ImageError(
            f"the pixels of {image.name} are {scale:.3g} arcsec wide, and "
            f"{_SCALE_RANGE_ARCSEC[0]}-{_SCALE_RANGE_ARCSEC[1]} arcsec are supported (PS1: 0.25); check its header"
        )
    inside = footprint_fraction((n_rows, n_columns), frame)
    if inside < 1.0 - MAX_MISSING_FRACTION:
        raise ImageError(
            f"only {inside:.0%} of the 56 x 56 arcsec cutout around {_format(position)} lies on the image of band "
            f"{image.band} ({image.name}); give a larger image or a position nearer to its centre"
        )


def _format(position: SkyCoord) -> str:
    return f"ra={position.ra.deg:.5f} dec={position.dec.deg:+.5f}"

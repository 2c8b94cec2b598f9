"""SDSS spectra: `spec` files (lite, full, BOSS) and the old `spSpec`, and their way onto the project's grid.

All of them are in vacuum, heliocentric, observed frame, in 1e-17 erg/s/cm2/angstrom. Masks are True = bad.
"""

import dataclasses
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import SpectrumError
from galspec.core.wavelength import N_WAVE, REDSHIFT_RANGE, air_to_vacuum
from galspec.preprocess.quality import near_sky_line
from galspec.preprocess.spectra import resample_to_grid, spectrum_norm
from galspec.readers.fits_file import FitsSource, header_number, open_fits, source_name, to_native

#: Bits of SPPIXMASK that make a pixel bad when set in every exposure (and_mask); sdss3.org/dr10/algorithms/
#: bitmask_sppixmask.php. That page says that what is very bad already has ivar 0, and that BRIGHTSKY is the bit to
#: look at. Left out: fibre-wide bits but NOPLUG (BADTRACE, BADFLAT, MANYBADCOLUMNS, ... mark a whole arm whose
#: pixels the pipeline kept), warnings of small effect (NEARBADPIXEL, LOWFLAT, PARTIALREJECT, SCATTEREDLIGHT,
#: CROSSTALK), NODATA, which the page says to ignore in favour of ivar = 0, and everything in or_mask, which is set
#: for most pixels.
BAD_PIXEL_BITS: Final = {
    "NOPLUG": 0,
    "FULLREJECT": 18,
    "NOSKY": 22,
    "BRIGHTSKY": 23,
    "COMBINEREJ": 25,
    "BADFLUXFACTOR": 26,
    "BADSKYCHI": 27,
    "REDMONSTER": 28,
}
_BAD_MASK: Final = sum(1 << bit for bit in BAD_PIXEL_BITS.values())
#: Beyond these a value is damage, not a galaxy (1e-17 erg/s/cm2/angstrom and its inverse square).
_MAX_FLUX: Final = 1e6
_MAX_IVAR: Final = 1e8
#: Grid pixels with data that a spectrum must have.
MIN_PIXELS: Final = 200


@dataclasses.dataclass(frozen=True)
class SdssSpectrum:
    """A spectrum as observed.

    Parameters
    ----------
    wave_vac_obs : ndarray, shape (M,), float64
        Vacuum wavelength in angstrom, observed frame.
    flux, ivar : ndarray, shape (M,), float64
        1e-17 erg/s/cm2/angstrom and inverse variance; ivar is 0, and flux 0 if it was not finite, at bad pixels.
    mask : ndarray of bool, shape (M,)
        True = bad: ivar 0, a bit of BAD_PIXEL_BITS, or a value that is no flux.
    redshift : float
        Of the file, or as given.
    snr : float
        Median flux sqrt(ivar) per pixel of the file, over good pixels.
    plate, mjd, fiberid, spec_obj_id, obj_id : str
        Empty where the file does not say. `obj_id` is the photometric object.
    ra_deg, dec_deg : float or None
        Position of the fibre.
    spectral_class : str
        GALAXY, QSO or STAR; empty where the file does not say.
    zwarning : int
        0 = no known problem with the redshift.
    layout : str
        lite, full, boss or spSpec.
    name : str
        Of the file.
    """

    wave_vac_obs: NDArray[np.float64]
    flux: NDArray[np.float64]
    ivar: NDArray[np.float64]
    mask: NDArray[np.bool_]
    redshift: float
    snr: float
    plate: str
    mjd: str
    fiberid: str
    spec_obj_id: str
    obj_id: str
    ra_deg: float | None
    dec_deg: float | None
    spectral_class: str
    zwarning: int
    layout: str
    name: str


@dataclasses.dataclass(frozen=True)
class RestSpectrum:
    """A spectrum on the project's rest-frame grid.

    Parameters
    ----------
    flux, ivar : ndarray, shape (1000,), float32
        1e-17 erg/s/cm2/angstrom as observed (no factor of 1 + z) and inverse variance; ivar 0 = no data.
    norm : float
        Median flux in rest 4200-6700 angstrom, same unit.
    redshift : float
    data_fraction : float
        Fraction of the grid's pixels with data.
    """

    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    norm: float
    redshift: float
    data_fraction: float


def read_sdss_spectrum(path: FitsSource, redshift: float | None = None) -> SdssSpectrum:
    """Read one spectrum, whatever the layout of the file.

    Parameters
    ----------
    path : path or binary file
        A `spec-PLATE-MJD-FIBER.fits` (lite, full, BOSS) or an old `spSpec` file.
    redshift : float, optional
        Used instead of the file's.

    Returns
    -------
    SdssSpectrum

    Raises
    ------
    SpectrumError
        If the file is absent, too large, not FITS or damaged; holds no SDSS spectrum; has no good pixel; or
        has no redshift and none is given.
    """
    name = source_name(path)
    with open_fits(path, SpectrumError) as hdus:
        coadd = _find_table(hdus, ("FLUX", "LOGLAM", "IVAR"))
        if coadd is not None:
            wave, flux, ivar, bits, facts = _read_spec(hdus, coadd)
        elif hdus[0].header.get("COEFF0") is not None and len(hdus[0].shape) == 2 and hdus[0].shape[0] >= 4:
            wave, flux, ivar, bits, facts = _read_spspec(hdus[0])
        else:
            raise SpectrumError(
                f"{name} holds no SDSS spectrum: neither a table with flux, loglam and ivar nor an image with COEFF0 "
                "and COEFF1; download the spec-PLATE-MJD-FIBER.fits file of the object"
            )
        if hdus[0].header.get("VACUUM", True) is False:
            wave = air_to_vacuum(wave)
    if redshift is None:
        redshift = facts.pop("redshift")
    facts.pop("redshift", None)
    if redshift is None or not np.isfinite(redshift):
        raise SpectrumError(f"{name} does not state the redshift of the galaxy; give it")
    is_sane = np.isfinite(flux) & (np.abs(flux) <= _MAX_FLUX) & np.isfinite(ivar) & (ivar > 0) & (ivar <= _MAX_IVAR)
    mask = ~is_sane | ((bits & _BAD_MASK) != 0)
    if mask.all():
        raise SpectrumError(
            f"{name} has no good pixel: all {len(mask)} are masked or have inverse variance 0, as for a fibre that "
            "was not plugged; use another observation of the object"
        )
    flux = np.where(np.isfinite(flux), flux, 0.0)
    ivar = np.where(mask, 0.0, ivar)
    snr = float(np.median(flux[~mask] * np.sqrt(ivar[~mask])))
    return SdssSpectrum(wave, flux, ivar, mask, float(redshift), snr, name=name, **facts)


def to_rest_grid(spectrum: SdssSpectrum) -> RestSpectrum:
    """Shift a spectrum to the rest frame and rebin it onto the project's grid.

    Parameters
    ----------
    spectrum : SdssSpectrum

    Returns
    -------
    RestSpectrum

    Raises
    ------
    SpectrumError
        If the redshift is outside 0-0.36, fewer than 200 grid pixels have data, or the normalisation window
        (rest 4200-6700 angstrom) has none.

    Notes
    -----
    Only wavelengths are divided by 1 + z. The flux density keeps its observed value: the factor 1 + z by which a
    rest-frame F_lambda would be larger is one number per galaxy and leaves with the norm, and so aperture
    magnitudes computed from the stored flux stay what the telescope saw. Pixels at the airglow line at 5577 A
    have no data, as in the simulation, whatever the file's masks say.
    """
    low, high = REDSHIFT_RANGE
    if not low <= spectrum.redshift <= high:
        raise SpectrumError(
            f"{spectrum.name} has redshift {spectrum.redshift:.4f}, and {low:g}-{high:g} is supported, where SDSS sees "
            "the window of the normalisation; check the redshift or leave the object out"
        )
    mask = spectrum.mask | near_sky_line(spectrum.wave_vac_obs)
    flux, ivar = resample_to_grid(spectrum.wave_vac_obs / (1.0 + spectrum.redshift), spectrum.flux, spectrum.ivar, mask)
    n_pixels = int((ivar > 0).sum())
    if n_pixels < MIN_PIXELS:
        raise SpectrumError(
            f"{spectrum.name} has data in {n_pixels} of the {N_WAVE} pixels of the rest-frame grid, and at least "
            f"{MIN_PIXELS} are needed; check the redshift and the masks"
        )
    return RestSpectrum(flux, ivar, spectrum_norm(flux, ivar), spectrum.redshift, n_pixels / N_WAVE)


_Arrays = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], dict[str, Any]]


def _find_table(hdus: Any, columns: tuple[str, ...]) -> Any | None:
    """Return the first table that has all these columns, whatever their case and its name."""
    for hdu in hdus:
        names = {column.upper() for column in hdu.columns.names} if hasattr(hdu, "columns") else set()
        if names.issuperset(columns):
            return hdu
    return None


def _read_spec(hdus: Any, coadd: Any) -> _Arrays:
    table = coadd.data
    names = {column.upper() for column in coadd.columns.names}
    n_pixels = len(table)
    bits = to_native(table["AND_MASK"], np.int64) if "AND_MASK" in names else np.zeros(n_pixels, np.int64)
    wave: NDArray[np.float64] = 10.0 ** to_native(table["LOGLAM"], np.float64)
    facts = _facts_of(hdus)
    return wave, to_native(table["FLUX"], np.float64), to_native(table["IVAR"], np.float64), bits, facts


def _facts_of(hdus: Any) -> dict[str, Any]:
    """Return redshift, ids, class and layout from the table that describes the object, if there is one."""
    described = _find_table(hdus, ("CLASS", "ZWARNING"))
    row, names = None, set()
    if described is not None and len(described.data):
        row, names = described.data[0], {column.upper() for column in described.columns.names}

    def text(*candidates: str) -> str:
        for name in candidates:
            if row is not None and name in names and np.ndim(row[name]) == 0:
                found = str(row[name]).strip()
                if found not in {"", "0"}:
                    return found
        return ""

    def number(name: str) -> float | None:
        return header_number({name: row[name]}, name) if row is not None and name in names else None

    is_boss = described is not None and described.name == "SPALL"
    is_boss = is_boss or text("SURVEY").lower() in {"boss", "eboss"}
    return {
        "redshift": number("Z"),
        "plate": text("PLATE"),
        "mjd": text("MJD"),
        "fiberid": text("FIBERID"),
        "spec_obj_id": text("SPECOBJID", "SPECOBJ_ID"),
        "obj_id": text("BESTOBJID", "FLUXOBJID", "OBJID"),
        "ra_deg": number("PLUG_RA"),
        "dec_deg": number("PLUG_DEC"),
        "spectral_class": text("CLASS"),
        "zwarning": int(number("ZWARNING") or 0),
        "layout": "boss" if is_boss else ("full" if len(hdus) > 4 else "lite"),
    }


def _read_spspec(hdu: Any) -> _Arrays:
    """Read the old layout: image rows are flux, continuum-subtracted flux, 1-sigma error, mask."""
    header, rows = hdu.header, to_native(hdu.data, np.float64)
    coeff0, coeff1 = header_number(header, "COEFF0"), header_number(header, "COEFF1")
    if coeff0 is None or coeff1 is None:
        raise SpectrumError("the spSpec file has no usable COEFF0 and COEFF1, so no wavelengths; download it again")
    wave = np.asarray(10.0 ** (coeff0 + coeff1 * np.arange(rows.shape[1])), np.float64)
    error = rows[2]
    ivar = np.zeros_like(error)
    np.divide(1.0, error**2, out=ivar, where=np.isfinite(error) & (error > 0))
    bits = np.where(np.isfinite(rows[3]), rows[3], 0.0).astype(np.int64)
    facts = {
        "redshift": header_number(header, "Z"),
        "plate": str(header.get("PLATEID", "")).strip(),
        "mjd": str(header.get("MJD", "")).strip(),
        "fiberid": str(header.get("FIBERID", "")).strip(),
        "spec_obj_id": "",
        "obj_id": "",  # the header's OBJID is run-rerun-camcol-field-id, not a photometric object id
        "ra_deg": header_number(header, "RAOBJ"),
        "dec_deg": header_number(header, "DECOBJ"),
        "spectral_class": str(header.get("OBJTYPE", "")).strip(),
        "zwarning": int(header_number(header, "Z_WARNIN") or 0),
        "layout": "spSpec",
    }
    return wave, rows[0], ivar, bits, facts

"""Synthetic survey files, written in the test's own folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

RA_DEG, DEC_DEG = 150.0, 2.2


@pytest.fixture
def write_ps1(tmp_path: Path) -> Callable[..., Path]:
    """Write one PS1-like band: counts of a round galaxy (sigma 3 pixels) at the given position, over noise."""

    def write(
        band: str = "g",
        total_counts: float = 1e5,
        shape: tuple[int, int] = (300, 300),
        exptime: Any = 1000.0,
        offset_arcsec: tuple[float, float] = (0.0, 0.0),
        rotation_deg: float = 0.0,
        scale_arcsec: float = 0.25,
        is_asinh: bool = False,
        is_compressed: bool = False,
        noise: float = 0.0,
        filter_cards: dict[str, str] | None = None,
        has_wcs: bool = True,
        name: str | None = None,
        edit: Callable[[NDArray[np.float32]], Any] | None = None,
        centre: tuple[float, float] = (RA_DEG, DEC_DEG),
    ) -> Path:
        angle = np.radians(rotation_deg)
        x0, y0 = (shape[1] - 1) / 2, (shape[0] - 1) / 2
        west, north = offset_arcsec[0] / scale_arcsec, offset_arcsec[1] / scale_arcsec
        x = x0 + west * np.cos(angle) - north * np.sin(angle)
        y = y0 + west * np.sin(angle) + north * np.cos(angle)
        row, column = np.indices(shape)
        sigma = 0.75 / scale_arcsec
        counts = total_counts * np.exp(-0.5 * ((column - x) ** 2 + (row - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)
        counts += noise * np.random.default_rng(1).normal(size=shape)
        header = fits.Header()
        for key, value in (
            filter_cards if filter_cards is not None else {"HIERARCH FPA.FILTERID": f"{band}.00000"}
        ).items():
            header[key] = value
        if exptime is not None:
            header["EXPTIME"] = exptime
        header["HIERARCH FPA.ZP"] = 25.0
        header["HIERARCH FPA.TEMP"] = "NaN"
        if has_wcs:
            header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
            header["CRVAL1"], header["CRVAL2"] = centre
            header["CRPIX1"], header["CRPIX2"] = x0 + 1, y0 + 1
            header["CDELT1"] = header["CDELT2"] = scale_arcsec / 3600
            # columns grow to the west: the deprecated keywords are those of the archive
            header["PC001001"], header["PC001002"] = -np.cos(angle), -np.sin(angle)
            header["PC002001"], header["PC002002"] = -np.sin(angle), np.cos(angle)
            header["RADESYS"], header["MJD-OBS"] = "FK5", 55933.25
        data = counts
        if is_asinh:
            soften, offset = 50.0, 3.0
            header["BSOFTEN"], header["BOFFSET"] = soften, offset
            data = np.arcsinh((counts - offset) / (2 * soften)) / (0.4 * np.log(10))
        data = data.astype(np.float32)
        if edit is not None:
            edited = edit(data)
            data = data if edited is None else edited
        path = tmp_path / (name or f"stack_{band}.fits")
        if is_compressed:
            hdu = fits.CompImageHDU(data, header, compression_type="RICE_1", quantize_level=-0.001)
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
        else:
            fits.PrimaryHDU(data.astype(">f4"), header).writeto(path)
        return path

    return write


@pytest.fixture
def write_sdss(tmp_path: Path) -> Callable[..., Path]:
    """Write an SDSS-like `spec` or `spSpec` file: a continuum of 10 with narrow lines at their observed wavelengths."""

    def write(
        redshift: float = 0.1,
        lines: tuple[float, ...] = (5008.24, 6564.61),
        layout: str = "lite",
        edit: Callable[[dict[str, NDArray[Any]]], None] | None = None,
        facts: dict[str, Any] | None = None,
        wave_range: tuple[float, float] = (3800.0, 9200.0),
    ) -> Path:
        loglam = np.arange(np.log10(wave_range[0]), np.log10(wave_range[1]), 1e-4)
        wave = 10**loglam
        flux = np.full(len(wave), 10.0)
        for line in lines:
            flux += 100 * np.exp(-0.5 * ((wave - line * (1 + redshift)) / 4.0) ** 2)
        columns = {"flux": flux, "loglam": loglam, "ivar": np.full(len(wave), 4.0)}
        columns |= {"and_mask": np.zeros(len(wave), np.int32), "or_mask": np.full(len(wave), 1 << 23, np.int32)}
        if edit is not None:
            edit(columns)
        path = tmp_path / f"spec-{layout}.fits"
        if layout == "spSpec":
            error = np.divide(1, np.sqrt(columns["ivar"]), out=np.zeros(len(wave)), where=columns["ivar"] > 0)
            rows = [columns["flux"], columns["flux"] * 0, error, columns["and_mask"], np.zeros(len(wave))]
            hdu = fits.PrimaryHDU(np.array(rows, ">f4"))
            header = {"COEFF0": loglam[0], "COEFF1": 1e-4, "Z": redshift, "PLATEID": 1307, "MJD": 52999, "FIBERID": 323}
            hdu.header.update(header | {"OBJTYPE": "GALAXY"} | (facts or {}))
            hdu.writeto(path, overwrite=True)
            return path
        formats = {"flux": "E", "loglam": "E", "ivar": "E", "and_mask": "J", "or_mask": "J"}
        coadd = fits.BinTableHDU.from_columns(
            [fits.Column(name, formats[name], array=values) for name, values in columns.items()], name="COADD"
        )
        row = {"Z": redshift, "ZWARNING": 0, "CLASS": "GALAXY", "PLATE": 266, "MJD": 51602, "FIBERID": 166}
        row |= {"SPECOBJID": "   299535031829817344", "BESTOBJID": "1237650796220055691"} | (facts or {})
        kinds = {int: "J", float: "D", str: "22A"}
        described = fits.BinTableHDU.from_columns(
            [fits.Column(name, kinds[type(value)], array=[value]) for name, value in row.items() if value is not None],
            name="SPALL" if layout == "boss" else "SPECOBJ",
        )
        extra = [fits.ImageHDU(np.zeros((2, 2), np.float32)) for _ in range(6 if layout == "full" else 1)]
        fits.HDUList([fits.PrimaryHDU(), coadd, described, *extra]).writeto(path, overwrite=True)
        return path

    return write

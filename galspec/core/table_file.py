"""Tables as files that TOPCAT, astropy and spreadsheets open: CSV, ECSV, VOTable, FITS, with units, UCDs and origin."""

import csv
import dataclasses
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from astropy.table import Table

#: Name on a button -> (suffix of the file, media type).
FORMATS: Final = {
    "CSV": (".csv", "text/csv"),
    "ECSV": (".ecsv", "application/x-ecsv"),
    "VOTable": (".vot", "application/x-votable+xml"),
    "FITS": (".fits", "application/fits"),
}
#: Facts that have a FITS keyword of their own; others become COMMENT cards, which FITS cuts into lines.
FITS_KEYWORDS: Final = {
    "object": "OBJECT",
    "survey": "SURVEY",
    "source": "SOURCE",
    "redshift": "REDSHIFT",
    "model": "MODEL",
    "model_sha256": "MODELSHA",
    "vae": "VAE",
    "vae_sha256": "VAESHA",
    "creator": "CREATOR",
    "date": "DATE",
    "link": "LINK",
    "model_trained_on": "TRAINED",
    "catalog_sha256": "CATSHA",
    "n_galaxies": "NGALAXY",
    "n_survey": "NSURVEY",
    "filter": "FILTER",
    "order": "ORDER",
    "norm": "FLUXNORM",
    "prediction": "PREDICT",
    "note": "NOTE",
}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name : str
        Letters, digits, underscore.
    values : array_like, shape (N,)
        Numbers, booleans or texts; NaN and None = missing.
    unit : str
        As astropy reads it; empty = dimensionless or text.
    ucd : str
        Unified content descriptor (IVOA UCD1+); may be empty.
    description : str
    """

    name: str
    values: ArrayLike
    unit: str = ""
    ucd: str = ""
    description: str = ""


def write_table(columns: Sequence[Column], facts: Mapping[str, Any], file_format: str) -> bytes:
    """Return a table as the content of a file.

    Parameters
    ----------
    columns : sequence of Column
        All of the same length.
    facts : mapping of str to text, number or list of them
        Where the table comes from: every format carries all of it.
    file_format : str
        A key of `FORMATS`.

    Raises
    ------
    ConfigError
        If the format is unknown, or a column's name or unit is not allowed.
    ShapeError
        If the columns are not one-dimensional and of one length.
    """
    if file_format not in FORMATS:
        raise ConfigError(f"there is no table format {file_format!r}; the formats are {', '.join(FORMATS)}.")
    values = [_plain(column) for column in columns]
    if len({array.shape for array in values}) > 1:
        shapes = ", ".join(f"{column.name} {array.shape}" for column, array in zip(columns, values, strict=True))
        raise ShapeError(f"the columns of a table must have one length; got {shapes}")
    writer = {"CSV": _csv, "ECSV": _ecsv, "VOTable": _votable, "FITS": _fits}[file_format]
    return writer(columns, values, {name: _plain_fact(value) for name, value in facts.items()})


def _plain(column: Column) -> NDArray[np.generic]:
    """Return values as a one-dimensional array of a type that every format has."""
    if not _NAME.fullmatch(column.name):
        raise ConfigError(f"{column.name!r} is no column name; use letters, digits and underscores.")
    array = np.asarray(column.values)
    if array.ndim != 1:
        raise ShapeError(f"column {column.name} has shape {array.shape}, but must be one-dimensional")
    if array.dtype.kind == "f":
        return array if array.dtype.itemsize in {4, 8} else array.astype(np.float32)
    if array.dtype.kind == "u":
        return array.astype(np.int64)
    if array.dtype.kind in "ib":
        return array
    is_missing = [value is None or (isinstance(value, float) and np.isnan(value)) for value in array.tolist()]
    texts = ["" if missing else str(value) for value, missing in zip(array.tolist(), is_missing, strict=True)]
    return np.array(texts, dtype=str)


def _plain_fact(value: Any) -> Any:
    """Return a fact as text, number or list, on one line."""
    if isinstance(value, list | tuple):
        return [_plain_fact(part) for part in value]
    if isinstance(value, bool | int | float):
        return value
    return " ".join(str(value).split())


def _csv(columns: Sequence[Column], values: Sequence[NDArray[np.generic]], facts: Mapping[str, Any]) -> bytes:
    """Facts, units and descriptions stand in lines that start with #."""
    text = io.StringIO(newline="")
    text.writelines(f"# {name}: {value}\n" for name, value in facts.items())
    text.writelines(f"# column {c.name} [{c.unit or 'dimensionless'}]: {c.description}\n" for c in columns)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    writer.writerows(zip(*(_csv_texts(array) for array in values), strict=True))
    return text.getvalue().encode("utf-8")


def _csv_texts(array: NDArray[np.generic]) -> list[str]:
    if array.dtype.kind != "f":
        return [" ".join(str(value).split()) for value in array.tolist()]
    # str() of a numpy scalar is the shortest text that reads back as the same number of its type.
    return ["" if np.isnan(value) else str(value) for value in array]


def _to_astropy(columns: Sequence[Column], values: Sequence[NDArray[np.generic]]) -> "Table":
    from astropy.table import Column as AstropyColumn
    from astropy.table import MaskedColumn, Table

    table = Table()
    for column, array in zip(columns, values, strict=True):
        is_missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(len(array), bool)
        kind = MaskedColumn if is_missing.any() else AstropyColumn
        made = kind(array, description=column.description or None, meta={"ucd": column.ucd} if column.ucd else {})
        if column.unit:
            made.unit = _unit(column)
        if is_missing.any():
            made.mask = is_missing
        table[column.name] = made
    return table


def _ecsv(columns: Sequence[Column], values: Sequence[NDArray[np.generic]], facts: Mapping[str, Any]) -> bytes:
    table = _to_astropy(columns, values)
    table.meta = dict(facts)
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue().encode("utf-8")


def _votable(columns: Sequence[Column], values: Sequence[NDArray[np.generic]], facts: Mapping[str, Any]) -> bytes:
    """Facts stand in INFO elements of the table's resource."""
    from astropy.io.votable import from_table, tree
    from astropy.units import UnitsWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # the standard would rather have 0.1 nm than an angstrom
        votable = from_table(_to_astropy(columns, values))
        for name, value in facts.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            votable.resources[0].infos.append(tree.Info(name=name, value=text))
        out = io.BytesIO()
        votable.to_xml(out, tabledata_format="tabledata")
    return out.getvalue()


def _ascii(text: str) -> str:
    """Return text as FITS headers can hold it."""
    return text.replace("−", "-").encode("ascii", "backslashreplace").decode("ascii")


def _fits(columns: Sequence[Column], values: Sequence[NDArray[np.generic]], facts: Mapping[str, Any]) -> bytes:
    """One binary table; UCDs stand in TUCDn, descriptions in TCOMMn, facts in keywords and COMMENT cards."""
    from astropy.io import fits

    held = [_bytes(array) if array.dtype.kind == "U" else array for array in values]
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name=column.name,
                format=_fits_format(array),
                array=array,
                unit=_unit(column).to_string("fits") if column.unit else None,
            )
            for column, array in zip(columns, held, strict=True)
        ],
        name="GALSPEC",
    )
    for index, column in enumerate(columns, start=1):
        if column.ucd:
            hdu.header[f"TUCD{index}"] = column.ucd
        if column.description:
            hdu.header[f"TCOMM{index}"] = _ascii(column.description)
    for name, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        if name in FITS_KEYWORDS:
            hdu.header[FITS_KEYWORDS[name]] = _ascii(text) if isinstance(text, str) else text
        else:
            hdu.header["COMMENT"] = _ascii(f"{name}: {text}")
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return out.getvalue()


def _bytes(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return texts as ASCII bytes; other characters are written as escapes."""
    texts = np.asarray(array, dtype=np.str_)
    return np.asarray(np.char.encode(texts, "ascii", "backslashreplace"))


def _fits_format(array: NDArray[np.generic]) -> str:
    if array.dtype.kind == "S":
        return f"{max(array.dtype.itemsize, 1)}A"
    return {"b1": "L", "i1": "I", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}[array.dtype.str[1:]]


def _unit(column: Column) -> Any:
    """Return the unit of a column, checked: astropy would keep any word as an unknown unit."""
    import astropy.units as u

    try:
        unit = u.Unit(column.unit)
        unit.to_string("fits")
    except ValueError as error:
        raise ConfigError(f"column {column.name} has a unit that astropy or FITS does not know: {error}") from None
    return unit

"""Opening FITS files that may come from anybody: refused with one clear sentence unless whole and of sane size."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.typing import NDArray

from galspec.core.errors import GalspecError

#: A path, or an open binary file such as an upload.
FitsSource = Path | str | BinaryIO

MAX_FILE_BYTES: Final = 200 * 1024**2


def source_name(source: FitsSource) -> str:
    """Return the name to use in messages: the file's name, without its folder."""
    name = source if isinstance(source, Path | str) else getattr(source, "name", None)
    return Path(str(name)).name if name else "the uploaded file"


def _read_start(source: FitsSource, error: type[GalspecError]) -> tuple[bytes, int]:
    """Return the first 9 bytes and the size of a file, leaving an open one at its start."""
    if isinstance(source, Path | str):
        path = Path(source)
        if not path.is_file():
            raise error(f"there is no file {path.name!r}; give the path of a FITS file")
        with path.open("rb") as handle:
            return handle.read(9), path.stat().st_size
    size = source.seek(0, io.SEEK_END)
    source.seek(0)
    start = source.read(9)
    source.seek(0)
    return start, size


def _open_or_copy(source: FitsSource) -> BinaryIO:
    return Path(source).open("rb") if isinstance(source, Path | str) else io.BytesIO(source.read())


@contextlib.contextmanager
def open_fits(source: FitsSource, error: type[GalspecError]) -> Iterator[Any]:
    """Open a FITS file without memory mapping; damage met while it is open becomes `error`.

    Parameters
    ----------
    source : path or binary file
    error : type of GalspecError
        What to raise.

    Yields
    ------
    astropy.io.fits.HDUList

    Raises
    ------
    error
        If the file is absent, empty, larger than 200 MB, not plain FITS, truncated or damaged.
    """
    name = source_name(source)
    start, size = _read_start(source, error)
    if size > MAX_FILE_BYTES:
        raise error(
            f"{name} has {size / 1024**2:.0f} MB, and at most {MAX_FILE_BYTES // 1024**2} MB are read; "
            "cut out the part around the galaxy first"
        )
    if start[:2] in {b"\x1f\x8b", b"BZ", b"PK"}:
        raise error(f"{name} is a compressed archive, not plain FITS; unpack it first")
    if start != b"SIMPLE  =":
        raise error(f"{name} is not a FITS file (it does not begin with SIMPLE =); save the image or spectrum as FITS")
    try:
        # astropy leaves a file open that it fails to open, and closes an upload that the page needs again.
        with _open_or_copy(source) as handle, warnings.catch_warnings():
            # astropy only warns of a file that ends early; elsewhere the missing part would read as garbage.
            warnings.filterwarnings("error", message=".*truncated", category=AstropyUserWarning)
            with fits.open(handle, mode="readonly", memmap=False) as hdus:
                yield hdus
    except GalspecError:
        raise
    except Exception as damage:  # damage surfaces as anything: a dozen built-in errors, VerifyError, private ones
        raise error(
            f"{name} is truncated or damaged and cannot be read ({_first_line(damage)}); download it again"
        ) from damage


def _first_line(damage: BaseException) -> str:
    text = (str(damage) or type(damage).__name__).splitlines()[0].strip()
    return text[:120].rstrip(".")


def to_native(array: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """Return an array of FITS data, which is big-endian, in this machine's byte order."""
    return np.ascontiguousarray(np.asarray(array), dtype=dtype)


def header_number(header: Any, keyword: str) -> float | None:
    """Return a header value as a finite float, or None: cards may be absent, or hold the string 'NaN'."""
    value = header.get(keyword)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None

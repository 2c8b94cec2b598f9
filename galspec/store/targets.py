"""Target lists: ids or positions that someone brings, matched to the galaxies of a survey."""

import csv
import dataclasses
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.core.coordinates import SkyPosition, make_position, parse_position
from galspec.core.errors import CoordinateError, IdListError

if TYPE_CHECKING:
    from astropy.table import Table

MAX_TARGETS: Final = 100_000
MAX_BYTES: Final = 20 * 1024 * 1024
MAX_RADIUS_ARCSEC: Final = 3600.0
#: Suffix of a file -> astropy's name of the format; text files are read here.
TABLE_FORMATS: Final = {".vot": "votable", ".xml": "votable", ".votable": "votable", ".fits": "fits", ".fit": "fits"}
TEXT_SUFFIXES: Final = (".csv", ".txt", ".ecsv", ".tsv")
_ID_NAMES: Final = ("id", "specobjid", "objid", "name", "object", "target")
_RA_NAMES: Final = ("ra_deg", "ra", "raj2000", "ra_icrs", "_ra", "right_ascension")
_DEC_NAMES: Final = ("dec_deg", "dec", "de", "dej2000", "de_icrs", "_de", "declination")
_SEPARATOR: Final = re.compile(r"[,;\t]")


@dataclasses.dataclass(frozen=True)
class Target:
    """One line of a target list.

    Parameters
    ----------
    text : str
        As it was given.
    galaxy_id : str
        Empty if it gives a position.
    position : SkyPosition or None
    problem : str
        Why it is neither; empty otherwise.
    """

    text: str
    galaxy_id: str = ""
    position: SkyPosition | None = None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class TargetMatch:
    """Targets and the galaxies they are.

    Parameters
    ----------
    targets : tuple of Target
    rows : ndarray of int, shape (N,)
        Row of the survey for each target, -1 where there is none.
    separation_arcsec : ndarray, shape (N,)
        From the position given to the galaxy's, or to the nearest galaxy where none matched; NaN for ids.
    """

    targets: tuple[Target, ...]
    rows: NDArray[np.int64]
    separation_arcsec: NDArray[np.float64]

    @property
    def matched_rows(self) -> NDArray[np.int64]:
        """The rows that were found, each once, in the order of the targets."""
        found = self.rows[self.rows >= 0]
        return np.asarray(list(dict.fromkeys(found.tolist())), np.int64)

    @property
    def unmatched(self) -> list[tuple[str, str]]:
        """Text of each target that was not found, and why."""
        reasons = []
        pairs = zip(self.targets, self.rows.tolist(), self.separation_arcsec.tolist(), strict=True)
        for target, row, separation in pairs:
            if row >= 0:
                continue
            reason = target.problem or "no galaxy of this id"
            if target.position is not None:
                nearest = f"; the nearest is {separation:.1f} arcsec away" if np.isfinite(separation) else ""
                reason = f"no galaxy within the radius{nearest}"
            reasons.append((target.text, reason))
        return reasons


def targets_of_text(text: str) -> tuple[Target, ...]:
    """Read a pasted list: one id or position a line, or a table with a header that names id, or ra and dec.

    Raises
    ------
    IdListError
        If it is empty or has more than 100,000 lines.
    """
    # A tab at the start of a line is an empty first cell.
    lines = [line.strip(" \r") for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise IdListError("the list is empty; give one id or position a line, or a table with id, or ra and dec.")
    if len(lines) > MAX_TARGETS:
        raise IdListError(f"the list has {len(lines):,} lines; at most {MAX_TARGETS:,} are matched.")
    header = [name.strip().strip("\"'").lower() for name in _SEPARATOR.split(lines[0])]
    if _place(header, _ID_NAMES) is not None or _place(header, _RA_NAMES) is not None:
        mark = _SEPARATOR.search(lines[0])
        rows = list(csv.reader(io.StringIO("\n".join(lines[1:])), delimiter=mark[0] if mark else ","))
        return _targets_of_columns(header, rows)
    return tuple(_target(line.strip()) for line in lines)


def targets_of_file(name: str, content: bytes) -> tuple[Target, ...]:
    """Read an uploaded list: CSV, text, VOTable or FITS.

    Parameters
    ----------
    name : str
        File name; its suffix tells the format.
    content : bytes

    Raises
    ------
    IdListError
        If the file is too large, of another format, damaged, or names neither id nor ra and dec.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if len(content) > MAX_BYTES:
        raise IdListError(f"{name} has {len(content) / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read.")
    if suffix in TEXT_SUFFIXES:
        try:
            return targets_of_text(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise IdListError(f"{name} is no text in UTF-8 ({error.reason}).") from None
    if suffix not in TABLE_FORMATS:
        raise IdListError(f"{name} is none of {', '.join((*TEXT_SUFFIXES, *TABLE_FORMATS))}.")
    return _targets_of_table(_read_table(name, content, TABLE_FORMATS[suffix]), name)


def _read_table(name: str, content: bytes, table_format: str) -> "Table":
    from astropy.table import Table

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units and headers that nothing here depends on
            return Table.read(io.BytesIO(content), format=table_format)
    except Exception as error:  # any of the readers' many kinds
        raise IdListError(f"{name} cannot be read as {table_format} ({str(error)[:200]}).") from None


def _targets_of_table(table: "Table", name: str) -> tuple[Target, ...]:
    if len(table) > MAX_TARGETS:
        raise IdListError(f"{name} has {len(table):,} rows; at most {MAX_TARGETS:,} are matched.")
    wide = [column for column in table.colnames if table[column].ndim > 1]
    table.remove_columns(wide)
    header = [str(column).lower() for column in table.colnames]
    rows = [[_cell(value) for value in row] for row in table]
    return _targets_of_columns(header, rows)


def _cell(value: Any) -> str:
    if np.ma.is_masked(value):
        return ""
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()


def _place(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _targets_of_columns(header: list[str], rows: list[list[str]]) -> tuple[Target, ...]:
    at_id, at_ra, at_dec = (_place(header, names) for names in (_ID_NAMES, _RA_NAMES, _DEC_NAMES))
    has_position = at_ra is not None and at_dec is not None
    if at_id is None and not has_position:
        raise IdListError(
            f"the table has the columns {', '.join(header)[:200]}; it needs one called {' or '.join(_ID_NAMES)}, or "
            "two called ra and dec."
        )
    if not rows:
        raise IdListError("the table has a header and no rows.")
    targets = []
    for row in rows:
        text = ", ".join(row)
        cells = [*row, *[""] * (len(header) - len(row))]
        if at_id is not None and cells[at_id].strip():
            targets.append(Target(text, galaxy_id=cells[at_id].strip()))
        elif at_ra is not None and at_dec is not None:
            targets.append(_position_target(text, cells[at_ra], cells[at_dec]))
        else:
            targets.append(Target(text, problem="the row has no id"))
    return tuple(targets)


def _position_target(text: str, ra: str, dec: str) -> Target:
    try:
        position = make_position(float(ra), float(dec))
    except ValueError:
        try:
            position = parse_position(f"{ra}, {dec}")
        except CoordinateError as error:
            return Target(text, problem=str(error))
    except CoordinateError as error:
        return Target(text, problem=str(error))
    return Target(text, position=position)


def _target(line: str) -> Target:
    try:
        return Target(line, position=parse_position(line))
    except CoordinateError as error:
        is_word = " " not in line and "," not in line
        return Target(line, galaxy_id=line) if is_word else Target(line, problem=str(error))


def match_targets(targets: Sequence[Target], catalog: pd.DataFrame, radius_arcsec: float) -> TargetMatch:
    """Find the galaxies of a target list: by id, or the nearest one within a radius.

    Parameters
    ----------
    targets : sequence of Target
    catalog : DataFrame
        With id; for positions with ra_deg and dec_deg, degrees.
    radius_arcsec : float
        Greater than 0, at most a degree.

    Raises
    ------
    IdListError
        If the radius is not allowed.
    """
    if not 0.0 < radius_arcsec <= MAX_RADIUS_ARCSEC:
        raise IdListError(f"a match radius of {radius_arcsec:g} arcsec is not allowed; give more than 0, up to 3600.")
    row_of = {str(name): row for row, name in enumerate(catalog["id"].tolist())}
    rows = np.array([row_of.get(target.galaxy_id, -1) for target in targets], np.int64)
    separation = np.full(len(targets), np.nan)
    places = [place for place, target in enumerate(targets) if target.position is not None]
    if places and {"ra_deg", "dec_deg"} <= set(catalog.columns):
        found, distance = _nearest([targets[place].position for place in places], catalog)
        separation[places] = distance
        rows[places] = np.where(distance <= radius_arcsec, found, -1)
    return TargetMatch(tuple(targets), rows, separation)


def _nearest(
    positions: Sequence[SkyPosition | None], catalog: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return row and separation (arcsec) of the galaxy nearest to each position."""
    from astropy.coordinates import SkyCoord

    ra, dec = catalog["ra_deg"].to_numpy(np.float64), catalog["dec_deg"].to_numpy(np.float64)
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if not len(known):
        return np.full(len(positions), -1, np.int64), np.full(len(positions), np.nan)
    wanted = np.array([(one.ra_deg, one.dec_deg) for one in positions if one is not None])
    here = SkyCoord(ra[known], dec[known], unit="deg")
    index, distance, _ = SkyCoord(wanted[:, 0], wanted[:, 1], unit="deg").match_to_catalog_sky(here)
    return known[np.asarray(index)], np.asarray(distance.arcsec, np.float64)

"""Positions on the sky: one parser for every way people write them, two ways to write them back, and cone searches."""

import dataclasses
import re
import unicodedata
import urllib.parse
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import CoordinateError

Floats = NDArray[np.float64]

#: What is accepted, for messages.
EXAMPLES: Final = "187.70593 +12.39112, 12:30:49.42 +12:23:28.0, 12h30m49.42s +12d23m28s or J123049.42+122328.0"
_MAX_TEXT: Final = 2000

#: Signs that NFKC does not turn into the ASCII ones.
_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("−–—‐‑‒﹣", "-"),
        **dict.fromkeys("°º˚", "d"),
        **dict.fromkeys("′’‘ʹ´`", "'"),
        **dict.fromkeys("″”“ʺ", '"'),
    }
)
_NUMBER: Final = r"\d+(?:\.\d*)?|\.\d+"
#: J names truncate the position; groups: right ascension, sign, declination.
_NAME: Final = re.compile(r"(?:[A-Z][A-Z0-9]*\s*)?J\s*(\d{4,6}(?:\.\d+)?)\s*([+-])\s*(\d{4,6}(?:\.\d+)?)", re.I)
_B1950: Final = re.compile(r"(?:[A-Z0-9]+\s*)?B\s*\d{4,6}(?:\.\d+)?\s*[+-]\s*\d{2,6}(?:\.\d+)?", re.I)
#: One coordinate with unit letters: 12h30m49.42s, 187d42'21.3", 187.7deg.
_LETTERED: Final = re.compile(
    rf"([+-]?)\s*({_NUMBER})\s*(h|d|deg|degrees?)\s*"
    rf"(?:({_NUMBER})\s*(?:m|')\s*(?:({_NUMBER})\s*(?:s|\"|'')?)?)?",
    re.I,
)
_LABEL: Final = re.compile(r"\b(?:ra|dec|de|declination|right ascension|icrs|fk5|j2000(?:\.0)?)\b\s*[:=]?", re.I)
#: URL parameters that hold a pair, and pairs of parameters that hold one coordinate each.
_PAIR_PARAMETERS: Final = ("pos", "target", "mark", "coord", "coordinates", "c")
_SPLIT_PARAMETERS: Final = (("ra", "dec"), ("ra_deg", "dec_deg"), ("ra", "de"))
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://|www\.", re.I)


@dataclasses.dataclass(frozen=True)
class SkyPosition:
    """A position, ICRS (J2000 to within 0.03 arcsec).

    Parameters
    ----------
    ra_deg : float
        Right ascension in degrees, 0 <= ra < 360.
    dec_deg : float
        Declination in degrees, -90 to 90.
    note : str
        How exactly the text gives it, where that is worse than 1 arcsec; empty otherwise.
    """

    ra_deg: float
    dec_deg: float
    note: str = ""

    @property
    def degrees(self) -> str:
        """Decimal degrees: "187.70593 +12.39112"."""
        return f"{_decimals(self.ra_deg % 360.0, 360.0)} {self.dec_deg:+.5f}"

    @property
    def sexagesimal(self) -> str:
        """Hours and degrees: "12:30:49.42 +12:23:28.0"."""
        return f"{_clock(self.ra_deg / 15.0, 2, 24)} {'-' if self.dec_deg < 0 else '+'}{_clock(abs(self.dec_deg), 1)}"

    @property
    def text(self) -> str:
        """Both forms with the frame, for the page: real minus sign, "ICRS J2000" said."""
        return f"{self.degrees} = {self.sexagesimal}, ICRS J2000".replace("-", "−")


@dataclasses.dataclass(frozen=True)
class ConeResult:
    """What a cone search found.

    Parameters
    ----------
    rows : ndarray of int, shape (M,)
        Rows of the catalogue inside the radius, nearest first.
    separation_arcsec : ndarray, shape (M,)
    nearest_row : int or None
        The nearest object, inside or not; None if the catalogue has no position.
    nearest_arcsec : float
        Its separation; infinite if there is none.
    """

    rows: NDArray[np.int64]
    separation_arcsec: Floats
    nearest_row: int | None
    nearest_arcsec: float


def _decimals(value: float, full: float) -> str:
    """Return five decimals; what rounds to a full turn is 0."""
    text = f"{value:.5f}"
    return "0.00000" if float(text) >= full else text


def _clock(value: float, digits: int, full: int | None = None) -> str:
    """Return "HH:MM:SS.ss" of a value >= 0; rounding carries over, and ``full`` wraps to 0."""
    scale = 10**digits
    ticks = round(value * 3600 * scale)
    if full is not None:
        ticks %= full * 3600 * scale
    seconds, fraction = divmod(ticks, scale)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"


def make_position(ra_deg: float, dec_deg: float, note: str = "") -> SkyPosition:
    """Return a position after checking its range.

    Raises
    ------
    CoordinateError
        If right ascension is outside 0-360 degrees or declination outside -90 to 90.
    """
    if not 0.0 <= ra_deg <= 360.0:
        raise CoordinateError(f"right ascension {ra_deg:g} degrees is outside 0-360; check the order: RA, then Dec.")
    if not -90.0 <= dec_deg <= 90.0:
        raise CoordinateError(f"declination {dec_deg:g} degrees is outside -90 to 90; check the order: RA, then Dec.")
    return SkyPosition(0.0 if ra_deg == 360.0 else float(ra_deg), float(dec_deg), note)


def parse_position(text: str) -> SkyPosition:
    """Read a position as people write or paste it.

    Parameters
    ----------
    text : str
        Decimal degrees, sexagesimal with colons, spaces or letters (right ascension in hours unless it carries
        a degree sign), a J name (SDSS J123049.42+122328.0), or the address of a page of the Legacy Survey viewer,
        SkyServer, Aladin Lite or galspec itself. Unicode minus, degree and prime signs are understood.

    Returns
    -------
    SkyPosition

    Raises
    ------
    CoordinateError
        If the text is no position, or one outside 0-360 and -90 to 90 degrees.

    Examples
    --------
    >>> parse_position("00:42:44.3 -00:30:00").degrees
    '10.68458 -0.50000'
    """
    if len(text) > _MAX_TEXT:
        raise CoordinateError(f"a text of {len(text)} characters is no position; write it like {EXAMPLES}.")
    plain = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)
    plain = " ".join(plain.replace("''", '"').split())
    if not plain:
        raise CoordinateError(f"the position is empty; write it like {EXAMPLES}.")
    if _URL.match(plain):
        return _from_url(plain)
    if _B1950.fullmatch(plain):
        raise CoordinateError(f"{_short(text)} is a B1950 name; give the J2000 name or position, like {EXAMPLES}.")
    name = _NAME.fullmatch(plain)
    return _from_name(name) if name else _from_numbers(plain, text)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text[:80]}{'…' if len(text) > 80 else ''}”"


def _from_url(url: str) -> SkyPosition:
    parts = urllib.parse.urlsplit(url if "://" in url else f"https://{url}")
    query = urllib.parse.parse_qs(f"{parts.query}&{parts.fragment.partition('?')[2]}")
    values = {name.lower().lstrip("-"): value[0] for name, value in query.items()}
    for ra_name, dec_name in _SPLIT_PARAMETERS:
        if ra_name in values and dec_name in values:
            return _from_numbers(f"{values[ra_name]} , {values[dec_name]}".translate(_SIGNS), url)
    for name in _PAIR_PARAMETERS:
        if name in values:
            try:
                return parse_position(values[name])
            except CoordinateError as error:
                raise CoordinateError(f"the address gives {name}={_short(values[name])}: {error}") from None
    ids = [name for name in ("id", "sid", "objid", "specobjid", "plate", "plateid") if name in values]
    reason = f"only {', '.join(ids)}, which needs a look-up there" if ids else "neither ra and dec nor pos or target"
    raise CoordinateError(f"the address {_short(url)} holds no position: it gives {reason}.")


def _digits(text: str, unit_name: str) -> tuple[float, float]:
    """Split "123049.42" into a value in units of the first pair, and the step of its last digit."""
    whole, _, fraction = text.partition(".")
    if len(whole) == 5:
        raise CoordinateError(f"the name's {unit_name} {text} has five digits before the point; four or six are used.")
    minutes_digits, seconds_digits = whole[2:4], whole[4:6]
    last = float(f"{seconds_digits or minutes_digits}.{fraction}" if fraction else seconds_digits or minutes_digits)
    if float(minutes_digits) >= 60 or last >= 60:
        raise CoordinateError(f"the name's {unit_name} {text} has minutes or seconds of 60 or more.")
    minutes = float(minutes_digits) + last / 60.0 if seconds_digits else last
    step = (1.0 / 3600.0 if seconds_digits else 1.0 / 60.0) / 10 ** len(fraction)
    return float(whole[:2]) + minutes / 60.0, step


def _from_name(match: re.Match[str]) -> SkyPosition:
    hours, ra_step = _digits(match[1], "right ascension")
    degrees, dec_step = _digits(match[3], "declination")
    worst = 3600.0 * max(15.0 * ra_step, dec_step)
    note = "" if worst <= 1.0 else f"the name gives the position to {worst:.0f} arcsec, truncated"
    return make_position(15.0 * hours, -degrees if match[2] == "-" else degrees, note)


def _from_numbers(plain: str, original: str) -> SkyPosition:
    halves = _halves(_LABEL.sub(" ", plain).strip(" ,;"))
    if halves is None:
        raise CoordinateError(
            f"{_short(original)} is no position; write it like {EXAMPLES}. "
            "Names of galaxies would need a look-up in the internet."
        )
    return make_position(_angle(halves[0], True, original), _angle(halves[1], False, original))


def _halves(text: str) -> tuple[str, str] | None:
    """Split a text into right ascension and declination, or return None."""
    by_comma = [part.strip() for part in re.split(r"[,;]", text) if part.strip()]
    if len(by_comma) == 2:
        return by_comma[0], by_comma[1]
    text = " ".join(by_comma) if len(by_comma) < 2 else text
    lettered = list(_LETTERED.finditer(text))
    if len(lettered) == 2 and not _LETTERED.sub("", text).strip():
        return lettered[0][0], lettered[1][0]
    words = text.split()
    joined = re.fullmatch(r"([^\s+-]+)([+-].+)", text)  # 12:30:49.42+12:23:28.0
    if joined and len(words) == 1:
        return joined[1], joined[2]
    if len(words) not in {2, 4, 6}:
        return None
    half = len(words) // 2
    return " ".join(words[:half]), " ".join(words[half:])


def _angle(text: str, is_ra: bool, original: str) -> float:
    """Return one coordinate in degrees."""
    what = "right ascension" if is_ra else "declination"
    lettered = _LETTERED.fullmatch(text)
    if lettered:
        sign, *fields, unit = lettered[1], lettered[2], lettered[4], lettered[5], lettered[3].lower()
        if unit == "h" and not is_ra:
            raise CoordinateError(f"the declination {_short(text)} is in hours; it must be in degrees.")
        is_hours = unit == "h"
    else:
        match = re.fullmatch(rf"([+-]?)\s*({_NUMBER})(?:[: ]\s*({_NUMBER}))?(?:[: ]\s*({_NUMBER}))?", text)
        if match is None:
            raise CoordinateError(
                f"the {what} {_short(text)} in {_short(original)} is not understood; write {EXAMPLES}."
            )
        sign, *fields = match[1], match[2], match[3], match[4]
        is_hours = is_ra and fields[1] is not None
    return _sexagesimal(sign, [field for field in fields if field is not None], is_hours, what)


def _sexagesimal(sign: str, fields: list[str], is_hours: bool, what: str) -> float:
    from astropy.coordinates import Angle

    if any("." in field for field in fields[:-1]):
        raise CoordinateError(f"the {what} {':'.join(fields)} has a fraction before its last part.")
    if any(float(field) >= 60.0 for field in fields[1:]):
        raise CoordinateError(f"the {what} {':'.join(fields)} has minutes or seconds of 60 or more.")
    # The sign stands before all parts: -00:30:00 is -0.5 degrees. Hours are turned into degrees here, because
    # astropy warns of 24:00:00, which is 0.
    degrees = float(Angle(f"{sign}{':'.join(fields)}", unit="deg").deg)
    return 15.0 * degrees if is_hours else degrees


def separation_arcsec(ra_deg: float, dec_deg: float, other_ra_deg: ArrayLike, other_dec_deg: ArrayLike) -> Floats:
    """Return the great-circle separation of a position from others, arcsec; NaN where a position is missing.

    Parameters
    ----------
    ra_deg, dec_deg : float
    other_ra_deg, other_dec_deg : array_like, shape (N,)
        Degrees.
    """
    from astropy.coordinates import angular_separation

    ra, dec = np.radians(np.asarray(other_ra_deg, np.float64)), np.radians(np.asarray(other_dec_deg, np.float64))
    found = angular_separation(np.radians(ra_deg), np.radians(dec_deg), ra, dec)
    return np.asarray(np.degrees(found) * 3600.0, np.float64)


def cone_search(position: SkyPosition, radius_arcsec: float, ra_deg: ArrayLike, dec_deg: ArrayLike) -> ConeResult:
    """Find the objects of a catalogue within a radius.

    Parameters
    ----------
    position : SkyPosition
    radius_arcsec : float
        Greater than 0, at most 180 degrees.
    ra_deg, dec_deg : array_like, shape (N,)
        The catalogue, degrees; NaN is never found.

    Raises
    ------
    CoordinateError
        If the radius is not allowed.
    """
    if not 0.0 < radius_arcsec <= 180.0 * 3600.0:
        raise CoordinateError(f"a radius of {radius_arcsec:g} arcsec is not allowed; give more than 0, up to 648000.")
    separation = separation_arcsec(position.ra_deg, position.dec_deg, ra_deg, dec_deg)
    inside = np.flatnonzero(separation <= radius_arcsec)
    rows = inside[np.argsort(separation[inside], kind="stable")]
    if not np.isfinite(separation).any():
        return ConeResult(rows, separation[rows], None, float("inf"))
    nearest = int(np.nanargmin(separation))
    return ConeResult(rows, separation[rows], nearest, float(separation[nearest]))

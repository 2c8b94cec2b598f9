"""Lines that the reader adds to the plot: at rest or observed, in vacuum or air; the URL holds rest vacuum."""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Final, Literal

from galspec.core.lines import SpectralLine
from galspec.core.wavelength import air_to_vacuum, vacuum_to_air

Medium = Literal["vacuum", "air", "observed"]
MEDIA: Final[dict[Medium, str]] = {"vacuum": "rest, vacuum", "air": "rest, air", "observed": "observed, vacuum"}
MAX_LINES: Final = 8
MAX_NAME: Final = 16
#: Rest wavelengths that can be added, angstrom; the converter from air starts at 2000.
LINE_LIMITS: Final = (2000.0, 20_000.0)
_DECIMALS: Final = 3
#: What would end an entry of the URL, or be read as markup by the plot.
_NOT_IN_NAMES: Final = re.compile(r"[,:<>&\x00-\x1f]")


@dataclasses.dataclass(frozen=True)
class CustomLine:
    """A line of the reader's.

    Parameters
    ----------
    wave : float
        Rest-frame vacuum wavelength in angstrom.
    name : str
        May be empty.
    """

    wave: float
    name: str = ""

    @property
    def label(self) -> str:
        """Its name in the plot."""
        return self.name or f"{self.wave:.1f}"

    def as_line(self) -> SpectralLine:
        """Return it as an entry of the line table."""
        air = float(vacuum_to_air(self.wave))
        return SpectralLine(f"{self.name or 'your line'} {self.wave:g}", self.label, self.wave, air, "custom")


def custom_line(wave: float, medium: Medium, z: float, name: str = "") -> CustomLine:
    """Make a line from what the reader gave.

    Parameters
    ----------
    wave : float
        Angstrom, in the frame and medium of `medium`.
    medium : str
        A key of `MEDIA`.
    z : float
        Redshift for observed wavelengths.
    name : str

    Raises
    ------
    ValueError
        If the wavelength lies outside `LINE_LIMITS`, or the name is too long or holds ``,:<>&``.

    Examples
    --------
    >>> custom_line(5302.86, "air", 0.05, "[Fe XIV]")
    CustomLine(wave=5304.335, name='[Fe XIV]')
    """
    rest = wave / (1.0 + z) if medium == "observed" else wave
    low, high = LINE_LIMITS
    if not (math.isfinite(rest) and low <= rest <= high):
        at_rest = f", {rest:.6g} Å at rest," if medium == "observed" else ""
        raise ValueError(f"{wave:.6g} Å{at_rest} lies outside {low:.0f}–{high:.0f} Å")
    if medium == "air":
        rest = float(air_to_vacuum(rest))
    name = name.strip()
    if len(name) > MAX_NAME or _NOT_IN_NAMES.search(name):
        raise ValueError(f"the name “{name[:20]}” has more than {MAX_NAME} characters or one of , : < > &")
    return CustomLine(round(rest, _DECIMALS), name)


def with_line(lines: Sequence[CustomLine], added: CustomLine) -> tuple[CustomLine, ...]:
    """Return the lines with one more, by wavelength; one at the same wavelength is replaced.

    Raises
    ------
    ValueError
        If there are `MAX_LINES` already.
    """
    others = [line for line in lines if line.wave != added.wave]
    if len(others) >= MAX_LINES:
        raise ValueError(f"there are {MAX_LINES} lines already; remove one")
    return tuple(sorted([*others, added], key=lambda line: line.wave))


def lines_of(text: str) -> tuple[tuple[CustomLine, ...], list[str]]:
    """Return the lines that a URL value names, and one sentence's end for each entry that is wrong.

    Parameters
    ----------
    text : str
        ``5303.0,4472.7:He I``: rest-frame vacuum wavelengths in angstrom with names or without.

    Examples
    --------
    >>> lines_of("5303.0,blue")[1]
    ['“blue” is no wavelength in Å like 5303.0']
    """
    found: tuple[CustomLine, ...] = ()
    problems = []
    for entry in filter(None, text.split(",")):
        wave, _, name = entry.partition(":")
        try:
            try:
                value = float(wave)
            except ValueError:
                raise ValueError(f"“{entry[:20]}” is no wavelength in Å like 5303.0") from None
            found = with_line(found, custom_line(value, "vacuum", 0.0, name))
        except ValueError as error:
            problems.append(str(error))
    return found, problems


def lines_text(lines: Sequence[CustomLine]) -> str:
    """Write lines as the URL does.

    Examples
    --------
    >>> lines_text([CustomLine(4472.73, "He I"), CustomLine(5303.0)])
    '4472.73:He I,5303.0'
    """
    return ",".join(f"{line.wave!r}{':' if line.name else ''}{line.name}" for line in lines)

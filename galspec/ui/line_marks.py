"""Which spectral lines are marked in a window, and where their names fit."""

import dataclasses
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from galspec.core.lines import LINES, SKY_LINES, SpectralLine

LineChoice = Literal["major", "all", "none"]
#: Width that the labels are laid out for; a wider plot only has more room.
_PLOT_WIDTH_PX: Final = 780.0
_CHARACTER_PX: Final = 5.0
_MIN_GAP_PX: Final = 4.0
#: Lines of one name closer than this many plot pixels share a label.
_MERGE_PX: Final = 40.0
#: The Hα region alone needs two: [N II] lies on both sides of Hα.
N_ROWS: Final = 2


@dataclasses.dataclass(frozen=True)
class LineLabel:
    """A name in the plot.

    Parameters
    ----------
    text : str
    wave : float
        Rest-frame vacuum wavelength in angstrom of its centre.
    row : int
        0 is nearest to the edge of the panel.
    lines : tuple of SpectralLine
        The lines it names.
    is_absorption : bool
        Named at the bottom of the panel, not at its top.
    """

    text: str
    wave: float
    row: int
    lines: tuple[SpectralLine, ...]
    is_absorption: bool


def lines_in_window(
    choice: LineChoice,
    window: tuple[float, float],
    redshift: float = 0.0,
    custom: Sequence[SpectralLine] = (),
) -> list[SpectralLine]:
    """Return the lines to mark, by rest wavelength.

    Parameters
    ----------
    choice : str
        major; all, with the lines of the night sky; none.
    window : (float, float)
        Rest-frame wavelengths in angstrom.
    redshift : float
        For sky lines, whose observed wavelengths are fixed: at rest they lie at their wavelength over 1 + z.
    custom : sequence of SpectralLine
        Lines of the reader's.
    """
    if choice == "none":
        return []
    chosen = [*(line for line in LINES if choice == "all" or line.is_major), *custom]
    if choice == "all":
        chosen += [dataclasses.replace(line, wave_vac=line.wave_vac / (1.0 + redshift)) for line in SKY_LINES]
    inside = [line for line in chosen if window[0] <= line.wave_vac <= window[1]]
    return sorted(inside, key=lambda line: line.wave_vac)


def place_labels(lines: list[SpectralLine], window: tuple[float, float]) -> list[LineLabel]:
    """Lay out the names in two rows; a name that fits into neither is left out (its line is still marked).

    The reader's own lines are named first, the others where there is room, from left to right.
    """
    px_per_angstrom = _PLOT_WIDTH_PX / (window[1] - window[0])
    placed: list[LineLabel] = []
    for is_absorption in (False, True):
        taken: list[list[tuple[float, float]]] = [[] for _ in range(N_ROWS)]
        mine = [line for line in lines if (line.kind == "absorption") == is_absorption]
        own = [line for line in mine if line.kind == "custom"]
        others = [line for line in mine if line.kind != "custom"]
        for group in [*_groups(own, px_per_angstrom), *_groups(others, px_per_angstrom)]:
            wave = float(np.mean([line.wave_vac for line in group]))
            half = len(group[0].label) * _CHARACTER_PX / 2.0
            centre = (wave - window[0]) * px_per_angstrom
            span = (centre - half, centre + half)
            row = next((row for row in range(N_ROWS) if _is_free(span, taken[row])), None)
            if row is not None:
                taken[row].append(span)
                placed.append(LineLabel(group[0].label, wave, row, tuple(group), is_absorption))
    return placed


def _is_free(span: tuple[float, float], taken: list[tuple[float, float]]) -> bool:
    return all(span[1] + _MIN_GAP_PX <= low or span[0] >= high + _MIN_GAP_PX for low, high in taken)


def _groups(lines: list[SpectralLine], px_per_angstrom: float) -> list[list[SpectralLine]]:
    groups: list[list[SpectralLine]] = []
    for line in lines:
        last = groups[-1] if groups else []
        is_near = bool(last) and (line.wave_vac - last[-1].wave_vac) * px_per_angstrom < _MERGE_PX
        if is_near and last[-1].label == line.label:
            last.append(line)
        else:
            groups.append([line])
    return groups

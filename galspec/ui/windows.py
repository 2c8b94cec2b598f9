"""Wavelength windows of the spectrum plot: presets, and any interval in angstrom."""

from typing import Final

from galspec.core.wavelength import wave_edges

Window = tuple[float, float]

_FULL: Final = (float(wave_edges()[0]), float(wave_edges()[-1]))
MIN_WIDTH: Final = 40.0

#: key in the URL -> (label, rest-frame window in angstrom)
PRESETS: Final[dict[str, tuple[str, Window]]] = {
    "full": ("Full", _FULL),
    "oii": ("[O II] + 4000 Å", (3650.0, 4200.0)),
    "hb": ("Hβ + [O III]", (4780.0, 5080.0)),
    "mgb": ("Mg b", (5050.0, 5330.0)),
    "nad": ("Na D", (5780.0, 6010.0)),
    "ha": ("Hα + [N II] + [S II]", (6460.0, 6820.0)),
}


def window_of(text: str) -> Window:
    """Return the window that a URL value names.

    Parameters
    ----------
    text : str
        A key of `PRESETS`, or two wavelengths: ``3700,4100``.

    Raises
    ------
    ValueError
        If it is neither; the message says what is allowed.

    Examples
    --------
    >>> window_of("3700,4100")
    (3700.0, 4100.0)
    """
    if text in PRESETS:
        return PRESETS[text][1]
    parts = text.split(",")
    try:
        low, high = sorted(float(part) for part in parts)
    except ValueError:
        names = ", ".join(PRESETS)
        raise ValueError(f"“{text[:40]}” is neither one of {names} nor two wavelengths like 3700,4100") from None
    return fit_window(low, high)


def fit_window(low: float, high: float) -> Window:
    """Move a window into the grid and widen it to at least 40 angstrom.

    Raises
    ------
    ValueError
        If it does not overlap with the grid.
    """
    if not (high > _FULL[0] and low < _FULL[1]):
        raise ValueError(f"the window {low:g},{high:g} lies outside the grid, {_FULL[0]:.0f}-{_FULL[1]:.0f} Å")
    low, high = max(low, _FULL[0]), min(high, _FULL[1])
    if high - low < MIN_WIDTH:
        middle = min(max((low + high) / 2.0, _FULL[0] + MIN_WIDTH / 2.0), _FULL[1] - MIN_WIDTH / 2.0)
        low, high = middle - MIN_WIDTH / 2.0, middle + MIN_WIDTH / 2.0
    return low, high


def window_text(window: Window) -> str:
    """Write a window as the URL does: a preset's key, else two rounded wavelengths."""
    for key, (_, preset) in PRESETS.items():
        if window == preset:
            return key
    return f"{window[0]:.1f},{window[1]:.1f}"

"""Redshifts and frames of the spectrum plot: what stands still when the redshift changes, and what moves.

The survey's grid is rest-frame at the catalogue redshift z0, so an observed pixel was measured at the wavelength
grid (1 + z0), whatever redshift is tried. The prediction is a shape in the rest frame. At a trial redshift z a pixel
therefore lies at grid (1 + z0) / (1 + z) in the rest frame, where models and lines stand still; in the observed frame
the pixels stand still, and models and lines move with 1 + z.
"""

import dataclasses
import math
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FrameKind = Literal["rest", "obs"]
FRAMES: Final[tuple[FrameKind, ...]] = ("rest", "obs")
C_KMS: Final = 299_792.458
#: Of a redshift that can be tried: blueshifted stars to the farthest galaxies known, with room.
REDSHIFT_LIMITS: Final = (-0.01, 15.0)
_DECIMALS: Final = 9
_MIN_DECIMALS: Final = 5


@dataclasses.dataclass(frozen=True)
class Frame:
    """The wavelength axis of a plot.

    Parameters
    ----------
    catalog_z : float
        Redshift that the survey's grid is at rest for.
    z : float
        Redshift in use, larger than -1; a trial if it differs.
    kind : str
        Frame of the axis: rest or obs.
    """

    catalog_z: float
    z: float
    kind: FrameKind = "rest"

    @classmethod
    def of_catalog(cls, catalog_z: float) -> "Frame":
        """Return the rest frame at the catalogue's redshift."""
        return cls(catalog_z, catalog_z)

    @property
    def is_trial(self) -> bool:
        """True if the redshift is not the catalogue's."""
        return self.z != self.catalog_z

    @property
    def is_rest(self) -> bool:
        """True if the axis is rest-frame."""
        return self.kind == "rest"

    @property
    def shift(self) -> float:
        """Rest wavelength of an observed pixel at this redshift over that at the catalogue's: (1 + z0) / (1 + z)."""
        return (1.0 + self.catalog_z) / (1.0 + self.z)

    @property
    def scale(self) -> float:
        """Wavelength on the axis over rest wavelength at this redshift: 1, or 1 + z."""
        return 1.0 if self.is_rest else 1.0 + self.z

    @property
    def velocity_kms(self) -> float:
        """Velocity of this redshift in the frame of the catalogue's, c (z - z0) / (1 + z0), km/s."""
        return C_KMS * (self.z - self.catalog_z) / (1.0 + self.catalog_z)

    def of_rest(self, wave: ArrayLike) -> NDArray[np.float64]:
        """Return where rest wavelengths of models and lines lie on the axis, angstrom, same shape."""
        return np.asarray(wave, np.float64) * self.scale

    def of_pixels(self, grid: ArrayLike) -> NDArray[np.float64]:
        """Return where observed pixels lie on the axis, angstrom, same shape.

        Parameters
        ----------
        grid : array_like
            Their wavelengths on the survey's grid: rest-frame at the catalogue's redshift.
        """
        return np.asarray(grid, np.float64) * (self.shift * self.scale)

    def window(self, rest: tuple[float, float]) -> tuple[float, float]:
        """Return a rest-frame window as it stands on the axis, angstrom."""
        return rest[0] * self.scale, rest[1] * self.scale

    def other_window(self, rest: tuple[float, float]) -> tuple[float, float]:
        """Return a rest-frame window in the other frame, angstrom."""
        factor = 1.0 + self.z if self.is_rest else 1.0
        return rest[0] * factor, rest[1] * factor

    def to_rest(self, shown: float) -> float:
        """Return the rest wavelength at this redshift of a place on the axis, angstrom."""
        return shown / self.scale


def checked_redshift(value: float) -> float:
    """Return a redshift without the last digits of floating point.

    Raises
    ------
    ValueError
        If it lies outside `REDSHIFT_LIMITS` or is not finite; the message ends a sentence.
    """
    low, high = REDSHIFT_LIMITS
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"z = {value:.6g} lies outside {low:g} to {high:g}".replace("-", "−"))
    return round(value, _DECIMALS)


def redshift_of(text: str) -> float:
    """Return the redshift that a URL value names.

    Raises
    ------
    ValueError
        If it is no number or outside `REDSHIFT_LIMITS`.

    Examples
    --------
    >>> redshift_of("0.0832145")
    0.0832145
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"“{text[:20]}” is no redshift like 0.08321") from None
    return checked_redshift(value)


def redshift_text(z: float) -> str:
    """Write a redshift with all its digits and at least five decimals.

    Examples
    --------
    >>> redshift_text(0.05), redshift_text(0.0832145)
    ('0.05000', '0.0832145')
    """
    whole, decimals = f"{z:.{_DECIMALS}f}".split(".")
    return f"{whole}.{decimals.rstrip('0').ljust(_MIN_DECIMALS, '0')}"


def redshift_of_feature(observed: float, rest: float) -> float:
    """Return the redshift at which a line is observed at a wavelength.

    Parameters
    ----------
    observed, rest : float
        Vacuum wavelengths in angstrom.

    Raises
    ------
    ValueError
        If it lies outside `REDSHIFT_LIMITS`.

    Examples
    --------
    >>> redshift_of_feature(6899.8, 6564.61)
    0.051060154
    """
    return checked_redshift(observed / rest - 1.0)

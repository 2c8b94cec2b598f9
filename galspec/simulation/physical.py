"""What the image and the spectrum of a simulated galaxy share: its drawn physical state."""

import dataclasses
from typing import Literal

GalaxyClass = Literal["SF", "GV", "Q", "PSB"]
AgnClass = Literal["none", "seyfert", "liner"]


@dataclasses.dataclass(frozen=True)
class Physical:
    """The physical state that decides what a galaxy looks like.

    Parameters
    ----------
    log_mass : float
        log10 of the stellar mass in solar masses.
    redshift : float
        Cosmological redshift.
    galaxy_class : str
        "SF" (star forming), "GV" (green valley), "Q" (quiescent) or "PSB" (post-starburst).
    early : float
        Early-typeness, 0 (latest spiral) to 1 (earliest).
    agn : str
        "none", "seyfert" or "liner" (LINER-like emission of old stars included).
    kpc_per_arcsec : float
        Proper transverse size of one arcsecond, kpc.
    is_merger : bool
        Drawn as a merger, with tidal arcs.
    """

    log_mass: float
    redshift: float
    galaxy_class: GalaxyClass
    early: float
    agn: AgnClass
    kpc_per_arcsec: float
    is_merger: bool

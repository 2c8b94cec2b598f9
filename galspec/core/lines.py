"""The line table: named by air wavelength, valued in vacuum (angstrom, rest frame).

Emission lines: NIST air wavelengths as listed by the DESI prospect viewer, converted with
Morton (2000); the values agree with the SDSS vacuum list to 0.01 angstrom. Blends (`is_blend`)
carry a flux-weighted mean and are exempt from the Morton test.
"""

import dataclasses
from typing import Final, Literal

LineKind = Literal["balmer", "forbidden", "helium", "absorption", "sky", "custom"]


@dataclasses.dataclass(frozen=True)
class SpectralLine:
    """One marker of the line table.

    Parameters
    ----------
    name : str
        Name in the field's notation, by air wavelength: "[OIII]5007".
    label : str
        Short text for plots: "[O III]".
    wave_vac : float
        Vacuum wavelength in angstrom: rest frame, but observed frame for sky lines.
    wave_air : float
        Wavelength in air in angstrom, the value the name is made from.
    kind : str
        One of balmer, forbidden, helium, absorption, sky, custom (not of the table).
    is_major : bool
        Drawn by default.
    is_blend : bool
        The value is the mean of a blend, not one transition.
    """

    name: str
    label: str
    wave_vac: float
    wave_air: float
    kind: LineKind
    is_major: bool = False
    is_blend: bool = False


LINES: Final = (
    SpectralLine("[NeV]3426", "[Ne V]", 3426.85, 3425.87, "forbidden"),
    SpectralLine("[OII]3726", "[O II]", 3727.09, 3726.03, "forbidden", is_major=True),
    SpectralLine("[OII]3729", "[O II]", 3729.88, 3728.82, "forbidden", is_major=True),
    SpectralLine("[NeIII]3869", "[Ne III]", 3869.86, 3868.76, "forbidden"),
    SpectralLine("H8+HeI3889", "H8", 3890.0, 3888.9, "balmer", is_blend=True),
    SpectralLine("CaK3934", "K", 3934.78, 3933.66, "absorption", is_major=True),
    SpectralLine("CaH3968", "H", 3969.59, 3968.47, "absorption", is_major=True),
    SpectralLine("Hepsilon", "Hε", 3971.20, 3970.07, "balmer"),
    SpectralLine("Hdelta", "Hδ", 4102.89, 4101.73, "balmer", is_major=True),
    SpectralLine("Gband", "G", 4305.61, 4304.40, "absorption"),
    SpectralLine("Hgamma", "Hγ", 4341.68, 4340.46, "balmer", is_major=True),
    SpectralLine("[OIII]4363", "[O III]", 4364.44, 4363.21, "forbidden"),
    SpectralLine("HeII4686", "He II", 4686.99, 4685.68, "helium"),
    SpectralLine("Hbeta", "Hβ", 4862.68, 4861.32, "balmer", is_major=True),
    SpectralLine("[OIII]4959", "[O III]", 4960.30, 4958.91, "forbidden", is_major=True),
    SpectralLine("[OIII]5007", "[O III]", 5008.24, 5006.84, "forbidden", is_major=True),
    SpectralLine("Mgb5167", "Mg b", 5168.76, 5167.32, "absorption", is_major=True),
    SpectralLine("Mgb5173", "Mg b", 5174.13, 5172.69, "absorption", is_major=True),
    SpectralLine("Mgb5184", "Mg b", 5185.05, 5183.61, "absorption", is_major=True),
    SpectralLine("HeI5876", "He I", 5877.31, 5875.68, "helium", is_blend=True),
    SpectralLine("NaD5890", "Na D", 5891.58, 5889.95, "absorption", is_major=True),
    SpectralLine("NaD5896", "Na D", 5897.56, 5895.93, "absorption", is_major=True),
    SpectralLine("[OI]6300", "[O I]", 6302.05, 6300.31, "forbidden"),
    SpectralLine("[NII]6548", "[N II]", 6549.86, 6548.05, "forbidden", is_major=True),
    SpectralLine("Halpha", "Hα", 6564.61, 6562.80, "balmer", is_major=True),
    SpectralLine("[NII]6583", "[N II]", 6585.27, 6583.45, "forbidden", is_major=True),
    SpectralLine("[SII]6716", "[S II]", 6718.29, 6716.44, "forbidden", is_major=True),
    SpectralLine("[SII]6731", "[S II]", 6732.68, 6730.82, "forbidden", is_major=True),
    SpectralLine("[ArIII]7136", "[Ar III]", 7137.76, 7135.79, "forbidden"),
)

#: Airglow and street-lamp lines, observed frame: never redshifted.
SKY_LINES: Final = (
    SpectralLine("sky5577", "sky", 5578.89, 5577.34, "sky", is_major=True),
    SpectralLine("skyNaD", "sky", 5894.57, 5892.94, "sky", is_blend=True),
    SpectralLine("sky6300", "sky", 6302.05, 6300.31, "sky"),
    SpectralLine("sky6364", "sky", 6365.54, 6363.78, "sky"),
)

#: Emission lines that are measured, in order of wavelength; the [OII] doublet is one line at this resolution.
MEASURED_LINES: Final = (
    "[OII]3727",
    "Hdelta",
    "Hgamma",
    "Hbeta",
    "[OIII]4959",
    "[OIII]5007",
    "[OI]6300",
    "[NII]6548",
    "Halpha",
    "[NII]6583",
    "[SII]6716",
    "[SII]6731",
)


def line_flux_column(name: str) -> str:
    """Return the catalogue column of a measured line's true flux: "flux_oiii5007_true" for "[OIII]5007"."""
    return f"flux_{name.lower().replace('[', '').replace(']', '')}_true"


_BY_NAME = {line.name: line for line in (*LINES, *SKY_LINES)}


def line_by_name(name: str) -> SpectralLine:
    """Return the line called ``name``.

    Raises
    ------
    KeyError
        If the table has no such line; the message lists the names.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise KeyError(f"no line called {name!r}; the table has {', '.join(sorted(_BY_NAME))}") from None

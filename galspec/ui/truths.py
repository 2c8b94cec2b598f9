"""What the catalogue says of a galaxy, as rows of quantity, value and unit."""

from collections.abc import Callable
from typing import Any, Final

import pandas as pd

from galspec.core.bands import BANDS
from galspec.ui.labels import class_word, number


def _word(column: str) -> Callable[[Any], str]:
    return lambda value: class_word(column, value)


def _digits(digits: int, signed: bool = False) -> Callable[[Any], str]:
    return lambda value: number(float(value), digits, signed)


#: (column, name, unit, how to write it); columns that a survey lacks are left out.
CLASSES: Final = (
    ("galaxy_class", "Galaxy class", "", _word("galaxy_class")),
    ("agn_class", "AGN class", "", _word("agn_class")),
    ("bpt_class", "BPT class of the fibre spectrum", "", _word("bpt_class")),
    ("split", "Split", "", str),
    ("log_mass", "Stellar mass, log10", "M☉", _digits(2)),
    ("sfr", "Star formation rate", "M☉ / yr", _digits(3)),
    ("log_ssfr", "Specific star formation rate, log10", "1 / yr", _digits(2)),
    ("a_v", "Dust attenuation A_V of the stars", "mag", _digits(2)),
    ("dn4000_true", "Dn4000 (3850–3950, 4000–4100 Å)", "", _digits(2)),
    ("ew_ha_true", "EW(Hα), emission positive", "Å", _digits(1)),
    ("log_n2", "log10([N II] 6583 / Hα)", "", _digits(2, signed=True)),
    ("log_o3", "log10([O III] 5007 / Hβ)", "", _digits(2, signed=True)),
)
OBSERVATION: Final = (
    ("ra_deg", "Right ascension, ICRS", "deg", _digits(5)),
    ("dec_deg", "Declination, ICRS", "deg", _digits(5, signed=True)),
    ("redshift", "Redshift", "", _digits(5)),
    ("snr_median", "Median S/N of the spectrum", "per pixel", _digits(1)),
    ("fibre_fraction_r", "Share of the r flux inside the fibre", "", _digits(2)),
    *((f"mag_{band}", f"{band}, total", "mag (AB)", _digits(2)) for band in BANDS),
    *((f"apmag_{band}", f"{band}, 3″ aperture", "mag (AB)", _digits(2)) for band in BANDS),
)


def truth_table(values: dict[str, Any], rows: tuple[tuple[str, str, str, Callable[[Any], str]], ...]) -> pd.DataFrame:
    """Return a table of what is known.

    Parameters
    ----------
    values : dict
        One row of the catalogue.
    rows : tuple
        `CLASSES` or `OBSERVATION`.

    Returns
    -------
    DataFrame
        Columns Quantity, Value, Unit; all text.
    """
    known = [(name, write(values[column]), unit) for column, name, unit, write in rows if column in values]
    return pd.DataFrame(known, columns=["Quantity", "Value", "Unit"])

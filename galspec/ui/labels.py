"""Names of classes in words and numbers as text: one place, so that all pages write them alike."""

import math
from typing import Final

#: Codes of the catalogue in words, by column.
CLASS_WORDS: Final = {
    "galaxy_class": {"SF": "star-forming", "GV": "green valley", "Q": "quiescent", "PSB": "post-starburst"},
    "agn_class": {"none": "no AGN", "seyfert": "Seyfert", "liner": "LINER-like"},
    "bpt_class": {
        "star-forming": "star-forming",
        "composite": "composite",
        "agn": "AGN",
        "none": "no lines to classify",
    },
    "verdict": {"given": "given", "none": "none yet"},
}


def class_word(column: str, code: object) -> str:
    """Return a class in words; an unknown code is returned as it is.

    Examples
    --------
    >>> class_word("galaxy_class", "GV")
    'green valley'
    """
    return CLASS_WORDS.get(column, {}).get(str(code), str(code))


def number(value: float, digits: int, signed: bool = False) -> str:
    """Write a number with a real minus sign; "not defined" for NaN.

    Examples
    --------
    >>> number(-0.5, 2)
    '−0.50'
    """
    if not math.isfinite(value):
        return "not defined"
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")

"""Filters of the catalogue as text: ``class=SF,GV & z<=0.1``; the same text is in the URLs of Browse and Galaxy."""

import dataclasses
import math
import re
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Field:
    """A column that can be filtered.

    Parameters
    ----------
    name : str
        Its name in a query.
    column : str
        Its name in the catalogue.
    label : str
        Its name on the page.
    kind : str
        "class" or "range".
    step : float
        Step of a range's slider; its ends are rounded outward to it.
    """

    name: str
    column: str
    label: str
    kind: Literal["class", "range"]
    step: float = 0.0


FIELDS: Final = (
    Field("class", "galaxy_class", "Galaxy class", "class"),
    Field("agn", "agn_class", "AGN class", "class"),
    Field("bpt", "bpt_class", "BPT class", "class"),
    Field("z", "redshift", "Redshift z", "range", 0.01),
    Field("r", "mag_r", "r magnitude (AB, total)", "range", 0.1),
    Field("split", "split", "Split", "class"),
)
_FIELD_OF: Final = {field.name: field for field in FIELDS}

#: sort key in the URL -> (column, ascending, label)
SORTS: Final = {
    "": ("", True, "survey order"),
    "r": ("mag_r", True, "r, brightest first"),
    "-r": ("mag_r", False, "r, faintest first"),
    "z": ("redshift", True, "z, nearest first"),
    "-z": ("redshift", False, "z, farthest first"),
    "-snr": ("snr_median", False, "S/N of the spectrum, best first"),
    "-ew": ("ew_ha_true", False, "EW(Hα), strongest first"),
    "-mass": ("log_mass", False, "stellar mass, largest first"),
}

_TERM: Final = re.compile(r"\s*([a-z]+)\s*(<=|>=|=)\s*([^&]+?)\s*")


@dataclasses.dataclass(frozen=True)
class Query:
    """Which galaxies, in which order.

    Parameters
    ----------
    classes : dict of str to tuple of str
        Allowed values by field name; a field that is absent allows all.
    ranges : dict of str to (float, float)
        Inclusive limits by field name; infinite where open.
    sort : str
        A key of `SORTS`.
    """

    classes: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    sort: str = ""

    @property
    def text(self) -> str:
        """The filter as text; empty if it allows every galaxy."""
        terms = [f"{name}={','.join(values)}" for name, values in self.classes.items()]
        for name, (low, high) in self.ranges.items():
            terms += [f"{name}>={low:.6g}"] if math.isfinite(low) else []
            terms += [f"{name}<={high:.6g}"] if math.isfinite(high) else []
        return " & ".join(terms)

    @property
    def url(self) -> dict[str, str]:
        """The query parameters that reproduce it; defaults are left out."""
        return {name: value for name, value in (("q", self.text), ("sort", self.sort)) if value}

    def rows(self, catalog: pd.DataFrame) -> NDArray[np.int64]:
        """Return the rows that pass, in order.

        Terms on columns that the catalogue lacks are ignored; a missing value fails a range.
        """
        keep = np.ones(len(catalog), dtype=bool)
        for name, values in self.classes.items():
            column = _FIELD_OF[name].column
            if column in catalog:
                keep &= catalog[column].isin(values).to_numpy()
        for name, (low, high) in self.ranges.items():
            column = _FIELD_OF[name].column
            if column in catalog:
                keep &= catalog[column].between(low, high).to_numpy()
        rows = np.flatnonzero(keep)
        sort_column, is_ascending, _ = SORTS[self.sort]
        if sort_column not in catalog:
            return rows
        keys = catalog[sort_column].to_numpy(dtype=np.float64)[rows]
        # NaN sorts last either way, and equal values keep the survey's order.
        return rows[np.argsort(keys if is_ascending else -keys, kind="stable")]


def parse_query(text: str, sort: str = "") -> tuple[Query, list[str]]:
    """Parse a filter text; what cannot be understood is left out and reported.

    Parameters
    ----------
    text : str
        Terms joined by ``&``: ``class=SF,GV``, ``z>=0.02``, ``r<=17.2``. Nothing is evaluated.
    sort : str
        A key of `SORTS`.

    Returns
    -------
    query : Query
    problems : list of str
        One sentence for each term that was left out.

    Examples
    --------
    >>> parse_query("class=SF & z<=0.1")[0].text
    'class=SF & z<=0.1'
    """
    problems = []
    classes: dict[str, tuple[str, ...]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for term in filter(str.strip, text.split("&")):
        match = _TERM.fullmatch(term)
        problem = _add_term(match.groups(), classes, ranges) if match else "it is not of the form name=value"  # type: ignore[arg-type]
        if problem:
            problems.append(f"The filter term “{term.strip()[:60]}” is ignored: {problem}.")
    if sort not in SORTS:
        problems.append(f"The order “{sort[:60]}” is unknown; the survey's order is used.")
        sort = ""
    return Query(classes, ranges, sort), problems


def _add_term(
    term: tuple[str, str, str], classes: dict[str, tuple[str, ...]], ranges: dict[str, tuple[float, float]]
) -> str:
    """Add one term in place; return what is wrong with it, or an empty string."""
    name, operator, value = term
    field = _FIELD_OF.get(name)
    if field is None:
        return f"there is no field “{name}”; the fields are {', '.join(_FIELD_OF)}"
    if field.kind == "class":
        if operator != "=":
            return f"“{name}” is a class: write {name}=value"
        classes[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        return ""
    try:
        number = float(value)
    except ValueError:
        return f"“{value}” is not a number"
    if not math.isfinite(number) or operator == "=":
        return f"“{name}” is a range: write {name}>=number or {name}<=number"
    low, high = ranges.get(name, (-math.inf, math.inf))
    ranges[name] = (number, high) if operator == ">=" else (low, number)
    return ""

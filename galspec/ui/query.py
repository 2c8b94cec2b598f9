"""Filters of the catalogue as text: ``class=SF,GV & z<=0.1``; the same text is in the URLs of Browse and Galaxy.

Terms that the filter panel can show (classes, inclusive ranges of `FIELDS`) are kept as such; everything else of the
grammar in `galspec.core.filters` is kept as further terms. All terms must hold.
"""

import dataclasses
import math
import re
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.core.bands import BANDS
from galspec.core.errors import QueryError
from galspec.core.filters import (
    MAX_TEXT,
    Combination,
    Comparison,
    FilterField,
    Membership,
    Node,
    parse_filter,
    split_terms,
)


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


def _number(name: str, *columns: str, also: tuple[str, ...] = ()) -> FilterField:
    return FilterField((name, *also), "number", columns)


#: Everything that a filter text can name: `FIELDS`, and numbers without a place in the filter panel. Columns that come
#: with the scores of a model (`galspec.store.scores`) count where they were joined to the catalogue.
FILTER_FIELDS: Final = (
    *(FilterField((field.name,), "class" if field.kind == "class" else "number", (field.column,)) for field in FIELDS),
    *(
        FilterField((f"{blue}-{red}",), "number", (f"mag_{blue}",), minus=f"mag_{red}")
        for index, blue in enumerate(BANDS)
        for red in BANDS[index + 1 :]
    ),
    *(_number(f"mag_{band}", f"mag_{band}") for band in BANDS),
    _number("ew", "ew_ha_true", "ew_halpha", also=("ew(ha)", "ew(hα)", "ew(halpha)", "ew_ha")),
    _number("dn4000", "dn4000_true", "dn4000", also=("d4000", "dn(4000)")),
    _number("snr", "snr_median", also=("s/n",)),
    _number("mass", "log_mass", also=("log_mass",)),
    _number("sfr", "sfr"),
    _number("ssfr", "log_ssfr", also=("log_ssfr",)),
    _number("av", "a_v", also=("a_v",)),
    _number("n2", "log_n2", also=("log_n2",)),
    _number("o3", "log_o3", also=("log_o3",)),
    _number("ra", "ra_deg"),
    _number("dec", "dec_deg"),
    _number("err", "latent_rmse", also=("error",)),
    _number("flux_err", "rmse_to_vae"),
    _number("ratio", "rmse_ratio"),
    _number("chi2", "chi2_predicted"),
    _number("novelty", "novelty"),
    _number("p_novel", "p_novel"),
)

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
    "-err": ("latent_rmse", False, "error of the predicted latents, largest first"),
    "err": ("latent_rmse", True, "error of the predicted latents, smallest first"),
    "-ratio": ("rmse_ratio", False, "error of the spectrum over the VAE's, largest first"),
    "-novelty": ("novelty", False, "most unusual spectrum first"),
}

_RANDOM: Final = re.compile(r"random\((\d{1,9})\)", re.ASCII)


def random_sort(seed: int) -> str:
    """Return the sort key of a random order that a seed repeats."""
    return f"random({seed})"


def sort_label(sort: str) -> str:
    """Return the name of an order on the page.

    Examples
    --------
    >>> sort_label("random(7)")
    'random, seed 7'
    """
    drawn = _RANDOM.fullmatch(sort)
    return f"random, seed {int(drawn[1])}" if drawn else SORTS[sort][2]


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
        A key of `SORTS`, or "random(seed)".
    extra : tuple of Node
        Further terms: what the filter panel does not show.
    """

    classes: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    sort: str = ""
    extra: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        """The filter as text; empty if it allows every galaxy."""
        terms = [f"{name}={','.join(values)}" for name, values in self.classes.items()]
        for name, (low, high) in self.ranges.items():
            terms += [f"{name}>={low:.6g}"] if math.isfinite(low) else []
            terms += [f"{name}<={high:.6g}"] if math.isfinite(high) else []
        terms += [node.text for node in self.extra]
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
        for node in self.extra:
            if not node.missing(catalog):
                keep &= node.evaluate(catalog)[0]
        rows = np.flatnonzero(keep)
        drawn = _RANDOM.fullmatch(self.sort)
        if drawn:
            # Drawn for all rows, so that a filter leaves the order of the others as it is.
            return rows[np.argsort(np.random.default_rng(int(drawn[1])).random(len(catalog))[rows], kind="stable")]
        sort_column, is_ascending, _ = SORTS[self.sort]
        if sort_column not in catalog:
            return rows
        keys = catalog[sort_column].to_numpy(dtype=np.float64)[rows]
        # NaN sorts last either way, and equal values keep the survey's order.
        return rows[np.argsort(keys if is_ascending else -keys, kind="stable")]

    def ignored(self, catalog: pd.DataFrame) -> list[str]:
        """Say which terms, and which order, a catalogue cannot follow: one sentence each."""
        terms = {f"{name}={','.join(values)}": {name} for name, values in self.classes.items()}
        terms |= {Query(ranges={name: limits}).text: {name} for name, limits in self.ranges.items()}
        lacking = {text: names for text, names in terms.items() if _FIELD_OF[min(names)].column not in catalog}
        lacking |= {node.text: names for node in self.extra if (names := node.missing(catalog))}
        problems = [
            f"The filter term “{text}” is ignored: the survey, or the scores of the model in use, lack "
            f"{', '.join(sorted(names))}."
            for text, names in lacking.items()
        ]
        column = "" if _RANDOM.fullmatch(self.sort) else SORTS[self.sort][0]
        if column and column not in catalog:
            problems.append(f"The order “{sort_label(self.sort)}” is ignored: there is no {column} here.")
        return problems


def parse_query(text: str, sort: str = "") -> tuple[Query, list[str]]:
    """Parse a filter text; what cannot be understood is left out and reported.

    Parameters
    ----------
    text : str
        Terms joined by ``&``: ``class=SF,GV``, ``z>=0.02``, ``0.1<g-r<0.8``, ``not (err>1 | novelty>2)``,
        ``cone(187.706,+12.391,1 arcmin)``; the grammar is that of `galspec.core.filters`. Nothing is evaluated.
        Terms that narrow the same class or range twice must both hold.
    sort : str
        A key of `SORTS`, or "random(seed)".

    Returns
    -------
    query : Query
    problems : list of str
        One sentence for each term that was left out, with the place of the mistake and what was expected there.

    Examples
    --------
    >>> parse_query("class=SF & z<=0.1")[0].text
    'class=SF & z<=0.1'
    """
    problems: list[str] = []
    nodes: list[Node] = []
    if len(text) > MAX_TEXT:
        problems.append(f"The filter is ignored: it has {len(text):,} characters, and {MAX_TEXT:,} fit into a link.")
        text = ""
    for start, term in split_terms(text):
        try:
            nodes.append(parse_filter(term, FILTER_FIELDS, start))
        except QueryError as error:
            problems.append(f"The filter term “{term.strip()[:60]}” is ignored: {error}.")
    if sort not in SORTS and not _RANDOM.fullmatch(sort):
        problems.append(f"The order “{sort[:60]}” is unknown; the survey's order is used.")
        sort = ""
    return _sorted_out(nodes, sort), problems


def _sorted_out(nodes: list[Node], sort: str) -> Query:
    """Divide terms into what the filter panel shows and the rest."""
    query = Query(sort=sort)
    extra: list[Node] = []
    for node in nodes:
        parts = node.parts if isinstance(node, Combination) and node.symbol == "&" else (node,)
        extra += [part for part in parts if not _show_in_panel(part, query)]
    return dataclasses.replace(query, extra=tuple(extra))


def _show_in_panel(node: Node, query: Query) -> bool:
    """Add a term to the classes and ranges of a query if it is of that kind."""
    if not isinstance(node, Membership | Comparison) or node.field.name not in _FIELD_OF:
        return False
    name = node.field.name
    if isinstance(node, Membership):
        if node.is_negated or name in query.classes:
            return False
        query.classes[name] = node.values
        return True
    if node.operator not in {"<=", ">="}:
        return False
    low, high = query.ranges.get(name, (-math.inf, math.inf))
    is_low = node.operator == ">="
    query.ranges[name] = (max(low, node.value), high) if is_low else (low, min(high, node.value))
    return True

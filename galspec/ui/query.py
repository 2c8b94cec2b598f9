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
from galspec.core.coordinates import separation_arcsec
from galspec.core.errors import QueryError
from galspec.core.filters import (
    MAX_TEXT,
    Combination,
    Comparison,
    Cone,
    FilterField,
    Listed,
    Membership,
    Node,
    parse_filter,
    parts_of,
    split_terms,
)
from galspec.store.id_lists import ids_of_list
from galspec.ui.labels import CLASS_WORDS


@dataclasses.dataclass(frozen=True)
class Field:
    """What the filter panel shows of a field of the grammar.

    Parameters
    ----------
    name : str
        Its name in a query.
    label : str
        Its name on the page.
    kind : str
        "class" or "range".
    step : float
        Step of a range's slider; its ends are rounded outward to it.
    is_common : bool
        Shown at once, not under "More filters".
    is_skewed : bool
        The slider spans the 0.5-99.5 percentiles; its ends let everything beyond pass.
    """

    name: str
    label: str
    kind: Literal["class", "range"]
    step: float = 0.0
    is_common: bool = True
    is_skewed: bool = False

    @property
    def filter_field(self) -> FilterField:
        """The same in the grammar."""
        return FIELD_BY_NAME[self.name]

    def column_in(self, catalog: pd.DataFrame) -> str | None:
        """Return the column that holds it, or None."""
        return self.filter_field.column_in(catalog)


def _class(name: str, column: str) -> FilterField:
    return FilterField((name,), "class", (column,))


def _number(name: str, *columns: str, also: tuple[str, ...] = ()) -> FilterField:
    return FilterField((name, *also), "number", columns)


#: Everything that a filter text can name. Columns that come with the scores of a model (`galspec.store.scores`) or
#: with verdicts count where they were joined to the catalogue (`galspec.ui.scored_catalog`).
FILTER_FIELDS: Final = (
    _class("class", "galaxy_class"),
    _class("agn", "agn_class"),
    _class("bpt", "bpt_class"),
    _class("split", "split"),
    _class("verdict", "verdict"),
    _class("id", "id"),
    FilterField(("list",), "list", ("id",), lookup=ids_of_list),
    _number("z", "redshift"),
    _number("r", "mag_r"),
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
    _number("score", "verdict_score"),
)
FIELD_BY_NAME: Final = {field.name: field for field in FILTER_FIELDS}

FIELDS: Final = (
    Field("class", "Galaxy class", "class"),
    Field("agn", "AGN class", "class", is_common=False),
    Field("bpt", "BPT class", "class"),
    Field("split", "Split", "class"),
    Field("verdict", "My verdict", "class"),
    Field("z", "Redshift z", "range", 0.01),
    Field("r", "r magnitude (AB, total)", "range", 0.1),
    Field("g-r", "g − r (mag, total)", "range", 0.05, is_skewed=True),
    Field("err", "Error of predicted latents (σ)", "range", 0.1, is_skewed=True),
    Field("novelty", "Novelty (1 = rarest 1 %)", "range", 0.1, is_skewed=True),
    Field("ew", "EW(Hα), rest frame (Å)", "range", 1.0, is_common=False, is_skewed=True),
    Field("dn4000", "Dn4000", "range", 0.05, is_common=False, is_skewed=True),
    Field("snr", "S/N of the spectrum, median per pixel", "range", 1.0, is_common=False, is_skewed=True),
)
_PANEL: Final = {field.name: field for field in FIELDS}

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
    "-err": ("latent_rmse", False, "prediction error, largest first"),
    "err": ("latent_rmse", True, "prediction error, smallest first"),
    "-ratio": ("rmse_ratio", False, "spectrum error ÷ VAE's, largest first"),
    "-novelty": ("novelty", False, "most unusual spectrum first"),
    "new": ("has_verdict", True, "without verdict first"),
    "-score": ("verdict_score", False, "my score, highest first"),
    "sep": ("", True, "distance from the position"),
}
#: What "similar" can mean: name in the URL -> (columns of the vectors, words).
LIKENESS: Final = {
    "latents": (re.compile(r"latent_\d+"), "predicted spectrum"),
    "image": (re.compile(r"embedding_\d+"), "image as the network sees it"),
}

_RANDOM: Final = re.compile(r"random\((\d{1,9})\)", re.ASCII)
#: Longest id in a sort key.
MAX_LIKE_ID: Final = 200
_LIKE: Final = re.compile(rf"like\((.{{1,{MAX_LIKE_ID}}}),({'|'.join(LIKENESS)})\)", re.DOTALL)


def random_sort(seed: int) -> str:
    """Return the sort key of a random order that a seed repeats."""
    return f"random({seed})"


def seed_of(sort: str) -> int | None:
    """Return the seed of a random order, or None if it is another one."""
    drawn = _RANDOM.fullmatch(sort)
    return int(drawn[1]) if drawn else None


def like_sort(galaxy_id: str, by: str) -> str:
    """Return the sort key of the order by likeness to a galaxy; by: a key of `LIKENESS`."""
    return f"like({galaxy_id},{by})"


def like_of(sort: str) -> tuple[str, str] | None:
    """Return the galaxy and the kind of likeness of a sort key, or None.

    Examples
    --------
    >>> like_of("like(sim1-12,image)")
    ('sim1-12', 'image')
    """
    match = _LIKE.fullmatch(sort)
    return (match[1], match[2]) if match else None


def is_sort(sort: str) -> bool:
    """Return True if a text is a sort key."""
    return sort in SORTS or seed_of(sort) is not None or like_of(sort) is not None


def sort_label(sort: str) -> str:
    """Return the name of an order on the page.

    Examples
    --------
    >>> sort_label("random(7)")
    'random, seed 7'
    """
    seed, like = seed_of(sort), like_of(sort)
    if seed is not None:
        return f"random, seed {seed}"
    return f"most like {like[0]}: {LIKENESS[like[1]][1]}" if like else SORTS[sort][2]


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
        A key of `SORTS`, "random(seed)" or "like(id,latents)".
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
            terms += [f"{name}>={low:.10g}"] if math.isfinite(low) else []
            terms += [f"{name}<={high:.10g}"] if math.isfinite(high) else []
        terms += [node.text for node in self.extra]
        return " & ".join(terms)

    @property
    def url(self) -> dict[str, str]:
        """The query parameters that reproduce it; defaults are left out."""
        return {name: value for name, value in (("q", self.text), ("sort", self.sort)) if value}

    @property
    def cone(self) -> Cone | None:
        """The first cone that every galaxy must lie in, or None."""
        return next((node for node in self.extra if isinstance(node, Cone)), None)

    @property
    def lists(self) -> list[Listed]:
        """The stored lists that it names."""
        return [part for node in self.extra for part in parts_of(node) if isinstance(part, Listed)]

    def rows(self, catalog: pd.DataFrame) -> NDArray[np.int64]:
        """Return the rows that pass, in order.

        Terms on columns that the catalogue lacks are ignored; a missing value fails a range.
        """
        keep = np.ones(len(catalog), dtype=bool)
        for name, values in self.classes.items():
            column = FIELD_BY_NAME[name].column_in(catalog)
            if column:
                keep &= catalog[column].isin(values).to_numpy()
        for name, (low, high) in self.ranges.items():
            field = FIELD_BY_NAME[name]
            if field.column_in(catalog):
                numbers = field.numbers(catalog)
                keep &= (numbers >= low) & (numbers <= high)
        for node in self.extra:
            if not node.missing(catalog):
                keep &= node.evaluate(catalog)[0]
        rows = np.flatnonzero(keep)
        keys = self._keys(catalog)
        # NaN sorts last, and equal values keep the survey's order.
        return rows if keys is None else rows[np.argsort(keys[rows], kind="stable")]

    def can_sort(self, catalog: pd.DataFrame) -> bool:
        """Return True if the catalogue has what galaxies are to be sorted by."""
        if self.sort == "sep":
            return self.cone is not None
        column = SORTS[self.sort][0] if self.sort in SORTS else ""
        return not column or column in catalog

    def _keys(self, catalog: pd.DataFrame) -> NDArray[np.float64] | None:
        """Return what galaxies are sorted by, smallest first; None for the survey's order."""
        seed, like = seed_of(self.sort), like_of(self.sort)
        if seed is not None:
            # Drawn for all rows, so that a filter leaves the order of the others as it is.
            return np.random.default_rng(seed).random(len(catalog))
        if like:
            return likeness_distance(catalog, *like)
        if self.sort == "sep":
            return self.separation_arcsec(catalog)
        column, is_ascending, _ = SORTS[self.sort]
        if column not in catalog:
            return None
        keys = catalog[column].to_numpy(dtype=np.float64)
        return keys if is_ascending else -keys

    def separation_arcsec(self, catalog: pd.DataFrame) -> NDArray[np.float64] | None:
        """Return the distance of every galaxy from the middle of the cone, arcsec; None without one."""
        cone = self.cone
        if cone is None or cone.missing(catalog):
            return None
        return separation_arcsec(
            cone.position.ra_deg, cone.position.dec_deg, catalog["ra_deg"].to_numpy(), catalog["dec_deg"].to_numpy()
        )

    def ignored(self, catalog: pd.DataFrame) -> list[str]:
        """Say which terms, and which order, a catalogue cannot follow: one sentence each."""
        terms = {f"{name}={','.join(values)}": {name} for name, values in self.classes.items()}
        terms |= {Query(ranges={name: limits}).text: {name} for name, limits in self.ranges.items()}
        lacking = {text: names for text, names in terms.items() if not FIELD_BY_NAME[min(names)].column_in(catalog)}
        lacking |= {node.text: names for node in self.extra if (names := node.missing(catalog))}
        problems = [
            f"The filter term “{text}” is ignored: the survey, the scores of the model in use, or this machine lack "
            f"{', '.join(sorted(names))}."
            for text, names in lacking.items()
        ]
        return problems + self._unknown_values(catalog) + self._ignored_order(catalog)

    def _unknown_values(self, catalog: pd.DataFrame) -> list[str]:
        """Name the values of classes that neither a galaxy here nor galspec knows: no galaxy can have them."""
        asked = [(FIELD_BY_NAME[name], values) for name, values in self.classes.items()]
        asked += [
            (part.field, part.values)
            for node in self.extra
            for part in parts_of(node)
            if isinstance(part, Membership) and part.field.name in _PANEL
        ]
        problems = []
        for field, values in asked:
            column = field.column_in(catalog)
            if not column:
                continue
            known = {*map(str, catalog[column].dropna().unique()), *CLASS_WORDS.get(column, {})}
            unknown = [f"“{value[:40]}”" for value in values if value not in known]
            if unknown:
                problems.append(
                    f"No galaxy can have {', '.join(unknown[:3])} as its “{field.name}”: the values are "
                    f"{', '.join(sorted(known))}."
                )
        return problems

    def _ignored_order(self, catalog: pd.DataFrame) -> list[str]:
        like = like_of(self.sort)
        if self.sort and self._keys(catalog) is None:
            reason = "there is no position to measure from" if self.sort == "sep" else "the columns are not there"
            if like:
                reason = f"galaxy {like[0]} is not in this survey, or has no scores of the model in use"
            return [f"The order “{sort_label(self.sort)}” is ignored: {reason}."]
        return []


def likeness_distance(catalog: pd.DataFrame, galaxy_id: str, by: str) -> NDArray[np.float64] | None:
    """Return the distance of every galaxy from one, in standardised latents or in the network's reduced last layer.

    Returns
    -------
    ndarray, shape (N,), or None
        NaN for galaxies without a vector; None if the galaxy is unknown or has none itself.
    """
    names = [name for name in catalog.columns if LIKENESS[by][0].fullmatch(name)]
    found = np.flatnonzero((catalog["id"] == galaxy_id).to_numpy(dtype=bool))
    if not names or not len(found):
        return None
    vectors = catalog[names].to_numpy(dtype=np.float32)
    distance = np.sqrt(np.square(vectors - vectors[found[0]]).sum(axis=1))
    return distance.astype(np.float64) if np.isfinite(distance[found[0]]) else None


def parse_query(text: str, sort: str = "") -> tuple[Query, list[str]]:
    """Parse a filter text; what cannot be understood is left out and reported.

    Parameters
    ----------
    text : str
        Terms joined by ``&``: ``class=SF,GV``, ``z>=0.02``, ``0.1<g-r<0.8``, ``not (err>1 | novelty>2)``,
        ``cone(187.706,+12.391,1 arcmin)``, ``list=3f2a9c1b07de``;
        the grammar is that of `galspec.core.filters`. Nothing is evaluated.
        Terms that narrow the same class or range twice must both hold.
    sort : str
        A key of `SORTS`, "random(seed)" or "like(id,latents)".

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
    if not is_sort(sort):
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
    if not isinstance(node, Membership | Comparison) or node.field.name not in _PANEL:
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

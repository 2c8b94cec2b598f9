"""Filters of a table as text, ``z<0.1 & (class=SF | g-r>=0.8)``: a small grammar, parsed and never evaluated as code.

::

    filter     = all { "|" all }
    all        = one { "&" one }
    one        = "not" one | "(" filter ")" | comparison | cone
    comparison = field operator value | number operator field [ operator number ]
    operator   = "<" | "<=" | ">" | ">=" | "=" | "!="
    list       = a comparison with "=" or "!=" of the name of a stored list of ids
    cone       = "cone(" position "," radius [ "arcsec" | "arcmin" | "deg" ] ")"

A galaxy without the value passes neither a comparison nor its opposite.
"""

import dataclasses
import difflib
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from galspec.core.coordinates import SkyPosition, parse_position, separation_arcsec
from galspec.core.errors import CoordinateError, QueryError

Mask = NDArray[np.bool_]

#: A link is at most 2,000 characters long, and so is the filter in it.
MAX_TEXT: Final = 2000
_MAX_DEPTH: Final = 30
_MAX_RADIUS_ARCSEC: Final = 180.0 * 3600.0

_OPERATORS: Final[dict[str, Callable[[Any, float], Any]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_SAME_OPERATOR: Final = {"≤": "<=", "≥": ">=", "≠": "!=", "==": "="}
_OPERATOR: Final = re.compile(r"<=|>=|!=|==|<|>|=|≤|≥|≠")
_DIGITS: Final = r"[+\-−]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NUMBER: Final = re.compile(rf"{_DIGITS}(?![\w.])", re.ASCII)
_SPACE: Final = re.compile(r"\s*")
_NOT: Final = re.compile(r"(?:not(?![\w-])|!)\s*", re.I)
_WORD: Final = re.compile(r"[^\s<>=!&|()≤≥≠]+|\S")
_CONE: Final = re.compile(r"cone\s*\(", re.I)
_RADIUS: Final = re.compile(rf"({_DIGITS})\s*(arcsec|\"|″|''|arcmin|'|′|deg|°|d)?", re.I | re.ASCII)
_ARCSEC: Final = {"arcmin": 60.0, "'": 60.0, "′": 60.0, "deg": 3600.0, "°": 3600.0, "d": 3600.0}


@dataclasses.dataclass(frozen=True)
class FilterField:
    """Something that galaxies can be filtered by.

    Parameters
    ----------
    names : tuple of str
        How it may be written, in lower case; the first one is used when a filter is written back.
    kind : str
        "class" (words), "number", or "list" (names of lists of ids).
    columns : tuple of str
        Where it stands in the table: the first of these that the table has.
    minus : str
        Column that is subtracted, for colours; "" for none.
    lookup : callable, optional
        For a list: returns its ids, or None if there is no list of this name.
    """

    names: tuple[str, ...]
    kind: Literal["class", "number", "list"]
    columns: tuple[str, ...]
    minus: str = ""
    lookup: Callable[[str], frozenset[str] | None] | None = None

    @property
    def name(self) -> str:
        """Its name in a filter."""
        return self.names[0]

    def column_in(self, table: Any) -> str | None:
        """Return the column of a table that holds it, or None."""
        if self.minus and self.minus not in table:
            return None
        return next((column for column in self.columns if column in table), None)

    def numbers(self, table: Any) -> NDArray[np.float64]:
        """Return its values in a table that has them, NaN where missing."""
        values = np.asarray(table[self.column_in(table)].to_numpy(dtype=np.float64))
        return np.asarray(values - table[self.minus].to_numpy(dtype=np.float64)) if self.minus else values


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A number field against a value."""

    field: FilterField
    operator: str
    value: float

    @property
    def text(self) -> str:
        """The term as text."""
        return f"{self.field.name}{self.operator}{self.value:.10g}"

    def evaluate(self, table: Any) -> tuple[Mask, Mask]:
        """Return where it is true and where it is false; neither where the value is missing."""
        values = self.field.numbers(table)
        is_true = np.asarray(_OPERATORS[self.operator](values, self.value) & np.isfinite(values))
        return is_true, np.isfinite(values) & ~is_true

    def missing(self, table: Any) -> set[str]:
        """Return the names of the fields that a table lacks."""
        return set() if self.field.column_in(table) else {self.field.name}


@dataclasses.dataclass(frozen=True)
class Membership:
    """A class field that is, or is not, one of some words."""

    field: FilterField
    values: tuple[str, ...]
    is_negated: bool = False

    @property
    def text(self) -> str:
        """The term as text."""
        return f"{self.field.name}{'!=' if self.is_negated else '='}{','.join(self.values)}"

    def evaluate(self, table: Any) -> tuple[Mask, Mask]:
        """Return where it is true and where it is false; neither where the class is missing."""
        column = table[self.field.column_in(table)]
        is_in = column.isin(self.values).to_numpy(dtype=bool)
        is_out = ~is_in & column.notna().to_numpy(dtype=bool)
        return (is_out, is_in) if self.is_negated else (is_in, is_out)

    def missing(self, table: Any) -> set[str]:
        """Return the names of the fields that a table lacks."""
        return set() if self.field.column_in(table) else {self.field.name}


@dataclasses.dataclass(frozen=True)
class Listed:
    """Everything on a stored list of ids."""

    field: FilterField
    list_name: str

    @property
    def text(self) -> str:
        """The term as text."""
        return f"{self.field.name}={self.list_name}"

    @property
    def ids(self) -> frozenset[str] | None:
        """The ids, or None if there is no such list."""
        return self.field.lookup(self.list_name) if self.field.lookup else None

    def evaluate(self, table: Any) -> tuple[Mask, Mask]:
        """Return where it is true and where it is false."""
        is_in = table[self.field.column_in(table)].isin(self.ids or frozenset()).to_numpy(dtype=bool)
        return is_in, ~is_in

    def missing(self, table: Any) -> set[str]:
        """Return what is lacking: the list, or the column of ids."""
        has_all = self.field.column_in(table) and self.ids is not None
        return set() if has_all else {f"the list {self.list_name}"}


@dataclasses.dataclass(frozen=True)
class Cone:
    """Everything within a radius of a position."""

    position: SkyPosition
    radius_arcsec: float

    @property
    def text(self) -> str:
        """The term as text, radius in arcsec."""
        return f"cone({self.position.ra_deg:.6f},{self.position.dec_deg:+.6f},{self.radius_arcsec:.10g})"

    def evaluate(self, table: Any) -> tuple[Mask, Mask]:
        """Return where it is true and where it is false; neither where the position is missing."""
        ra, dec = table["ra_deg"].to_numpy(dtype=np.float64), table["dec_deg"].to_numpy(dtype=np.float64)
        separation = separation_arcsec(self.position.ra_deg, self.position.dec_deg, ra, dec)
        return separation <= self.radius_arcsec, separation > self.radius_arcsec

    def missing(self, table: Any) -> set[str]:
        """Return the names of the fields that a table lacks."""
        return {name for name in ("ra_deg", "dec_deg") if name not in table}


@dataclasses.dataclass(frozen=True)
class Combination:
    """Terms of which all ("&") or at least one ("|") must be true."""

    symbol: Literal["&", "|"]
    parts: tuple["Node", ...]

    @property
    def text(self) -> str:
        """The terms as text, in parentheses."""
        return f"({f' {self.symbol} '.join(part.text for part in self.parts)})"

    def evaluate(self, table: Any) -> tuple[Mask, Mask]:
        """Return where it is true and where it is false."""
        found = [part.evaluate(table) for part in self.parts]
        combine, other = (np.logical_and, np.logical_or) if self.symbol == "&" else (np.logical_or, np.logical_and)
        return combine.reduce([pair[0] for pair in found]), other.reduce([pair[1] for pair in found])

    def missing(self, table: Any) -> set[str]:
        """Return the names of the fields that a table lacks."""
        return set().union(*(part.missing(table) for part in self.parts))


@dataclasses.dataclass(frozen=True)
class Negation:
    """The opposite of a term."""

    part: "Node"

    @property
    def text(self) -> str:
        """The term as text."""
        return f"not {self.part.text}"

    def evaluate(self, table: Any) -> tuple[Mask, Mask]:
        """Return where it is true and where it is false."""
        is_true, is_false = self.part.evaluate(table)
        return is_false, is_true

    def missing(self, table: Any) -> set[str]:
        """Return the names of the fields that a table lacks."""
        return self.part.missing(table)


Node = Comparison | Membership | Listed | Cone | Combination | Negation


def parts_of(node: Node) -> Iterator[Node]:
    """Yield a term and everything in it."""
    yield node
    for part in node.parts if isinstance(node, Combination) else (node.part,) if isinstance(node, Negation) else ():
        yield from parts_of(part)


def split_terms(text: str) -> list[tuple[int, str]]:
    """Split a filter at the "&" outside parentheses, so that a mistake in one term spares the others.

    Returns
    -------
    list of (int, str)
        Place and text of each term that is not blank; the whole text if an "|" joins terms outside parentheses.
    """
    depth, cuts = 0, [-1]
    for place, character in enumerate(text):
        depth = max(depth + (character == "(") - (character == ")"), 0)
        if depth == 0 and character == "|":
            return [(0, text)] if text.strip() else []
        if depth == 0 and character == "&":
            cuts.append(place)
    pieces = [(start + 1, text[start + 1 : end]) for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return [(start, piece) for start, piece in pieces if piece.strip()]


def parse_filter(text: str, fields: Sequence[FilterField], offset: int = 0) -> Node:
    """Parse a filter.

    Parameters
    ----------
    text : str
    fields : sequence of FilterField
        The only names that are understood.
    offset : int
        Place of ``text`` in what the user wrote, for messages.

    Raises
    ------
    QueryError
        At the first mistake, with its place (from 1) and what was expected there.

    Examples
    --------
    >>> z = FilterField(("z",), "number", ("redshift",))
    >>> parse_filter("0.02 <= z < 0.1", [z]).text
    '(z>=0.02 & z<0.1)'
    """
    if len(text) > MAX_TEXT:
        raise QueryError(f"the filter has {len(text):,} characters; at most {MAX_TEXT:,} fit into a link")
    return _Parser(text, fields, offset).parse()


class _Parser:
    def __init__(self, text: str, fields: Sequence[FilterField], offset: int):
        self.text, self.offset, self.place = text, offset, 0
        named = [(name, field) for field in fields for name in field.names]
        # The longest first, so that g-r is the colour and not the magnitude g.
        self.fields = sorted(named, key=lambda pair: -len(pair[0]))

    def parse(self) -> Node:
        node = self._any(0)
        if self.place < len(self.text):
            raise self._error("“&”, “|” or the end")
        return node

    def _error(self, expected: str, place: int | None = None) -> QueryError:
        place = self.place if place is None else place
        word = _WORD.match(self.text, place)
        found = f"there is “{word[0][:40]}”" if word else "the text ends"
        return QueryError(f"at character {self.offset + place + 1} {found}, but {expected} was expected")

    def _skip(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take a pattern and the space after it, if it is there."""
        match = pattern.match(self.text, self.place)
        if match:
            self.place = match.end()
            self._space()
        return match

    def _space(self) -> None:
        space = _SPACE.match(self.text, self.place)
        self.place = space.end() if space else self.place

    def _any(self, depth: int) -> Node:
        return self._joined("|", self._all, depth)

    def _all(self, depth: int) -> Node:
        return self._joined("&", self._one, depth)

    def _joined(self, symbol: Literal["&", "|"], part: Callable[[int], Node], depth: int) -> Node:
        parts = [part(depth)]
        while self._skip(re.compile(rf"\{symbol}+")):
            parts.append(part(depth))
        return parts[0] if len(parts) == 1 else Combination(symbol, tuple(parts))

    def _one(self, depth: int) -> Node:
        self._space()
        if depth > _MAX_DEPTH:
            raise self._error(f"fewer than {_MAX_DEPTH} parentheses within one another")
        if self._skip(_NOT):
            return Negation(self._one(depth + 1))
        if self._skip(re.compile(r"\(")):
            node = self._any(depth + 1)
            if not self._skip(re.compile(r"\)")):
                raise self._error("“&”, “|” or “)”")
            return node
        if _CONE.match(self.text, self.place):
            return self._cone()
        if _NUMBER.match(self.text, self.place):
            return self._number_first()
        return self._field_first()

    def _field(self) -> FilterField:
        rest = self.text[self.place :].lower()
        for name, field in self.fields:
            after = rest[len(name) : len(name) + 1]
            if rest.startswith(name) and not (after.isalnum() or after == "_"):
                self.place += len(name)
                self._space()
                return field
        word = _WORD.match(self.text, self.place)
        names = [field.name for field in dict.fromkeys(field for _, field in self.fields)]
        near = difflib.get_close_matches(word[0].lower() if word else "", names, n=3)
        raise self._error(
            f"a field (did you mean {', '.join(near)}?)" if near else f"a field ({', '.join(sorted(names))})"
        )

    def _operator(self) -> str:
        match = self._skip(_OPERATOR)
        if match is None:
            raise self._error("one of < <= > >= = !=")
        return _SAME_OPERATOR.get(match[0], match[0])

    def _number(self) -> float:
        match = self._skip(_NUMBER)
        if match is None:
            raise self._error("a number")
        value = float(match[0].replace("−", "-"))
        if not math.isfinite(value):
            raise self._error("a finite number", match.start())
        return value

    def _field_first(self) -> Node:
        field = self._field()
        if field.kind != "number":
            return self._membership(field)
        sign = self._operator()
        first = Comparison(field, sign, self._number())
        if _OPERATOR.match(self.text, self.place):
            raise self._error(f"“&” or “|” (a range is written 0.1 < {field.name} < 0.2)")
        return first

    def _number_first(self) -> Node:
        low, sign = self._number(), self._operator()
        place = self.place
        field = self._field()
        if field.kind != "number":
            raise self._error("a field with numbers", place)
        first = Comparison(field, _MIRRORED[sign], low)
        if not _OPERATOR.match(self.text, self.place):
            return first
        return Combination("&", (first, Comparison(field, self._operator(), self._number())))

    def _membership(self, field: FilterField) -> Node:
        place = self.place
        sign = self._operator()
        if sign not in {"=", "!="}:
            raise self._error(f"= or != after the class “{field.name}”", place)
        end = re.compile(r"[^&|()<>=!]*").match(self.text, self.place)
        words = end[0] if end else ""
        values = tuple(word.strip() for word in words.split(",") if word.strip())
        if not values:
            raise self._error(f"a value of “{field.name}”, or several with commas between them")
        self.place += len(words)
        if field.kind == "list":
            lists = tuple(Listed(field, value) for value in values)
            node: Node = lists[0] if len(lists) == 1 else Combination("|", lists)
            return Negation(node) if sign == "!=" else node
        return Membership(field, values, sign == "!=")

    def _cone(self) -> Node:
        start = self.place
        self._skip(_CONE)
        end = self.text.find(")", self.place)
        if end < 0:
            self.place = len(self.text)
            raise self._error("“)” after cone(position, radius)")
        where, comma, radius = self.text[self.place : end].rpartition(",")
        size = _RADIUS.fullmatch(radius.strip())
        if not comma or size is None:
            raise self._error("cone(RA, Dec, radius), the radius in arcsec or with arcmin or deg", start)
        radius_arcsec = float(size[1].replace("−", "-")) * _ARCSEC.get((size[2] or "").lower(), 1.0)
        if not 0.0 < radius_arcsec <= _MAX_RADIUS_ARCSEC:
            raise self._error("a radius of more than 0 and at most 180 deg", end - len(radius))
        try:
            position = parse_position(where)
        except CoordinateError as error:
            raise QueryError(f"at character {self.offset + self.place + 1}: {error}") from None
        self.place = end + 1
        self._space()
        return Cone(position, radius_arcsec)

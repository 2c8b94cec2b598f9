"""The grammar of filters: what it accepts, three-valued logic, and messages that point at the mistake."""

import numpy as np
import pandas as pd
import pytest

from galspec.core.errors import QueryError
from galspec.core.filters import FilterField, parse_filter, split_terms

FIELDS = (
    FilterField(("z",), "number", ("redshift",)),
    FilterField(("r",), "number", ("mag_r",)),
    FilterField(("g-r",), "number", ("mag_g",), minus="mag_r"),
    FilterField(("ew", "ew(ha)"), "number", ("ew_ha_true", "ew_halpha")),
    FilterField(("err",), "number", ("latent_rmse",)),
    FilterField(("class",), "class", ("galaxy_class",)),
)
TABLE = pd.DataFrame(
    {
        "redshift": [0.01, 0.05, 0.10, np.nan, 0.20],
        "mag_g": [15.0, 16.0, 17.0, 18.0, np.nan],
        "mag_r": [14.8, 15.0, 16.5, 17.0, 17.5],
        "ew_halpha": [10.0, -2.0, 0.0, 5.0, 1.0],
        "galaxy_class": ["SF", "Q", None, "GV", "SF"],
        "ra_deg": [10.0, 10.0, 10.02, np.nan, 200.0],
        "dec_deg": [0.0, 0.001, 0.0, 0.0, -45.0],
    }
)


def rows(text: str) -> list[int]:
    return np.flatnonzero(parse_filter(text, FIELDS).evaluate(TABLE)[0]).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("z<0.1", [0, 1]),
        ("z<=0.1", [0, 1, 2]),
        ("z≤0.1", [0, 1, 2]),
        ("z > 0.1", [4]),
        ("z>=1e-1", [2, 4]),
        ("z=0.05", [1]),
        ("z==0.05", [1]),
        ("z!=0.05", [0, 2, 4]),
        ("0.02<z<=0.1", [1, 2]),
        ("0.1 >= z > 0.02", [1, 2]),
        ("0.1<z", [4]),
        ("g-r<0.5", [0]),
        ("G-R >= .5", [1, 2, 3]),
        ("EW(Ha)>0", [0, 3, 4]),
        ("ew<-1", [1]),
        ("ew<−1", [1]),
        ("class=SF", [0, 4]),
        ("class=SF, GV", [0, 3, 4]),
        ("class!=SF", [1, 3]),
        ("class=none of these", []),
        ("z<0.1 & class=SF", [0]),
        ("z<0.02 | class=SF", [0, 4]),
        ("z<0.02 || z>0.15 && r>17", [0, 4]),
        ("z<0.02 | z>0.04 & z<0.06", [0, 1]),
        ("(z<0.02 | z>0.04) & z<0.06", [0, 1]),
        ("not z<0.1", [2, 4]),
        ("!z<0.1", [2, 4]),
        ("not not z<0.1", [0, 1]),
        ("not class=SF", [1, 3]),
        ("not (z<0.1 | class=SF)", []),
        ("not (z<0.1 & class=SF)", [1, 2, 3, 4]),
        ("((z<0.1))", [0, 1]),
        ("cone(10, 0, 5)", [0, 1]),
        ("cone(00:40:00 +00:00:00, 2 arcmin)", [0, 1, 2]),
        ("cone(10d,+0d,0.001deg) & z>0", [0, 1]),
        ("not cone(10 0, 5 arcsec)", [2, 4]),
    ],
)
def test_what_a_filter_selects(text, expected):
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=red", "at character 1 there is “colour”, but a field (class, err, ew, g-r, r, z) was expected"),
        ("clas=SF", "at character 1 there is “clas”, but a field (did you mean class?) was expected"),
        ("z", "at character 2 the text ends, but one of < <= > >= = != was expected"),
        ("z 0.1", "at character 3 there is “0.1”, but one of < <= > >= = != was expected"),
        ("z<", "at character 3 the text ends, but a number was expected"),
        ("z<abc", "at character 3 there is “abc”, but a number was expected"),
        ("z<0.1.2", "at character 3 there is “0.1.2”, but a number was expected"),
        ("z<1e999", "at character 3 there is “1e999”, but a finite number was expected"),
        ("z<nan", "at character 3 there is “nan”, but a number was expected"),
        ("z<0.1 class=SF", "at character 7 there is “class”, but “&”, “|” or the end was expected"),
        ("z<0.1<0.2", "at character 6 there is “<”, but “&” or “|” (a range is written 0.1 < z < 0.2) was expected"),
        ("z<0.1 and r<17", "at character 7 there is “and”, but “&”, “|” or the end was expected"),
        ("(z<0.1", "at character 7 the text ends, but “&”, “|” or “)” was expected"),
        ("z<0.1)", "at character 6 there is “)”, but “&”, “|” or the end was expected"),
        ("z<0.1 | ", "at character 9 the text ends, but a field"),
        ("not", "at character 4 the text ends, but a field"),
        ("class<3", "at character 6 there is “<”, but = or != after the class “class” was expected"),
        ("class=", "at character 7 the text ends, but a value of “class”, or several"),
        ("class= , ,", "a value of “class”, or several with commas between them was expected"),
        ("class=SF=GV", "at character 9 there is “=”, but “&”, “|” or the end was expected"),
        ("3<class", "at character 3 there is “class”, but a field with numbers was expected"),
        ("cone(10,0,5", "the text ends, but “)” after cone(position, radius) was expected"),
        ("cone(10)", "at character 1 there is “cone”, but cone(RA, Dec, radius)"),
        ("cone(10,0,5 parsec)", "but cone(RA, Dec, radius), the radius in arcsec or with arcmin or deg was expected"),
        ("cone(10,0,0)", "a radius of more than 0 and at most 180 deg was expected"),
        ("cone(400,0,5)", "at character 6: right ascension 400 degrees is outside 0-360"),
        ("z<__import__('os')", "at character 3 there is “__import__”, but a number was expected"),
        ("__import__('os')", "at character 1 there is “__import__”, but a field"),
        ("(" * 40 + "z<1" + ")" * 40, "fewer than 30 parentheses within one another was expected"),
        ("z<1" + " " * 2000, "the filter has 2,003 characters; at most 2,000"),
    ],
)
def test_a_mistake_is_pointed_at(text, message):
    with pytest.raises(QueryError) as caught:
        parse_filter(text, FIELDS)
    assert message in str(caught.value)


def test_the_place_counts_in_the_whole_text():
    with pytest.raises(QueryError, match="at character 13 there is “x”"):
        parse_filter("z<x", FIELDS, offset=10)


@pytest.mark.parametrize(
    "text", ["z<0.1", "(z<0.02 | not class!=SF,GV)", "0.1<g-r<=0.8", "cone(10.5 -3.25, 2')", "ew(ha)>5"]
)
def test_a_filter_is_written_back_as_one_that_means_the_same(text):
    node = parse_filter(text, FIELDS)
    again = parse_filter(node.text, FIELDS)
    assert again.text == node.text
    assert np.array_equal(again.evaluate(TABLE)[0], node.evaluate(TABLE)[0])


def test_fields_that_a_table_lacks_are_named():
    node = parse_filter("err>1 | not (g-r<0.5 & ew>3) | cone(1,1,1)", FIELDS)
    assert node.missing(TABLE) == {"err"}
    assert node.missing(TABLE[["redshift", "mag_g"]]) == {"err", "g-r", "ew", "ra_deg", "dec_deg"}


def test_terms_are_split_outside_parentheses_only():
    assert split_terms("a & (b & c) & d") == [(0, "a "), (3, " (b & c) "), (13, " d")]
    assert split_terms("a & b | c") == [(0, "a & b | c")]
    assert split_terms("a & (b | c)") == [(0, "a "), (3, " (b | c)")]
    assert split_terms("a && ) & b") == [(0, "a "), (4, " ) "), (8, " b")]
    assert split_terms(" ") == []


def test_nothing_a_stranger_writes_does_more_than_fail(rng):
    alphabet = list("z<>=!&|()., 01ercono-\"'#\\é∞")
    for _ in range(400):
        text = "".join(rng.choice(alphabet, rng.integers(1, 25)))
        try:
            node = parse_filter(text, FIELDS)
        except QueryError:
            continue
        if not node.missing(TABLE):
            is_true, is_false = node.evaluate(TABLE)
            assert not (is_true & is_false).any()

"""Target lists: read from text and files, matched by id or position."""

import io

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from galspec.core.errors import IdListError
from galspec.store.targets import match_targets, targets_of_file, targets_of_text

CATALOG = pd.DataFrame(
    {
        "id": ["1237648720693755918", "b", "c"],
        "ra_deg": [10.0, 359.9999, np.nan],
        "dec_deg": [-0.5, 20.0, np.nan],
    }
)


def _ids(match) -> list[str]:
    return CATALOG["id"].iloc[match.matched_rows].tolist()


def test_ids_and_positions_a_line():
    targets = targets_of_text("# my list\n1237648720693755918\n00:40:00 -00:30:00\n0.0001 +20.0\nnobody\n5 5 5\n")
    match = match_targets(targets, CATALOG, radius_arcsec=3.0)
    assert _ids(match) == ["1237648720693755918", "b"]
    assert len(match.targets) == 5
    assert match.separation_arcsec[2] == pytest.approx(0.0002 * np.cos(np.radians(20.0)) * 3600.0, rel=1e-3)
    reasons = dict(match.unmatched)
    assert reasons["nobody"] == "no galaxy of this id"
    assert "5 5 5" in reasons


def test_a_position_without_a_galaxy_says_how_far_the_nearest_is():
    match = match_targets(targets_of_text("10.0 -0.51"), CATALOG, radius_arcsec=3.0)
    assert match.matched_rows.size == 0
    assert match.unmatched == [("10.0 -0.51", "no galaxy within the radius; the nearest is 36.0 arcsec away")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_with_a_header(separator):
    text = f"name{separator}RA{separator}Dec\n{separator}10.0{separator}-0.5\nb{separator}{separator}\n"
    assert _ids(match_targets(targets_of_text(text), CATALOG, 3.0)) == ["1237648720693755918", "b"]


@pytest.mark.parametrize(("suffix", "table_format"), [(".vot", "votable"), (".fits", "fits")])
def test_files_of_the_field(suffix, table_format):
    table = Table({"SPECOBJID": ["1237648720693755918", "nobody"], "wide": np.zeros((2, 3))})
    out = io.BytesIO()
    table.write(out, format=table_format)
    match = match_targets(targets_of_file(f"list{suffix}", out.getvalue()), CATALOG, 3.0)
    assert _ids(match) == ["1237648720693755918"]
    assert len(match.unmatched) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.pkl", b"", "none of"),
        ("list.fits", b"not a fits file", "cannot be read"),
        ("list.vot", b"<VOTABLE", "cannot be read"),
        ("list.csv", b"\xff\xfe\x00", "no text in UTF-8"),
        ("list.csv", b"", "empty"),
        ("list.csv", b"ra,flux\n1,2\n", "needs one called id"),
        ("list.csv", b"id,flux\n", "no rows"),
        ("list.txt", b"x" * (20 * 1024 * 1024 + 1), "at most 21 MB"),
    ],
)
def test_bad_files_are_one_sentence(name, content, message):
    with pytest.raises(IdListError, match=message):
        targets_of_file(name, content)


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), 3601.0])
def test_a_radius_that_is_not_allowed(radius):
    with pytest.raises(IdListError, match="radius"):
        match_targets(targets_of_text("b"), CATALOG, radius)


def test_a_row_with_a_bad_position_is_kept_as_not_found():
    match = match_targets(targets_of_text("ra,dec\n400,2\nx,y\n"), CATALOG, 3.0)
    assert [reason.split(" ")[0] for _, reason in match.unmatched] == ["right", "the"]

"""Tables as files: each format is read back by astropy with values, units, UCDs and facts."""

import io
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table

from galspec.core.errors import ConfigError, ShapeError
from galspec.core.table_file import FITS_KEYWORDS, FORMATS, Column, write_table

#: Reading a VOTable, astropy says that the standard would rather have 0.1 nm than an angstrom.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been deprecated in the VOUnit standard")

IDS = ["1237648720693755918", "1237648720693755904", "sim1-00000003"]
FACTS = {
    "survey": "sdss, “main”",
    "source": "REAL",
    "model": "xresnet18-hybrid",
    "model_sha256": "a" * 64,
    "link": "http://127.0.0.1:8501/browse?q=z<0.1&sort=-err",
    "latent_predicted": [0.25, -1.5],
    "note": "two\nlines, z−0.1, γ",
    "n_galaxies": 3,
}


def _columns() -> list[Column]:
    return [
        Column("id", IDS, ucd="meta.id;meta.main", description="galaxy"),
        Column("ra_deg", np.array([187.70593081234567, 0.1, 359.99999]), "deg", "pos.eq.ra;meta.main", "ICRS"),
        Column("flux", np.array([1.5, np.nan, -0.1], np.float32), "1e-17 erg / (Angstrom s cm2)", "phot.flux.density"),
        Column("wave", np.array([1, 2, 3], np.float16), "Angstrom", "em.wl", "vacuum"),
        Column("n", np.array([1, -2, 3], np.int64)),
        Column("count", np.array([1, 2, 3], np.uint8)),
        Column("is_test", np.array([True, False, True])),
        Column("note", np.array(['a, "b"', None, "γ line"], dtype=object), ucd="meta.note"),
    ]


def _read(content: bytes, file_format: str) -> Table:
    if file_format == "CSV":
        return Table.read(content.decode(), format="ascii.csv", comment="#", converters={"id": str})
    names = {"ECSV": "ascii.ecsv", "VOTable": "votable", "FITS": "fits"}
    return Table.read(io.BytesIO(content), format=names[file_format])


def _facts(content: bytes, file_format: str) -> dict[str, Any]:
    if file_format == "CSV":
        lines = [line[2:] for line in content.decode().splitlines() if line.startswith("# ")]
        return dict(line.split(": ", 1) for line in lines if not line.startswith("column "))
    if file_format == "ECSV":
        return dict(_read(content, file_format).meta)
    if file_format == "VOTable":
        return {info.name: info.value for info in parse(io.BytesIO(content)).resources[0].infos}
    header = fits.getheader(io.BytesIO(content), 1)
    found = {name: header[key] for name, key in FITS_KEYWORDS.items() if key in header}
    return found | dict(line.split(": ", 1) for line in map(str, header["COMMENT"]) if ": " in line)


@pytest.mark.parametrize("file_format", FORMATS)
def test_values_survive(file_format):
    table = _read(write_table(_columns(), FACTS, file_format), file_format)
    text = [value.decode() if isinstance(value, bytes) else str(value) for value in table["id"]]
    assert text == IDS
    assert np.array_equal(table["ra_deg"], [187.70593081234567, 0.1, 359.99999])
    flux = np.ma.filled(np.ma.asarray(table["flux"]).astype(float), np.nan)
    assert flux == pytest.approx([1.5, np.nan, -0.1], rel=1e-7, nan_ok=True)
    assert table["n"].tolist() == [1, -2, 3]
    assert table["count"].tolist() == [1, 2, 3]
    assert [str(value) for value in table["is_test"]] == ["True", "False", "True"]
    notes = np.ma.filled(np.ma.asarray(table["note"]), "")
    assert [str(note).strip() for note in notes][:2] == ['a, "b"', ""]
    assert ("γ" if file_format != "FITS" else r"\u03b3") in str(notes[2])


@pytest.mark.parametrize("file_format", ["ECSV", "VOTable", "FITS"])
def test_units_and_ucds_survive(file_format):
    content = write_table(_columns(), FACTS, file_format)
    table = _read(content, file_format)
    assert table["wave"].unit == u.AA
    assert table["ra_deg"].unit == u.deg
    assert u.Unit(table["flux"].unit).to("1e-17 erg / (Angstrom s cm2)") == pytest.approx(1.0)
    if file_format == "FITS":
        header = fits.getheader(io.BytesIO(content), 1)
        assert (header["TUCD2"], header["TCOMM4"]) == ("pos.eq.ra;meta.main", "vacuum")
    else:
        assert table["ra_deg"].meta["ucd"] == "pos.eq.ra;meta.main"
        assert table["wave"].description == "vacuum"


@pytest.mark.parametrize("file_format", FORMATS)
def test_facts_survive(file_format):
    found = _facts(write_table(_columns(), FACTS, file_format), file_format)
    assert (found["source"], found["model"], found["model_sha256"]) == ("REAL", "xresnet18-hybrid", "a" * 64)
    assert found["link"] == FACTS["link"]
    assert str(found["n_galaxies"]) == "3"
    assert "0.25" in str(found["latent_predicted"])
    assert "two lines, z" in found["note"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_table_without_rows_is_still_a_table(file_format):
    columns = [Column("id", np.array([], dtype=str)), Column("z", np.array([], np.float64))]
    content = write_table(columns, {"source": "REAL"}, file_format)
    assert len(_read(content, file_format)) == 0


def test_what_cannot_be_a_table_is_refused():
    with pytest.raises(ConfigError, match=r"no table format 'XLS'; the formats are CSV, ECSV, VOTable, FITS"):
        write_table(_columns(), {}, "XLS")
    with pytest.raises(ConfigError, match="'ra deg' is no column name"):
        write_table([Column("ra deg", [1.0])], {}, "CSV")
    with pytest.raises(ShapeError, match=r"got a \(1,\), b \(2,\)"):
        write_table([Column("a", [1.0]), Column("b", [1.0, 2.0])], {}, "CSV")
    with pytest.raises(ShapeError, match=r"column a has shape \(1, 1\)"):
        write_table([Column("a", [[1.0]])], {}, "CSV")
    for file_format in ("ECSV", "FITS"):
        with pytest.raises(ConfigError, match="column a has a unit"):
            write_table([Column("a", [1.0], "furlongs")], {}, file_format)


def test_the_votable_is_valid():
    from astropy.io.votable import validate

    content = write_table(_columns(), FACTS, "VOTable")
    report = io.StringIO()
    validate(io.BytesIO(content), output=report, xmllint=False)
    problems = [line for line in report.getvalue().splitlines() if ": E" in line]
    assert problems == []

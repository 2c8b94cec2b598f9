"""Tables of galaxies: units and UCDs of every column, and where they come from."""

import io

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table

from galspec.core.home import demo_survey_dir
from galspec.core.table_file import write_table
from galspec.store.catalog_columns import MEANINGS, galaxy_columns, galaxy_facts, meaning
from galspec.store.survey import open_survey
from tests.toy_survey import write_toy_survey


def test_units_and_ucds_are_of_the_standard():
    for name, (unit, ucd, description) in MEANINGS.items():
        u.Unit(unit)
        assert check_ucd(ucd, check_controlled_vocabulary=True), name
        assert description, name


def test_positions_redshift_and_magnitudes_of_the_demo_survey_are_known():
    columns = {column.name: column for column in galaxy_columns(open_survey(demo_survey_dir()).catalog, np.arange(3))}
    assert columns["ra_deg"].unit == "deg"
    assert columns["mag_r"].ucd == "phot.mag;em.opt.R"
    assert meaning("something else") == ("", "", "")


@pytest.mark.filterwarnings("ignore:.*has been deprecated in the VOUnit standard")
@pytest.mark.parametrize(
    ("file_format", "reader"), [("ECSV", "ascii.ecsv"), ("VOTable", "votable"), ("FITS", "fits"), ("CSV", "ascii.csv")]
)
def test_chosen_galaxies_are_written_in_their_order(tmp_path, file_format, reader):
    survey = open_survey(write_toy_survey(tmp_path / "survey", n_galaxies=8, with_images=False))
    rows = np.array([5, 0, 3])
    model = {"name": "toy", "sha256": "a" * 64, "vae_sha256": "b" * 64, "trained_on": "SIMULATED"}
    facts = galaxy_facts(survey, 3, query="class=SF", sort="-z", link="http://x/browse?q=class=SF", model=model)
    content = write_table(galaxy_columns(survey.catalog, rows), facts, file_format)
    table = Table.read(io.BytesIO(content), format=reader, **({"comment": "#"} if file_format == "CSV" else {}))
    assert [str(name) for name in table["id"]] == survey.catalog["id"].iloc[rows].tolist()
    assert np.array_equal(table["redshift"], survey.catalog["redshift"].iloc[rows])
    assert len(table.colnames) == len(survey.catalog.columns)
    if file_format != "CSV":
        assert table["ew_ha_true"].unit == u.AA
        assert u.Unit(table["sfr"].unit) == u.Msun / u.yr
    for piece in (b"SIMULATED", b"a" * 64, b"class=SF", survey.data_hash.encode(), b"nothing is at these positions"):
        assert piece in content


def test_columns_that_are_missing_are_left_out(tmp_path):
    survey = open_survey(write_toy_survey(tmp_path / "survey", n_galaxies=4, with_images=False))
    columns = galaxy_columns(survey.catalog, np.array([1]), ["id", "novelty", "redshift"])
    assert [column.name for column in columns] == ["id", "redshift"]
    assert "model" not in galaxy_facts(survey, 1)

"""Galaxy: curves as files, Python code that makes them, links to other services."""

import io
import json
import shutil

import numpy as np
import pytest
from astropy.table import Table

from galspec.core.table_file import FORMATS
from galspec.store import layout
from galspec.store.survey import open_survey
from galspec.ui.galaxy_curves import comparison
from galspec.ui.galaxy_files import curves_file, sdss_ids

GALAXY = "sim1-00000031"


@pytest.mark.filterwarnings("ignore:.*has been deprecated in the VOUnit standard")
@pytest.mark.parametrize("name", FORMATS)
def test_a_download_holds_the_three_curves_of_the_page(open_page, toy_survey_dir, name):
    at = open_page("galaxy", id=GALAXY)
    assert name in [element.label for element in at.get("download_button")]
    survey = open_survey(toy_survey_dir)
    curves = comparison(survey, GALAXY)
    content = curves_file(
        curves, galaxy_id=GALAXY, redshift=0.1, survey_name="toy", source="SIMULATED", link="", file_format=name
    )
    reader = {"CSV": "ascii.csv", "ECSV": "ascii.ecsv", "VOTable": "votable", "FITS": "fits"}[name]
    table = Table.read(io.BytesIO(content), format=reader, **({"comment": "#"} if name == "CSV" else {}))
    assert np.asarray(table["flux_predicted"]) == pytest.approx(curves.prediction, rel=1e-6)
    assert np.asarray(table["flux_reconstruction"]) == pytest.approx(curves.reconstruction, rel=1e-6)
    flux = np.ma.filled(np.ma.asarray(table["flux_observed"]).astype(float), np.nan)
    assert flux == pytest.approx(curves.observed, rel=1e-6, nan_ok=True)
    assert np.isnan(flux).any()


def _snippet(at) -> str:
    return at.code[0].value


def test_the_code_makes_the_curve_of_the_page(open_page, toy_survey_dir):
    at = open_page("galaxy", id=GALAXY)
    names: dict = {}
    exec(compile(_snippet(at), "snippet", "exec"), names)  # noqa: S102  # the code that the page offers is what is tested
    curves = comparison(open_survey(toy_survey_dir), GALAXY)
    assert names["flux"] == pytest.approx(curves.prediction, abs=1e-5)
    assert names["observed"].flux.shape == names["wave"].shape == (1000,)


def test_the_code_without_a_model_reads_the_spectrum(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_MODEL", str(tmp_path / "none"))
    at = open_page("galaxy", id=GALAXY)
    names: dict = {}
    exec(compile(_snippet(at), "snippet", "exec"), names)  # noqa: S102  # the code that the page offers is what is tested
    assert names["observed"].ivar.shape == (1000,)
    assert "predict" not in _snippet(at)


def _markdown(at) -> str:
    return "\n".join(element.value for element in at.markdown)


def test_a_simulated_galaxy_has_no_links(open_page):
    text = _markdown(open_page("galaxy", id=GALAXY))
    assert "**Other services:** This galaxy is simulated" in text
    assert "https://" not in text


def test_a_real_galaxy_has_links_that_say_they_need_the_internet(open_page, monkeypatch, tmp_path, toy_survey_dir):
    folder = tmp_path / "real"
    shutil.copytree(toy_survey_dir, folder)
    metadata = json.loads((folder / layout.METADATA).read_text())
    (folder / layout.METADATA).write_text(json.dumps({**metadata, "source": "REAL"}))
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    text = _markdown(open_page("galaxy", id=GALAXY))
    assert "needs internet" in text
    for name in ("SkyServer", "SIMBAD", "NED", "VizieR", "Aladin Lite"):
        assert f"[{name}](https://" in text


def test_names_in_sdss_are_taken_from_the_catalogue():
    ids = sdss_ids({"specobjid": "1177613371393828864", "plate": 1045.0, "mjd": 52725.0, "fiber": 628.0})
    assert (ids.specobjid, ids.plate, ids.fiber) == ("1177613371393828864", 1045, 628)
    assert sdss_ids({"plate": float("nan"), "mjd": float("nan"), "fiber": float("nan")}).plate is None

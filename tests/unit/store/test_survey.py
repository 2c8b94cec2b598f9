"""Opening surveys: lazy, exact, and clear about what is wrong; the embedded demo survey."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from galspec.core.errors import SurveyError
from galspec.core.home import demo_survey_dir
from galspec.store import layout
from galspec.store.demo import make_demo
from galspec.store.images import from_stored, to_stored
from galspec.store.survey import open_survey
from galspec.store.thumbnails import composite_rgb
from tests.toy_survey import write_toy_survey


@pytest.fixture(scope="module")
def toy_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_survey(tmp_path_factory.mktemp("toy") / "survey", n_galaxies=24)


def test_reading_one_galaxy(toy_dir):
    survey = open_survey(toy_dir)
    name = survey.catalog["id"].iloc[3]
    assert survey.row(name) == 3
    assert survey.cutout(name).shape == (5, 224, 224)
    spectrum = survey.spectrum(name)
    assert spectrum.flux.shape == spectrum.ivar.shape == (1000,)
    assert spectrum.redshift == survey.catalog["redshift"].iloc[3]
    assert len(survey) == 24


def test_blocks_are_the_rows_in_the_order_asked_for(toy_dir):
    survey = open_survey(toy_dir)
    flux, ivar = survey.spectra_block([7, 2, 5])
    assert np.array_equal(flux[1], survey.spectrum(2).flux)
    assert np.array_equal(ivar[0], survey.spectrum(7).ivar)
    images = from_stored(survey.images_block([7, 2]))
    assert np.array_equal(images[1], survey.cutout(2), equal_nan=True)


def test_an_unknown_id_and_row_are_named(toy_dir):
    survey = open_survey(toy_dir)
    with pytest.raises(SurveyError, match="no galaxy 'NGC 1'"):
        survey.cutout("NGC 1")
    with pytest.raises(SurveyError, match="row 99 is outside"):
        survey.spectrum(99)


def _edit(folder: Path, **changes: object) -> None:
    metadata = json.loads((folder / layout.METADATA).read_text())
    (folder / layout.METADATA).write_text(json.dumps({**metadata, **changes}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / layout.METADATA).unlink(), r"holds no survey\.json"),
        (lambda f: (f / layout.METADATA).write_text("{"), "is not valid JSON"),
        (lambda f: _edit(f, format="other"), "does not describe a galspec survey"),
        (lambda f: _edit(f, version=7), "survey of version 7; this galspec reads version 1"),
        (lambda f: _edit(f, source="MAYBE"), "source is 'MAYBE', but must be one of SIMULATED, REAL"),
        (lambda f: _edit(f, n_galaxies=25), r"has 24 rows, but survey\.json says 25"),
        (lambda f: (f / layout.CATALOG).write_bytes(b"PAR1"), "cannot be read"),
        (lambda f: (f / layout.CATALOG).unlink(), "cannot be read"),
    ],
)
def test_a_damaged_survey_says_what_is_wrong(tmp_path, damage, words):
    folder = write_toy_survey(tmp_path / "survey", n_galaxies=24, with_images=False)
    damage(folder)
    with pytest.raises(SurveyError, match=words):
        open_survey(folder)


def test_a_missing_folder_says_what_to_give():
    with pytest.raises(SurveyError, match="is not a folder; give a survey folder"):
        open_survey("nowhere")


def test_numeric_ids_are_refused(tmp_path):
    folder = write_toy_survey(tmp_path / "survey", n_galaxies=24, with_images=False)
    catalog = pd.read_parquet(folder / layout.CATALOG)
    catalog["id"] = np.arange(24)
    catalog.to_parquet(folder / layout.CATALOG)
    with pytest.raises(SurveyError, match="strings: long numeric ids lose digits"):
        _ = open_survey(folder).catalog


def test_images_survive_storage_to_float16():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 60, (5, 32, 32)).astype(np.float32)
    image[0, 3, 3], image[1, 0, 0], image[2, 0, 0] = 4e6, np.nan, 9e9
    back = from_stored(to_stored(image))
    assert np.isnan(back[1, 0, 0])
    assert back[2, 0, 0] == pytest.approx(6.5e6, rel=1e-3)
    keep = np.isfinite(image) & (image < 6.5e6)
    assert np.abs(back - image)[keep] == pytest.approx(np.zeros(keep.sum()), abs=6e-4 * 4e6)
    assert back[0, 10:, 10:] == pytest.approx(image[0, 10:, 10:], rel=1e-3, abs=0.1)


def test_long_wavelengths_are_red_and_north_is_up():
    image = np.zeros((5, 64, 64), np.float32)
    image[3, 50:, :] = 2000.0  # z band, northern rows
    image[0, :10, :] = 2000.0  # g band, southern rows
    rgb = composite_rgb(image)
    north, south = rgb[5, 32].astype(int), rgb[60, 32].astype(int)
    assert north[0] > north[2]
    assert south[2] > south[0]


def test_the_demo_survey_holds_held_out_galaxies_only():
    survey = open_survey(demo_survey_dir())
    assert len(survey) == 3000
    assert survey.source == "SIMULATED"
    assert set(survey.catalog["split"]) == {"calibration", "test"}
    assert survey.metadata["parent"]["n_galaxies"] == 64000
    size = sum(path.stat().st_size for path in demo_survey_dir().rglob("*") if path.is_file())
    assert size < 17e6


def test_demo_galaxies_have_everything_a_page_needs():
    survey = open_survey(demo_survey_dir())
    for row in (0, 1234, 2999):
        cutout, spectrum = survey.cutout(row), survey.spectrum(row)
        assert np.isfinite(cutout).mean() > 0.5
        assert (spectrum.ivar > 0).mean() > 0.6
        assert spectrum.flux_true is not None
        assert survey.thumbnail(row)[:4] == b"RIFF"


def test_a_survey_of_another_recipe_is_not_rendered_as_if_it_were_this_one():
    survey = open_survey(demo_survey_dir())
    survey.metadata = {**survey.metadata, "settings": {"recipe_version": 0}}
    with pytest.raises(SurveyError, match=r"version 0 of the simulation's recipe.*galspec simulate"):
        survey.cutout(0)
    assert survey.spectrum(0).flux.shape == (1000,)


def test_a_demo_is_cut_out_with_ids_splits_and_pixels(tmp_path):
    parent = open_survey(demo_survey_dir())
    make_demo(parent, tmp_path / "demo", n_galaxies=6)
    made = open_survey(tmp_path / "demo")
    assert made.catalog["id"].tolist() == parent.catalog["id"].tolist()[:6]
    assert np.array_equal(made.cutout(4), parent.cutout(4), equal_nan=True)
    assert made.spectrum(2).flux == pytest.approx(parent.spectrum(2).flux, rel=1e-3)
    with pytest.raises(SurveyError, match="but the demo wants 9999"):
        make_demo(parent, tmp_path / "large", n_galaxies=9999)


@pytest.mark.parametrize("rows", [[23, 0, 23, 12, 3, 4], [5], [], list(range(24)), [1, 22]])
def test_rows_in_any_order_are_those_of_the_array(toy_dir, rows):
    survey = open_survey(toy_dir)
    flux, _ = survey.spectra_block(rows)
    assert np.array_equal(flux, np.asarray(survey._spectra["flux"][:])[rows])
    images = survey.images_block(rows)
    assert np.array_equal(images, np.asarray(survey._images[:])[rows], equal_nan=True)

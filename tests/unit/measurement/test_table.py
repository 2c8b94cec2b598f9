"""The table of all measurements, and the command that writes it."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.table import QTable

from galspec.cli.main import main
from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.home import demo_survey_dir
from galspec.core.lines import MEASURED_LINES
from galspec.core.wavelength import N_WAVE
from galspec.measurement import table
from galspec.measurement.lines import measure_lines
from galspec.measurement.table import column_unit, line_stem, measure_spectra
from galspec.store.survey import open_survey
from tests.unit.measurement.conftest import Known, line_index, make_known

PROBABILITIES = ["p_sf", "p_composite", "p_agn", "p_none"]


def test_a_row_has_every_quantity_and_the_lines_own_values(known: Known) -> None:
    redshift = np.full(len(known.flux), 0.1)
    found = measure_spectra(known.flux, known.ivar, redshift)
    lines = measure_lines(known.flux, known.ivar, redshift=redshift)
    for name in MEASURED_LINES:
        stem = line_stem(name)
        for quantity in ("flux", "ew"):
            values = getattr(lines, quantity)[:, line_index(name)]
            np.testing.assert_array_equal(found[f"{quantity}_{stem}"], values)
        assert (found[f"flux_{stem}_err"] > 0).all()
    for name in ("dn4000", "hdelta_a", "mgb", "log_n2", "log_o3"):
        assert np.isfinite(found[name]).all()
        assert (found[f"{name}_err"] > 0).all()
    np.testing.assert_allclose(found[PROBABILITIES].sum(axis=1), 1.0)
    assert (found["bpt_class"] == "star-forming").mean() > 0.6
    assert found["log_n2"].median() == pytest.approx(np.log10(12 / 30), abs=0.03)
    assert (found["flag"] == "").all()


def test_models_are_measured_without_errors() -> None:
    known = make_known(4, noise=0.0)
    found = measure_spectra(known.flux)
    assert np.isfinite(found[["flux_halpha", "ew_halpha", "dn4000", "hdelta_a", "mgb", "log_n2"]]).all(axis=None)
    assert found.filter(regex="_err$|^snr_").isna().all(axis=None)
    assert (found[PROBABILITIES].max(axis=1) == 1.0).all()


def test_hdelta_index_is_that_of_the_stars() -> None:
    known = make_known(6, noise=0.0)
    stars = measure_spectra(known.continuum)
    found = measure_spectra(known.flux)
    np.testing.assert_allclose(found["hdelta_a"], stars["hdelta_a"], atol=0.15)  # emission is 2 angstrom


def test_flags_say_what_is_wrong() -> None:
    known = make_known(4, noise=0.02)
    flux, ivar = known.flux.copy(), known.ivar.copy()
    ivar[0] = 0.0
    ivar[1, :150] = 0.0
    flux[2, 725:737] *= 1.5  # something broad beside Halpha
    found = measure_spectra(flux, ivar)
    assert found["flag"].tolist() == ["not-fitted", "lines-missing", "poor-fit", ""]
    assert found["bpt_class"][0] == ""
    assert found.loc[0, PROBABILITIES].isna().all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = make_known(5)
    whole = measure_spectra(known.flux, known.ivar)
    monkeypatch.setattr(table, "_CHUNK_ROWS", 2)
    pd.testing.assert_frame_equal(measure_spectra(known.flux, known.ivar), whole, rtol=1e-8)


def test_no_spectra_are_an_empty_table() -> None:
    assert len(measure_spectra(np.zeros((0, N_WAVE)))) == 0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ShapeError, match="flux and ivar must both be"):
        measure_spectra(np.ones((2, 10)))
    with pytest.raises(SpectrumError, match="negative"):
        measure_spectra(np.ones((1, N_WAVE)), -np.ones((1, N_WAVE)))
    with pytest.raises(ShapeError, match="redshift"):
        measure_spectra(np.ones((1, N_WAVE)), redshift=[0.1, 0.2])


def test_units_of_columns() -> None:
    assert column_unit("flux_halpha_err", "f") == "f"
    assert column_unit("ew_halpha", "f") == column_unit("mgb_err", "f") == "Angstrom"
    assert column_unit("sigma_kms", "f") == "km / s"
    assert column_unit("dn4000", "f") == column_unit("flag", "f") == ""


def test_the_demo_survey_is_measured_as_its_truth_says() -> None:
    survey = open_survey(demo_survey_dir())
    rows = survey.rows_in_split("calibration")[:150]
    flux, ivar = survey.spectra_block(rows)
    catalog = survey.catalog.iloc[rows].reset_index(drop=True)
    found = measure_spectra(flux, ivar, catalog["redshift"])
    is_narrow = (catalog["ew_ha_broad_true"] == 0) if "ew_ha_broad_true" in catalog else catalog["ew_ha_true"] > 0
    pulls = ((found["ew_halpha"] - catalog["ew_ha_true"]) / found["ew_halpha_err"])[is_narrow].dropna()
    assert abs(pulls.median()) < 0.4
    assert 0.7 < (pulls.quantile(0.84) - pulls.quantile(0.16)) / 2 < 1.4
    assert (found["dn4000"] - catalog["dn4000_true"]).abs().median() < 0.06


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".parquet"])
def test_measure_writes_a_survey_with_its_provenance(tmp_path, capsys, suffix) -> None:
    path = tmp_path / f"lines{suffix}"
    args = ["measure", "--survey", str(demo_survey_dir()), "--split", "test", "--n", "3", "--out", str(path)]
    assert main(args) == 0
    assert "3 SIMULATED spectra" in capsys.readouterr().out
    if suffix == ".ecsv":
        found = QTable.read(path)
        assert str(found["flux_halpha"].unit) == "1e-17 erg / (s cm2)"
        assert str(found["ew_halpha"].unit) == "Angstrom"
        assert found.meta["source"] == "SIMULATED"
    elif suffix == ".csv":
        assert path.read_text().startswith("# source: SIMULATED\n")
        found = pd.read_csv(path, comment="#")
    else:
        metadata = json.loads(pq.read_schema(path).metadata[b"galspec"])
        assert metadata["source"] == "SIMULATED"
        assert metadata["units"]["mgb"] == "Angstrom"
        found = pd.read_parquet(path)
    assert len(found) == 3
    assert set(found["split"]) == {"test"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--survey", "DEMO", "--out", "lines.txt"], "must end in"),
        (["--survey", "DEMO", "--split", "moon", "--out", "lines.csv"], "no galaxy in the split 'moon'"),
        (["--survey", "DEMO", "--n", "0", "--out", "lines.csv"], "at least one galaxy"),
        (["--spectrum", "absent.fits", "--n", "2", "--out", "lines.csv"], "belong to --survey"),
        (["--spectrum", "absent.fits", "--out", "lines.csv"], "absent.fits"),
    ],
)
def test_measure_refuses_with_one_sentence(tmp_path, monkeypatch, capsys, args, message) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["measure", *(str(demo_survey_dir()) if arg == "DEMO" else arg for arg in args)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("lines*"))


@pytest.mark.real_data
def test_measure_reads_sdss_files(real_dir, tmp_path) -> None:
    path = tmp_path / "real.ecsv"
    names = ["spec-1045-52725-0628.fits", "spec-0266-51602-0001.fits"]
    files = [str(real_dir / "sdss" / name) for name in names]
    assert main(["measure", "--spectrum", *files, "--out", str(path)]) == 0
    found = QTable.read(path)
    assert found.meta["source"] == "REAL"
    assert found["file"].tolist() == names
    assert (found["snr_halpha"] > 10).all()

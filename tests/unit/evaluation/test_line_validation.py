"""Measured lines against truth, and against SDSS's own fits."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from galspec.core.errors import SpectrumError, SurveyError
from galspec.core.lines import MEASURED_LINES, line_flux_column
from galspec.core.wavelength import wave_grid
from galspec.evaluation.line_validation import compare_with_sdss, summarise_pulls, validate_lines
from galspec.measurement.indices import measure_indices
from galspec.measurement.lines import HALPHA_SIDES
from tests.unit.measurement.conftest import line_index, make_known

#: Real files with strong metal lines, which do not depend on the continuum below.
SDSS_FILES = ("spec-1045-52725-0628.fits", "spec-0390-51900-0282.fits", "1237658802572296399.fits")


def known_survey(n: int = 120) -> SimpleNamespace:
    """Return what `validate_lines` asks of a survey, with exact truths, and its rows."""
    known = make_known(n)
    wave = wave_grid()
    sides = [known.continuum[:, (wave >= low) & (wave <= high)].mean(axis=1) for low, high in HALPHA_SIDES]
    catalog = pd.DataFrame(
        {line_flux_column(name): 1.1 * known.line_flux[:, line_index(name)] for name in MEASURED_LINES}
    )
    catalog["redshift"] = 0.1
    catalog["ew_ha_true"] = known.line_flux[:, line_index("Halpha")] / np.mean(sides, axis=0)
    catalog["ew_ha_broad_true"] = np.where(np.arange(n) < 5, 30.0, 0.0)
    catalog["dn4000_true"] = measure_indices(known.flux, known.ivar).dn4000
    catalog["bpt_class"] = "star-forming"
    return SimpleNamespace(
        name="known", catalog=catalog, spectra_block=lambda rows: (known.flux[rows], known.ivar[rows])
    )


def test_summary_of_known_pulls(rng) -> None:
    true = np.full(4000, 10.0)
    found = summarise_pulls(true + 0.5 + 2.0 * rng.standard_normal(4000), np.full(4000, 1.0), true)
    assert found["n"] == 4000
    assert found["bias"] == pytest.approx(0.5, abs=0.15)
    assert found["scatter"] == pytest.approx(2.0, rel=0.05)
    assert found["median_fraction"] == pytest.approx(0.05, abs=0.015)
    assert summarise_pulls(np.array([np.nan]), np.array([1.0]), np.array([1.0]))["n"] == 0


def test_validation_finds_exact_truths_unbiased() -> None:
    report = validate_lines(known_survey(), np.arange(120))
    assert report["n"] == 115  # broad lines are left out
    bins = report["lines"]["Halpha"]
    assert sum(part["n"] for part in bins.values()) == 115
    strong = max(bins.values(), key=lambda part: part["n"])
    assert abs(strong["bias"]) < 0.3
    assert strong["median_fraction"] == pytest.approx(0.0, abs=0.02)
    widths = max(report["ew_halpha"].values(), key=lambda part: part["n"])
    assert widths["median_fraction"] == pytest.approx(0.0, abs=0.02)
    assert report["dn4000"]["median_difference"] == pytest.approx(0.0, abs=1e-6)
    classes = report["bpt"]["classes"]
    assert classes["star-forming"]["purity"] == 1.0
    assert sum(part["expected"] for part in classes.values()) == pytest.approx(report["bpt"]["n"])


def test_surveys_without_truths_are_refused() -> None:
    survey = known_survey(4)
    survey.catalog = survey.catalog.drop(columns=["flux_halpha_true"])
    with pytest.raises(SurveyError, match="no columns flux_halpha_true"):
        validate_lines(survey, np.arange(4))


@pytest.mark.real_data
@pytest.mark.parametrize("name", SDSS_FILES)
def test_metal_lines_agree_with_the_sdss_pipeline(real_dir, name) -> None:
    found = compare_with_sdss(real_dir / "sdss" / name).set_index("line")
    metals = found.loc[["[OIII]5007", "[NII]6583", "[SII]6716", "[SII]6731"]]
    assert metals["pull"].abs().max() < 3.0
    assert metals["ratio"].median() == pytest.approx(1.0, abs=0.1)
    assert (metals["ew"] / metals["ew_sdss"]).median() == pytest.approx(1.0, abs=0.15)


@pytest.mark.real_data
def test_stars_under_balmer_lines_are_taken_off(real_dir) -> None:
    # An early-type galaxy: the pipeline's continuum has no absorption, so that it finds next to no Hbeta.
    found = compare_with_sdss(real_dir / "sdss" / "spec-0266-51602-0001.fits").set_index("line")
    assert found.loc["Hbeta", "flux"] > 5 * found.loc["Hbeta", "flux_sdss"]
    decrement = found.loc["Halpha", "flux"] / found.loc["Hbeta", "flux"]
    assert 2.5 < decrement < 8.0


@pytest.mark.real_data
def test_files_without_a_line_table_are_refused(real_dir) -> None:
    with pytest.raises(SpectrumError, match="no table of emission lines"):
        compare_with_sdss(real_dir / "sdss" / "sample_sdss.fits")

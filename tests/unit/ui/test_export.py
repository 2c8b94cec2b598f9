"""The three curves of a galaxy as files that astropy reads."""

import io

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from galspec.core.table_file import FORMATS
from galspec.core.wavelength import wave_grid
from galspec.ui.comparison import Comparison
from galspec.ui.export import as_file, provenance
from galspec.ui.model_card import ModelCard


@pytest.fixture
def curves(tmp_path, rng) -> tuple[Comparison, dict]:
    observed = rng.normal(1, 0.1, 1000)
    observed[:40] = np.nan
    shown = Comparison(
        observed=observed,
        sigma=np.where(np.isfinite(observed), 0.1, np.nan),
        prediction=rng.normal(1, 0.1, 1000),
        latent_predicted=np.linspace(-1, 1, 6),
        norm=12.5,
    )
    card = ModelCard(tmp_path, "toy-cnn", "a" * 64, "SIMULATED", "sim1", "vae6", "b" * 64)
    facts = provenance(
        shown, galaxy_id="g1", redshift=0.1, survey_name="demo", source="SIMULATED", card=card, link="http://x/?id=g1"
    )
    return shown, facts


@pytest.mark.filterwarnings("ignore:.*has been deprecated in the VOUnit standard")
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_holds_the_curves_that_are_known(curves, file_format):
    shown, facts = curves
    content = as_file(shown, 0.1, facts, file_format)
    reader = {"CSV": "ascii.csv", "ECSV": "ascii.ecsv", "VOTable": "votable", "FITS": "fits"}[file_format]
    table = Table.read(io.BytesIO(content), format=reader, **({"comment": "#"} if file_format == "CSV" else {}))
    assert table.colnames == [
        "wavelength_rest",
        "wavelength_observed",
        "flux_observed",
        "sigma_observed",
        "flux_predicted",
    ]
    assert np.asarray(table["wavelength_observed"]) == pytest.approx(1.1 * wave_grid(), abs=1e-5)
    flux = np.ma.filled(np.ma.asarray(table["flux_observed"]).astype(float), np.nan)
    assert flux == pytest.approx(shown.observed, rel=1e-6, nan_ok=True)
    assert np.asarray(table["flux_predicted"]) == pytest.approx(shown.prediction, rel=1e-6)
    if file_format != "CSV":
        assert table["wavelength_rest"].unit == u.AA
    for piece in (b"SIMULATED", b"a" * 64, b"toy-cnn", b"not an observed one", b"http://x/?id=g1"):
        assert piece in content


def test_csv_says_in_its_head_what_the_columns_are(curves):
    shown, facts = curves
    head = as_file(shown, 0.1, facts, "CSV").decode().splitlines()
    assert head[0] == "# object: g1"
    assert "# column wavelength_rest [Angstrom]: rest frame, vacuum" in head

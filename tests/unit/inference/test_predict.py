"""Predictions and the files they are written to; bad input leaves nothing behind."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import QTable

from galspec.cli.main import main
from galspec.core.errors import ConfigError, ImageError, ShapeError, SpectrumError
from galspec.inference.engine import Engine
from galspec.inference.plan import InferencePlan
from galspec.inference.predict import predict_cutout
from galspec.inference.spectrum_file import write_spectrum
from galspec.models.bundle import PredictorBundle, load_predictor_bundle
from galspec.store.survey import open_survey
from tests.toy_survey import write_toy_models, write_toy_survey


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("predict")
    survey = write_toy_survey(folder / "survey", n_galaxies=12)
    _, predictor = write_toy_models(folder / "models")
    return survey, predictor


@pytest.fixture(scope="module")
def predictor(folders) -> PredictorBundle:
    return load_predictor_bundle(folders[1])


@pytest.fixture(scope="module")
def cutout(folders) -> np.ndarray:
    return open_survey(folders[0]).cutout(0)


def test_a_prediction_knows_where_it_comes_from(predictor, cutout):
    spectrum = predict_cutout(predictor, cutout, 0.1)
    assert spectrum.flux.shape == (1000,)
    assert spectrum.model["trained_on"] == "SIMULATED"
    assert len(spectrum.model["sha256"]) == 64
    assert spectrum.wave_obs == pytest.approx(1.1 * spectrum.wave_rest)
    assert predict_cutout(predictor, cutout).wave_obs is None


def test_the_redshift_does_not_change_the_prediction(predictor, cutout):
    first, second = predict_cutout(predictor, cutout, 0.02), predict_cutout(predictor, cutout, 0.2)
    assert np.array_equal(first.flux, second.flux)


def test_bad_cutouts_are_refused(predictor, cutout):
    with pytest.raises(ShapeError, match=r"has shape \(5, 100, 100\), but must be \(5, 224, 224\)"):
        predict_cutout(predictor, cutout[:, :100, :100])
    blind = cutout.copy()
    blind[4] = np.nan
    with pytest.raises(ImageError, match="band y has no valid pixel"):
        predict_cutout(predictor, blind)
    for redshift in (-0.1, 0.5, float("nan")):
        with pytest.raises(SpectrumError, match=r"is outside 0-0\.36"):
            predict_cutout(predictor, cutout, redshift)


def test_galaxies_outside_the_training_range_are_flagged(predictor, cutout):
    ranges = {"redshift": [0.02, 0.25], "mag_r": [13.8, 18.7]}
    info = {**predictor.info, "training_survey": {**predictor.info["training_survey"], "ranges": ranges}}
    ranged = PredictorBundle(predictor.network, predictor.image_scaler, predictor.decoder, info)
    warnings = predict_cutout(ranged, cutout * 1e3, 0.005).warnings
    assert any("redshift 0.0050 lies outside the training range 0.020-0.250" in text for text in warnings)
    assert any("mag inside the cutout lies outside the training range" in text for text in warnings)
    flat = np.full_like(cutout, 500.0)
    assert any("fills the cutout" in text for text in predict_cutout(ranged, flat).warnings)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".csv"])
def test_spectra_open_with_astropy(tmp_path, predictor, cutout, suffix):
    spectrum = predict_cutout(predictor, cutout, 0.05)
    path = tmp_path / f"spectrum{suffix}"
    write_spectrum(spectrum, path)
    table = QTable.read(path, format="ascii.csv", comment="#") if suffix == ".csv" else QTable.read(path)
    assert np.asarray(table["flux"]) == pytest.approx(spectrum.flux, rel=1e-5)
    if suffix != ".csv":
        assert table["wavelength"].unit == u.AA
        assert table["wavelength"][0].value == pytest.approx(3388.44, abs=0.01)
    text = path.read_bytes()
    assert b"PREDICTED" in text
    assert b"SIMULATED" in text
    assert spectrum.model["sha256"].encode() in text


@pytest.mark.filterwarnings("ignore")  # specutils' own dependencies warn on import
def test_spectra_open_with_specutils(tmp_path, predictor, cutout):
    specutils = pytest.importorskip("specutils", reason="make setup installs specutils")
    path = tmp_path / "spectrum.fits"
    write_spectrum(predict_cutout(predictor, cutout), path)
    spectrum = predict_cutout(predictor, cutout)
    read = specutils.Spectrum.read(str(path), format="wcs1d-fits")
    assert read.spectral_axis.to_value(u.AA) == pytest.approx(spectrum.wave_rest, abs=1e-3)
    assert read.flux.unit == u.dimensionless_unscaled
    assert read.flux.value == pytest.approx(spectrum.flux, abs=1e-5)


def test_without_redshift_there_is_no_observed_wavelength(tmp_path, predictor, cutout):
    write_spectrum(predict_cutout(predictor, cutout), tmp_path / "rest.fits")
    with fits.open(tmp_path / "rest.fits") as hdus:
        assert hdus[1].columns.names == ["wavelength", "flux"]
        assert hdus[1].header["REDSHIFT"] == "none"
        assert hdus[0].header["OBJTYPE"] == "PREDICTED"


def test_an_unknown_format_is_refused(tmp_path, predictor, cutout):
    with pytest.raises(ConfigError, match=r"must end in \.fits, \.ecsv, \.csv"):
        write_spectrum(predict_cutout(predictor, cutout), tmp_path / "spectrum.txt")


def test_every_format_says_how_the_network_was_run(tmp_path, predictor, cutout):
    spectrum = predict_cutout(Engine(predictor, InferencePlan(n_symmetries=8)), cutout)
    assert (spectrum.model["backend"], spectrum.model["mode"], spectrum.model["device"]) == ("eager", "exact", "cpu")
    for suffix in (".fits", ".ecsv", ".csv"):
        write_spectrum(spectrum, tmp_path / f"spectrum{suffix}")
    with fits.open(tmp_path / "spectrum.fits") as hdus:
        for hdu in hdus:
            assert hdu.header["BACKEND"] == "eager"
            assert (hdu.header["INFMODE"], hdu.header["INFPREC"]) == ("exact", "float32")
            assert (hdu.header["INFDEV"], hdu.header["NSYMM"]) == ("cpu", 8)
    assert "# INFMODE: exact" in (tmp_path / "spectrum.csv").read_text()
    assert "INFMODE: exact" in (tmp_path / "spectrum.ecsv").read_text()


def _write_bands(folder: Path, skip: str = "") -> list[Path]:
    """Write five small PS1-like files; the band stands in the header only."""
    paths = []
    rng = np.random.default_rng(0)
    for band in "grizy":
        if band == skip:
            continue
        header = fits.Header()
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
        header["CRVAL1"], header["CRVAL2"] = 150.0, 2.0
        header["CRPIX1"], header["CRPIX2"] = 120.5, 120.5
        header["CDELT1"], header["CDELT2"] = -0.25 / 3600, 0.25 / 3600
        header["EXPTIME"] = 700.0
        header["HIERARCH FPA.FILTERID"] = f"{band}.00000"
        data = rng.normal(0, 1, (240, 240)).astype(np.float32)
        y, x = np.mgrid[:240, :240] - 119.5
        data += 500.0 * np.exp(-np.hypot(x, y) / 8.0).astype(np.float32)
        path = folder / f"image{len(paths)}.fits"
        fits.PrimaryHDU(data, header).writeto(path)
        paths.append(path)
    return paths


def test_command_predicts_from_five_files(tmp_path, folders, capsys):
    paths = [str(path) for path in reversed(_write_bands(tmp_path))]
    out = tmp_path / "spectrum.fits"
    code = main(
        ["predict", "--images", *paths, "--ra", "150.0", "--dec", "2.0", "--model", str(folders[1]), "--out", str(out)]
    )
    assert code == 0, capsys.readouterr().err
    assert "trained on SIMULATED galaxies; exact mode (float32), eager on" in capsys.readouterr().out
    assert len(QTable.read(out)) == 1000


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20000])


@pytest.mark.parametrize(
    ("extra", "skip", "damage", "words"),
    [
        ([], "y", None, "y"),
        ([], "", _truncate, "truncated"),
        (["--redshift", "0.9"], "", None, "outside 0-0.36"),
        (["--ra", "10.0", "--dec", "-40.0"], "", None, "is not on the image"),
        (["--ra", "150.0"], "", None, "both --ra and --dec"),
        (["--out", "spectrum.txt"], "", None, "must end in"),
        (["--model", "nowhere"], "", None, "is not a model bundle"),
        (["--backend", "onnx"], "", None, "no inference backend is called 'onnx'"),
        (["--mode", "quick"], "", None, "no inference mode is called 'quick'"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(tmp_path, folders, capsys, monkeypatch, extra, skip, damage, words):
    monkeypatch.chdir(tmp_path)
    paths = _write_bands(tmp_path, skip)
    if damage:
        damage(paths[0])
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments = ["predict", "--images", *map(str, paths), "--model", str(folders[1]), "--out", "spectrum.fits", *extra]
    assert main(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert words in message
    assert message.count("\n") == 0
    assert "Traceback" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_unknown_survey_version_exits_2(tmp_path, folders, capsys):
    folder = write_toy_survey(tmp_path / "survey", n_galaxies=4, with_images=False)
    text = (folder / "survey.json").read_text()
    (folder / "survey.json").write_text(text.replace('"version": 1', '"version": 12', 1))
    assert main(["predict", "--survey", str(folder), "--model", str(folders[1])]) == 2
    assert "survey of version 12" in capsys.readouterr().err


def test_command_predicts_a_survey(tmp_path, folders, capsys):
    out = tmp_path / "latents.parquet"
    arguments = ["predict", "--survey", str(folders[0]), "--model", str(folders[1]), "--out", str(out)]
    assert main([*arguments, "--backend", "eager", "--device", "cpu", "--average-symmetries"]) == 0
    printed = capsys.readouterr().out
    assert "12 predictions by toy-cnn (exact mode (float32), eager on cpu, mean over 8 symmetries)" in printed
    assert b'"mode": "exact"' in pq.read_schema(out).metadata[b"galspec"]

"""The comparison: known chi squared, classes, an untouched test split, and requirements that can fail."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

from galspec.cli.main import main
from galspec.core.errors import ConfigError, SurveyError
from galspec.core.wavelength import wave_grid
from galspec.evaluation import vae_comparison, vae_real, vae_report
from galspec.evaluation.vae_comparison import (
    FittedMethods,
    TestScores,
    chi2_per_pixel,
    compare_methods,
    galaxy_classes,
    regions,
    score_test,
)
from galspec.evaluation.vae_figure import draw_vae_report
from galspec.models.bundle import VaeBundle, load_vae_bundle
from galspec.store.survey import Survey, open_survey
from galspec.training.compressors import ComparisonConfig
from tests.toy_survey import write_toy_models, write_toy_survey

CONFIG = ComparisonConfig(dims=(6, 10), seeds=(1, 2), n_train=150, n_valid=20, n_nmf=60, n_epochs=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("toy")
    survey = write_toy_survey(folder / "survey", n_galaxies=200, with_images=False)
    return survey, write_toy_models(folder / "models")[0]


@pytest.fixture
def survey(folders: tuple[Path, Path]) -> Survey:
    return open_survey(folders[0])


@pytest.fixture
def vae(folders: tuple[Path, Path]) -> VaeBundle:
    return load_vae_bundle(folders[1])


def test_regions_cover_every_pixel_once():
    found = regions()
    assert (found["lines"] ^ found["continuum"]).all()
    wave = wave_grid()
    for centre in (3728.5, 4862.68, 5008.24, 5894.6, 6564.61, 6732.68):
        assert found["lines"][np.abs(wave - centre).argmin()]
    assert found["continuum"][np.abs(wave - 5500.0).argmin()]
    assert found["lines"].sum() == sum(found[name].sum() for name in vae_comparison.LINE_WINDOWS)


def test_chi_squared_counts_pixels_with_data_in_their_region():
    found = regions()
    flux, ivar = np.ones((2, 1000)), np.full((2, 1000), 4.0)
    model = np.ones((2, 1000))
    model[:, found["NaD"]] = 2.0  # off by two sigma
    ivar[1, found["NaD"]] = 0.0
    scores = chi2_per_pixel(model, flux, ivar)
    assert scores["NaD"][0] == pytest.approx(4.0)
    assert np.isnan(scores["NaD"][1])
    assert scores["all"][0] == pytest.approx(4.0 * found["NaD"].sum() / 1000)
    assert scores["all"][1] == scores["continuum"][0] == 0.0
    softened = chi2_per_pixel(model, flux, ivar, softening=0.5)
    assert softened["NaD"][0] == pytest.approx(2.0)  # twice the variance


def test_classes_are_disjoint_and_follow_the_columns():
    catalog = pd.DataFrame(
        [
            ("Q", "none", "none", "quiescent"),
            ("Q", "agn", "none", "quiescent"),  # lines of hot old stars
            ("Q", "agn", "liner", "narrow-line AGN"),
            ("SF", "star-forming", "none", "star-forming"),
            ("SF", "star-forming", "seyfert", "star-forming"),  # a nucleus that the lines do not show
            ("SF", "agn", "seyfert", "narrow-line AGN"),
            ("SF", "composite", "none", None),
            ("GV", "star-forming", "none", None),
            ("PSB", "none", "none", "post-starburst"),
            ("PSB", "agn", "seyfert", "narrow-line AGN"),
        ],
        columns=["galaxy_class", "bpt_class", "agn_class", "expected"],
    )
    found = galaxy_classes(catalog)
    assert tuple(found) == vae_comparison.CLASSES
    assert np.sum(list(found.values()), axis=0).max() == 1
    for name, mask in found.items():
        np.testing.assert_array_equal(mask, (catalog["expected"] == name).to_numpy(), err_msg=name)


def test_no_test_row_is_read_while_fitting(survey, monkeypatch):
    read: list[int] = []
    real = Survey.spectra_block

    def spectra_block(self, rows):
        read.extend(int(row) for row in rows)
        return real(self, rows)

    monkeypatch.setattr(Survey, "spectra_block", spectra_block)
    methods = FittedMethods(survey, CONFIG)
    callables = {name: methods.get(name, 2, 1) for name in ("pca", "nmf", "ae", "vae")}
    split = survey.catalog["split"].to_numpy(dtype=str)
    assert set(split[read]) == {"train", "valid"}
    read.clear()
    rows, scores = score_test(survey, callables, softening=0.022)
    assert set(split[read]) == {"test"}
    assert set(rows) == set(np.flatnonzero(split == "test"))
    assert all(len(one.plain["all"]) == len(rows) for one in scores.values())


def test_methods_are_fitted_once(survey):
    lines: list[str] = []
    methods = FittedMethods(survey, CONFIG, lines.append)
    assert methods.get("pca", 2, 1) is methods.get("pca", 2, 1)
    assert [line for line in lines if "pca" in line] == ["pca 2 seed 1 fitted"]
    assert methods.seeds("pca") == (1,)
    assert methods.seeds("vae") == (1, 2)


def test_more_components_fit_better_and_random_weights_fail_the_requirement(survey, vae):
    result = compare_methods(survey, vae, FittedMethods(survey, CONFIG))
    pca = result["methods"]["pca"]
    assert pca["10"]["all"]["all"]["mean"] < pca["6"]["all"]["all"]["mean"] < 1.3
    assert result["methods"]["vae"]["6"]["n_seeds"] == 2
    assert pca["6"]["n_seeds"] == 1
    assert pca["6"]["seed_sd"]["all"] == 0.0
    assert result["n_test"]["all"] == (survey.catalog["split"] == "test").sum()
    requirement = result["requirement"]
    assert not any(requirement["shipped"]["pass"].values())
    assert requirement["shipped"]["overall_minus_pca6"]["plain"]["mean"] > 0
    refined, encoded = (result[name]["all"]["all"]["softened_mean"] for name in ("shipped_refined", "shipped"))
    assert refined <= encoded


def test_a_survey_without_train_galaxies_is_explained(vae):
    from galspec.core.home import demo_survey_dir

    demo = open_survey(demo_survey_dir())
    with pytest.raises(SurveyError, match="no usable spectrum in its train split"):
        FittedMethods(demo, CONFIG).get("pca", 2, 1)


def _scores(overall: float, lines: float, n: int = 50) -> TestScores:
    noise = np.random.default_rng(int(100 * overall)).normal(0.0, 0.01, n)
    values = {"all": overall + noise, "lines": lines + noise}
    return TestScores(values, values)


@pytest.mark.parametrize(
    ("own", "is_passed"),
    [((1.2, 1.2), True), ((1.2, 1.5), False), ((1.6, 1.2), False), ((1.6, 1.6), False)],
)
def test_both_conditions_are_required(own, is_passed):
    result = vae_comparison.judge(_scores(*own), pca6=_scores(1.4, 1.7), pca10=_scores(1.1, 1.3))
    assert set(result["pass"].values()) == {is_passed}
    gap = result["overall_minus_pca6"]["plain"]
    assert gap["mean"] == pytest.approx(own[0] - 1.4, abs=0.01)
    assert 0 < gap["standard_error"] < 0.01


def test_residuals_are_those_of_the_pixels_with_data():
    flux, ivar = np.full((1, 1000), 2.0), np.full((1, 1000), 25.0)
    ivar[0, :100] = 0.0
    model = np.full((1, 1000), 2.2)
    model[0, :100] = 99.0
    found = vae_real.fit_residuals(model, flux, ivar)
    assert found["chi2"][0] == pytest.approx(1.0)
    assert found["residual"][0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("refined", "n_counted", "is_passed"), [(0.029, 12, True), (0.031, 12, False), (0.02, 11, False)]
)
def test_the_requirement_on_real_spectra(refined, n_counted, is_passed):
    median = {
        name: {"residual": {"counted": value}}
        for name, value in (("yip10", 0.02), ("shipped", 0.05), ("shipped_refined", refined))
    }
    result = vae_real.judge(median, n_counted)
    assert result["pass"] is is_passed
    assert result["ratio"]["shipped"] == 2.5


def _write_real(folder: Path, snrs: tuple[float, ...]) -> Path:
    """Write eigenspectra and SDSS-like files of their first two vectors; the last file has a redshift warning."""
    rng = np.random.default_rng(3)
    loglam = np.arange(np.log10(3810.0), np.log10(9190.0), 3e-4)
    x = (10**loglam / 1.1 - 5500.0) / 3000.0
    wave = np.linspace(3400.0, 8400.0, 2000)
    on_wave = (wave - 5500.0) / 3000.0
    vectors = np.stack([np.ones(2000), *(on_wave**power for power in range(1, 10))])
    (folder / "templates").mkdir(parents=True)
    (folder / "sdss").mkdir()
    table = Table({"wave": wave[None], "pca": vectors.ravel()[None]})
    fits.BinTableHDU(table).writeto(folder / "templates" / "gal_eigenspec_Yip2004.fits")
    for index, snr in enumerate(snrs):
        true = 10.0 * (1.0 + 0.3 * rng.uniform(-1, 1) * x)
        columns = {
            "flux": true + 10.0 / snr * rng.standard_normal(len(x)),
            "loglam": loglam,
            "ivar": np.full(len(x), (snr / 10.0) ** 2),
        }
        coadd = fits.BinTableHDU(Table(columns), name="COADD")
        warning = 4 if index == len(snrs) - 1 else 0
        described = fits.BinTableHDU(Table({"Z": [0.1], "ZWARNING": [warning], "CLASS": ["GALAXY"]}), name="SPECOBJ")
        fits.HDUList([fits.PrimaryHDU(), coadd, described]).writeto(folder / "sdss" / f"spec-{index}.fits")
    return folder


def test_real_spectra_are_scored_and_the_good_ones_counted(survey, vae, tmp_path):
    folder = _write_real(tmp_path / "real", (20.0, 30.0, 4.5, 25.0))
    result = vae_real.compare_real(folder, vae, FittedMethods(survey, CONFIG))
    assert [file["counts"] for file in result["files"]] == [True, True, False, False]
    assert [file["zwarning"] for file in result["files"]] == [0, 0, 0, 4]
    assert result["requirement"]["n_counted"] == 2
    assert not result["requirement"]["pass"]
    assert set(result["median"]) >= {"yip10", "shipped", "shipped_refined", "pca6", "pca10", "nmf6", "ae10", "vae6"}
    assert result["median"]["yip10"]["chi2"]["counted"] == pytest.approx(1.0, abs=0.15)
    assert len(result["per_file"]["vae6"]["residual"]) == 4


def test_parts_are_kept_and_replaced_with_their_provenance(tmp_path):
    path = tmp_path / "results" / "vae.json"
    vae_report.store_part("one", {"value": float("nan"), "rows": [1.0, float("inf")]}, {"date": "2020-11-09"}, path)
    vae_report.store_part("two", {"value": 2}, {"date": "2020-11-10"}, path)
    report = vae_report.store_part("two", {"value": 3}, {"date": "2020-11-11"}, path)
    assert report == vae_report.report_vae(path) == json.loads(path.read_text())
    assert report["parts"]["one"] == {"provenance": {"date": "2020-11-09"}, "value": None, "rows": [1.0, None]}
    assert report["parts"]["two"] == {"provenance": {"date": "2020-11-11"}, "value": 3}


def test_a_missing_or_foreign_report_is_explained(tmp_path):
    with pytest.raises(ConfigError, match="galspec vae-report --survey DIR"):
        vae_report.report_vae(tmp_path / "vae.json")
    (tmp_path / "other.json").write_text('{"format": "shopping list"}')
    with pytest.raises(ConfigError, match="no VAE report of version 1"):
        vae_report.report_vae(tmp_path / "other.json")
    (tmp_path / "broken.json").write_text("[")
    with pytest.raises(ConfigError, match="cannot be read"):
        vae_report.report_vae(tmp_path / "broken.json")


def test_the_report_is_listed():
    from galspec.evaluation.report import REPORTS

    assert REPORTS["vae"] is vae_report.report_vae


def test_command_measures_stores_and_draws(folders, tmp_path, capsys):
    settings = tmp_path / "small.toml"
    settings.write_text("[comparison]\ndims = [6, 10]\nseeds = [1]\nn_train = 100\nn_nmf = 50\nn_epochs = 1\n")
    real = _write_real(tmp_path / "real", (20.0, 30.0))
    out, figure = tmp_path / "vae.json", tmp_path / "vae.png"
    common = ["vae-report", "--survey", str(folders[0]), "--vae", str(folders[1]), "--config", str(settings)]
    common += ["--out", str(out), "--figure", str(figure)]
    assert main([*common, "--part", "real", "--real", str(real)]) == 0
    assert set(vae_report.report_vae(out)["parts"]) == {"real"}
    assert main([*common, "--part", "comparison", "--part", "meaning"]) == 0
    parts = vae_report.report_vae(out)["parts"]
    assert set(parts) == {"real", "comparison", "meaning"}
    assert parts["comparison"]["source"] == "SIMULATED"
    provenance = parts["meaning"]["provenance"]
    assert provenance["vae"]["sha256"] == load_vae_bundle(folders[1]).sha256
    assert provenance["survey"]["n_galaxies"] == 200
    assert provenance["config"]["dims"] == [6, 10]
    assert figure.stat().st_size > 50_000
    assert "real: requirement" in capsys.readouterr().out


def test_fits_are_kept_for_another_vae_and_refused_for_other_settings(folders, tmp_path, capsys, monkeypatch):
    settings = tmp_path / "small.toml"
    settings.write_text("[comparison]\ndims = [6, 10]\nseeds = [1]\nn_train = 100\nn_nmf = 50\nn_epochs = 1\n")
    real = _write_real(tmp_path / "real", (20.0, 30.0))
    out = tmp_path / "vae.json"
    common = ["vae-report", "--survey", str(folders[0]), "--vae", str(folders[1]), "--real", str(real), "--no-figure"]
    common += ["--out", str(out), "--part", "comparison", "--part", "real", "--config", str(settings)]
    assert main(common) == 0
    first = vae_report.report_vae(out)["parts"]
    fitted: list[str] = []
    fit = vae_comparison.fit_compressor
    monkeypatch.setattr(vae_comparison, "fit_compressor", lambda *args: fitted.append(args[0]) or fit(*args))
    assert main([*common, "--keep-fits"]) == 0
    second = vae_report.report_vae(out)["parts"]
    assert set(fitted) == {"pca"}
    for name in ("comparison", "real"):
        assert second[name]["fits_kept_from"]["date"] == first[name]["provenance"]["date"]
        bare = {key: value for key, value in second[name].items() if key not in {"provenance", "fits_kept_from"}}
        assert bare == {key: value for key, value in first[name].items() if key != "provenance"}
    capsys.readouterr()
    settings.write_text(settings.read_text().replace("n_train = 100", "n_train = 120"))
    assert main([*common, "--keep-fits"]) == 2
    assert "without --keep-fits" in capsys.readouterr().err
    assert vae_report.report_vae(out)["parts"] == second


def test_command_refuses_what_it_cannot_measure(folders, tmp_path, capsys):
    common = ["vae-report", "--survey", str(folders[0]), "--vae", str(folders[1]), "--out", str(tmp_path / "vae.json")]
    assert main([*common, "--part", "taste"]) == 2
    assert "the parts are comparison, meaning, real" in capsys.readouterr().err
    assert main([*common, "--part", "real"]) == 2
    assert "with --real" in capsys.readouterr().err
    assert not (tmp_path / "vae.json").exists()


def test_an_empty_report_can_be_drawn(tmp_path):
    draw_vae_report({"parts": {}}, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


@pytest.mark.real_data
def test_the_shipped_vae_on_real_spectra(real_dir, survey):
    from galspec.models.bundle import shipped_vae_dir

    config = ComparisonConfig(dims=(2,), seeds=(1,), n_train=100)  # neither 6 nor 10: only what is shipped is scored
    result = vae_real.compare_real(real_dir, load_vae_bundle(shipped_vae_dir()), FittedMethods(survey, config))
    assert set(result["median"]) == {"yip10", "shipped", "shipped_refined"}
    assert result["requirement"]["n_counted"] >= vae_real.MIN_FILES
    assert result["requirement"]["pass"]


def test_parts_that_cannot_be_measured_are_refused_before_anything_is(folders, tmp_path):
    said: list[str] = []
    context = vae_report.ReportContext(
        survey=open_survey(folders[0]), vae=load_vae_bundle(folders[1]), report=said.append
    )
    for part, words in (("real", "--real"), ("search", "--search"), ("novelty", "no novelty calibration")):
        context.vae.novelty = None
        with pytest.raises(ConfigError, match=words):
            vae_report.measure_parts(context, [part], tmp_path / "vae.json")
    with pytest.raises(ConfigError, match="no part nonsense"):
        vae_report.measure_parts(context, ["nonsense"], tmp_path / "vae.json")
    assert not (tmp_path / "vae.json").exists()
    assert said == []
    # Asked for all, what is possible is measured and what is not is named.
    assert vae_report._possible(context, list(vae_report.PARTS), is_all=True) == [
        name for name in vae_report.PARTS if name not in {"real", "search", "novelty"}
    ]
    assert len(said) == 3

"""Realism: known noise and profiles are measured, vectors fit what they span, stages are kept, refusals explain."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import convolve

from galspec.cli.main import main
from galspec.core.bands import NJY_PER_COUNT_ZP25, PIXEL_SCALE_ARCSEC
from galspec.core.errors import ConfigError, ImageError, SpectrumError, SurveyError
from galspec.core.wavelength import wave_grid
from galspec.evaluation import realism
from galspec.evaluation.realism_images import (
    CORRELATION_RANGES,
    frame_panels,
    half_light_radius,
    measure_embedding,
    measure_noise,
    noise_statistics,
    radial_profile,
    read_real_images,
)
from galspec.evaluation.realism_spectra import (
    fit_scores,
    in_fit_range,
    measure_spectra,
    near_lines,
    read_eigenspectra,
    read_real_spectra,
    simulated_vectors,
)
from galspec.models.bundle import load_predictor_bundle, load_vae_bundle
from galspec.store.survey import open_survey
from tests.toy_survey import write_toy_models, write_toy_survey


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return write_toy_survey(folder / "survey", n_galaxies=24), *write_toy_models(folder / "models")


def _noise(rng, kernel, rms_counts, size=480):
    white = rng.standard_normal((size, size))
    kernel = np.asarray(kernel, float)
    return (convolve(white, kernel / np.sqrt((kernel**2).sum())) * rms_counts * NJY_PER_COUNT_ZP25).astype(np.float32)


def _disk(scale_arcsec: float, colour_slope: float = 0.0, size: int = 224) -> np.ndarray:
    """An exponential disk, (5, size, size), whose g-i changes by ``colour_slope`` mag per dex of radius."""
    offset = (np.arange(size) - (size - 1) / 2) * PIXEL_SCALE_ARCSEC
    radius = np.hypot(offset[:, None], offset[None, :]) + 0.05
    red = 1e5 * np.exp(-radius / scale_arcsec)
    g = red * 10 ** (-0.4 * (0.8 + colour_slope * np.log10(radius)))
    return np.stack([g, red, red, red, red]).astype(np.float32)


# --- images


def test_white_noise_has_its_rms_and_no_correlation(rng) -> None:
    found = noise_statistics(_noise(rng, [[1.0]], 0.1))
    # The quietest fifth of blocks is a biased sample: some 8 % below the truth.
    assert 0.090 < found["rms"] < 0.095
    assert found["lag1"] == pytest.approx(0.0, abs=0.02)
    assert found["diagonal"] == pytest.approx(0.0, abs=0.02)


def test_correlation_of_a_known_kernel(rng) -> None:
    # Neighbours share 2 of 3 products: lag 1 along columns 2/3, lag 2 1/3; none along rows.
    found = noise_statistics(_noise(rng, [[1.0, 1.0, 1.0]], 1.0))
    assert found["lag1"] == pytest.approx(0.5 * 2 / 3, abs=0.04)
    assert found["lag2"] == pytest.approx(0.5 / 3, abs=0.06)


def test_sources_and_gaps_do_not_change_the_noise(rng) -> None:
    image = _noise(rng, [[1.0]], 0.1)
    clean = noise_statistics(image)["rms"]
    image[100:160, 100:160] += 50 * NJY_PER_COUNT_ZP25
    image[300:340] = np.nan
    assert noise_statistics(image)["rms"] == pytest.approx(clean, rel=0.03)


def test_too_little_data_is_refused() -> None:
    with pytest.raises(ImageError, match="only 16 blocks"):
        noise_statistics(np.zeros((48, 48), np.float32))


def test_noise_report_says_which_bands_and_correlations_pass(rng) -> None:
    good = np.stack([_noise(rng, [[1.0]], rms, 224) for rms in (0.094, 0.11, 0.11, 0.27, 0.77)])
    bad = np.stack([_noise(rng, [[1.0]], 0.05, 224) for _ in range(5)])
    report = measure_noise([good], [good, good, bad])
    assert all(row["inside"] == pytest.approx(2 / 3, abs=0.001) for row in report["rms"].values())
    assert len(report["rms"]["g"]["real"]) == 1
    assert set(report["correlation"]) == set(CORRELATION_RANGES)
    assert not report["correlation"]["lag1"]["pass"]  # white noise is not correlated, real stacks are


@pytest.mark.parametrize("scale", [1.5, 3.0, 5.0])
def test_half_light_radius_of_a_disk(scale) -> None:
    image = _disk(scale)[1]
    assert half_light_radius(image) == pytest.approx(1.678 * scale, rel=0.08)
    image[30:40, 180:190] += 1e6  # a star in the corner
    assert half_light_radius(image) == pytest.approx(1.678 * scale, rel=0.08)


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.3])
def test_colour_gradient_is_recovered(slope) -> None:
    profile = radial_profile(_disk(3.0, slope))
    assert profile["gradient"] == pytest.approx(slope, abs=0.06)
    assert profile["brightness"][0] == 0.0
    assert np.all(np.diff(profile["brightness"]) > 0)


def test_a_frame_without_light_has_no_colour() -> None:
    profile = radial_profile(np.zeros((5, 224, 224), np.float32))
    assert np.isnan(profile["gradient"])


def test_embedding_knows_what_is_like_the_simulation(toy) -> None:
    survey, vae, predictor = toy
    bundle = load_predictor_bundle(predictor, load_vae_bundle(vae))
    images = [open_survey(survey).cutout(row) for row in range(24)]
    features = bundle.features(np.stack(images[:3]))
    assert features.shape[0] == 3
    assert np.isfinite(features).all()
    alien = np.full((5, 224, 224), 5e5, np.float32)
    found = measure_embedding(bundle, {"alien": alien, "like": images[0]}, images[1:])
    assert found["real"]["alien"] > 3.0
    assert found["real"]["like"] < found["real"]["alien"]


def test_panels_of_a_frame_are_cutouts() -> None:
    assert [panel.shape for panel in frame_panels(np.zeros((5, 720, 720)), 3)] == [(5, 224, 224)] * 3
    assert len(frame_panels(np.zeros((5, 240, 240)), 3)) == 1
    assert frame_panels(np.zeros((5, 100, 300)), 3) == []


def test_no_real_images_is_explained(tmp_path) -> None:
    with pytest.raises(ImageError, match="one folder a galaxy"):
        read_real_images(tmp_path)


# --- spectra


def _spectra(rng, n=60):
    wave = wave_grid()
    tilt, line = rng.standard_normal((2, n, 1))
    return 1.0 + 0.1 * tilt * (wave - 5500) / 2000 + 0.3 * np.exp(line) * np.exp(-0.5 * ((wave - 6564.6) / 4) ** 2)


def test_vectors_fit_what_they_span_and_nothing_else(rng) -> None:
    flux = _spectra(rng)
    vectors = simulated_vectors(flux, 3)
    inside = in_fit_range()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-8)
    ivar = np.full_like(flux, 1e4)
    noisy = flux + 0.01 * rng.standard_normal(flux.shape)
    scores = fit_scores(noisy, ivar, vectors)
    assert np.median(scores["chi2"]) == pytest.approx(1.0, abs=0.05)
    assert np.median(scores["residual"]) == pytest.approx(0.6745 * 0.01, rel=0.05)
    noisy[:, inside & near_lines()] += 0.1
    lines = fit_scores(noisy, ivar, vectors)
    assert np.median(lines["chi2_lines"]) > 5 * np.median(lines["chi2_continuum"])


def test_pixels_without_data_do_not_count(rng) -> None:
    flux = _spectra(rng, 5)
    ivar = np.full_like(flux, 1e4)
    broken = flux.copy()
    broken[:, 300:350] = 99.0
    ivar[:, 300:350] = 0.0
    vectors = simulated_vectors(_spectra(rng), 4)
    assert fit_scores(broken, ivar, vectors)["chi2"] == pytest.approx(fit_scores(flux, ivar, vectors)["chi2"])
    assert np.isnan(fit_scores(broken, ivar, vectors)["relative"][:, 300:350]).all()


def test_eigenspectra_are_read_onto_the_grid(tmp_path) -> None:
    wave = np.linspace(3450.0, 8349.0, 500)
    table = Table({"WAVE": wave[None], "PCA": np.stack([np.sin(wave / 900), np.cos(wave / 900)])[None]})
    table.write(tmp_path / "eigen.fits")
    found = read_eigenspectra(tmp_path / "eigen.fits")
    assert found.shape == (2, 1000)
    inside = in_fit_range()
    np.testing.assert_allclose(found[0][inside], np.sin(wave_grid()[inside] / 900), atol=1e-3)


def test_a_file_without_eigenspectra_is_explained(tmp_path) -> None:
    fits.BinTableHDU(Table({"a": [1.0]})).writeto(tmp_path / "other.fits")
    with pytest.raises(SpectrumError, match="no table with columns wave and pca"):
        read_eigenspectra(tmp_path / "other.fits")


def test_a_folder_without_spectra_is_explained(tmp_path) -> None:
    with pytest.raises(SpectrumError, match="no usable galaxy spectrum"):
        read_real_spectra(tmp_path)


@pytest.mark.real_data
def test_real_spectra_and_the_demo_survey(real_dir) -> None:
    from galspec.core.home import demo_survey_dir

    found = measure_spectra(real_dir, open_survey(demo_survey_dir()))
    assert len(found["names"]) == 15
    # What the recipe must reach on these files.
    assert found["ratio"]["residual"] <= realism.LIMITS["residual"]
    assert found["ratio"]["chi2"] <= realism.CHI2_GOAL


@pytest.mark.real_data
def test_real_images_show_the_noise_that_the_ranges_say(real_dir) -> None:
    frames = list(read_real_images(real_dir / "ps1").values())
    report = measure_noise(frames, [])
    for row in report["rms"].values():
        assert all(row["range"][0] * 0.9 < value < row["range"][1] * 1.1 for value in row["real"])


def test_only_simulated_surveys_can_be_compared(toy) -> None:
    survey = open_survey(toy[0])
    if survey.spectrum(0).flux_true is None:
        with pytest.raises(SurveyError, match="simulated"):
            survey.true_spectra_block(np.arange(2))
    else:
        assert survey.true_spectra_block(np.array([2, 0])).shape == (2, 1000)


# --- the report and its command


def _stage(label: str, chi2: float = 1.2) -> dict:
    median = {"residual": 0.02, "chi2": 2.0, "chi2_continuum": 1.8, "chi2_lines": 3.0}
    coefficients = [[0.9, 0.1, -0.1, 0.0, 0.0, 0.0]]
    return {
        "label": label,
        "spectra": {
            "names": ["one"],
            "median": {"yip10": median, "sim10": median, "sim20": median},
            "ratio": {"residual": 1.1, "chi2": chi2},
            "wave_bins": [3500.0, 3600.0],
            "residual_by_wave": {"yip10": [0.1, 0.1], "sim10": [0.1, 0.1], "sim20": [0.1, 0.1]},
            "yip_coefficients": {"real": coefficients, "simulated": coefficients},
        },
        "images": {
            "names": ["one"],
            "noise": {
                "rms": {b: {"real": [0.1], "simulated": [0.1, 0.2, 0.3], "range": [0.1, 0.2]} for b in "grizy"},
                "correlation": {"lag1": {"real": [0.1], "simulated": 0.1, "range": [0.1, 0.2]}},
            },
            "profiles": {
                "radius": [0.5, 1.0],
                "real": {"one": {"brightness": [0, 1], "g_i": [1, 1]}},
                "simulated": {"brightness": [[0, 1]] * 3, "g_i": []},
            },
        },
    }


def test_stages_are_added_and_replaced(tmp_path) -> None:
    path = tmp_path / "realism.json"
    realism.store_stage(_stage("before", 2.0), path)
    realism.store_stage(_stage("after"), path)
    realism.store_stage(_stage("before", 1.9), path)
    report = realism.report_realism(path)
    assert [(one["label"], one["spectra"]["ratio"]["chi2"]) for one in report["stages"]] == [
        ("after", 1.2),
        ("before", 1.9),
    ]
    realism.draw_report(report, tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"


def test_a_missing_report_names_the_command(tmp_path) -> None:
    with pytest.raises(ConfigError, match="python -m galspec realism"):
        realism.report_realism(tmp_path / "none.json")


def test_command_refuses_a_folder_that_is_not_there(tmp_path, capsys) -> None:
    code = main(["realism", "--real", str(tmp_path / "no"), "--survey", str(tmp_path)])
    assert code != 0
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.real_data
def test_command_measures_draws_and_stores(tmp_path, real_dir) -> None:
    from galspec.core.home import demo_survey_dir

    out, page, sheet = tmp_path / "r.json", tmp_path / "page.png", tmp_path / "sheet.png"
    arguments = ["--out", str(out), "--figure", str(page), "--contact-sheet", str(sheet), "--n-images", "48"]
    assert main(["realism", "--real", str(real_dir), "--survey", str(demo_survey_dir()), *arguments]) == 0
    stage = json.loads(out.read_text())["stages"][0]
    assert stage["images"]["embedding"]["real"].keys() == {"NGC6928"}
    assert page.stat().st_size > 10_000
    assert sheet.stat().st_size > 10_000

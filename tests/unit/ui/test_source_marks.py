"""Every figure of the pages says whether its data are simulated or real, and names its axes alike."""

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from galspec import ui
from galspec.core.wavelength import wave_grid
from galspec.jobs.samples import SampleEpoch
from galspec.store.decoder import StoredDecoder
from galspec.store.latent_map import make_plane
from galspec.ui import (
    browse_plot,
    charts,
    figures,
    latent_chart,
    latent_figures,
    latent_map_figure,
    measured,
    train_charts,
    train_spectra,
)
from galspec.ui.comparison import Comparison
from galspec.ui.figures import FLUX_TITLE, FLUX_TITLE_SHORT, WAVE_TITLE, WAVE_TITLE_SHORT, source_mark
from galspec.ui.galaxy_frame import Frame
from galspec.ui.latent_source import LatentSource
from galspec.ui.train_words import source_of, survey_words

N = 12
#: Pixels below a plot that the small mark takes: its place and its height.
LOWER_MARGIN = 42
STEPS = np.linspace(-3.0, 3.0, 7)


def _curves() -> Comparison:
    flux = 1.0 + 0.1 * np.sin(wave_grid() / 50.0)
    return Comparison(
        observed=flux, sigma=np.full(1000, 0.1), reconstruction=flux, prediction=flux,
        latent_true=np.zeros(6), latent_predicted=np.ones(6), norm=1.0,
    )  # fmt: skip


def _catalog() -> pd.DataFrame:
    return pd.DataFrame(
        {"id": [f"galaxy-{row}" for row in range(N)], "redshift": np.linspace(0, 1, N), "mag_r": np.linspace(15, 17, N)}
    )


def _spectrum(source: str) -> go.Figure:
    frame = Frame.of_catalog(0.1)
    return charts.spectrum_figure(_curves(), frame=frame, window=(3400.0, 8300.0), marks=[], source=source)


def _scatter(source: str) -> go.Figure:
    rows = np.arange(N)
    return browse_plot.scatter_figure(_catalog(), rows, rows, ("redshift", "mag_r"), "", source=source)


def _map(source: str) -> go.Figure:
    latents = np.random.default_rng(1).normal(size=(N, 6)).astype(np.float32)
    plane = make_plane("L1", "L2", latents)
    points = latent_map_figure.MapPoints(plane, plane.project(latents), np.arange(N), N, None)
    shown = SimpleNamespace(survey=SimpleNamespace(catalog=_catalog()), meanings=("",) * 6, data_source=source)
    return latent_map_figure.map_figure(shown, points, "", dragmode="pan", position=None)[0]


def _training(source: str) -> go.Figure:
    curve = train_charts.Curve("train", [0.0, 1.0], [2.0, 1.0])
    return train_charts.curves_figure([curve], "loss", "epoch", False, [(1.0, "best: epoch 1")], source=source)


def _samples(source: str) -> go.Figure:
    decoder = StoredDecoder(
        ((np.zeros((1000, 6), np.float32), np.zeros(1000, np.float32)),),
        np.zeros(6, np.float32), np.ones(6, np.float32), np.ones(1000, np.float32),
    )  # fmt: skip
    latents = np.zeros((4, 6), np.float32)
    shown = SampleEpoch(1, ("a", "b", "c", "d"), latents, latents)
    return train_spectra.samples_figure(shown, decoder, np.zeros(4, np.float32), source=source)


FLAT = np.ones(1000)
FIGURES: dict[Callable[..., object], Callable[[str], go.Figure]] = {
    charts.spectrum_figure: _spectrum,
    browse_plot.scatter_figure: _scatter,
    latent_map_figure.map_figure: _map,
    train_charts.curves_figure: _training,
    train_spectra.samples_figure: _samples,
    latent_chart.latent_figure: lambda source: latent_chart.latent_figure(_curves(), source=source),
    measured.bpt_figure: lambda source: measured.bpt_figure(measured.Measured({}, 1.0), source=source),
    latent_figures.decoded_figure: lambda source: latent_figures.decoded_figure(
        FLAT, FLAT, "mean", source=source, is_outside=False
    ),
    latent_figures.neighbours_figure: lambda source: latent_figures.neighbours_figure(FLAT, {"a": FLAT}, source=source),
    latent_figures.traverse_figure: lambda source: latent_figures.traverse_figure(
        STEPS, np.ones((7, 1000)), "L1", source=source
    ),
    latent_figures.small_traverses: lambda source: latent_figures.small_traverses(
        STEPS, np.ones((6, 7, 1000)), [f"L{index}" for index in range(1, 7)], source=source
    ),
}
SPECTRA = [
    charts.spectrum_figure,
    train_spectra.samples_figure,
    latent_figures.decoded_figure,
    latent_figures.neighbours_figure,
    latent_figures.traverse_figure,
    latent_figures.small_traverses,
]
every_figure = pytest.mark.parametrize("build", FIGURES.values(), ids=[one.__name__ for one in FIGURES])


def _marks(figure: go.Figure) -> list[dict]:
    found = figure.to_plotly_json()["layout"].get("annotations") or ()
    return [one for one in found if "SIMULATED" in one["text"] or "REAL" in one["text"]]


def test_no_figure_of_the_pages_is_left_out():
    found = set()
    for info in pkgutil.iter_modules(ui.__path__, "galspec.ui."):
        module = importlib.import_module(info.name)
        for _, function in inspect.getmembers(module, inspect.isfunction):
            signature = inspect.signature(function)
            takes_one = any("Figure" in str(given.annotation) for given in signature.parameters.values())
            makes_one = "Figure" in str(signature.return_annotation) and not takes_one
            if makes_one and function.__module__ == info.name:
                found.add(function)
    assert found - {figures.figure_of} == set(FIGURES)


@every_figure
def test_simulated_data_are_called_so_once(build):
    (mark,) = _marks(build("SIMULATED"))
    assert mark["text"] == "SIMULATED"


@every_figure
def test_real_data_are_called_so_in_small_letters_and_never_simulated(build):
    figure = build("REAL")
    (mark,) = _marks(figure)
    assert mark["text"] == "REAL"
    assert mark["font"]["size"] == 12
    assert "SIMULATED" not in json.dumps(figure.to_plotly_json(), default=str)
    assert figure.to_plotly_json()["layout"]["margin"]["b"] >= LOWER_MARGIN


@every_figure
def test_an_unknown_source_is_not_guessed(build):
    assert not _marks(build(""))


def test_a_small_mark_stands_in_the_same_corner_whatever_it_says():
    (simulated,), (real,) = source_mark("SIMULATED"), source_mark("REAL", large_at=0.5)
    assert {**simulated, "text": ""} == {**real, "text": ""}
    (large,) = source_mark("SIMULATED", large_at=0.5)
    assert large["font"]["size"] > 3 * simulated["font"]["size"]
    assert large["opacity"] < 0.25  # curves are seen through it


@pytest.mark.parametrize("function", SPECTRA, ids=lambda one: one.__name__)
def test_spectra_name_flux_and_wavelength_alike(function):
    layout = FIGURES[function]("REAL").to_plotly_json()["layout"]
    titles = {axis["title"]["text"] for key, axis in layout.items() if "axis" in key and "title" in axis}
    assert len(titles & {FLUX_TITLE, FLUX_TITLE_SHORT}) == 1
    assert len(titles & {WAVE_TITLE, WAVE_TITLE_SHORT}) == 1
    others = {title for title in titles - {FLUX_TITLE, FLUX_TITLE_SHORT, WAVE_TITLE, WAVE_TITLE_SHORT} if title}
    assert all(re.match(r"residual|difference|Observed wavelength", title) for title in others)


def test_the_plot_drawn_by_the_browser_has_the_same_titles():
    script = (Path(ui.__path__[0]) / "assets" / "latent_plot.js").read_text(encoding="utf-8")
    assert f'"{WAVE_TITLE}"' in script
    assert f'"{re.sub("<[^>]*>", "", FLUX_TITLE)}"' in re.sub("<[^>]*>", "", script)


@pytest.mark.parametrize(
    ("survey", "trained_on", "wanted"),
    [
        ("SIMULATED", "SIMULATED", "SIMULATED"),
        ("REAL", "SIMULATED", "SIMULATED"),
        ("SIMULATED", "REAL", "SIMULATED"),
        ("REAL", "REAL", "REAL"),
        ("REAL", "", ""),
    ],
)
def test_latents_are_real_only_if_galaxies_and_training_are(survey, trained_on, wanted):
    nothing = {"decoder": None, "scores": None, "scores_problem": "", "density": None, "density_problem": ""}
    source = LatentSource(
        SimpleNamespace(source=survey), SimpleNamespace(trained_on=trained_on), meanings=(), **nothing
    )
    assert source.data_source == wanted


def _job(folder: Path, source: str | None) -> SimpleNamespace:
    folder.mkdir()
    if source is not None:
        (folder / "survey.json").write_text(json.dumps({"name": "some", "source": source}))
    return SimpleNamespace(settings={"survey": str(folder)})


def test_jobs_have_the_source_of_their_surveys(tmp_path):
    simulated, real = (_job(tmp_path / name, name) for name in ("SIMULATED", "REAL"))
    assert source_of(simulated) == source_of(simulated, simulated) == "SIMULATED"
    assert source_of(real) == "REAL"
    assert source_of(simulated, real) == "REAL and SIMULATED"
    assert survey_words(real) == "survey some, REAL"


def test_a_job_whose_survey_cannot_be_read_has_no_source(tmp_path):
    known, gone, odd = (_job(tmp_path / name, source) for name, source in (("a", "REAL"), ("b", None), ("c", "maybe")))
    nameless = SimpleNamespace(settings={})
    for jobs in ([gone], [odd], [nameless], [known, gone], []):
        assert source_of(*jobs) == ""
    assert survey_words(gone) == "survey b"
    assert survey_words(nameless) == ""

"""Every backend and mode against the unfolded float32 network, with the shipped weights on demo galaxies."""

import importlib.util
import sys

import numpy as np
import pytest

from galspec.core.errors import ShapeError
from galspec.core.home import demo_survey_dir
from galspec.inference.engine import Engine, as_engine
from galspec.inference.openvino_network import import_openvino
from galspec.inference.plan import OPENVINO_REQUIREMENT, InferencePlan, has_bfloat16, missing_for
from galspec.models.bundle import (
    PredictorBundle,
    load_predictor_bundle,
    load_vae_bundle,
    shipped_predictor_dir,
    shipped_vae_dir,
)
from galspec.preprocess.symmetry import N_ELEMENTS, view_element
from galspec.store.images import from_stored
from galspec.store.survey import Survey, open_survey
from tests.toy_survey import write_toy_models

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason=f'pip install "{OPENVINO_REQUIREMENT}"'
)
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16("cpu"), reason="this CPU has no bfloat16 arithmetic")
BACKENDS = ["eager", pytest.param("openvino", marks=needs_openvino)]
N_GALAXIES = 40


@pytest.fixture(scope="module")
def survey() -> Survey:
    return open_survey(demo_survey_dir())


@pytest.fixture(scope="module")
def rows(survey) -> np.ndarray:
    return survey.rows_in_split("test")[:N_GALAXIES]


@pytest.fixture(scope="module")
def images(survey, rows) -> np.ndarray:
    images = from_stored(survey.images_block(rows))
    assert images.shape == (N_GALAXIES, 5, 224, 224)
    return images


@pytest.fixture(scope="module")
def predictor() -> PredictorBundle:
    return load_predictor_bundle(shipped_predictor_dir())


@pytest.fixture(scope="module")
def expected(images) -> np.ndarray:
    latents = load_predictor_bundle(shipped_predictor_dir(), fold=False).predict_latents(images)
    assert latents.std() > 0.1  # a network that says the same of every image proves nothing
    return latents


@pytest.mark.parametrize("backend", BACKENDS)
def test_exact_mode_is_the_float32_network(predictor, images, expected, backend):
    engine = Engine(predictor, InferencePlan(backend))
    assert np.abs(engine.latents(images) - expected).max() < 1e-4
    assert np.abs(engine.latents(images[:3]) - expected[:3]).max() < 1e-4
    assert engine.latents(images[:0]).shape == (0, 6)


@needs_bfloat16
@pytest.mark.parametrize("backend", BACKENDS)
def test_fast_mode_is_close_enough(survey, rows, predictor, images, expected, backend):
    found = Engine(predictor, InferencePlan(backend, "fast")).latents(images)
    rms = np.sqrt(np.mean((found - expected) ** 2))
    assert 1e-5 < rms <= 0.03  # not bfloat16 at all if below
    true = load_vae_bundle(shipped_vae_dir()).latents(*survey.spectra_block(rows))
    change = np.mean((found - true) ** 2 - (expected - true) ** 2, axis=1)
    # The limit holds for the whole split (benchmarks/bench_inference.py); a few galaxies scatter about their mean.
    assert abs(change.mean()) < 0.001 + 3.0 * change.std() / np.sqrt(len(change))
    assert change.std() < 0.02


@pytest.mark.gpu
def test_a_gpu_keeps_the_modes_too(predictor, images, expected):
    exact = Engine(predictor, InferencePlan(device="cuda")).latents(images)
    assert np.abs(exact - expected).max() < 1e-4  # TF32 convolutions would miss this
    fast = Engine(predictor, InferencePlan("eager", "fast", "cuda")).latents(images)
    assert 1e-5 < np.sqrt(np.mean((fast - expected) ** 2)) <= 0.03


@pytest.mark.slow  # the compiler takes its time
@pytest.mark.skipif(missing_for("compile", "cpu") is not None, reason="apt-get install g++")
def test_compiled_network_is_the_float32_network(tmp_path, images):
    predictor = load_predictor_bundle(write_toy_models(tmp_path)[1])
    compiled = Engine(predictor, InferencePlan("compile"))
    expected = predictor.predict_latents(images)
    assert np.abs(compiled.latents(images) - expected).max() < 1e-4  # 32 and a batch that is filled up
    assert np.abs(compiled.latents(images[:1]) - expected[:1]).max() < 1e-4


@needs_openvino
def test_openvino_comes_without_its_telemetry():
    import_openvino()
    assert "openvino_telemetry" not in sys.modules
    assert sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__ == "openvino.tools.ovc.telemetry_stub"


def test_averaged_latents_are_the_mean_over_the_eight_symmetries(predictor, images):
    averaged = Engine(predictor, InferencePlan(n_symmetries=8))
    some = images[:2]
    views = [predictor.predict_latents(view_element(some, element)) for element in range(N_ELEMENTS)]
    found = averaged.latents(some)
    assert found == pytest.approx(np.mean(views, axis=0), abs=1e-4)
    assert np.abs(found - views[0]).max() > 1e-3
    turned = np.rot90(some, axes=(-2, -1))
    assert averaged.latents(turned) == pytest.approx(found, abs=1e-4)


def test_another_cutout_size_is_refused(predictor):
    with pytest.raises(ShapeError, match=r"shape \(N, 5, 224, 224\), got \(2, 5, 200, 200\)"):
        Engine(predictor).latents(np.zeros((2, 5, 200, 200)))


def test_provenance_names_the_model_and_how_it_was_run(predictor):
    engine = as_engine(predictor)
    assert as_engine(engine) is engine
    assert engine.provenance.items() >= predictor.provenance.items()
    assert (engine.provenance["backend"], engine.provenance["mode"]) == ("eager", "exact")


def test_the_predictor_is_left_as_it_was(predictor, images):
    before = predictor.predict_latents(images[:2])
    Engine(predictor, InferencePlan("eager", "fast")).latents(images[:2])
    assert np.array_equal(predictor.predict_latents(images[:2]), before)

"""Continuum templates: what is shipped, and what is refused."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from galspec.core.errors import BundleError, ShapeError
from galspec.core.wavelength import N_WAVE, norm_window_mask
from galspec.measurement.continuum import ContinuumTemplates, shipped_path, shipped_templates


def test_shipped_templates_are_small_and_say_what_they_are() -> None:
    templates = shipped_templates()
    assert shipped_path().stat().st_size < 150_000
    assert templates.metadata["source"] == "SIMULATED"
    assert int(templates.metadata["n_galaxies"]) >= 1000
    assert templates.metadata["seed"] != "1"  # the survey that the weights were trained on
    assert {"what", "recipe_version"} <= templates.metadata.keys()


def test_shipped_templates_are_normalised_components() -> None:
    templates = shipped_templates()
    np.testing.assert_allclose(templates.vectors @ templates.vectors.T, np.eye(len(templates.vectors)), atol=1e-5)
    assert (np.diff(templates.variances) <= 0).all()
    assert np.median(templates.mean[norm_window_mask()]) == pytest.approx(1.0, abs=0.02)


def test_save_and_load_keep_templates(tmp_path) -> None:
    path = tmp_path / "continuum.safetensors"
    shipped_templates().save(path)
    again = ContinuumTemplates.load(path)
    np.testing.assert_array_equal(again.vectors, shipped_templates().vectors)
    assert again.metadata == shipped_templates().metadata
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_design_can_tilt_and_bend_a_continuum_but_not_make_a_line() -> None:
    design = shipped_templates().design()
    position = np.linspace(-1.0, 1.0, N_WAVE)
    warped = design.mean * (1.0 + 0.08 * position - 0.03 * position**2)
    coefficients = np.linalg.lstsq(design.terms.T, warped - design.mean, rcond=None)[0]
    np.testing.assert_allclose(design.mean + coefficients @ design.terms, warped, atol=1e-3)
    spike = np.zeros(N_WAVE)
    spike[700] = 1.0
    fitted = np.linalg.solve(design.terms @ design.terms.T + np.eye(len(design.terms)), design.terms @ spike)
    assert (fitted @ design.terms)[700] < 0.1


def test_load_refuses_what_is_no_template_file(tmp_path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        ContinuumTemplates.load(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(BundleError, match="python -m galspec continuum"):
        ContinuumTemplates.load(tmp_path / "text.safetensors")
    save_file({"mean": np.zeros(N_WAVE, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(BundleError, match="holds no continuum templates"):
        ContinuumTemplates.load(tmp_path / "other.safetensors")


def test_templates_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="mean \\(1000,\\)"):
        ContinuumTemplates(np.zeros(10), np.zeros((2, 10)), np.zeros(2))

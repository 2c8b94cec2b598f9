"""Continuum templates built from a synthetic basis."""

import numpy as np
import pytest

from galspec.cli.main import main
from galspec.core.errors import ConfigError
from galspec.core.wavelength import norm_window_mask
from galspec.simulation.basis import Basis
from galspec.simulation.continuum_templates import build_templates, simulate_continua


def test_continua_are_normalised_and_have_no_lines(synthetic_basis: Basis) -> None:
    done: list[int] = []
    continua = simulate_continua(synthetic_basis, 12, 7, done.append)
    assert done == list(range(1, 13))
    np.testing.assert_allclose(np.median(continua[:, norm_window_mask()], axis=1), 1.0)
    # Black bodies behind smooth dust: the largest step between pixels is the 4000 A break, not a line.
    assert np.abs(np.diff(continua[:, 300:], axis=1)).max() < 0.1


def test_templates_reproduce_their_continua(synthetic_basis: Basis) -> None:
    templates = build_templates(synthetic_basis, 30, 7, n_vectors=8)
    again = build_templates(synthetic_basis, 30, 7, n_vectors=8)
    np.testing.assert_array_equal(templates.vectors, again.vectors)
    np.testing.assert_allclose(templates.vectors @ templates.vectors.T, np.eye(8), atol=1e-9)
    continua = simulate_continua(synthetic_basis, 30, 7)
    coefficients = (continua - templates.mean) @ templates.vectors.T
    np.testing.assert_allclose(coefficients.var(axis=0), templates.variances, rtol=1e-6)
    assert templates.metadata["n_galaxies"] == "30"
    assert float(templates.metadata["residual_rms"]) < 0.01


@pytest.mark.parametrize(("n_galaxies", "seed", "message"), [(5, 7, "cannot define"), (50, 1, "seed 1 is not allowed")])
def test_settings_that_make_no_sense_are_refused(synthetic_basis, n_galaxies, seed, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build_templates(synthetic_basis, n_galaxies, seed)


def test_continuum_verb_writes_a_file(synthetic_basis, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("galspec.simulation.basis.load_basis", lambda: synthetic_basis)
    path = tmp_path / "continuum.safetensors"
    assert main(["continuum", "--n", "30", "--out", str(path)]) == 0
    assert path.is_file()
    assert "25 components of 30 SIMULATED continua" in capsys.readouterr().out

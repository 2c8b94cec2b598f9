"""Figure 1 on a toy survey: held-out galaxies, and words that say what is seen."""

from pathlib import Path

import numpy as np
import pytest

from galspec.cli.main import main
from galspec.core.errors import ConfigError
from galspec.evaluation.fig1 import choose_panels
from galspec.models.bundle import load_predictor_bundle, load_vae_bundle
from galspec.store.survey import open_survey
from tests.toy_survey import write_toy_models, write_toy_survey


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return write_toy_survey(folder / "survey", n_galaxies=80), *write_toy_models(folder / "models")


def test_panels_are_held_out_galaxies_with_their_own_spectra(toy):
    survey, vae = open_survey(toy[0]), load_vae_bundle(toy[1])
    predictor = load_predictor_bundle(toy[2], vae)
    figure = choose_panels(survey, vae, predictor, n=3, seed=2)
    assert (figure.split, figure.source, figure.trained_on) == ("valid", "SIMULATED", "SIMULATED")
    assert len({panel.galaxy_id for panel in figure.galaxies}) == 3
    for panel in figure.galaxies:
        row = survey.row(panel.galaxy_id)
        assert survey.catalog["split"].iloc[row] == "valid"
        target = vae.reconstruct(*survey.spectra_block([row]))[0]
        np.testing.assert_allclose(panel.target, target, rtol=1e-4, atol=1e-4)
        latent = predictor.predict_latents(survey.cutout(panel.galaxy_id)[None])
        np.testing.assert_allclose(panel.predicted, predictor.decode(latent)[0], rtol=1e-4, atol=1e-4)
        error = latent - vae.latents(*survey.spectra_block([row]))
        assert panel.latent_mse == pytest.approx((error**2).mean(), rel=1e-3)
    again = choose_panels(survey, vae, predictor, n=3, seed=2)
    assert [p.galaxy_id for p in again.galaxies] == [p.galaxy_id for p in figure.galaxies]
    with pytest.raises(ConfigError, match="split of 'toy' has"):
        choose_panels(survey, vae, predictor, n=40)
    with pytest.raises(ConfigError, match="takes 1 to 40 galaxies"):
        choose_panels(survey, vae, predictor, n=0)


def test_the_verb_draws_and_names_the_split(toy, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="figures need matplotlib: pip install matplotlib")
    out = tmp_path / "figures" / "fig1.png"
    command = ["--survey", str(toy[0]), "--vae", str(toy[1]), "--bundle", str(toy[2]), "--out", str(out)]
    assert main(["figure", "fig1", *command, "--n", "3", "--split", "test"]) == 0
    assert "3 SIMULATED galaxies of the test split" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")
    assert main(["figure", "fig2", *command]) == 2
    assert "the figures are fig1" in capsys.readouterr().err

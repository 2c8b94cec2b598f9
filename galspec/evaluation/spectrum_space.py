"""How far decoded spectra are from observed ones, galaxy by galaxy: networks beside oracles that saw the spectrum."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.evaluation.held_out import HeldOut, blocks
from galspec.evaluation.vae_comparison import TestScores, chi2_per_pixel
from galspec.preprocess.spectra import normalise_spectra
from galspec.store.survey import Survey

Floats32 = NDArray[np.float32]
#: Gets which of the galaxies, and their normalised flux and ivar (n, 1000); returns model spectra (n, 1000).
SpectrumModel = Callable[[slice, Floats32, Floats32], NDArray[np.floating]]
_BLOCK: Final = 2048


def score_spectra(
    survey: Survey, galaxies: HeldOut, models: Mapping[str, SpectrumModel], softening: float
) -> dict[str, dict[str, Any]]:
    """Compare model spectra with the observed ones, both divided by their median flux in 4200-6700 A.

    Parameters
    ----------
    survey : Survey
    galaxies : HeldOut
    models : mapping of str to callable
    softening : float
        Error added in quadrature for the softened measure, in units of the norm.

    Returns
    -------
    dict
        For each model: ``chi2_mean``, ``chi2_median``, ``chi2_softened_mean``, ``chi2_softened_median`` per pixel with
        data, over galaxies; ``mse`` of the normalised flux over pixels with data, noise included.
    """
    plain: dict[str, list[NDArray[np.float64]]] = {name: [] for name in models}
    softened: dict[str, list[NDArray[np.float64]]] = {name: [] for name in models}
    squares = dict.fromkeys(models, 0.0)
    n_pixels = 0
    for where in blocks(len(galaxies), _BLOCK):
        flux, ivar, _ = normalise_spectra(*survey.spectra_block(galaxies.rows[where]))
        has_data = ivar > 0
        n_pixels += int(has_data.sum())
        for name, model in models.items():
            made = model(where, flux, ivar)
            plain[name].append(chi2_per_pixel(made, flux, ivar)["all"])
            softened[name].append(chi2_per_pixel(made, flux, ivar, softening)["all"])
            squares[name] += float(np.square(np.asarray(made, np.float64) - flux)[has_data].sum())
    everyone = np.ones(len(galaxies), bool)
    found = {}
    for name in models:
        scores = TestScores({"all": np.concatenate(plain[name])}, {"all": np.concatenate(softened[name])})
        summary = scores.summary(everyone, ("all",))["all"]
        found[name] = {
            **{f"chi2_{key}": value for key, value in summary.items()},
            "mse": round(squares[name] / n_pixels, 6),
        }
    return found

"""What every network has to beat, on the same galaxies, and what none can: baselines and oracles of Table 1."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import ConfigError
from galspec.evaluation.held_out import HeldOut, measure_images, read_split
from galspec.evaluation.learnability import tree_predictions
from galspec.evaluation.photometric_features import annulus_features, annulus_fluxes, fibre_and_total_features
from galspec.evaluation.spectrum_space import SpectrumModel, score_spectra
from galspec.evaluation.vae_comparison import FittedMethods
from galspec.models.bundle import VaeBundle
from galspec.store.survey import Survey
from galspec.training.compressors import ComparisonConfig
from galspec.training.data import ImageArray

Floats = NDArray[np.float64]

#: Baselines by name, and what each sees of a galaxy.
BASELINES: Final = {
    "train-mean": "nothing: the mean latents of the train split",
    "knn-colours": "nearest neighbours in colours and r magnitude, of the 3 arcsec fibre and in total (catalogue)",
    "trees-colours": "gradient-boosted trees on the same colours and magnitudes",
    "trees-annuli": "gradient-boosted trees on photometry in four annuli (0-1.5, 1.5-3, 3-6, 6-12 arcsec) of the image",
}
#: Oracles see the spectrum itself: no prediction from an image can be better in their space.
ORACLES: Final = {
    "vae-oracle": "the VAE's own reconstruction of the observed spectrum: what is left when all latents are known "
    "(their error is 0 by definition)",
    "pca6-oracle": "six principal components fitted to the observed spectrum (no latents)",
}
_NEIGHBOURS: Final = (5, 10, 20, 40, 80)
_MIN_TRAIN: Final = 50


def neighbour_predictions(train_features: Floats, train_targets: Floats, features: Floats) -> tuple[Floats, int]:
    """Predict latents by the mean of the nearest train galaxies, weighted by inverse distance.

    Parameters
    ----------
    train_features, features : ndarray, shape (N, F) and (M, F)
        Scaled here to unit variance of the train galaxies; NaN becomes their median.
    train_targets : ndarray, shape (N, D)

    Returns
    -------
    predicted : ndarray, shape (M, D)
    n_neighbours : int
        The number among 5, 10, 20, 40, 80 with the least error on the last tenth of the train galaxies, which the
        others predict.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(n_neighbours: int, n: int) -> Any:
        search = KNeighborsRegressor(n_neighbours, weights="distance")
        return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), search).fit(
            train_features[:n], train_targets[:n]
        )

    n_kept = len(train_features) - max(1, len(train_features) // 10)
    tried = {
        k: float(np.mean((fit(k, n_kept).predict(train_features[n_kept:]) - train_targets[n_kept:]) ** 2))
        for k in _NEIGHBOURS
        if k <= n_kept
    }
    best = min(tried, key=lambda k: tried[k])
    return np.asarray(fit(best, len(train_features)).predict(features), np.float64), best


def predict_baselines(
    survey: Survey,
    vae: VaeBundle,
    images: ImageArray,
    galaxies: Mapping[str, HeldOut],
    n_train: int = 0,
    seed: int = 12345,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, dict[str, Floats]], dict[str, Any]]:
    """Fit every baseline to the train split and predict the held-out galaxies.

    Parameters
    ----------
    survey : Survey
    vae : VaeBundle
        Its latents are predicted.
    images : ImageArray
        Stored images of all galaxies of the survey.
    galaxies : mapping of str to HeldOut
        By split.
    n_train : int
        The first so many train galaxies; 0 means all.
    seed : int
        Of the trees.
    progress : callable, optional
        Called with the number of images measured.

    Returns
    -------
    predicted : dict
        Baseline -> split -> latents (N, D).
    settings : dict
        ``n_train``, ``seed``, ``n_neighbours``.

    Raises
    ------
    ConfigError
        If there are too few train galaxies.
    SurveyError
        If the catalogue lacks magnitudes.
    """
    train = read_split(survey, vae, "train", n_train)
    if len(train) < _MIN_TRAIN:
        raise ConfigError(f"{len(train)} train galaxies are too few for trees; use at least {_MIN_TRAIN}.")
    colours = fibre_and_total_features(survey.catalog)
    parts = [train, *galaxies.values()]
    ends = np.cumsum([len(part) for part in parts])
    measures = {"annuli": lambda flux: annulus_features(annulus_fluxes(flux))}
    features = {"colours": colours[np.concatenate([part.rows for part in parts])]}
    annuli = []
    for part, end in zip(parts, ends, strict=True):
        first = int(end) - len(part)
        show = None if progress is None else lambda done, first=first: progress(first + done)
        annuli.append(measure_images(images, part.rows, measures, show)["annuli"])
    features["annuli"] = np.concatenate(annuli)
    n, targets = len(train), train.latents
    held = {name: values[n:] for name, values in features.items()}
    neighbours, n_neighbours = neighbour_predictions(features["colours"][:n], targets, held["colours"])
    found = {
        "train-mean": np.broadcast_to(targets.mean(axis=0), neighbours.shape),
        "knn-colours": neighbours,
        "trees-colours": tree_predictions(features["colours"][:n], targets, held["colours"], seed),
        "trees-annuli": tree_predictions(features["annuli"][:n], targets, held["annuli"], seed),
    }
    cuts = ends[1:-1] - n
    predicted = {name: dict(zip(galaxies, np.split(values, cuts), strict=True)) for name, values in found.items()}
    return predicted, {"n_train": n, "seed": seed, "n_neighbours": n_neighbours}


def score_oracles(
    survey: Survey, vae: VaeBundle, galaxies: Mapping[str, HeldOut], config: ComparisonConfig, softening: float
) -> dict[str, dict[str, dict[str, Any]]]:
    """Score the VAE's and six components' reconstructions of observed spectra: oracle -> split -> scores."""
    six = FittedMethods(survey, config).get("pca", 6, config.seeds[0])
    models: dict[str, SpectrumModel] = {
        "vae-oracle": lambda _, flux, ivar: vae.reconstruct(flux, ivar),
        "pca6-oracle": lambda _, flux, ivar: six(flux, ivar),
    }
    by_split = {split: score_spectra(survey, held, models, softening) for split, held in galaxies.items()}
    return {name: {split: scores[name] for split, scores in by_split.items()} for name in models}

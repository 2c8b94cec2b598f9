"""How well PCA, NMF, an autoencoder and the InfoVAE bring spectra back, at equal numbers of components.

Everything is fitted on the train split and stopped by the valid split; the test split is read in `score_test` alone.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galspec.core.errors import SurveyError
from galspec.core.wavelength import wave_grid
from galspec.models.bundle import VaeBundle
from galspec.preprocess.spectra import is_encodable, normalise_spectra
from galspec.store.survey import Survey
from galspec.training.compressors import METHODS, ComparisonConfig, FitSpectra, Reconstruct, fit_compressor

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: Called with what was just done.
Report = Callable[[str], None]

#: Rest wavelengths (vacuum angstrom) of the lines a spectroscopist looks at first.
LINE_WINDOWS: Final = {
    "[OII]": (3717.0, 3740.0),
    "Hb-[OIII]": (4850.0, 5020.0),
    "NaD": (5880.0, 5910.0),
    "Ha-[NII]-[SII]": (6530.0, 6750.0),
}
CLASSES: Final = ("quiescent", "star-forming", "narrow-line AGN", "post-starburst")
#: Regions scored for each class; the single windows are scored for all galaxies.
_REGIONS: Final = ("all", "lines", "continuum")
STATISTICS: Final = ("mean", "median", "softened_mean", "softened_median")
_BLOCK: Final = 2048


def regions() -> dict[str, Bools]:
    """Return the pixels of "all", "lines" (every window), "continuum" (the rest) and each window, (1000,) each."""
    wave = wave_grid()
    windows = {name: (wave >= low) & (wave <= high) for name, (low, high) in LINE_WINDOWS.items()}
    in_lines = np.any(list(windows.values()), axis=0)
    return {"all": np.ones(len(wave), bool), "lines": in_lines, "continuum": ~in_lines, **windows}


def galaxy_classes(catalog: pd.DataFrame) -> dict[str, Bools]:
    """Return which galaxies are in each class, (N,) each; a galaxy is in one class at most.

    Parameters
    ----------
    catalog : DataFrame
        With galaxy_class (SF, GV, Q, PSB: the star formation history that was drawn), bpt_class (where the emission
        lines lie) and agn_class (what lights the narrow-line region that was drawn).

    Notes
    -----
    "narrow-line AGN": a Seyfert or LINER was drawn and its lines lie in the AGN region of the diagram, so that a
    nucleus drowned by star formation does not count. "post-starburst": galaxy_class PSB. "quiescent": Q without
    emission lines or with those of a LIER. "star-forming": SF with lines in the star-forming region. The classes are
    found in this order; composites and the green valley are in none.
    """
    kind, bpt, agn = (catalog[name].to_numpy(dtype=str) for name in ("galaxy_class", "bpt_class", "agn_class"))
    is_agn = (agn != "none") & (bpt == "agn")
    is_burst = (kind == "PSB") & ~is_agn
    return {
        "quiescent": (kind == "Q") & np.isin(bpt, ("none", "agn")) & ~is_agn,
        "star-forming": (kind == "SF") & (bpt == "star-forming"),
        "narrow-line AGN": is_agn,
        "post-starburst": is_burst,
    }


def chi2_per_pixel(
    model: NDArray[np.floating], flux: NDArray[np.floating], ivar: NDArray[np.floating], softening: float = 0.0
) -> dict[str, Floats]:
    """Return chi squared per pixel with data of each spectrum, by region.

    Parameters
    ----------
    model, flux, ivar : ndarray, shape (N, 1000)
        Normalised; ivar 0 = no data.
    softening : float
        Error added in quadrature, in units of the norm: with 0 the brightest spectra have most to say.

    Returns
    -------
    dict of str to ndarray, shape (N,)
        NaN where a region has no data.
    """
    weight = np.asarray(ivar, np.float64)
    weight = weight / (1.0 + weight * softening**2)
    has_data = weight > 0
    square = np.where(has_data, weight * (np.asarray(model, np.float64) - flux) ** 2, 0.0)
    found = {}
    for name, pixels in regions().items():
        n_pixels = has_data[:, pixels].sum(axis=1)
        total = square[:, pixels].sum(axis=1)
        found[name] = np.divide(total, n_pixels, out=np.full(len(total), np.nan), where=n_pixels > 0)
    return found


@dataclasses.dataclass(frozen=True)
class TestScores:
    """Chi squared per pixel of every test spectrum for one method.

    Parameters
    ----------
    plain, softened : dict of str to ndarray, shape (N,)
        By region, without and with the training's softening.
    """

    __test__ = False  # the name begins with Test, and pytest would collect it

    plain: dict[str, Floats]
    softened: dict[str, Floats]

    def summary(self, chosen: Bools, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
        """Return the mean and median over the chosen spectra, by region."""
        return {name: _statistics(self.plain[name][chosen], self.softened[name][chosen]) for name in names}


def _statistics(plain: Floats, softened: Floats) -> dict[str, float]:
    seen = np.isfinite(plain)  # a region may be redshifted out of the spectrograph
    if not seen.any():
        return dict.fromkeys(STATISTICS, float("nan"))
    values = (plain[seen].mean(), np.median(plain[seen]), softened[seen].mean(), np.median(softened[seen]))
    return {name: round(float(value), 4) for name, value in zip(STATISTICS, values, strict=True)}


def usable_rows(survey: Survey, split: str, n_rows: int = 0) -> NDArray[np.int64]:
    """Return the first rows of a split (all if 0) whose spectra can be normalised and encoded, ascending.

    Raises
    ------
    SurveyError
        If the split has none.
    """
    kept: list[NDArray[np.int64]] = []
    for rows in _blocks(survey.rows_in_split(split)):
        kept.append(rows[is_encodable(*survey.spectra_block(rows))])
        if n_rows and sum(map(len, kept)) >= n_rows:
            break
    found = np.concatenate(kept) if kept else np.empty(0, np.int64)
    if not len(found):
        raise SurveyError(
            f"survey {survey.name!r} has no usable spectrum in its {split} split; the comparison needs train, valid "
            "and test galaxies: simulate a survey with `python -m galspec simulate`."
        )
    return found[:n_rows] if n_rows else found


def _blocks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]


def read_fit_spectra(survey: Survey, config: ComparisonConfig) -> FitSpectra:
    """Read and prepare what the methods are fitted to: train and valid spectra, nothing of the test split.

    Raises
    ------
    SurveyError, SpectrumError
        If a split is empty or too small.
    """
    train = usable_rows(survey, "train", config.n_train)
    valid = usable_rows(survey, "valid", config.n_valid)
    return FitSpectra.prepare(survey.spectra_block(train), survey.spectra_block(valid))


class FittedMethods:
    """Methods fitted when they are first asked for, and kept.

    Parameters
    ----------
    survey : Survey
    config : ComparisonConfig
    report : callable, optional
        Called with the name of each method when it is fitted.
    """

    def __init__(self, survey: Survey, config: ComparisonConfig, report: Report | None = None):
        self._survey, self.config = survey, config
        self._report = report or (lambda _: None)
        self._spectra: FitSpectra | None = None
        self._fitted: dict[tuple[str, int, int], Reconstruct] = {}

    def seeds(self, method: str) -> tuple[int, ...]:
        """Return the seeds a method is fitted with: PCA draws nothing."""
        return self.config.seeds[:1] if method == "pca" else self.config.seeds

    def get(self, method: str, n_dims: int, seed: int) -> Reconstruct:
        """Return a fitted method."""
        key = method, n_dims, seed
        if key not in self._fitted:
            if self._spectra is None:
                self._spectra = read_fit_spectra(self._survey, self.config)
                self._report(f"{len(self._spectra.train_flux)} train spectra prepared")
            self._fitted[key] = fit_compressor(method, self._spectra, n_dims, seed, self.config)
            self._report(f"{method} {n_dims} seed {seed} fitted")
        return self._fitted[key]


def shipped_methods(vae: VaeBundle) -> dict[str, Reconstruct]:
    """Return how a bundle reconstructs normalised spectra: by its encoder, and with latents refined from there."""
    return {
        "shipped": vae.reconstruct,
        "shipped_refined": lambda flux, ivar: vae.decode_standardised(vae.refine(flux, ivar)),
    }


def score_test(
    survey: Survey, methods: Mapping[str, Reconstruct], softening: float
) -> tuple[NDArray[np.int64], dict[str, TestScores]]:
    """Score methods on the test split: the only place that reads it.

    Parameters
    ----------
    survey : Survey
    methods : mapping of str to callable
        Each gets normalised flux and ivar, (N, 1000).
    softening : float
        Of the softened measure, in units of the norm.

    Returns
    -------
    rows : ndarray, shape (N,)
        Of the test spectra that can be normalised.
    scores : dict of str to TestScores
    """
    rows = usable_rows(survey, "test")
    parts: dict[str, list[tuple[dict[str, Floats], dict[str, Floats]]]] = {name: [] for name in methods}
    for block in _blocks(rows):
        flux, ivar, _ = normalise_spectra(*survey.spectra_block(block))
        for name, reconstruct in methods.items():
            model = reconstruct(flux, ivar)
            parts[name].append((chi2_per_pixel(model, flux, ivar), chi2_per_pixel(model, flux, ivar, softening)))
    return rows, {
        name: TestScores(_joined([one[0] for one in part]), _joined([one[1] for one in part]))
        for name, part in parts.items()
    }


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compare_methods(
    survey: Survey, vae: VaeBundle, methods: FittedMethods, kept: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Fit every method at every number of dimensions and seed, and score them beside a bundle.

    Parameters
    ----------
    survey : Survey
        With train, valid and test galaxies.
    vae : VaeBundle
        The shipped VAE: trained on all train spectra, not only on the first of them.
    methods : FittedMethods
    kept : mapping, optional
        "methods" of an earlier comparison with the same survey and settings: their scores do not depend on the
        bundle, so that only PCA, which the requirement needs spectrum by spectrum, is fitted again.

    Returns
    -------
    dict
        "n_test" by class; "methods": method -> dimensions -> "all" and classes -> region -> statistic, means over
        seeds, with "seed_sd" of the means; "shipped" and "shipped_refined" likewise; "requirement".

    Raises
    ------
    SurveyError, SpectrumError, RunError
        If a split is empty or a training fails.
    """
    config = methods.config
    fitted = [method for method in METHODS if kept is None or method == "pca"]
    names = {
        f"{method}-{n_dims}-{seed}": (method, n_dims, seed)
        for method in fitted
        for n_dims in config.dims
        for seed in methods.seeds(method)
    }
    callables = {name: methods.get(*key) for name, key in names.items()} | shipped_methods(vae)
    rows, scores = score_test(survey, callables, config.softening)
    chosen = {"all": np.ones(len(rows), bool), **galaxy_classes(survey.catalog.iloc[rows])}
    table: dict[str, dict[str, Any]] = {method: {} if kept is None else dict(kept[method]) for method in METHODS}
    for method in fitted:
        for n_dims in config.dims:
            runs = [scores[f"{method}-{n_dims}-{seed}"] for seed in methods.seeds(method)]
            table[method][str(n_dims)] = _table(runs, chosen)
    result: dict[str, Any] = {
        "source": survey.source,
        "measure": "chi squared per pixel with data, over test spectra; softened: with the training's softening",
        "regions": {name: int(pixels.sum()) for name, pixels in regions().items()},
        "n_test": {name: int(mask.sum()) for name, mask in chosen.items()},
        "methods": table,
        **{name: _table([scores[name]], chosen) for name in ("shipped", "shipped_refined")},
    }
    seed = config.seeds[0]
    if {6, 10} <= set(config.dims):
        pca = {n_dims: scores[f"pca-{n_dims}-{seed}"] for n_dims in (6, 10)}
        result["requirement"] = {name: judge(scores[name], pca[6], pca[10]) for name in ("shipped", "shipped_refined")}
    return result


def _table(runs: list[TestScores], chosen: Mapping[str, Bools]) -> dict[str, Any]:
    """Return the summaries of a method's runs, averaged over seeds, for all galaxies and each class."""
    table: dict[str, Any] = {}
    for name, mask in chosen.items():
        if not mask.any():
            continue  # a small survey may lack a class
        found = [run.summary(mask, tuple(regions()) if name == "all" else _REGIONS) for run in runs]
        table[name] = {
            region: {one: round(float(np.mean([summary[region][one] for summary in found])), 4) for one in STATISTICS}
            for region in found[0]
        }
    everyone = [run.summary(chosen["all"], _REGIONS) for run in runs]
    table["seed_sd"] = {
        region: round(float(np.std([summary[region]["mean"] for summary in everyone])), 4) for region in _REGIONS
    }
    table["n_seeds"] = len(runs)
    return table


def judge(vae: TestScores, pca6: TestScores, pca10: TestScores) -> dict[str, Any]:
    """Check the requirement: six latents beat six components overall, and ten of them in the line windows.

    Returns
    -------
    dict
        "pass" by statistic, both conditions together; "overall" and "lines": the mean difference in chi squared to
        PCA-6 and PCA-10 with its standard error over galaxies, plain and softened; negative = the VAE is better.
    """
    every = np.ones(len(vae.plain["all"]), bool)
    own, six, ten = (one.summary(every, ("all", "lines")) for one in (vae, pca6, pca10))
    checks = {
        name: bool(own["all"][name] < six["all"][name] and own["lines"][name] <= ten["lines"][name])
        for name in STATISTICS
    }
    return {
        "pass": checks,
        "overall_minus_pca6": {
            "plain": _difference(vae.plain["all"], pca6.plain["all"]),
            "softened": _difference(vae.softened["all"], pca6.softened["all"]),
        },
        "lines_minus_pca10": {
            "plain": _difference(vae.plain["lines"], pca10.plain["lines"]),
            "softened": _difference(vae.softened["lines"], pca10.softened["lines"]),
        },
    }


def _difference(one: Floats, other: Floats) -> dict[str, float]:
    gap = (one - other)[np.isfinite(one - other)]
    error = float(gap.std() / np.sqrt(len(gap)))
    return {"mean": round(float(gap.mean()), 4), "standard_error": round(error, 4)}

"""How well gaps are filled: known pixels are hidden, filled, and compared with what was there."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.wavelength import wave_grid
from galspec.evaluation.vae_comparison import usable_rows
from galspec.preprocess.spectra import SpectrumPreprocessor, normalise_spectra
from galspec.store.survey import Survey

Floats32 = NDArray[np.float32]
Hidden = NDArray[np.bool_]

#: Steps of the expectation maximisation after which the error is measured; the preprocessor stops by itself.
ITERATIONS: Final = (1, 2, 5, 10, 25)
N_TRAIN: Final = 4000
N_VALID: Final = 1000
_SEED: Final = 12345


def hidden_pixels(n_spectra: int, pattern: str, seed: int = _SEED) -> Hidden:
    """Return which pixels to hide, (N, 1000).

    Parameters
    ----------
    n_spectra : int
    pattern : str
        "scattered": 5 % at random; "gap": 40 pixels in a row anywhere; "blue end", "red end": what a redshift of
        0 or 0.25 hides of it, 130 pixels; "two fifths": 400 pixels in ten gaps, as much as encoding allows.
    seed : int

    Raises
    ------
    KeyError
        If there is no such pattern.
    """
    rng = np.random.default_rng(seed)
    n_wave = len(wave_grid())

    def gaps(count: int, width: int) -> Hidden:
        hidden = np.zeros((n_spectra, n_wave), bool)
        for row in hidden:
            # Gaps do not overlap: each lies in its own part of the spectrum.
            part = n_wave // count
            for index in range(count):
                start = index * part + rng.integers(0, part - width + 1)
                row[start : start + width] = True
        return hidden

    pixel = np.arange(n_wave)
    patterns = {
        "scattered": lambda: rng.random((n_spectra, n_wave)) < 0.05,
        "gap": lambda: gaps(1, 40),
        "blue end": lambda: np.broadcast_to(pixel < 130, (n_spectra, n_wave)).copy(),
        "red end": lambda: np.broadcast_to(pixel >= n_wave - 130, (n_spectra, n_wave)).copy(),
        "two fifths": lambda: gaps(10, 40),
    }
    return patterns[pattern]()


def infill_error(
    preprocessor: SpectrumPreprocessor, flux: Floats32, ivar: Floats32, hidden: Hidden
) -> dict[str, float]:
    """Fill pixels that are hidden although known, and compare.

    Parameters
    ----------
    preprocessor : SpectrumPreprocessor
    flux, ivar : ndarray, shape (N, 1000)
        In units of the norm.
    hidden : ndarray of bool, shape (N, 1000)
        Those without data do not count.

    Returns
    -------
    dict
        "median_error": median |filled - observed|, in units of the norm, noise included; "noise": the same of
        the noise alone, were it Gaussian; "rms_over_noise": the 68th percentile of |difference| over its error, 1
        if filling were perfect; "bias": median difference.
    """
    is_tested = hidden & (ivar > 0)
    difference = (preprocessor.infill(flux, np.where(hidden, np.float32(0.0), ivar)) - flux)[is_tested]
    sigma = 1.0 / np.sqrt(ivar[is_tested])
    return {
        "n_pixels": int(is_tested.sum()),
        "median_error": round(float(np.median(np.abs(difference))), 5),
        "noise": round(float(np.median(0.6745 * sigma)), 5),
        "rms_over_noise": round(float(np.quantile(np.abs(difference) / sigma, 0.6827)), 3),
        "bias": round(float(np.median(difference)), 5),
    }


def measure_infill(survey: Survey, n_train: int = N_TRAIN, n_valid: int = N_VALID) -> dict[str, Any]:
    """Measure filling on valid spectra, by pattern and by the number of iterations of the fit on train.

    Parameters
    ----------
    survey : Survey
        SIMULATED or REAL, with train and valid splits.
    n_train, n_valid : int
        Spectra used of each, the first ones.

    Returns
    -------
    dict
        "patterns": by pattern what `infill_error` returns, with a fit that stops by itself; "convergence": for each
        of `ITERATIONS` the error of the pattern "gap"; "outlier_share": pixels of valid spectra taken out as
        outliers; counts.
    """
    train = usable_rows(survey, "train", n_train)
    valid = usable_rows(survey, "valid", n_valid)
    train_flux, train_ivar, _ = normalise_spectra(*survey.spectra_block(train))
    flux, ivar, _ = normalise_spectra(*survey.spectra_block(valid))
    fitted = SpectrumPreprocessor.fit(train_flux, train_ivar)
    names = ("scattered", "gap", "blue end", "red end", "two fifths")
    patterns = {name: infill_error(fitted, flux, ivar, hidden_pixels(len(flux), name)) for name in names}
    convergence = []
    gap = hidden_pixels(len(flux), "gap")
    for n_iterations in ITERATIONS:
        stopped = SpectrumPreprocessor.fit(train_flux, train_ivar, max_iterations=n_iterations, tolerance=0.0)
        convergence.append({"iterations": n_iterations, **infill_error(stopped, flux, ivar, gap)})
    cleaned = fitted.clean(flux, ivar)
    return {
        "n_train": len(train),
        "n_valid": len(valid),
        "patterns": patterns,
        "convergence_of_gap": convergence,
        "outlier_share": float(f"{((ivar > 0) & (cleaned == 0)).sum() / (ivar > 0).sum():.2g}"),
    }

"""What the Home page says, as text and numbers from the bundle, the survey and its scores: no Streamlit, no torch."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import SurveyError
from galspec.core.wavelength import N_WAVE, PIXEL_KMS, wave_grid
from galspec.store.scores import ScoreTable
from galspec.store.survey import Survey
from galspec.ui.labels import class_word, number
from galspec.ui.model_card import ModelCard

if TYPE_CHECKING:
    from galspec.ui.comparison import Comparison

#: Splits that no weights, scaler or early stop has seen: those of the demo survey, whose module is slow to import.
HELD_OUT: Final = ("calibration", "test")
#: Fewer galaxies than this say nothing of their class.
MIN_OF_CLASS: Final = 15
N_FAILURES: Final = 3
#: Free of the noise of the observed spectrum.
FAILURE_MEASURE: Final = "rmse_to_vae"
_WORDS: Final = {4: "Four", 5: "Five", 6: "Six", 8: "Eight", 10: "Ten"}
_CLASS_COLUMNS: Final = ("galaxy_class", "agn_class")


@dataclasses.dataclass(frozen=True)
class FailureClass:
    """A class of galaxies that is predicted worse than most.

    Parameters
    ----------
    word : str
    ratio : float
        Median error of the class over the median error of all held-out galaxies.
    n_galaxies : int
    example_id : str
        The galaxy whose error is the class's median.
    """

    word: str
    ratio: float
    n_galaxies: int
    example_id: str


def read_model_info(card: ModelCard) -> dict[str, Any]:
    """Return the content of the model.json that a card was read from."""
    info: dict[str, Any] = json.loads((card.folder / "model.json").read_text(encoding="utf-8"))
    return info


def held_out_rows(survey: Survey, scores: ScoreTable | None) -> NDArray[np.int64]:
    """Return the rows that no weights have seen, with complete scores if there are scores.

    Raises
    ------
    SurveyError
        If there is none.
    """
    rows = survey.rows_in_split(*HELD_OUT)
    if scores is not None:
        is_complete = (scores.frame["flag"] == "").to_numpy() & np.isfinite(scores.latents).all(axis=1)
        rows = rows[(is_complete & np.isfinite(scores.latents_observed).all(axis=1))[rows]]
    if not len(rows):
        raise SurveyError(
            f"survey {survey.name!r} has no galaxy in the splits {' and '.join(HELD_OUT)} to show as an example."
        )
    return rows


def example_row(rows: NDArray[np.int64], seed: int) -> int:
    """Return the row drawn with a seed: the same one each time."""
    return int(np.random.default_rng(seed).choice(rows))


def seed_of(text: str) -> int:
    """Return the seed that an address asks for.

    Raises
    ------
    ValueError
        If it is no whole number from 0 to 999999999.

    Examples
    --------
    >>> seed_of("12")
    12
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise ValueError(f"“{text[:20]}” is no whole number from 0 to 999999999")
    return int(text)


def failure_classes(survey: Survey, scores: ScoreTable, rows: NDArray[np.int64]) -> list[FailureClass]:
    """Return the classes whose median error among the given rows is above that of all of them, worst first."""
    errors = scores.frame[FAILURE_MEASURE].to_numpy(np.float64)[rows]
    usual = float(np.nanmedian(errors))
    found = []
    for column in _CLASS_COLUMNS:
        if column not in survey.catalog:
            continue
        codes = survey.catalog[column].to_numpy()[rows]
        for code in np.unique(codes.astype(str)):
            of_class = np.flatnonzero((codes.astype(str) == code) & np.isfinite(errors))
            if len(of_class) < MIN_OF_CLASS:
                continue
            middle = of_class[np.argsort(errors[of_class], kind="stable")[len(of_class) // 2]]
            example = str(survey.catalog["id"].iloc[int(rows[middle])])
            ratio = float(np.median(errors[of_class])) / usual
            found.append(FailureClass(class_word(column, code), ratio, len(of_class), example))
    worse = [entry for entry in found if entry.ratio > 1.0]
    return sorted(worse, key=lambda entry: -entry.ratio)[:N_FAILURES]


def limits(card: ModelCard, info: dict[str, Any]) -> list[str]:
    """Return what the model cannot do, one sentence or two each, in Markdown."""
    survey = card.training_survey
    if card.trained_on == "SIMULATED":
        source = (
            f"**Trained on SIMULATED galaxies only** (survey {survey}): its quality on real galaxies is not measured; "
            "what it says of one is a first guess."
        )
    else:
        source = f"Trained on {card.trained_on} galaxies (survey {survey}); other samples may be unlike them."
    wave = wave_grid()
    n_latent = int(info["vae_args"]["n_latent"])
    return [
        source,
        _training_range(info),
        f"Rest frame, {wave[0]:.0f}–{wave[-1]:.0f} Å in vacuum; a pixel is {PIXEL_KMS:.0f} km/s: no line widths.",
        "A shape divided by its median: no flux scale, no redshift, no error bar.",
        f"{_WORDS.get(n_latent, n_latent)} latents: what they do not hold is missing from every prediction.",
        "Images: Pan-STARRS1 grizy, which ends at Dec −30°.",
    ]


def _training_range(info: dict[str, Any]) -> str:
    ranges = info["training_survey"].get("ranges", {})
    texts = []
    for name, symbol, digits in (("redshift", "z", 3), ("mag_r", "r", 1)):
        if name in ranges:
            low, high = (number(float(value), digits) for value in ranges[name])
            texts.append(f"{symbol} {low}–{high}")
    if not texts:
        return "Its training range is not stored in the bundle: no galaxy is known to lie inside it."
    return f"Training range: {', '.join(texts)}; outside it a prediction is an extrapolation."


def split_counts(survey: Survey) -> str:
    """Return the number of galaxies by split: "calibration 1,500, test 1,500"."""
    counts = survey.catalog["split"].value_counts()
    return ", ".join(f"{name} {int(counts[name]):,}" for name in sorted(counts.index))


def held_out_scores(info: dict[str, Any]) -> list[str]:
    """Return the scores that a bundle holds, each with its measure, split and number of galaxies."""
    scores = info.get("scores", {})
    measure = str(scores.get("measure", ""))
    lines = []
    for split in ("valid", "test"):
        if f"{split}_mse" in scores and measure:
            count = f", {int(scores[f'{split}_n']):,} galaxies" if f"{split}_n" in scores else ""
            lines.append(f"{measure} ({split}{count}): **{float(scores[f'{split}_mse']):.3f}**")
    r2 = scores.get("valid_r2_per_latent")
    if r2:
        lines.append(f"R² by latent (valid): {', '.join(number(float(value), 2) for value in r2)}")
    return [line[0].upper() + line[1:] for line in lines] or ["No held-out score is stored in the bundle."]


def device_text() -> str:
    """Return what the app predicts on, and whether training and the command line could use a GPU; without torch."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = f"CPU, {n_cores} core{'s' if n_cores != 1 else ''}"
    if shutil.which("nvidia-smi"):
        return f"{text}: the app predicts here. An NVIDIA driver is installed: training and `predict` can use it."
    return f"{text}; no NVIDIA driver was found."


def example_numbers(comparison: Comparison) -> str:
    """Return how far prediction and reconstruction lie from the observed pixels; empty without a prediction."""
    predicted, rebuilt = comparison.scores(comparison.prediction), comparison.scores(comparison.reconstruction)
    if predicted is None:
        return ""
    text = f"Prediction against observed pixels: χ² per pixel {number(predicted.chi2_nu, 2)}, RMSE {predicted.rmse:.3f}"
    if rebuilt is not None:
        text += f"; VAE reconstruction: {number(rebuilt.chi2_nu, 2)}, {rebuilt.rmse:.3f}"
    return text


def example_alt(galaxy_id: str, redshift: float, is_simulated: bool, comparison: Comparison) -> str:
    """Describe the example's plot from its data, for readers who cannot see it."""
    kind = "simulated galaxy" if is_simulated else "galaxy"
    text = f"Observed spectrum of {kind} {galaxy_id}, z {redshift:.5f}, {N_WAVE} pixels"
    numbers = example_numbers(comparison)
    if not numbers:
        return f"{text}; no prediction."
    text += f", with its VAE reconstruction, the spectrum predicted from the image, and the residual; {numbers}."
    if comparison.prediction is not None and comparison.reconstruction is not None:
        difference = np.abs(comparison.prediction - comparison.reconstruction)
        text += f" Prediction and reconstruction differ most at {comparison.wave[int(np.argmax(difference))]:.0f} Å."
    return text


def jobs_text() -> str:
    """Say how many jobs have not ended, in one line."""
    from galspec.jobs.view import unfinished_counts

    here, on_slurm = unfinished_counts()
    if not here and not on_slurm:
        return "none running"
    return f"{here:,} running or waiting here" + (f", {on_slurm:,} on Slurm" if on_slurm else "")

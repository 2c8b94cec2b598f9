"""Figure 1 of Wu & Peek (2020) on held-out galaxies: cutout, decoded target, prediction and observed pixels."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from galspec.core.errors import ConfigError
from galspec.core.wavelength import wave_grid
from galspec.evaluation.held_out import HeldOut, read_split
from galspec.evaluation.plotting import BLACK, VERMILION, require_pyplot, save_figure
from galspec.models.bundle import PredictorBundle, VaeBundle
from galspec.preprocess.spectra import normalise_spectra
from galspec.store.images import from_stored
from galspec.store.survey import Survey
from galspec.store.thumbnails import composite_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats32 = NDArray[np.float32]

MAX_PANELS: Final = 40
_PANELS_A_ROW: Final = 2
#: The middle half of a cutout, 28 arcsec: most galaxies are smaller.
_CROP: Final = slice(56, 168)
_KINDS: Final = {"SF": "star-forming", "GV": "green valley", "Q": "quiescent", "PSB": "post-starburst"}


@dataclasses.dataclass(frozen=True)
class Panel:
    """One galaxy: its image, its spectrum, and what the network makes of the image.

    Parameters
    ----------
    galaxy_id : str
    words : str
        What kind of galaxy it is.
    redshift : float
    cutout : ndarray, shape (5, 224, 224)
        nJy per pixel.
    flux, ivar : ndarray, shape (1000,)
        Observed, divided by the median flux in 4200-6700 A; ivar 0 = no data.
    target, predicted : ndarray, shape (1000,)
        Decoded latents of the observed spectrum, and of the prediction.
    latent_mse : float
        Of the standardised latents.
    """

    galaxy_id: str
    words: str
    redshift: float
    cutout: Floats32
    flux: Floats32
    ivar: Floats32
    target: Floats32
    predicted: Floats32
    latent_mse: float


@dataclasses.dataclass(frozen=True)
class Fig1:
    """The panels and where they come from: split, survey, SIMULATED or REAL, and the model."""

    galaxies: tuple[Panel, ...]
    split: str
    survey: str
    source: str
    model: str
    trained_on: str


def choose_panels(
    survey: Survey, vae: VaeBundle, predictor: PredictorBundle, n: int = 8, seed: int = 1, split: str | None = None
) -> Fig1:
    """Draw held-out galaxies at random and predict their spectra.

    Parameters
    ----------
    survey : Survey
    vae : VaeBundle
        Encodes the observed spectra into the targets.
    predictor : PredictorBundle
        Of the same VAE.
    n : int
        Galaxies, 1 to 40.
    seed : int
        Of the choice: galaxies are not picked by hand.
    split : str, optional
        "valid" or "test"; valid if None, or test where the survey has no valid galaxies (the demo survey).

    Raises
    ------
    ConfigError
        If n is out of range, or the split has fewer usable galaxies.
    """
    if not 1 <= n <= MAX_PANELS or seed < 0:
        raise ConfigError(
            f"--n is {n} and --seed is {seed}; figure 1 takes 1 to {MAX_PANELS} galaxies and a seed >= 0."
        )
    if split is None:
        split = "valid" if len(survey.rows_in_split("valid")) else "test"
    galaxies = read_split(survey, vae, split)
    if len(galaxies) < n:
        raise ConfigError(f"the {split} split of {survey.name!r} has {len(galaxies)} usable galaxies, but --n is {n}.")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(galaxies))[:n])
    rows = galaxies.rows[chosen]
    flux, ivar, _ = normalise_spectra(*survey.spectra_block(rows))
    images = from_stored(survey.images_block(rows))
    latents = predictor.predict_latents(images)
    target = predictor.decode(galaxies.latents[chosen])
    predicted = predictor.decode(latents)
    mse = ((latents - galaxies.latents[chosen]) ** 2).mean(axis=1)
    catalog = survey.catalog.iloc[rows]
    panels = tuple(
        Panel(
            str(catalog["id"].iloc[index]),
            _words(galaxies, int(chosen[index]), str(catalog["galaxy_class"].iloc[index])),
            float(catalog["redshift"].iloc[index]),
            images[index],
            flux[index],
            ivar[index],
            target[index],
            predicted[index],
            float(mse[index]),
        )
        for index in range(n)
    )
    told = predictor.provenance
    return Fig1(panels, split, survey.name, survey.source, f"{told['name']} {told['sha256'][:8]}", told["trained_on"])


def _words(galaxies: HeldOut, index: int, kind: str) -> str:
    """Return the class of a galaxy in words: that of the spectrum if it is in one, else of its star formation."""
    return next((name for name, chosen in galaxies.classes.items() if chosen[index]), _KINDS.get(kind, kind))


def draw_fig1(figure1: Fig1, path: Path) -> None:
    """Draw the panels, two galaxies a row.

    Parameters
    ----------
    figure1 : Fig1
    path : Path
        PNG to write.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    pyplot = require_pyplot()
    n_rows = -(-len(figure1.galaxies) // _PANELS_A_ROW)
    figure, axes = pyplot.subplots(
        n_rows,
        2 * _PANELS_A_ROW,
        figsize=(18, 1.1 + 2.9 * n_rows),
        width_ratios=[1.0, 2.6] * _PANELS_A_ROW,
        layout="constrained",
        squeeze=False,
    )
    figure.suptitle(
        f"{figure1.source} galaxies of the {figure1.split} split of {figure1.survey}, held out of training: spectra "
        f"predicted from images by {figure1.model} (trained on {figure1.trained_on})"
    )
    for axis in axes.ravel():
        axis.set_axis_off()
    for index, panel in enumerate(figure1.galaxies):
        row, column = divmod(index, _PANELS_A_ROW)
        _draw_image(axes[row, 2 * column], panel, figure1.source)
        _draw_spectrum(axes[row, 2 * column + 1], panel, has_legend=index == 0)
    save_figure(figure, path, dpi=90)


def _draw_image(axes: "Axes", panel: Panel, source: str) -> None:
    axes.imshow(composite_rgb(panel.cutout[:, _CROP, _CROP]))
    axes.set_title(f"{source} {panel.galaxy_id}\n{panel.words}, z = {panel.redshift:.3f}", fontsize=9)


def _draw_spectrum(axes: "Axes", panel: Panel, has_legend: bool) -> None:
    wave = wave_grid()
    axes.set_axis_on()
    observed = np.where(panel.ivar > 0, panel.flux, np.nan)
    axes.plot(wave, observed, ".", ms=1.5, color="0.65", label="observed pixels", rasterized=True)
    axes.plot(wave, panel.target, color=BLACK, lw=1.2, label="decoded target: the VAE's reconstruction of them")
    axes.plot(wave, panel.predicted, color=VERMILION, lw=1.2, label="prediction from the image")
    highest = float(max(panel.target.max(), panel.predicted.max()))
    axes.set_ylim(min(0.0, float(panel.target.min())), 1.15 * highest)
    axes.set_xlim(wave[0], wave[-1])
    axes.set_xlabel("rest-frame wavelength, vacuum [Å]", fontsize=8)
    axes.set_ylabel("flux / median(4200-6700 Å)", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.set_title(f"MSE of the six standardised latents {panel.latent_mse:.2f}", fontsize=9)
    if has_legend:
        axes.legend(fontsize=8)

"""How unusual a spectrum is for a VAE: three scores, each calibrated on spectra that trained nothing.

A score alone says nothing: its value depends on signal to noise and on how well templates fit. Here each is turned
into the share of calibration spectra of similar signal to noise that are at least as unusual, a conformal p-value:
of usual spectra, one in a hundred has p < 0.01, whatever the distribution of the score.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.wavelength import N_WAVE
from galspec.preprocess.spectra import normalise_spectra

if TYPE_CHECKING:
    from galspec.models.latents import VaeBundle

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: What is scored: the whole residual, its most significant feature, the distance of the latents from train galaxies.
SCORES: Final = ("reconstruction", "feature", "latent")
#: Errors of the decoder itself, in units of the norm and as a fraction of the flux: without them every
#: very bright galaxy would be unusual.
_MODEL_ABSOLUTE: Final = 0.022
_MODEL_RELATIVE: Final = 0.04
#: Widths of the features looked for, pixels of 269 km/s: a line, a broad line, a band.
_FEATURE_PIXELS: Final = (3, 11, 41)
_N_NEIGHBOURS: Final = 8
_N_REFERENCE: Final = 4000
_N_SNR_BINS: Final = 4
_REFINE_STEPS: Final = 25
_CHUNK_ROWS: Final = 2048
#: Fewer calibration spectra make p-values too coarse to mean anything.
_MIN_CALIBRATION: Final = 20


@dataclasses.dataclass(frozen=True)
class Novelty:
    """How unusual spectra are.

    Parameters
    ----------
    p_value : ndarray, shape (N, 3)
        By `SCORES`: share of usual spectra at least as unusual, 1 / (n + 1) to 1.
    p_combined : ndarray, shape (N,)
        The same for the largest of the severities.
    score : ndarray, shape (N, 3)
        Uncalibrated: mean squared residual, significance of the strongest feature, distance in latents.
    severity : ndarray, shape (N, 3)
        Score over what 1 % of usual spectra of similar signal to noise exceed: tells apart what p-values, which
        cannot fall below 1 / (n + 1), call equally rare.
    """

    p_value: Floats
    p_combined: Floats
    score: Floats
    severity: Floats

    def reason(self, row: int) -> str:
        """Say what makes a spectrum most unusual."""
        words = ("the whole spectrum is badly reconstructed", "one feature is not reproduced", "its latents are rare")
        return words[int(np.argmax(self.severity[row]))]


@dataclasses.dataclass(frozen=True)
class NoveltyCalibration:
    """What turns scores into p-values.

    Parameters
    ----------
    reference : ndarray, shape (M, D), float32
        Standardised latents of train galaxies.
    snr : ndarray, shape (C,), float32
        Median signal to noise of the calibration spectra.
    score : ndarray, shape (C, 3), float32
        Their scores.
    """

    reference: Floats32
    snr: Floats32
    score: Floats32

    def __post_init__(self) -> None:
        n = len(self.snr)
        if n and n < _MIN_CALIBRATION:
            raise SpectrumError(
                f"{n} calibration spectra cannot say what is unusual; at least {_MIN_CALIBRATION} are needed."
            )
        if self.reference.ndim != 2 or self.snr.shape != (n,) or self.score.shape != (n, len(SCORES)) or n < 1:
            raise ShapeError(
                f"a novelty calibration needs reference (M, D), snr (C,) and score (C, {len(SCORES)}); got "
                f"{self.reference.shape}, {self.snr.shape}, {self.score.shape}"
            )

    def to_arrays(self) -> dict[str, Floats32]:
        """Return the arrays by name, for a safetensors file."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> Self:
        """Rebuild a calibration from `to_arrays`.

        Raises
        ------
        KeyError
            If an array is missing.
        ShapeError
            If one has the wrong shape.
        """
        return cls(**{field.name: np.asarray(arrays[field.name], np.float32) for field in dataclasses.fields(cls)})

    def p_values(self, score: Floats, snr: Floats) -> tuple[Floats, Floats]:
        """Return p-values (N, 3), and of the largest severity (N,).

        Parameters
        ----------
        score : ndarray, shape (N, 3)
        snr : ndarray, shape (N,)

        Notes
        -----
        The combined one is not made of the three, which cannot tell the rarest apart, but of the severities: every
        other calibration spectrum sets their scale, and the rest are what a spectrum is compared with, so that
        they are as new to the scale as it is.
        """
        found = np.empty((len(score), len(SCORES)))
        mine, theirs = self._bins(snr), self._bins(self.snr)
        for group in range(_N_SNR_BINS):
            known = self.score[theirs == group]
            for column in range(len(SCORES)):
                found[mine == group, column] = _share_above(known[:, column], score[mine == group, column])
        own = self.severity(self.score[1::2], self.snr[1::2]).max(axis=1)
        return found, _share_above(own, self.severity(score, snr).max(axis=1))

    def severity(self, score: NDArray[np.floating], snr: NDArray[np.floating]) -> Floats:
        """Return scores over what 1 % of calibration spectra of similar signal to noise exceed, (N, 3)."""
        known = self.score[::2]
        mine, theirs = self._bins(snr), self._bins(self.snr[::2])
        limits = [
            np.quantile(known[theirs == group] if (theirs == group).any() else known, 0.99, axis=0)
            for group in range(_N_SNR_BINS)
        ]
        return np.asarray(score / np.stack(limits)[mine], np.float64)

    def _bins(self, snr: NDArray[np.floating]) -> NDArray[np.intp]:
        return np.searchsorted(np.quantile(self.snr, np.linspace(0, 1, _N_SNR_BINS + 1)[1:-1]), snr)


def _share_above(known: NDArray[np.floating], value: NDArray[np.floating]) -> Floats:
    """Return (1 + number of known >= value) / (1 + number of known)."""
    ordered = np.sort(known)
    n_above = len(ordered) - np.searchsorted(ordered, value, side="left")
    return np.asarray((1.0 + n_above) / (1.0 + len(ordered)))


def novelty_scores(vae: "VaeBundle", reference: Floats32, flux: ArrayLike, ivar: ArrayLike) -> tuple[Floats, Floats]:
    """Score spectra, without calibration.

    Parameters
    ----------
    vae : VaeBundle
    reference : ndarray, shape (M, D)
        Standardised latents of train galaxies.
    flux, ivar : array_like, shape (N, 1000)

    Returns
    -------
    score : ndarray, shape (N, 3)
        By `SCORES`.
    snr : ndarray, shape (N,)
        Median over the pixels with data.

    Raises
    ------
    ShapeError, SpectrumError
        As `VaeBundle.encode`.
    """
    from scipy.spatial import cKDTree  # see `_strongest_feature`

    flux, ivar = np.asarray(flux), np.asarray(ivar)
    tree = cKDTree(reference)
    scores, snrs = [np.empty((0, len(SCORES)))], [np.empty(0)]
    for start in range(0, len(flux), _CHUNK_ROWS):
        block_flux, block_ivar = flux[start : start + _CHUNK_ROWS], ivar[start : start + _CHUNK_ROWS]
        latent = vae.refine(block_flux, block_ivar, _REFINE_STEPS)
        model = vae.decode_standardised(latent).astype(np.float64)
        # Pixels that the encoder leaves out as outliers count here: they are what is unusual.
        flux_norm, ivar_norm, _ = normalise_spectra(block_flux, block_ivar)
        deviation, has_data = _deviations(flux_norm, ivar_norm, model)
        whole = np.square(deviation).sum(axis=1) / has_data.sum(axis=1)
        distance = np.asarray(tree.query(latent, k=min(_N_NEIGHBOURS, len(reference)))[0], np.float64)
        latent_score = distance.reshape(len(latent), -1).mean(axis=1)
        scores.append(np.stack([whole, _strongest_feature(deviation, has_data), latent_score], axis=1))
        signal = np.where(has_data, flux_norm * np.sqrt(ivar_norm), np.nan)
        snrs.append(np.nanmedian(signal, axis=1))
    return np.concatenate(scores), np.concatenate(snrs)


def _deviations(flux: Floats32, ivar: Floats32, model: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    has_data = ivar > 0
    variance = np.divide(1.0, ivar, out=np.ones(flux.shape), where=has_data)
    variance += _MODEL_ABSOLUTE**2 + (_MODEL_RELATIVE * model) ** 2
    return np.where(has_data, (flux - model) / np.sqrt(variance), 0.0), has_data


def _strongest_feature(deviation: Floats, has_data: NDArray[np.bool_]) -> Floats:
    """Return the largest |sum of deviations| / sqrt(pixels) over windows of several widths, (N,)."""
    # Half a second of imports that the first step of a training and the first galaxy of the app need not wait for.
    from scipy.ndimage import uniform_filter1d

    best = np.zeros(len(deviation))
    for width in _FEATURE_PIXELS:
        n_pixels = uniform_filter1d(has_data.astype(np.float64), width, axis=1, mode="constant") * width
        total = uniform_filter1d(deviation, width, axis=1, mode="constant") * width
        significance = np.abs(total) / np.sqrt(np.maximum(n_pixels, 1.0))
        significance[n_pixels < 0.5 * width] = 0.0
        best = np.maximum(best, significance.max(axis=1))
    return best


def calibrate_novelty(
    vae: "VaeBundle", train_latent: Floats32, flux: ArrayLike, ivar: ArrayLike
) -> NoveltyCalibration | None:
    """Score the calibration spectra; None if there are fewer than 20.

    Parameters
    ----------
    vae : VaeBundle
    train_latent : ndarray, shape (N, D)
        Standardised; the first 4,000 become the reference.
    flux, ivar : array_like, shape (C, 1000)
        Of the calibration split; all of them can be encoded.
    """
    flux = np.asarray(flux)
    if len(flux) < _MIN_CALIBRATION:
        return None
    reference = np.asarray(train_latent[:_N_REFERENCE], np.float32)
    score, snr = novelty_scores(vae, reference, flux, ivar)
    return NoveltyCalibration(reference, snr.astype(np.float32), score.astype(np.float32))


def spectrum_novelty(vae: "VaeBundle", flux: ArrayLike, ivar: ArrayLike) -> Novelty:
    """Say how unusual spectra are for a VAE.

    Parameters
    ----------
    vae : VaeBundle
        With a novelty calibration, as every bundle trained with a calibration split has.
    flux, ivar : array_like, shape (N, 1000)
        Any flux unit and its inverse variance; ivar 0 = no data.

    Returns
    -------
    Novelty

    Raises
    ------
    SpectrumError
        If the bundle has no calibration, or as `VaeBundle.encode`.
    ShapeError
        If the arrays are not (N, 1000).
    """
    if vae.novelty is None:
        raise SpectrumError(
            f"VAE {vae.info.get('name')!r} has no novelty calibration: it was trained without a calibration split. "
            "Train it on a survey that has one."
        )
    if np.ndim(flux) != 2 or np.shape(flux)[1] != N_WAVE:
        raise ShapeError(f"expected spectra of shape (N, {N_WAVE}), got {np.shape(flux)}")
    score, snr = novelty_scores(vae, vae.novelty.reference, flux, ivar)
    p_value, p_combined = vae.novelty.p_values(score, snr)
    return Novelty(p_value, p_combined, score, vae.novelty.severity(score, snr))

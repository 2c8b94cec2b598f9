"""Observed, reconstructed and predicted spectrum of one galaxy, side by side, with the numbers that compare them."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import GalspecError
from galspec.core.wavelength import wave_grid
from galspec.preprocess.spectra import spectrum_norm
from galspec.store.decoder import StoredDecoder
from galspec.store.survey import SpectrumRecord
from galspec.ui.models import Models

if TYPE_CHECKING:
    from galspec.models.bundle import PredictorBundle

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scores:
    """How far a curve lies from the observed pixels.

    Parameters
    ----------
    chi2_nu : float
        Mean of (curve - observed)^2 ivar over unmasked pixels; no parameter was fitted to them.
    rmse : float
        Root of the mean squared difference in units of the norm.
    """

    chi2_nu: float
    rmse: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The curves of one galaxy on the rest-frame grid, in units of the norm (dimensionless).

    Parameters
    ----------
    observed, sigma : ndarray, shape (1000,), or None
        Observed pixels and their standard error; NaN where there are no data.
    reconstruction : ndarray, shape (1000,), or None
        The observed spectrum through encoder and decoder of the VAE.
    prediction : ndarray, shape (1000,), or None
        Decoded from the latents that the network predicts from the image.
    latent_true, latent_predicted : ndarray, shape (6,), or None
        Standardised latents of the spectrum and of the image.
    inference : str
        How the network was run: mode, backend and device; empty without a prediction.
    norm : float
        Median observed flux in rest 4200-6700 A, 1e-17 erg/s/cm2/A; NaN without a spectrum.
    problems : tuple of str
        One sentence for each part that is missing.
    """

    observed: Floats | None = None
    sigma: Floats | None = None
    reconstruction: Floats | None = None
    prediction: Floats | None = None
    latent_true: Floats | None = None
    latent_predicted: Floats | None = None
    inference: str = ""
    norm: float = float("nan")
    problems: tuple[str, ...] = ()

    @property
    def wave(self) -> Floats:
        """Rest-frame vacuum wavelength in angstrom, shape (1000,)."""
        return wave_grid()

    @property
    def has_data(self) -> NDArray[np.bool_]:
        """True for observed pixels, shape (1000,)."""
        wave = wave_grid()
        return np.zeros(len(wave), bool) if self.observed is None else np.isfinite(self.observed)

    def scores(self, curve: Floats | None) -> Scores | None:
        """Compare a curve with the observed pixels; None if either is missing."""
        if curve is None or self.observed is None or self.sigma is None:
            return None
        good = self.has_data
        difference = curve[good] - self.observed[good]
        return Scores(
            chi2_nu=float(np.mean((difference / self.sigma[good]) ** 2)), rmse=float(np.sqrt(np.mean(difference**2)))
        )

    def residual(self, shift: float = 1.0) -> Floats | None:
        """Return (prediction - observed) / sigma at the observed pixels, NaN where there are no data.

        Parameters
        ----------
        shift : float
            Rest wavelength of a pixel at a trial redshift over that on the grid, (1 + z0) / (1 + z). The prediction
            has no noise, so it is interpolated linearly to the pixels; NaN where it does not reach them.
        """
        if self.prediction is None or self.observed is None or self.sigma is None:
            return None
        prediction = self.prediction
        if shift != 1.0:
            prediction = np.interp(self.wave * shift, self.wave, prediction, left=np.nan, right=np.nan)
        return np.asarray((prediction - self.observed) / self.sigma)


def compare(
    record: SpectrumRecord | None,
    cutout_njy: NDArray[np.float32] | None,
    models: Models,
    problems: tuple[str, ...] = (),
) -> Comparison:
    """Compute every curve that can be computed; what cannot is a sentence in `problems`.

    Parameters
    ----------
    record : SpectrumRecord or None
        The observed spectrum.
    cutout_njy : ndarray, shape (5, 224, 224), or None
        The image in nJy per pixel.
    models : Models
    problems : tuple of str
        What was already found missing.
    """
    found = list(problems)
    result = Comparison()
    if record is not None:
        try:
            result = _observed(record)
            result = _reconstructed(result, record, models)
        except GalspecError as error:
            found.append(str(error))
    if cutout_njy is not None and models.predictor is not None:
        try:
            result = _predicted(result, cutout_njy, models.predictor)
        except GalspecError as error:
            found.append(str(error))
    return dataclasses.replace(result, problems=tuple(found))


def _predicted(result: Comparison, cutout_njy: NDArray[np.float32], predictor: "PredictorBundle") -> Comparison:
    from galspec.inference.engine import as_engine

    engine = as_engine(predictor)
    latent = engine.latents(cutout_njy[None])
    return dataclasses.replace(
        result,
        prediction=predictor.decode(latent)[0].astype(np.float64),
        latent_predicted=np.asarray(latent[0], np.float64),
        inference=str(engine.plan),
    )


def _observed(record: SpectrumRecord) -> Comparison:
    norm = float(spectrum_norm(record.flux, record.ivar))
    good = record.ivar > 0
    sigma = 1.0 / np.sqrt(np.where(good, record.ivar, 1.0).astype(np.float64))
    return Comparison(
        observed=np.where(good, record.flux.astype(np.float64) / norm, np.nan),
        sigma=np.where(good, sigma / norm, np.nan),
        norm=norm,
    )


def _reconstructed(result: Comparison, record: SpectrumRecord, models: Models) -> Comparison:
    if models.vae is None:
        return result
    latent = models.vae.latents(record.flux[None], record.ivar[None])
    return dataclasses.replace(
        result,
        reconstruction=models.vae.decode_standardised(latent)[0].astype(np.float64),
        latent_true=np.asarray(latent[0], np.float64),
    )


def compare_stored(
    record: SpectrumRecord, decoder: StoredDecoder | None, predicted: ArrayLike | None, observed: ArrayLike | None
) -> Comparison:
    """Compute the curves from stored latents: no torch, no image.

    Parameters
    ----------
    record : SpectrumRecord
        The observed spectrum.
    decoder : StoredDecoder or None
    predicted, observed : array_like, shape (6,), or None
        Standardised latents that the network predicted and that the VAE found in the spectrum.

    Raises
    ------
    SpectrumError
        If the spectrum cannot be normalised.
    """
    result = _observed(record)
    if decoder is None or predicted is None or observed is None:
        return result
    latents = np.stack([np.asarray(predicted, np.float64), np.asarray(observed, np.float64)])
    prediction, reconstruction = decoder.decode(latents).astype(np.float64)
    return dataclasses.replace(
        result,
        prediction=prediction,
        reconstruction=reconstruction,
        latent_predicted=latents[0],
        latent_true=latents[1],
        inference="stored latents",
    )

"""Predict the spectrum of one galaxy from its cutout."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galspec.core.bands import AB_ZEROPOINT_NJY, BANDS, CUTOUT_SHAPE, N_BANDS, NJY_PER_COUNT_ZP25
from galspec.core.errors import ImageError, ShapeError, SpectrumError
from galspec.core.wavelength import wave_grid
from galspec.inference.engine import Engine, as_engine
from galspec.models.bundle import PredictorBundle

#: The whole main galaxy sample of SDSS lies below this redshift; so does the design of the grid.
MAX_REDSHIFT = 0.36
#: Latents are standardised by the training set: hardly a galaxy in it lies further out in any of the six.
MAX_LATENT = 5.0
#: Share of bright border pixels above which a galaxy is larger than its cutout; stars and neighbours stay below.
MAX_BRIGHT_EDGE = 0.1
#: Sky noise of PS1 stacks in r, nJy per pixel: 0.1 counts/s at zero point 25.
_SKY_R_NJY = 0.1 * NJY_PER_COUNT_ZP25


@dataclasses.dataclass(frozen=True)
class PredictedSpectrum:
    """A spectrum predicted from an image. It is never an observed one, and carries no flux scale.

    Parameters
    ----------
    wave_rest : ndarray, shape (1000,)
        Rest-frame vacuum wavelength in angstrom.
    flux : ndarray, shape (1000,), float32
        F_lambda divided by its median in rest 4200-6700 A (dimensionless).
    latent : ndarray, shape (6,), float32
        Predicted latents, standardised by the training set.
    redshift : float or None
        As given by the user; the model does not predict it.
    model : dict
        Its provenance: name, SHA-256 and training data of the model, backend, mode and device that ran it.
    warnings : tuple of str
        Why this galaxy may lie outside what the model has seen.
    """

    wave_rest: NDArray[np.float64]
    flux: NDArray[np.float32]
    latent: NDArray[np.float32]
    redshift: float | None
    model: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def wave_obs(self) -> NDArray[np.float64] | None:
        """Observed-frame vacuum wavelength in angstrom, or None without a redshift."""
        return None if self.redshift is None else self.wave_rest * (1.0 + self.redshift)


def require_redshift(redshift: float | None) -> float | None:
    """Return the redshift if it can be used.

    Raises
    ------
    SpectrumError
        If it is not a number in 0-0.36.
    """
    if redshift is not None and not 0.0 <= redshift <= MAX_REDSHIFT:
        raise SpectrumError(
            f"redshift {redshift} is outside 0-{MAX_REDSHIFT}, the range of the SDSS main galaxy sample and of the "
            "wavelength grid; leave it out to get the rest-frame spectrum alone."
        )
    return redshift


def predict_cutout(
    model: PredictorBundle | Engine, cutout: NDArray[np.float32], redshift: float | None = None
) -> PredictedSpectrum:
    """Predict the rest-frame spectrum of one galaxy from its image alone.

    Parameters
    ----------
    model : PredictorBundle or Engine
        A predictor runs eager and exact; an engine as its plan says.
    cutout : ndarray, shape (5, 224, 224)
        nJy per pixel, bands g r i z y, 0.25 arcsec pixels, north up; NaN where there are no data.
    redshift : float, optional
        Only moves the wavelength axis; the prediction does not use it.

    Raises
    ------
    ShapeError
        If the cutout is not (5, 224, 224).
    ImageError
        If a band has no valid pixel.
    SpectrumError
        If the redshift is outside 0-0.36.
    """
    require_redshift(redshift)
    cutout = np.asarray(cutout, dtype=np.float32)
    if cutout.shape != CUTOUT_SHAPE:
        raise ShapeError(
            f"the cutout has shape {cutout.shape}, but must be {CUTOUT_SHAPE}: bands grizy at 0.25 arcsec per pixel."
        )
    for band, image in zip(BANDS, cutout, strict=True):
        if not np.isfinite(image).any():
            raise ImageError(f"band {band} has no valid pixel; all five bands are needed.")
    engine = as_engine(model)
    latent = engine.latents(cutout[None])
    return PredictedSpectrum(
        wave_rest=wave_grid(),
        flux=engine.predictor.decode(latent)[0],
        latent=latent[0],
        redshift=redshift,
        model=engine.provenance,
        warnings=_domain_warnings(engine.predictor, cutout, latent[0], redshift),
    )


def _domain_warnings(
    predictor: PredictorBundle, cutout: NDArray[np.float32], latent: NDArray[np.float32], redshift: float | None
) -> tuple[str, ...]:
    """Say in which way a galaxy lies outside the range of the training survey, if it does."""
    ranges = predictor.info.get("training_survey", {}).get("ranges", {})
    found = []
    if redshift is not None and "redshift" in ranges:
        low, high = ranges["redshift"]
        if not low <= redshift <= high:
            found.append(f"redshift {redshift:.4f} lies outside the training range {low:.3f}-{high:.3f}")
    if "mag_r" in ranges:
        low, high = ranges["mag_r"]
        total = float(np.nansum(cutout[BANDS.index("r")]))
        mag_r = AB_ZEROPOINT_NJY - 2.5 * np.log10(total) if total > 0 else np.inf
        if not low <= mag_r <= high:
            found.append(f"r = {mag_r:.2f} mag inside the cutout lies outside the training range {low:.2f}-{high:.2f}")
    edge = _bright_edge_share(cutout)
    if edge > MAX_BRIGHT_EDGE:
        found.append(f"the galaxy fills the cutout: {100 * edge:.0f} % of its border is brighter than the sky")
    largest = float(np.abs(latent).max())
    if largest > MAX_LATENT:
        found.append(
            f"a predicted latent lies {largest:.1f} standard deviations from the training mean, "
            f"more than {MAX_LATENT:.0f}: the spectrum may be unphysical"
        )
    no_data = np.isnan(cutout).reshape(N_BANDS, -1).mean(axis=1)
    found += [
        f"{100 * share:.0f} % of band {band} has no data"
        for band, share in zip(BANDS, no_data, strict=True)
        if share > 0.05
    ]
    return tuple(found)


def _bright_edge_share(cutout: NDArray[np.float32], width: int = 8) -> float:
    """Return the share of the frame's r-band border that lies 4 sky deviations above zero."""
    image = cutout[BANDS.index("r")]
    sides = (image[:width], image[-width:], image[width:-width, :width], image[width:-width, -width:])
    border = np.concatenate([side.ravel() for side in sides])
    border = border[np.isfinite(border)]
    return float((border > 4.0 * _SKY_R_NJY).mean()) if border.size else 0.0

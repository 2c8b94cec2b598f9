"""Spectra on the project's grid: rebinning, the normalisation, and the filling of pixels without data.

Everywhere `ivar` = 0 means no data, `mask` True means bad, and wavelengths are in vacuum and the rest frame.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galspec.core.errors import ShapeError, SpectrumError
from galspec.core.wavelength import N_WAVE, NORM_WINDOW, norm_window_mask, wave_edges
from galspec.preprocess.components import chunks, fit_components, fit_weights, good_pixels, posterior_coefficients
from galspec.preprocess.quality import has_enough_data, outlier_pixels, require_enough_data, require_spectra

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: A grid pixel covered by less good data than this fraction of its width has no data.
MIN_COVERAGE: Final = 0.5
N_VECTORS: Final = 10


def spectrum_norms(flux: ArrayLike, ivar: ArrayLike) -> Floats:
    """Return the norm of each spectrum, NaN where there is none.

    Parameters
    ----------
    flux, ivar : array_like, shape (N, 1000)
        Flux density and inverse variance on the project's grid.

    Returns
    -------
    norm : ndarray, shape (N,), float64
        Median flux over the pixels with data in rest 4200-6700 angstrom, in the unit of `flux`;
        NaN where no pixel has data or the median is not positive.

    Raises
    ------
    ShapeError
        If the arrays are not both (N, 1000).
    """
    flux, ivar = _require_block(flux, ivar)
    window = norm_window_mask()
    inside = flux[:, window].astype(np.float64)
    has_data = good_pixels(inside, ivar[:, window])
    inside[~has_data] = np.inf  # sorted to the end, so the median is a matter of counting
    inside.sort(axis=1)
    n_good = has_data.sum(axis=1)
    rows = np.arange(len(inside))
    lower, upper = np.maximum(n_good - 1, 0) // 2, n_good // 2
    norm = 0.5 * (inside[rows, lower] + inside[rows, np.minimum(upper, inside.shape[1] - 1)])
    return np.where((n_good > 0) & (norm > 0) & np.isfinite(norm), norm, np.nan)


def is_encodable(flux: ArrayLike, ivar: ArrayLike) -> NDArray[np.bool_]:
    """Return True (N,) for spectra that the encoder takes: numbers possible, a norm, data in 60 % of the pixels."""
    flux, ivar = _require_block(flux, ivar)
    return np.asarray(np.isfinite(spectrum_norms(flux, ivar)) & has_enough_data(flux, ivar))


def spectrum_norm(flux: ArrayLike, ivar: ArrayLike) -> float:
    """Return the median flux of a spectrum over the pixels with data in rest 4200-6700 angstrom.

    Parameters
    ----------
    flux, ivar : array_like, shape (1000,)
        Flux density and inverse variance on the project's grid.

    Returns
    -------
    norm : float
        In the unit of `flux`, positive.

    Raises
    ------
    SpectrumError
        If the window holds no pixel with data, or the median is not positive.
    ShapeError
        If the arrays are not both (1000,).
    """
    norm = float(spectrum_norms(np.asarray(flux)[None], np.asarray(ivar)[None])[0])
    if np.isnan(norm):
        low, high = NORM_WINDOW
        raise SpectrumError(
            f"the spectrum has no positive median flux in rest {low:.0f}-{high:.0f} angstrom, where it is normalised: "
            "the window has no good pixels, or the flux there is not positive. Check the redshift and the masks."
        )
    return norm


def resample_to_grid(
    wave_vac_rest: ArrayLike, flux: ArrayLike, ivar: ArrayLike, mask: ArrayLike | None = None
) -> tuple[Floats32, Floats32]:
    """Rebin spectra that share a wavelength axis onto the project's grid.

    Parameters
    ----------
    wave_vac_rest : array_like, shape (M,)
        Pixel centres in angstrom, rest frame, vacuum, strictly increasing.
    flux, ivar : array_like, shape (..., M)
        Flux density and its inverse variance (0 = no data) in consistent units.
    mask : array_like of bool, shape (..., M), optional
        True = bad.

    Returns
    -------
    flux, ivar : ndarray, shape (..., 1000), float32
        Both 0 where good pixels cover less than half of a grid pixel.

    Raises
    ------
    SpectrumError
        If the wavelengths are not finite, positive and strictly increasing.
    ShapeError
        If the arrays do not match.

    Notes
    -----
    With o_ji the overlap in angstrom of grid pixel j and input pixel i, taken over good pixels only,
    flux_j = sum_i o_ji f_i / sum_i o_ji, which conserves the integral of the flux density, and
    var_j = sum_i o_ji^2 var_i / (sum_i o_ji)^2. Neighbouring grid pixels that share an input pixel are
    correlated; that covariance is not kept. Weights do not depend on ivar: an ivar-weighted mean would shift lines.
    """
    wave, flux_in, ivar_in = _require_spectrum(wave_vac_rest, flux, ivar)
    is_good = good_pixels(flux_in, ivar_in)
    if mask is not None:
        is_good &= ~np.broadcast_to(np.asarray(mask, bool), is_good.shape)
    shape = flux_in.shape[:-1]
    is_good = is_good.reshape(-1, len(wave))
    flux_good = np.where(is_good, flux_in.reshape(is_good.shape), 0.0)
    with np.errstate(divide="ignore"):
        variance = np.where(is_good, 1.0 / ivar_in.reshape(is_good.shape), 0.0)
    overlap = _overlaps(wave)
    covered = (overlap @ is_good.T.astype(np.float64)).T
    total = (overlap @ flux_good.T).T
    total_variance = (overlap.power(2) @ variance.T).T
    has_data = (covered >= MIN_COVERAGE * np.diff(wave_edges())) & (total_variance > 0)
    flux_out = np.divide(total, covered, out=np.zeros_like(total), where=has_data)
    ivar_out = np.divide(covered**2, total_variance, out=np.zeros_like(total), where=has_data)
    return (
        flux_out.astype(np.float32).reshape(*shape, N_WAVE),
        ivar_out.astype(np.float32).reshape(*shape, N_WAVE),
    )


def _overlaps(wave: Floats) -> "csr_array":
    """Return the overlap of every grid pixel with every input pixel in angstrom, sparse (1000, M)."""
    from scipy.sparse import csr_array  # a quarter of a second that only rebinning needs to wait for

    loglam = np.log(wave)
    middle = 0.5 * (loglam[1:] + loglam[:-1])
    edges_in = np.exp(np.concatenate([[2 * loglam[0] - middle[0]], middle, [2 * loglam[-1] - middle[-1]]]))
    edges_out = wave_edges()
    # Between two neighbouring edges of the union lies exactly one input and one output pixel.
    edges = np.union1d(edges_in, edges_out)
    centre = 0.5 * (edges[1:] + edges[:-1])
    pixel_in = np.searchsorted(edges_in, centre) - 1
    pixel_out = np.searchsorted(edges_out, centre) - 1
    both = (pixel_in >= 0) & (pixel_in < len(wave)) & (pixel_out >= 0) & (pixel_out < N_WAVE)
    return csr_array((np.diff(edges)[both], (pixel_out[both], pixel_in[both])), shape=(N_WAVE, len(wave)))


def _require_spectrum(wave: ArrayLike, flux: ArrayLike, ivar: ArrayLike) -> tuple[Floats, Floats, Floats]:
    wave = np.asarray(wave, np.float64)
    flux, ivar = np.asarray(flux, np.float64), np.asarray(ivar, np.float64)
    if wave.ndim != 1 or len(wave) < 2 or flux.shape[-1:] != wave.shape or ivar.shape != flux.shape:
        raise ShapeError(
            f"a spectrum needs wave (M,) and flux and ivar (..., M); got {wave.shape}, {flux.shape}, {ivar.shape}"
        )
    if not (np.isfinite(wave).all() and wave[0] > 0 and (np.diff(wave) > 0).all()):
        raise SpectrumError(
            "the wavelengths of a spectrum must be finite, positive and strictly increasing; sort the pixels first"
        )
    return wave, flux, ivar


def _require_block(flux: ArrayLike, ivar: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    flux, ivar = np.asarray(flux), np.asarray(ivar)
    if flux.ndim != 2 or flux.shape[1] != N_WAVE or ivar.shape != flux.shape:
        raise ShapeError(
            f"flux and ivar must both be (N, {N_WAVE}) on the project's grid; got {flux.shape}, {ivar.shape}"
        )
    return flux, ivar


@dataclasses.dataclass(frozen=True)
class SpectrumPreprocessor:
    """Mean spectrum and principal components that turn a spectrum with gaps into the encoder's input.

    Parameters
    ----------
    mean_flux : ndarray, shape (1000,), float64
        Mean of the normalised train spectra.
    eigenvectors : ndarray, shape (K, 1000), float64
        Orthonormal principal components, strongest first.
    eigenvalues : ndarray, shape (K,), float64
        Variance of the train spectra along each of them: the prior of the fit.
    """

    mean_flux: Floats
    eigenvectors: Floats
    eigenvalues: Floats

    def __post_init__(self) -> None:
        n_vectors = len(self.eigenvalues)
        if self.mean_flux.shape != (N_WAVE,) or self.eigenvectors.shape != (n_vectors, N_WAVE):
            raise ShapeError(
                f"a preprocessor needs mean_flux ({N_WAVE},), eigenvectors (K, {N_WAVE}) and eigenvalues (K,); got "
                f"{self.mean_flux.shape}, {self.eigenvectors.shape}, {self.eigenvalues.shape}"
            )

    @classmethod
    def fit(
        cls,
        flux_norm: NDArray[np.floating],
        ivar_norm: NDArray[np.floating],
        n_vectors: int = N_VECTORS,
        max_iterations: int = 25,
        tolerance: float = 1e-3,
    ) -> Self:
        """Fit mean and components to normalised spectra with gaps. Give it rows of the train split only.

        Parameters
        ----------
        flux_norm, ivar_norm : ndarray, shape (N, 1000)
            Flux / norm and ivar * norm^2; gaps have ivar 0.
        n_vectors : int
            Number of components.
        max_iterations, tolerance : int, float
            The iteration stops when the model of the train spectra moves by less than `tolerance`, as a
            fraction of their scatter.

        Returns
        -------
        SpectrumPreprocessor

        Raises
        ------
        SpectrumError
            If there are not more spectra with data than components.

        Notes
        -----
        Probabilistic PCA for known, pixel-dependent noise: x = mean + a V + noise with a ~ N(0, 1). Expectation
        maximisation as in Roweis (1998, NIPS 10) with the per-pixel weights of Bailey (2012, PASP 124, 1015,
        eqs 19-21); carrying the covariance of the coefficients keeps components finite where few galaxies have data.
        The result does not depend on the number of threads beyond rounding.
        """
        flux_norm, ivar_norm = _require_block(flux_norm, ivar_norm)
        n_usable = int(np.any(good_pixels(flux_norm, ivar_norm), axis=1).sum())
        if n_usable <= n_vectors:
            raise SpectrumError(
                f"{n_usable} spectra with data cannot define {n_vectors} principal components; give more spectra"
            )
        mean, loadings = fit_components(flux_norm, ivar_norm, n_vectors, max_iterations, tolerance)
        _, singular, vectors = np.linalg.svd(loadings, full_matrices=False)
        # The sign of a component is arbitrary; fixed so that two fits of the same data agree.
        vectors *= np.where(vectors.sum(axis=1) < 0, -1.0, 1.0)[:, None]
        return cls(mean_flux=mean, eigenvectors=vectors, eigenvalues=singular**2)

    def fit_coefficients(self, flux_norm: NDArray[np.floating], ivar_norm: NDArray[np.floating]) -> Floats:
        """Fit the components to each spectrum: posterior mean under the eigenvalue prior.

        Parameters
        ----------
        flux_norm, ivar_norm : ndarray, shape (N, 1000)

        Returns
        -------
        coefficients : ndarray, shape (N, K), float64
            Exactly 0 (the mean spectrum) for a spectrum without data.
        """
        flux_norm, ivar_norm = _require_block(flux_norm, ivar_norm)
        scale = np.sqrt(self.eigenvalues)
        loadings = self.eigenvectors * scale[:, None]
        coefficients = np.empty((len(flux_norm), len(scale)))
        for rows in chunks(len(flux_norm)):
            flux, weight = fit_weights(flux_norm[rows], ivar_norm[rows])
            coefficients[rows] = posterior_coefficients(flux, weight, self.mean_flux, loadings)[0] * scale
        return coefficients

    def infill(self, flux_norm: ArrayLike, ivar_norm: ArrayLike) -> Floats32:
        """Fill the pixels without data by the weighted fit; pixels with data are returned as they are.

        Parameters
        ----------
        flux_norm, ivar_norm : array_like, shape (N, 1000)
            Flux / norm and ivar * norm^2.

        Returns
        -------
        flux_norm : ndarray, shape (N, 1000), float32
            Finite everywhere.

        Raises
        ------
        ShapeError
            If the arrays are not both (N, 1000).
        """
        flux, ivar = _require_block(flux_norm, ivar_norm)
        return np.where(good_pixels(flux, ivar), flux, self.model(flux, ivar)).astype(np.float32)

    def model(self, flux_norm: NDArray[np.floating], ivar_norm: NDArray[np.floating]) -> Floats:
        """Return the weighted fit of the components to each spectrum, (N, 1000), float64."""
        return self.mean_flux + self.fit_coefficients(flux_norm, ivar_norm) @ self.eigenvectors

    def clean(self, flux_norm: NDArray[np.floating], ivar_norm: NDArray[np.floating]) -> Floats32:
        """Return ivar (N, 1000) with `outlier_pixels` set to 0: cosmic rays and defects that no mask knows of."""
        flux_norm, ivar_norm = _require_block(flux_norm, ivar_norm)
        cleaned = ivar_norm.astype(np.float32)
        for rows in chunks(len(cleaned)):
            model = self.model(flux_norm[rows], ivar_norm[rows])
            cleaned[rows][outlier_pixels(flux_norm[rows], ivar_norm[rows], model)] = 0.0
        return cleaned

    def encoder_input(self, flux: ArrayLike, ivar: ArrayLike) -> Floats32:
        """Normalise, take out outlier pixels, fill and subtract the mean spectrum.

        Parameters
        ----------
        flux, ivar : array_like, shape (N, 1000)
            1e-17 erg/s/cm2/angstrom and its inverse variance; any common factor drops out.

        Returns
        -------
        x : ndarray, shape (N, 1000), float32

        Raises
        ------
        SpectrumError
            If a spectrum cannot be normalised, has data in less than 60 % of the pixels, a negative ivar, or a
            flux that is not finite where ivar > 0; the message names the rows.
        ShapeError
            If the arrays are not both (N, 1000).
        """
        x, _ = self.encoder_input_and_weights(flux, ivar)
        return x

    def encoder_input_and_weights(self, flux: ArrayLike, ivar: ArrayLike) -> tuple[Floats32, Floats32]:
        """Return `encoder_input` and the ivar (N, 1000) in units of the norm with outlier pixels at 0."""
        require_enough_data(*require_spectra(flux, ivar))
        flux_norm, ivar_norm, _ = normalise_spectra(flux, ivar)
        cleaned = self.clean(flux_norm, ivar_norm)
        return (self.infill(flux_norm, cleaned) - self.mean_flux).astype(np.float32), cleaned

    def to_arrays(self) -> dict[str, NDArray[np.floating]]:
        """Return the arrays by name, float64, for a safetensors file."""
        return {field.name: np.ascontiguousarray(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> Self:
        """Rebuild a preprocessor from `to_arrays`; other names in the mapping are ignored.

        Raises
        ------
        ShapeError
            If an array is missing or has the wrong shape.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ShapeError(
                f"a spectrum preprocessor needs the arrays {', '.join(names)}; missing: {', '.join(missing)}"
            )
        return cls(**{name: np.asarray(arrays[name], np.float64) for name in names})


def normalise_spectra(flux: ArrayLike, ivar: ArrayLike) -> tuple[Floats32, Floats32, Floats]:
    """Divide each spectrum by its norm.

    Parameters
    ----------
    flux, ivar : array_like, shape (N, 1000)

    Returns
    -------
    flux_norm, ivar_norm : ndarray, shape (N, 1000), float32
        Dimensionless; 0 where there is no data.
    norm : ndarray, shape (N,), float64

    Raises
    ------
    SpectrumError
        If a spectrum cannot be normalised; the message names the rows.
    ShapeError
        If the arrays are not both (N, 1000).
    """
    flux, ivar = _require_block(flux, ivar)
    norm = spectrum_norms(flux, ivar)
    bad_rows = np.flatnonzero(np.isnan(norm))
    if len(bad_rows):
        shown = ", ".join(str(row) for row in bad_rows[:5]) + (", ..." if len(bad_rows) > 5 else "")
        raise SpectrumError(
            f"{len(bad_rows)} of {len(norm)} spectra have no positive median flux in rest "
            f"{NORM_WINDOW[0]:.0f}-{NORM_WINDOW[1]:.0f} angstrom (rows {shown}); leave them out"
        )
    has_data = good_pixels(flux, ivar)
    flux_norm = np.where(has_data, flux, 0.0) / norm[:, None]
    ivar_norm = np.where(has_data, ivar, 0.0) * norm[:, None] ** 2
    return flux_norm.astype(np.float32), ivar_norm.astype(np.float32), norm

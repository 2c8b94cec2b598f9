"""The continuum under the lines: principal components of stellar continua, and smooth terms for the calibration.

The components come from noise-free simulated continua (`galspec.simulation.continuum_templates`). Everything here is
in units of a spectrum's norm, its median flux in rest 4200-6700 angstrom.
"""

import dataclasses
import functools
import importlib.resources
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.interpolate import BSpline

from galspec.core.errors import BundleError, ShapeError
from galspec.core.files import atomic_path
from galspec.core.wavelength import LOGLAM_START, LOGLAM_STEP, N_WAVE, wave_grid

Floats = NDArray[np.float64]

FORMAT: Final = "galspec-continuum"
#: Real galaxies differ more from one another than simulated ones: their coefficients may be this much larger.
PRIOR_INFLATION: Final = 2.0
#: Prior standard deviation of the mean spectrum times Legendre polynomials of degree 0, 1, ...: SDSS's flux
#: calibration is good to 5 % from band to band, and strong lines shift the norm.
LEGENDRE_SIGMA: Final = (0.10, 0.10, 0.05, 0.05, 0.05)
#: The same for cubic B-splines this far apart (angstrom): what the calibration leaves between bands.
SPLINE_STEP: Final = 250.0
SPLINE_SIGMA: Final = 0.02
#: The strongest components are tilted and bent too: the factor is one of the galaxy, not of the mean.
_N_TILTED: Final = 2
_TILT_DEGREES: Final = (1, 2)


@dataclasses.dataclass(frozen=True)
class ContinuumDesign:
    """A linear model of continua: mean + coefficients @ terms, coefficients ~ N(0, 1).

    Parameters
    ----------
    mean : ndarray, shape (1000,)
    terms : ndarray, shape (T, 1000)
        Scaled by their prior standard deviations.
    """

    mean: Floats
    terms: Floats


@dataclasses.dataclass(frozen=True)
class ContinuumTemplates:
    """Principal components of continua without emission lines.

    Parameters
    ----------
    mean : ndarray, shape (1000,), float64
        Mean continuum / norm.
    vectors : ndarray, shape (K, 1000), float64
        Orthonormal, strongest first.
    variances : ndarray, shape (K,), float64
        Of the coefficients, descending.
    metadata : dict of str
        What the file says of its origin.
    """

    mean: Floats
    vectors: Floats
    variances: Floats
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        n_vectors = len(self.variances)
        if self.mean.shape != (N_WAVE,) or self.vectors.shape != (n_vectors, N_WAVE):
            raise ShapeError(
                f"continuum templates need mean ({N_WAVE},), vectors (K, {N_WAVE}) and variances (K,); got "
                f"{self.mean.shape}, {self.vectors.shape}, {self.variances.shape}"
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read templates written by `save`.

        Raises
        ------
        BundleError
            If the file is missing, damaged, or holds something else.
        ShapeError
            If its arrays do not fit together.
        """
        try:
            with safe_open(path, framework="numpy") as handle:
                metadata: dict[str, str] = handle.metadata() or {}
                arrays = {name: np.asarray(handle.get_tensor(name), np.float64) for name in handle.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise BundleError(
                f"the continuum templates {path} cannot be read ({error}); make them with "
                "`python -m galspec continuum`."
            ) from None
        missing = [name for name in ("mean", "vectors", "variances") if name not in arrays]
        if metadata.get("format") != FORMAT or missing:
            raise BundleError(
                f"{path} holds no continuum templates (format {FORMAT!r} with mean, vectors and variances); make them "
                "with `python -m galspec continuum`."
            )
        return cls(arrays["mean"], arrays["vectors"], arrays["variances"], metadata)

    def save(self, path: Path) -> None:
        """Write the templates atomically, float32, with their metadata."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in ("mean", "vectors", "variances")}
        grid = {"loglam_start": str(LOGLAM_START), "loglam_step": str(LOGLAM_STEP)}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, metadata={**self.metadata, **grid, "format": FORMAT})

    def design(self) -> ContinuumDesign:
        """Return the linear model: components, and the calibration's smooth terms."""
        position = np.linspace(-1.0, 1.0, N_WAVE)
        legendre = np.polynomial.legendre.legvander(position, len(LEGENDRE_SIGMA) - 1).T
        smooth = legendre * np.array(LEGENDRE_SIGMA)[:, None]
        components = self.vectors * np.sqrt(self.variances)[:, None]
        tilted = components[:_N_TILTED, None] * smooth[list(_TILT_DEGREES)]
        terms = [
            components * PRIOR_INFLATION,
            self.mean * smooth,
            self.mean * _splines() * SPLINE_SIGMA,
            tilted.reshape(-1, N_WAVE),
        ]
        return ContinuumDesign(self.mean, np.concatenate(terms))


def _splines() -> Floats:
    """Return cubic B-splines that sum to 1 on the grid, `SPLINE_STEP` apart, shape (S, 1000)."""
    wave = wave_grid()
    n_steps = int(np.ceil((wave[-1] - wave[0]) / SPLINE_STEP))
    knots = wave[0] + (wave[-1] - wave[0]) / n_steps * np.arange(-3, n_steps + 4)
    inside: Any = np.clip(wave, knots[3], knots[-4])
    return np.asarray(BSpline.design_matrix(inside, knots, 3).toarray().T, np.float64)


def shipped_path() -> Path:
    """Return the place of the templates that come with the package."""
    return Path(str(importlib.resources.files("galspec"))) / "data" / "continuum.safetensors"


@functools.lru_cache(maxsize=1)
def shipped_templates() -> ContinuumTemplates:
    """Return the templates that come with the package, from simulated galaxies.

    Raises
    ------
    BundleError
        If the file is missing or damaged.
    """
    return ContinuumTemplates.load(shipped_path())


@functools.lru_cache(maxsize=1)
def shipped_design() -> ContinuumDesign:
    """Return the linear model of `shipped_templates`."""
    return shipped_templates().design()

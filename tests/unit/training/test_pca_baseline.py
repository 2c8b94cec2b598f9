"""The yardstick must be as good as principal components can be, or the VAE is flattered."""

import numpy as np
import pytest

from galspec.preprocess.spectra import SpectrumPreprocessor
from galspec.training.pca_baseline import fit_chi2_components, project, reconstruct
from galspec.training.vae_bundle import weighted_mse


@pytest.fixture
def noisy() -> tuple[np.ndarray, np.ndarray]:
    """300 spectra in the span of three components, with uneven noise and gaps."""
    generator = np.random.default_rng(4)
    phase = np.linspace(0.0, 3.0, 1000)
    basis = np.stack([np.sin(phase), np.cos(2 * phase), np.exp(-0.5 * ((phase - 2.0) / 0.02) ** 2)])
    sigma = generator.uniform(0.02, 0.2, (300, 1000))
    flux = 1.0 + generator.normal(size=(300, 3)) @ (0.3 * basis) + sigma * generator.normal(size=(300, 1000))
    ivar = 1.0 / sigma**2
    ivar[:150, 200:260] = 0.0
    flux[ivar == 0] = 1e4
    return flux, ivar


def chi2(model: np.ndarray, flux: np.ndarray, ivar: np.ndarray) -> float:
    return weighted_mse(model.astype(np.float32), flux.astype(np.float32), ivar.astype(np.float32))


def test_projection_is_weighted_least_squares(noisy: tuple[np.ndarray, np.ndarray]):
    flux, ivar = noisy
    vectors = np.linalg.qr(np.random.default_rng(1).normal(size=(1000, 4)))[0].T
    mean = np.full(1000, 1.1)
    found = project(flux[:5], ivar[:5], mean, vectors)
    for row in range(5):
        root = np.sqrt(ivar[row])
        expected = np.linalg.lstsq((vectors * root).T, root * (flux[row] - mean), rcond=None)[0]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-6)


def test_components_of_the_right_number_leave_only_noise(noisy: tuple[np.ndarray, np.ndarray]):
    flux, ivar = noisy
    start = np.linalg.qr(np.random.default_rng(1).normal(size=(1000, 3)))[0].T
    mean, vectors = fit_chi2_components(flux, ivar, np.ones(1000), start)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-10)
    # Each spectrum spends three numbers, each pixel four, on the noise.
    expected = (1 - 3 / 1000) * (1 - 4 / 300)
    assert chi2(reconstruct(flux, ivar, mean, vectors), flux, ivar) == pytest.approx(expected, rel=0.02)


def test_yardstick_is_not_worse_than_the_softened_components(noisy: tuple[np.ndarray, np.ndarray]):
    flux, ivar = noisy
    flux = 1.0 + 4.0 * (flux - 1.0) * (ivar > 0)  # structure far above the noise, where softening costs most
    soft = SpectrumPreprocessor.fit(flux, ivar, n_vectors=2)
    softened = soft.mean_flux + soft.fit_coefficients(flux, ivar) @ soft.eigenvectors
    components = fit_chi2_components(flux, ivar, soft.mean_flux, soft.eigenvectors)
    assert chi2(reconstruct(flux, ivar, *components), flux, ivar) < chi2(softened, flux, ivar)


def test_spectrum_or_pixel_without_data_is_harmless(noisy: tuple[np.ndarray, np.ndarray]):
    flux, ivar = noisy
    ivar[0], ivar[:, 500] = 0.0, 0.0
    vectors = np.linalg.qr(np.random.default_rng(1).normal(size=(1000, 3)))[0].T
    components = fit_chi2_components(flux, ivar, np.ones(1000), vectors)
    assert np.isfinite(reconstruct(flux, ivar, *components)).all()

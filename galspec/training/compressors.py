"""Four ways to write a spectrum as a few numbers, fitted to the same spectra: PCA, NMF, autoencoder, InfoVAE.

What is compared is how well a spectrum comes back, so each method is fitted to, and applied with, the same inverse
variances: components by weighted least squares, networks by the softened loss of the shipped VAE.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor, nn

from galspec.core.errors import ConfigError, RunError, SpectrumError
from galspec.models.vae import HIDDEN, InfoVAE, info_vae_loss
from galspec.preprocess.quality import soften
from galspec.preprocess.spectra import SpectrumPreprocessor, normalise_spectra
from galspec.training.pca_baseline import N_FIT, fit_chi2_components, reconstruct

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
#: Normalised flux and ivar (N, 1000), ivar 0 = no data, to what the method makes of them, (N, 1000).
Reconstruct = Callable[[Floats32, Floats32], Floats32]

METHODS: Final = ("pca", "nmf", "ae", "vae")
_BATCH_SPECTRA: Final = 4096
_NMF_ITERATIONS: Final = 200
_NMF_WEIGHTED_ITERATIONS: Final = 60
_TINY: Final = 1e-9
#: Longest gradient of a step, in units of the loss: the brightest galaxies would throw the weights about. Measured with
#: 16,000 spectra of sim1 and 24 epochs: the six-latent VAE's valid reconstruction loss is 496 with it, 530-590 without.
_MAX_GRADIENT: Final = 100.0
#: Share of the steps in which the learning rate rises.
_WARM_UP: Final = 0.1


@dataclasses.dataclass(frozen=True)
class ComparisonConfig:
    """Sizes, seeds and training of the comparison; `configs/vae_comparison.toml` holds those of the report.

    Parameters
    ----------
    dims : tuple of int
        Numbers of components or latents.
    seeds : tuple of int
        Of NMF's start and of the networks; PCA has nothing to draw.
    n_train, n_valid : int
        The first so many usable galaxies of the train and of the valid split.
    n_nmf : int
        Train spectra NMF is fitted to; PCA has its own limit, 8192.
    n_epochs, batch_size : int
        Passes through the train spectra and spectra a step, for both networks.
    max_lr : float
        Peak of the one-cycle schedule of Adam.
    stop_patience : int
        Epochs without a better valid loss after which training stops; the best weights are kept.
    mmd_lambda, softening : float
        As in `galspec.training.vae_data.VaeConfig`.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    dims: tuple[int, ...] = (2, 4, 6, 10)
    seeds: tuple[int, ...] = (1, 2, 3)
    n_train: int = 16000
    n_valid: int = 4000
    n_nmf: int = 8192
    n_epochs: int = 24
    batch_size: int = 128
    max_lr: float = 2e-3
    stop_patience: int = 10
    mmd_lambda: float = 100.0
    softening: float = 0.022

    def __post_init__(self) -> None:
        for name in ("n_train", "n_valid", "n_nmf", "n_epochs", "batch_size", "stop_patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        if not self.dims or min(self.dims) < 1 or not self.seeds:
            raise ConfigError("dims must hold at least one positive number and seeds at least one number.")
        if self.mmd_lambda < 1.0 or self.max_lr <= 0.0 or self.softening < 0.0:
            raise ConfigError("mmd_lambda must be at least 1, max_lr positive and softening not negative.")


@dataclasses.dataclass(frozen=True)
class FitSpectra:
    """Normalised train and valid spectra, and the preprocessor fitted on train.

    Parameters
    ----------
    train_flux, train_ivar : ndarray, shape (N, 1000), float32
        Flux / norm and ivar * norm^2; ivar 0 = no data.
    train_filled, train_clean : ndarray, shape (N, 1000), float32
        Train flux with gaps and outlier pixels filled, and ivar with 0 there too: what networks and NMF are given.
    valid_filled, valid_clean : ndarray, shape (M, 1000), float32
        They stop the networks' training.
    preprocessor : SpectrumPreprocessor
    """

    train_flux: Floats32
    train_ivar: Floats32
    train_filled: Floats32
    train_clean: Floats32
    valid_filled: Floats32
    valid_clean: Floats32
    preprocessor: SpectrumPreprocessor

    @classmethod
    def prepare(
        cls,
        train: tuple[NDArray[np.floating], NDArray[np.floating]],
        valid: tuple[NDArray[np.floating], NDArray[np.floating]],
        n_vectors: int = 10,
    ) -> Self:
        """Normalise flux and ivar of both splits, (N, 1000) each, and fit the preprocessor on train.

        Raises
        ------
        SpectrumError
            If a spectrum cannot be normalised, or there are too few.
        """
        if not len(train[0]) or not len(valid[0]):
            raise SpectrumError(
                f"{len(train[0])} train and {len(valid[0])} valid spectra: the comparison needs some of both."
            )
        train_flux, train_ivar, _ = normalise_spectra(*train)
        valid_flux, valid_ivar, _ = normalise_spectra(*valid)
        preprocessor = SpectrumPreprocessor.fit(train_flux[:N_FIT], train_ivar[:N_FIT], n_vectors)
        train_clean = preprocessor.clean(train_flux, train_ivar)
        valid_clean = preprocessor.clean(valid_flux, valid_ivar)
        return cls(
            train_flux=train_flux,
            train_ivar=train_ivar,
            train_filled=preprocessor.infill(train_flux, train_clean),
            train_clean=train_clean,
            valid_filled=preprocessor.infill(valid_flux, valid_clean),
            valid_clean=valid_clean,
            preprocessor=preprocessor,
        )


def fit_compressor(method: str, spectra: FitSpectra, n_dims: int, seed: int, config: ComparisonConfig) -> Reconstruct:
    """Fit one method and return how it reconstructs spectra.

    Parameters
    ----------
    method : str
        One of METHODS.
    spectra : FitSpectra
    n_dims : int
        Components or latents.
    seed : int
        Has no effect on PCA.
    config : ComparisonConfig

    Raises
    ------
    ConfigError
        If there is no such method.
    RunError
        If a network's loss is not finite.
    """
    if method == "pca":
        return fit_pca(spectra, n_dims)
    if method == "nmf":
        return fit_nmf(spectra, n_dims, seed, config.n_nmf)
    if method in {"ae", "vae"}:
        return fit_network(spectra, n_dims, seed, config, is_variational=method == "vae")
    raise ConfigError(f"there is no method {method!r}; the methods are {', '.join(METHODS)}.")


def fit_pca(spectra: FitSpectra, n_dims: int) -> Reconstruct:
    """Fit mean and principal components of least chi squared; see `galspec.training.pca_baseline`."""
    flux, ivar = spectra.train_flux[:N_FIT], spectra.train_ivar[:N_FIT]
    start = spectra.preprocessor.eigenvectors
    if len(start) < n_dims:
        start = SpectrumPreprocessor.fit(flux, ivar, n_dims).eigenvectors
    components = fit_chi2_components(flux, ivar, spectra.preprocessor.mean_flux, start[:n_dims])
    return lambda flux, ivar: reconstruct(flux, ivar, *components).astype(np.float32)


def fit_nmf(spectra: FitSpectra, n_dims: int, seed: int, n_spectra: int) -> Reconstruct:
    """Fit non-negative components: scikit-learn's on filled spectra, then refined with the inverse variances.

    Notes
    -----
    scikit-learn knows no weights; the multiplicative updates of Blanton & Roweis (2007, AJ 133, 734, eqs 18-19)
    bring its components to the measure that all methods are judged by. Negative fluxes are noise and count as 0
    here, as the updates demand.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    filled = np.maximum(spectra.train_filled[:n_spectra], 0.0).astype(np.float32)
    model = NMF(n_dims, init="random", random_state=seed, max_iter=_NMF_ITERATIONS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a start for the weighted updates need not converge
        coefficients = model.fit_transform(filled)
    templates = _refine_nmf(filled, spectra.train_clean[:n_spectra], coefficients, model.components_)
    return lambda flux, ivar: (nonnegative_coefficients(flux, ivar, templates) @ templates).astype(np.float32)


def _refine_nmf(flux: Floats32, ivar: Floats32, coefficients: Floats32, templates: Floats32) -> Floats:
    """Return templates (K, L) after weighted multiplicative updates of both factors."""
    weighted = ivar * flux
    coefficients, templates = np.maximum(coefficients, _TINY), np.maximum(templates, _TINY)
    for _ in range(_NMF_WEIGHTED_ITERATIONS):
        model = ivar * (coefficients @ templates)
        coefficients = np.asarray(
            coefficients * (weighted @ templates.T) / np.maximum(model @ templates.T, _TINY), np.float32
        )
        model = ivar * (coefficients @ templates)
        templates = np.asarray(
            templates * (coefficients.T @ weighted) / np.maximum(coefficients.T @ model, _TINY), np.float32
        )
    return templates.astype(np.float64)


def nonnegative_coefficients(flux: NDArray[np.floating], ivar: NDArray[np.floating], templates: Floats) -> Floats:
    """Return the non-negative coefficients (N, K) of least chi squared.

    Parameters
    ----------
    flux, ivar : ndarray, shape (N, L)
        Normalised; ivar 0 = no data.
    templates : ndarray, shape (K, L)

    Notes
    -----
    |A c - b|^2 = |R c - R^-T A^T b|^2 + constant with R^T R = A^T A: each fit is K x K whatever the pixels.
    """
    n_vectors = len(templates)
    products = (templates[:, None] * templates[None]).reshape(-1, templates.shape[1])
    found = np.empty((len(flux), n_vectors))
    for start in range(0, len(flux), _BATCH_SPECTRA):
        rows = slice(start, start + _BATCH_SPECTRA)
        weight = np.asarray(ivar[rows], np.float64)
        normal = (weight @ products.T).reshape(-1, n_vectors, n_vectors)
        size = np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-12
        factor = np.linalg.cholesky(normal + _TINY * size * np.eye(n_vectors))
        right = np.linalg.solve(factor, ((weight * flux[rows]) @ templates.T)[..., None])[..., 0]
        found[rows] = [nnls(lower.T, one)[0] for lower, one in zip(factor, right, strict=True)]
    return found


def fit_network(
    spectra: FitSpectra, n_dims: int, seed: int, config: ComparisonConfig, is_variational: bool
) -> Reconstruct:
    """Train an InfoVAE, or the plain autoencoder of the same layers: no noise, no prior.

    Raises
    ------
    RunError
        If the loss is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = InfoVAE(n_dims, HIDDEN)
    mean_flux = spectra.preprocessor.mean_flux.astype(np.float32)
    train = _network_input(spectra.train_filled - mean_flux, spectra.train_clean, config.softening)
    valid = _network_input(spectra.valid_filled - mean_flux, spectra.valid_clean, config.softening)
    _train(model, train, valid, seed, config, is_variational)
    model.eval().requires_grad_(False)
    preprocessor = spectra.preprocessor

    def reconstruct_by_network(flux: Floats32, ivar: Floats32) -> Floats32:
        x = torch.from_numpy(preprocessor.infill(flux, preprocessor.clean(flux, ivar)) - mean_flux)
        blocks = [model.decode(model.encode(block)[0]) for block in x.split(_BATCH_SPECTRA)]
        return np.asarray(torch.cat(blocks).numpy() + mean_flux, np.float32)

    return reconstruct_by_network


def _network_input(x: Floats32, ivar: Floats32, softening: float) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(x), torch.from_numpy(soften(ivar, softening))


def _loss(
    model: InfoVAE, x: Tensor, weight: Tensor, config: ComparisonConfig, generator: torch.Generator | None
) -> Tensor:
    """Return the InfoVAE loss, or without a generator its reconstruction term at the latent mean."""
    if generator is not None:
        return info_vae_loss(model, x, weight, config.mmd_lambda, generator).total
    output = model.decode(model.encode(x)[0])
    return (0.5 * weight * (output - x).square()).sum(dim=1).mean()


def _train(
    model: InfoVAE,
    train: tuple[Tensor, Tensor],
    valid: tuple[Tensor, Tensor],
    seed: int,
    config: ComparisonConfig,
    is_variational: bool,
) -> None:
    """Train in place with one-cycle Adam; stop when valid no longer improves; end with the best weights."""
    generator = torch.Generator().manual_seed(seed)
    noise = generator if is_variational else None
    n_steps = -(-len(train[0]) // config.batch_size)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.max_lr, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.max_lr, total_steps=n_steps * config.n_epochs, pct_start=_WARM_UP
    )
    best_loss, best_epoch, best = math.inf, 0, model.state_dict()
    for epoch in range(config.n_epochs):
        model.train()
        for rows in torch.randperm(len(train[0]), generator=generator).split(config.batch_size):
            optimiser.zero_grad(set_to_none=True)
            _loss(model, train[0][rows], train[1][rows], config, noise).backward()
            nn.utils.clip_grad_norm_(model.parameters(), _MAX_GRADIENT)
            optimiser.step()
            schedule.step()
        # The same noise each time, so that epochs can be compared.
        valid_loss = _valid_loss(model, valid, config, torch.Generator().manual_seed(seed) if noise else None)
        if not math.isfinite(valid_loss):
            raise RunError(f"the loss of a compared network is not finite in epoch {epoch + 1}; lower max_lr.")
        if valid_loss < best_loss:
            best_loss, best_epoch = valid_loss, epoch
            best = {name: value.detach().clone() for name, value in model.state_dict().items()}
        elif epoch - best_epoch >= config.stop_patience:
            break
    model.load_state_dict(best)


@torch.no_grad()
def _valid_loss(
    model: InfoVAE, valid: tuple[Tensor, Tensor], config: ComparisonConfig, generator: torch.Generator | None
) -> float:
    model.eval()
    blocks = zip(valid[0].split(_BATCH_SPECTRA), valid[1].split(_BATCH_SPECTRA), strict=True)
    return sum(len(x) * float(_loss(model, x, weight, config, generator)) for x, weight in blocks) / len(valid[0])

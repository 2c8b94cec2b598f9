"""InfoVAE of spectra (Portillo et al. 2020, AJ 160, 45): 1000-549-110-6 and back, leaky ReLU.

It sees normalised spectra minus the mean spectrum; latents here are raw, not standardised.
"""

import dataclasses
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor, nn

from galspec.core.errors import ShapeError
from galspec.core.wavelength import N_WAVE

N_LATENT: Final = 6
HIDDEN: Final = (549, 110)
LEAKY_SLOPE: Final = 0.01
#: Prior samples of the maximum mean discrepancy, as in the published code.
N_PRIOR: Final = 200
#: Error added in quadrature to every pixel in training, in units of the norm: bounds the say of very bright
#: galaxies. Portillo et al. add 1/2e6 to the variance of L2-normalised spectra, which is 2.2 % of the flux.
DEFAULT_SOFTENING: Final = 0.022
#: Step of the search for better latents, in units of the prior's deviation; falls to a tenth at the end.
_REFINE_STEP: Final = 0.15
_MAX_WIDTH: Final = 20_000
_MAX_LAYERS: Final = 8


def _perceptron(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        linear = nn.Linear(n_in, n_out)
        nn.init.kaiming_normal_(linear.weight, a=LEAKY_SLOPE)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(LEAKY_SLOPE)]
    return nn.Sequential(*layers[:-1])


class InfoVAE(nn.Module):
    """Variational autoencoder with maximum mean discrepancy (Zhao et al. 2017).

    Parameters
    ----------
    n_latent : int
        Number of latents, D.
    hidden : tuple of int
        Widths of the encoder's hidden layers; the decoder mirrors them.
    """

    def __init__(self, n_latent: int = N_LATENT, hidden: tuple[int, ...] = HIDDEN):
        super().__init__()
        self.n_latent = n_latent
        self.hidden = tuple(hidden)
        self.encoder = _perceptron((N_WAVE, *hidden, 2 * n_latent))
        self.decoder = _perceptron((n_latent, *reversed(hidden), N_WAVE))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map spectra minus the mean (N, 1000) to mean and log variance of the latents, each (N, D).

        Raises
        ------
        ShapeError
            If ``x`` is not (N, 1000).
        """
        if x.ndim != 2 or x.shape[1] != N_WAVE:
            raise ShapeError(f"expected spectra of shape (N, {N_WAVE}), got {tuple(x.shape)}")
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        # A variance below e^-12 or above e^6 of the prior's says nothing more and only overflows.
        return mean, log_variance.clamp(-12.0, 6.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Map latents (N, D) to spectra minus the mean (N, 1000).

        Raises
        ------
        ShapeError
            If ``latent`` is not (N, D).
        """
        if latent.ndim != 2 or latent.shape[1] != self.n_latent:
            raise ShapeError(f"expected latents of shape (N, {self.n_latent}), got {tuple(latent.shape)}")
        return self.decoder(latent)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return reconstruction, latent mean, latent log variance and the sampled latent."""
        mean, log_variance = self.encode(x)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latent = mean + noise * torch.exp(0.5 * log_variance)
        return self.decode(latent), mean, log_variance, latent


def vae_from_args(args: Mapping[str, Any]) -> InfoVAE:
    """Build the VAE that a bundle's metadata describes.

    Parameters
    ----------
    args : mapping
        n_latent and hidden.

    Raises
    ------
    KeyError, TypeError, ValueError
        If an entry is missing or no such VAE can be; absurd sizes are refused before memory is asked for.
    """
    n_latent, hidden = int(args["n_latent"]), tuple(int(width) for width in args["hidden"])
    if not 0 < len(hidden) <= _MAX_LAYERS or not all(0 < width <= _MAX_WIDTH for width in (n_latent, *hidden)):
        raise ValueError(f"no VAE has {n_latent} latents and hidden layers {hidden}")
    return InfoVAE(n_latent, hidden)


@dataclasses.dataclass(frozen=True)
class VaeLoss:
    """The terms of the loss, each a mean over the batch."""

    total: Tensor
    reconstruction: Tensor
    kl: Tensor
    mmd: Tensor


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return exp(-mean_d (a - b)^2) for all pairs, (len(a), len(b))."""
    return torch.exp(-torch.cdist(a, b).square() / a.shape[1])


def maximum_mean_discrepancy(latent: Tensor, prior: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy of two samples, (N, D) and (M, D); 0 for equal distributions."""
    return _kernel(latent, latent).mean() + _kernel(prior, prior).mean() - 2.0 * _kernel(latent, prior).mean()


def info_vae_loss(
    model: InfoVAE,
    x: Tensor,
    weight: Tensor,
    mmd_lambda: float,
    generator: torch.Generator | None = None,
    noisy: Tensor | None = None,
) -> VaeLoss:
    """Return the InfoVAE loss of a batch.

    Parameters
    ----------
    model : InfoVAE
    x : Tensor, shape (N, 1000)
        Normalised, filled spectra minus the mean spectrum.
    weight : Tensor, shape (N, 1000)
        Inverse variance in normalised units with a floor; 0 where a pixel has no data.
    mmd_lambda : float
        lambda of Zhao et al. (2017); 1 is the plain VAE.
    generator : torch.Generator, optional
        Source of the noise, for reproducible runs.
    noisy : Tensor, shape (N, 1000), optional
        What the encoder sees instead of ``x``: the same spectra with noise added.

    Notes
    -----
    sum_pixels weight (x - x')^2 / 2 + KL + (lambda - 1) N D MMD, alpha = 0, as in Portillo et al.
    (2020); their code multiplies the discrepancy by batch size and latent dimension. Here the loss
    is divided by N, so that the learning rate does not depend on the batch size.
    """
    output, mean, log_variance, latent = model(x if noisy is None else noisy, generator)
    reconstruction = (0.5 * weight * (output - x).square()).sum(dim=1).mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()
    prior = torch.randn((N_PRIOR, model.n_latent), generator=generator, device=x.device)
    mmd = maximum_mean_discrepancy(latent, prior)
    total = reconstruction + kl + (mmd_lambda - 1.0) * model.n_latent * mmd
    return VaeLoss(total, reconstruction, kl, mmd)


def refine_latents(model: InfoVAE, x: Tensor, weight: Tensor, n_steps: int) -> Tensor:
    """Return the latents (N, D) of the highest posterior found by Adam from the encoder's answer.

    Parameters
    ----------
    model : InfoVAE
    x, weight : Tensor, shape (N, 1000)
        As `info_vae_loss`; rows do not influence one another.
    n_steps : int
    """

    def loss_of(latent: Tensor) -> Tensor:
        return 0.5 * (weight * (model.decode(latent) - x).square()).sum(dim=1) + 0.5 * latent.square().sum(dim=1)

    with torch.no_grad():
        best = model.encode(x)[0]
        best_loss = loss_of(best)
    latent = best.clone().requires_grad_()
    optimiser = torch.optim.Adam([latent], lr=_REFINE_STEP)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps, eta_min=0.1 * _REFINE_STEP)
    for _ in range(n_steps):
        optimiser.zero_grad(set_to_none=True)
        loss_of(latent).sum().backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            loss = loss_of(latent)
            is_better = loss < best_loss
            best = torch.where(is_better[:, None], latent.detach(), best)
            best_loss = torch.where(is_better, loss, best_loss)
    return best

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from galspec.core.errors import ShapeError
from galspec.models.vae import InfoVAE, info_vae_loss, maximum_mean_discrepancy, vae_from_args


@pytest.fixture
def model() -> InfoVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return InfoVAE().requires_grad_(False)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def test_widths_are_those_of_the_published_network(model: InfoVAE):
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_223_090


def test_reconstruction_is_half_the_weighted_square(model: InfoVAE):
    x, weight = torch.randn(5, 1000), torch.rand(5, 1000)
    loss = info_vae_loss(model, x, weight, 1.0, seeded())
    output = model(x, seeded())[0]
    assert float(loss.reconstruction) == pytest.approx(float((0.5 * weight * (output - x) ** 2).sum() / 5), rel=1e-5)


def test_kl_is_that_of_normal_distributions(model: InfoVAE):
    x = torch.randn(5, 1000)
    mean, log_variance = model.encode(x)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(dim=1).mean()
    assert float(info_vae_loss(model, x, torch.ones_like(x), 1.0).kl) == pytest.approx(float(expected), rel=1e-5)


def test_total_is_the_sum_with_lambda_minus_one(model: InfoVAE):
    x, weight = torch.randn(5, 1000), torch.rand(5, 1000)
    plain = info_vae_loss(model, x, weight, 1.0, seeded())
    assert float(plain.total) == pytest.approx(float(plain.reconstruction + plain.kl), rel=1e-6)
    info = info_vae_loss(model, x, weight, 101.0, seeded())
    assert float(info.total - plain.total) == pytest.approx(100.0 * 6 * float(info.mmd), rel=1e-3)


def test_pixels_without_weight_have_no_say(model: InfoVAE):
    x, weight = torch.randn(5, 1000), torch.rand(5, 1000)
    weight[:, 200:300] = 0.0
    x.requires_grad_()
    output = model(x.detach(), seeded())[0]
    (gradient,) = torch.autograd.grad((0.5 * weight * (output - x).square()).sum(), x)
    assert (gradient[:, 200:300] == 0).all()
    loss = info_vae_loss(model, x.detach(), torch.zeros_like(weight), 1.0, seeded())
    assert float(loss.reconstruction) == 0.0


def test_discrepancy_is_its_double_sum():
    torch.manual_seed(2)
    a, b = torch.randn(7, 6), torch.randn(9, 6) + 1.0

    def mean_kernel(p: torch.Tensor, q: torch.Tensor) -> float:
        return sum(math.exp(-float(((u - v) ** 2).mean())) for u in p for v in q) / (len(p) * len(q))

    expected = mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)
    assert float(maximum_mean_discrepancy(a, b)) == pytest.approx(expected, abs=1e-6)


def test_discrepancy_tells_distributions_apart():
    torch.manual_seed(2)
    a, b, shifted = torch.randn(2000, 6), torch.randn(2000, 6), torch.randn(2000, 6) + 1.0
    assert float(maximum_mean_discrepancy(a, b)) < 1e-3
    assert float(maximum_mean_discrepancy(a, shifted)) > 0.1
    assert float(maximum_mean_discrepancy(a, a)) == pytest.approx(0.0, abs=1e-6)


def test_same_generator_same_loss(model: InfoVAE):
    x, weight = torch.randn(5, 1000), torch.rand(5, 1000)
    first, second = (info_vae_loss(model, x, weight, 10.0, seeded()).total for _ in range(2))
    assert torch.equal(first, second)


def test_extreme_input_keeps_the_loss_finite(model: InfoVAE):
    x = torch.randn(5, 1000) * 1e4
    loss = info_vae_loss(model, x, torch.zeros_like(x), 10.0)
    assert torch.isfinite(loss.total)


def test_wrong_shapes_are_named(model: InfoVAE):
    with pytest.raises(ShapeError, match=r"\(N, 1000\)"):
        model.encode(torch.zeros(3, 999))
    with pytest.raises(ShapeError, match=r"\(N, 6\)"):
        model.decode(torch.zeros(3, 5))


def test_metadata_builds_the_same_network(model: InfoVAE):
    built = vae_from_args({"n_latent": 6, "hidden": [549, 110]})
    assert {key: value.shape for key, value in built.state_dict().items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }


@pytest.mark.parametrize("args", [{"n_latent": 6, "hidden": [10**12]}, {"n_latent": 0, "hidden": [5]},
                                  {"n_latent": 6, "hidden": []}, {"n_latent": 6, "hidden": [5] * 50}])  # fmt: skip
def test_absurd_metadata_is_refused_before_memory_is_asked_for(args: dict):
    with pytest.raises(ValueError, match="no VAE has"):
        vae_from_args(args)

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from galspec.core.errors import ShapeError
from galspec.models.deconv import FastDeconv2d, inverse_square_root
from galspec.models.moments import PatchMoments, sample_patches


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(7)


def random_covariance(n: int, eigenvalues: Tensor) -> Tensor:
    basis = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0]
    return basis @ torch.diag(eigenvalues.double()) @ basis.T


def exact_inverse_square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.rsqrt()) @ vectors.T


def correlated_images(n: int = 8, channels: int = 4, size: int = 20) -> Tensor:
    mixing = torch.randn(channels, channels)
    x = F.avg_pool2d(torch.randn(n, channels, size + 2, size + 2), 3, stride=1)
    return torch.einsum("dc,nchw->ndhw", mixing, x) + torch.arange(channels)[:, None, None]


def reference(layer: FastDeconv2d, x: Tensor) -> Tensor:
    """Whiten every patch, then multiply by the kernel: the definition, nothing folded, one group, one block."""
    sampled = F.unfold(x, layer.kernel_size, padding=layer.padding, stride=layer.sampling_stride)
    sampled = sampled.transpose(1, 2).reshape(-1, sampled.shape[1])
    mean = sampled.mean(dim=0)
    centred = sampled - mean
    covariance = centred.T @ centred / len(centred) + layer.eps * torch.eye(len(mean))
    root = inverse_square_root(covariance, layer.n_iter)
    patches = F.unfold(x, layer.kernel_size, padding=layer.padding, stride=layer.stride)
    whitened = root @ (patches - mean[:, None])
    output = layer.weight.flatten(1) @ whitened + layer.bias[:, None]
    side = (x.shape[-1] + 2 * layer.padding - layer.kernel_size) // layer.stride + 1
    return output.reshape(len(x), -1, side, side)


def test_many_iterations_give_the_exact_inverse_square_root():
    matrix = random_covariance(45, torch.logspace(0, -3, 45))
    found = inverse_square_root(matrix, 25)
    torch.testing.assert_close(found, exact_inverse_square_root(matrix), rtol=1e-8, atol=1e-8)


def test_five_iterations_whiten_large_directions_only():
    eigenvalues = torch.tensor([1.0, 0.1, 0.01, 1e-3, 1e-4], dtype=torch.float64)
    root = inverse_square_root(torch.diag(eigenvalues), 5)
    variance = torch.diag(root @ torch.diag(eigenvalues) @ root.T)
    torch.testing.assert_close(variance, torch.tensor([1.0, 0.995, 0.43, 0.056, 0.006]).double(), rtol=0, atol=5e-3)


def test_inverse_square_root_of_a_stack_is_the_stack_of_inverse_square_roots():
    stack = torch.stack([random_covariance(9, torch.logspace(0, -s, 9)) for s in (0.5, 1.0, 2.0)])
    expected = torch.stack([inverse_square_root(matrix, 5) for matrix in stack])
    torch.testing.assert_close(inverse_square_root(stack, 5), expected)


def test_gradient_of_the_iteration():
    def of_any(a: Tensor) -> Tensor:
        return inverse_square_root(a @ a.T + 0.5 * torch.eye(4, dtype=a.dtype), 5)

    assert torch.autograd.gradcheck(of_any, torch.randn(4, 4, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("shape", [(3, 1, 1, 4, 5), (2, 3, 1, 4, 5), (2, 1, 2, 4, 5), (2, 2, 2, 3, 4)])
def test_gradient_of_the_moments(shape: tuple[int, ...]):
    patches = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(PatchMoments.apply, patches)


@pytest.mark.parametrize("shape", [(3, 1, 1, 4, 50), (2, 3, 1, 4, 50), (2, 2, 2, 3, 40)])
def test_moments_are_those_of_torch(shape: tuple[int, ...]):
    patches = torch.randn(shape, dtype=torch.float64)
    mean, covariance = PatchMoments.apply(patches)
    for group in range(shape[1]):
        samples = patches[:, group].permute(2, 0, 1, 3).flatten(1)
        torch.testing.assert_close(mean[group], samples.mean(dim=1))
        torch.testing.assert_close(covariance[group], torch.cov(samples, correction=0))


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 3, 6])
@pytest.mark.parametrize("size", [(12, 12), (13, 17), (9, 8)])
def test_sampled_patches_are_those_of_unfold(kernel: int, padding: int, stride: int, size: tuple[int, int]):
    x = torch.randn(2, 3, *size)
    expected = F.unfold(x, kernel, padding=padding, stride=stride)
    torch.testing.assert_close(sample_patches(x, kernel, padding, stride), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 0)])
def test_layer_is_its_definition_with_all_gradients(stride: int, padding: int):
    layer = FastDeconv2d(4, 6, 3, stride, padding)
    torch.nn.init.normal_(layer.bias)
    x = correlated_images().requires_grad_()
    parameters = [x, layer.weight, layer.bias]
    found, expected = layer(x), reference(layer, x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    direction = torch.randn_like(found)
    for name, ours, theirs in zip(
        ("x", "weight", "bias"),
        torch.autograd.grad((found * direction).sum(), parameters),
        torch.autograd.grad((expected * direction).sum(), parameters),
        strict=True,
    ):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours / scale, theirs / scale, rtol=1e-3, atol=1e-4, msg=name)


def test_converged_iteration_whitens_what_the_layer_sees():
    layer = FastDeconv2d(4, 4, 1, n_iter=30, sampling_stride=1)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(4)[:, :, None, None])
        output = layer(correlated_images()).transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.cov(output, correction=0), torch.eye(4), rtol=0, atol=2e-3)
    torch.testing.assert_close(output.mean(dim=1), torch.zeros(4), rtol=0, atol=1e-4)


def test_groups_are_layers_side_by_side():
    whole = FastDeconv2d(6, 4, 3, padding=1, groups=2)
    x = correlated_images(channels=6)
    halves = []
    for group in range(2):
        half = FastDeconv2d(3, 2, 3, padding=1)
        half.weight.data = whole.weight.data[2 * group : 2 * group + 2]
        halves.append(half(x[:, 3 * group : 3 * group + 3]))
    torch.testing.assert_close(whole(x), torch.cat(halves, dim=1), rtol=1e-4, atol=1e-4)


def test_blocks_share_one_matrix_and_still_fold():
    layer = FastDeconv2d(8, 4, 3, padding=1, block=4)
    assert layer.running_root.shape == (1, 36, 36)
    x = correlated_images(channels=8)
    for _ in range(3):
        layer(x)
    layer.eval()
    weight, bias = layer.folded()
    torch.testing.assert_close(layer(x), F.conv2d(x, weight, bias, padding=1))


def test_running_statistics_are_moving_averages_from_zero_and_identity():
    layer = FastDeconv2d(4, 4, 3, padding=1)
    assert (layer.running_mean == 0).all()
    assert (layer.running_root == torch.eye(36)).all()
    mean, root = torch.zeros(1, 36), torch.eye(36)[None]
    for _ in range(4):
        x = correlated_images()
        batch_mean, batch_root = layer._statistics(x)
        mean, root = 0.9 * mean + 0.1 * batch_mean, 0.9 * root + 0.1 * batch_root
        layer(x)
    torch.testing.assert_close(layer.running_mean, mean.detach())
    torch.testing.assert_close(layer.running_root, root.detach())


def test_evaluation_uses_and_keeps_the_running_statistics():
    layer = FastDeconv2d(4, 4, 3, padding=1)
    layer(correlated_images())
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.eval()
    x = correlated_images()
    # One image alone gives what it gives in a batch: nothing of the batch enters.
    torch.testing.assert_close(layer(x)[:1], layer(x[:1]), rtol=1e-5, atol=1e-5)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_training_output_does_not_depend_on_the_running_statistics():
    layer = FastDeconv2d(4, 4, 3, padding=1)
    x = correlated_images()
    first = layer(x)
    assert torch.equal(first, layer(x))  # deterministic, although the running averages moved


def test_statistics_stay_float32_under_bfloat16_autocast():
    layer, plain = FastDeconv2d(4, 4, 3, padding=1), FastDeconv2d(4, 4, 3, padding=1)
    plain.load_state_dict(layer.state_dict())
    x = correlated_images().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
        output.float().square().mean().backward()
    exact = plain(x.float())
    assert output.dtype == torch.bfloat16
    assert layer.running_root.dtype == torch.float32
    assert torch.equal(layer.running_root, plain.running_root)
    assert layer.weight.grad is not None
    assert torch.isfinite(layer.weight.grad).all()
    difference = (output.float() - exact).detach().abs().max()
    assert float(difference) < 0.05 * float(exact.detach().abs().max())


def test_state_survives_a_state_dict():
    layer, other = FastDeconv2d(4, 4, 3), FastDeconv2d(4, 4, 3)
    layer(correlated_images())
    other.load_state_dict(layer.state_dict())
    x = correlated_images()
    assert torch.equal(layer.eval()(x), other.eval()(x))


@pytest.mark.parametrize("shape", [(4, 20, 20), (2, 5, 20, 20), (2, 4, 20)])
def test_wrong_input_is_named(shape: tuple[int, ...]):
    with pytest.raises(ShapeError, match=r"expected \(N, 4, H, W\)"):
        FastDeconv2d(4, 4, 3)(torch.zeros(shape))


@pytest.mark.parametrize("settings", [{"groups": 3}, {"block": 3}])
def test_channels_that_do_not_divide_are_refused(settings: dict[str, int]):
    with pytest.raises(ShapeError, match="do not divide"):
        FastDeconv2d(4, 4, 3, **settings)


@pytest.mark.parametrize(("kernel", "groups", "block"), [(1, 1, 64), (3, 1, 64), (1, 2, 64), (3, 2, 64), (3, 1, 2)])
def test_gradient_of_the_whole_layer(kernel: int, groups: int, block: int):
    layer = FastDeconv2d(4, 4, kernel, padding=kernel // 2, groups=groups, block=block, sampling_stride=1).double()
    weight, bias = layer.weight, layer.bias
    x = correlated_images(2, 4, 5).double().requires_grad_()

    def of_any(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(of_any, (x, weight, bias))


@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (1, 2), (3, 2)])
def test_converged_root_is_the_exact_one_of_the_patches_in_float64(kernel: int, groups: int):
    layer = FastDeconv2d(4, 4, kernel, padding=kernel // 2, groups=groups, n_iter=40).double()
    x = correlated_images(16).double()
    mean, root = layer._statistics(x)
    for group in range(groups):
        own = x[:, group * (4 // groups) : (group + 1) * (4 // groups)]
        patches = F.unfold(own, kernel, padding=kernel // 2, stride=3).transpose(0, 1).flatten(1)
        covariance = torch.cov(patches, correction=0) + layer.eps * torch.eye(len(patches), dtype=torch.float64)
        torch.testing.assert_close(mean[group], patches.mean(dim=1))
        exact = exact_inverse_square_root(covariance)
        torch.testing.assert_close(root[group], exact, rtol=1e-7, atol=1e-7 * float(exact.abs().max()))
        whitened = root[group] @ covariance @ root[group]
        torch.testing.assert_close(whitened, torch.eye(len(patches), dtype=torch.float64), rtol=0, atol=1e-7)


def test_layer_of_one_pixel_is_its_definition():
    layer = FastDeconv2d(4, 6, 1)
    x = correlated_images(size=21)
    torch.testing.assert_close(layer(x), reference(layer, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (3, 2)])
def test_channels_last_gives_the_same_in_its_own_layout(kernel: int, groups: int):
    layer = FastDeconv2d(4, 4, kernel, padding=kernel // 2, groups=groups)
    x = correlated_images().requires_grad_()
    last = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    moved = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    for mode in (True, False):
        found, expected = moved.train(mode)(last), layer.train(mode)(x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(moved.running_root, layer.running_root)
    moved.train()(last).square().mean().backward()
    layer.train()(x).square().mean().backward()
    torch.testing.assert_close(last.grad, x.grad, rtol=1e-3, atol=1e-5)

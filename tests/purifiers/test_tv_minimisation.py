from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

import rbench
from rbench.purifiers.tv_minimisation import SMOOTHING, TvMinimisation, nearby, objective, variation_slope
from rbench.threat.noise import Noise


def noise(ids, seed=0, draw=0):
    return Noise(seed).of("score", torch.as_tensor(ids), torch.device("cpu"), draw=draw)


def images(*shape, seed=0, dtype=torch.float32):
    """Coarse shapes and fine noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(shape[0], shape[1], 4, 4, generator=generator, dtype=dtype)
    fine = torch.randn(shape, generator=generator, dtype=dtype)
    return (interpolate(coarse, shape[2:], mode="nearest") + 0.05 * fine).clamp(0, 1)


def mask_of(module, x, drawn):
    return (drawn.uniform(*x.shape[1:]) >= module.drop_rate).to(x.dtype)


def cost(module, z, x, mask):
    return objective(z, x, mask, module.lambda_tv)


def composed(stages, x):
    for stage in stages:
        x = stage(x)
    return x


def slow_objective(z, x, mask, lambda_tv):
    """One pixel after another, in NumPy, of one image [C, H, W]."""
    total = 0.0
    for c, i, j in np.ndindex(z.shape):
        down = z[c, i + 1, j] - z[c, i, j] if i + 1 < z.shape[1] else 0.0
        right = z[c, i, j + 1] - z[c, i, j] if j + 1 < z.shape[2] else 0.0
        total += mask[c, i, j] * (z[c, i, j] - x[c, i, j]) ** 2 / 2
        total += lambda_tv * (down**2 + right**2 + SMOOTHING**2) ** 0.5
    return total


def test_the_objective_is_what_the_docstring_says():
    x, z = images(2, 3, 4, 5, dtype=torch.float64), images(2, 3, 4, 5, seed=1, dtype=torch.float64)
    mask = (images(2, 3, 4, 5, seed=2, dtype=torch.float64) > 0.5).double()
    found = objective(z, x, mask, 0.03)
    for b in range(2):
        assert float(found[b]) == pytest.approx(slow_objective(z[b].numpy(), x[b].numpy(), mask[b].numpy(), 0.03))


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 6), (1, 1, 6, 1), (1, 2, 1, 1)])
def test_the_slope_of_total_variation_is_its_gradient(shape):
    z = images(*shape, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(objective(z, z.detach(), torch.zeros_like(z), 1.0).sum(), z)
    assert torch.allclose(variation_slope(z), slope, atol=1e-12)


@pytest.mark.parametrize("lambda_tv", [0.03, 0.3])
def test_it_ends_at_the_minimum_that_scipy_finds(lambda_tv):
    module = TvMinimisation(lambda_tv=lambda_tv, steps=1500)
    x = images(1, 1, 6, 5, dtype=torch.float64)
    mask = mask_of(module, x, noise([0]))

    def value_and_slope(flat):
        z = torch.from_numpy(flat.copy()).view_as(x).requires_grad_()
        value = cost(module, z, x, mask).sum()
        return value.item(), torch.autograd.grad(value, z)[0].flatten().numpy()

    start = np.full(30, 0.5)
    options = {"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-10}
    best = scipy.optimize.minimize(value_and_slope, start, jac=True, method="L-BFGS-B", options=options)
    found = module(x, noise=noise([0]))
    assert float(cost(module, found, x, mask)) == pytest.approx(best.fun, rel=1e-6)
    assert np.allclose(found.flatten().numpy(), best.x, atol=2e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_objective_falls_and_a_hundred_steps_come_within_two_thousandths_of_a_long_run(channels):
    x = images(4, channels, 28, 28, dtype=torch.float64)
    mask = mask_of(TvMinimisation(), x, noise(range(4)))
    points = [TvMinimisation(steps=steps)(x, noise=noise(range(4))) for steps in (1, 5, 20, 100, 3000)]
    costs = [objective(z, x, mask, 0.03) for z in (nearby(x, mask), *points)]
    for before, after in pairwise(costs):
        assert (after < before).all()
    assert (costs[-2] < 1.002 * costs[-1]).all()


def test_nothing_of_a_forgotten_pixel_is_read():
    module = TvMinimisation(steps=15)
    x = images(3, 2, 9, 8)
    forgotten = mask_of(module, x, noise(range(3))) == 0
    assert 0.3 < float(forgotten.float().mean()) < 0.7
    other = torch.where(forgotten, images(3, 2, 9, 8, seed=5), x)
    assert not torch.equal(other, x)
    for call in (module, module.surrogate):
        assert torch.equal(call(x, noise=noise(range(3))), call(other, noise=noise(range(3))))
    point = x.clone().requires_grad_()
    weights = images(3, 2, 9, 8, seed=6)
    (gradient,) = torch.autograd.grad((weights * module(point, noise=noise(range(3)))).sum(), point)
    assert torch.equal(gradient[forgotten], torch.zeros_like(gradient[forgotten]))
    assert (gradient[~forgotten] != 0).any()


def test_as_many_pixels_are_forgotten_as_asked_and_in_each_channel_by_itself():
    module, seen = TvMinimisation(drop_rate=0.3, lambda_tv=0.0, steps=1), []
    for fill in (0.0, 1.0):
        x = torch.full((40, 3, 10, 10), fill, requires_grad=True)
        (gradient,) = torch.autograd.grad(module(x, noise=noise(range(40))).sum(), x)
        seen.append(gradient != 0)
    kept = seen[0]
    assert torch.equal(seen[0], seen[1])
    assert float(kept.float().mean()) == pytest.approx(0.7, abs=0.02)
    assert 0.2 < float((kept[:, 0] != kept[:, 1]).float().mean()) < 0.6


@pytest.mark.parametrize("shape", [(4, 1, 12, 12), (2, 3, 7, 9), (2, 1, 1, 1)])
def test_the_composition_of_the_stages_is_the_forward_pass_bit_for_bit(shape):
    module, x, drawn = TvMinimisation(steps=12), images(*shape), noise(range(shape[0]))
    stages = module.stages(torch.zeros_like(x), drawn)
    stream = drawn.stream
    assert torch.equal(composed(stages, x), module(x, noise=noise(range(shape[0]))))
    assert torch.equal(composed(stages, x), composed(stages, x))
    assert drawn.stream == stream == 1


def test_checkpointed_stages_have_the_gradient_of_the_forward_pass_bit_for_bit():
    module, x = TvMinimisation(steps=12), images(3, 1, 8, 8).requires_grad_()
    (exact,) = torch.autograd.grad(module(x, noise=noise(range(3))).square().sum(), x)
    y = x
    for stage in module.stages(x, noise(range(3))):
        y = checkpoint(stage, y, use_reentrant=False, preserve_rng_state=False)
    assert torch.equal(torch.autograd.grad(y.square().sum(), x)[0], exact)


def test_gradients_of_every_order_are_those_of_finite_differences():
    module = TvMinimisation(steps=6)
    x = (0.3 + 0.4 * images(2, 1, 4, 5, dtype=torch.float64)).requires_grad_()

    def purify(x):
        return module(x, noise=noise(range(2)))

    assert torch.autograd.gradcheck(purify, x, eps=1e-6, atol=1e-6)
    assert torch.autograd.gradgradcheck(purify, x, eps=1e-6, atol=1e-4)
    assert torch.autograd.gradcheck(lambda x: module.surrogate(x, noise=noise(range(2))), x, eps=1e-6, atol=1e-6)


def test_nothing_forgotten_and_no_weight_on_variation_leave_the_image():
    x = images(3, 3, 9, 11)
    found = TvMinimisation(drop_rate=0.0, lambda_tv=0.0)(x, noise=noise(range(3)))
    assert torch.allclose(found, x, atol=1e-6)


def test_without_variation_kept_pixels_stay_and_forgotten_ones_are_the_mean_of_kept_neighbours():
    module = TvMinimisation(lambda_tv=0.0, steps=3)
    x = images(1, 1, 9, 9, dtype=torch.float64)
    mask = mask_of(module, x, noise([0]))
    found = module(x, noise=noise([0]))
    for i, j in np.ndindex(9, 9):
        if mask[0, 0, i, j]:
            expected = x[0, 0, i, j]
        else:
            near = (0, 0, slice(max(i - 2, 0), i + 3), slice(max(j - 2, 0), j + 3))
            expected = x[near][mask[near] == 1].mean()
        assert float(found[0, 0, i, j]) == pytest.approx(float(expected), abs=0.01)


def test_the_start_is_the_mean_of_all_kept_pixels_where_none_is_near_and_grey_where_there_is_none():
    x, mask = torch.full((1, 1, 20, 20), 0.3), torch.zeros(1, 1, 20, 20)
    mask[..., 0, 0] = 1
    assert torch.allclose(nearby(x, mask), torch.full_like(x, 0.3), atol=0.1)
    mask[..., :2, :2] = 1
    assert float((nearby(x, mask) - 0.3).abs().max()) < 0.05
    assert torch.allclose(nearby(x, torch.zeros_like(mask)), torch.full_like(x, 0.5), atol=1e-6)


def test_much_weight_on_variation_makes_the_image_flat():
    x = images(2, 1, 8, 8)
    found = TvMinimisation(drop_rate=0.0, lambda_tv=10.0, steps=4000)(x, noise=noise(range(2)))
    assert torch.allclose(found, x.mean((2, 3), keepdim=True).expand_as(x), atol=0.02)


def test_the_surrogate_is_the_purifier_with_fewer_steps_and_the_same_mask():
    x = images(3, 1, 10, 10)
    short, long = TvMinimisation(steps=7), TvMinimisation(steps=60, surrogate_steps=7)
    assert torch.equal(long.surrogate(x, noise=noise(range(3))), short(x, noise=noise(range(3))))
    assert TvMinimisation(steps=5, surrogate_steps=20).surrogate_steps == 5


def test_the_same_draw_gives_the_same_image_whatever_the_batch_and_another_draw_another_one():
    module, x, order = TvMinimisation(steps=20), images(5, 3, 12, 12), [3, 0, 4]
    together = module(x, noise=noise(range(5)))
    assert torch.allclose(module(x[order], noise=noise(order)), together[order], atol=1e-6)
    assert not torch.allclose(module(x, noise=noise(range(5), draw=1)), together, atol=1e-3)
    same = module(x[:1].repeat(2, 1, 1, 1), noise=noise(range(2)))
    assert not torch.allclose(same[0], same[1], atol=1e-3)


def test_pixels_stay_in_range_where_the_minimiser_overshoots():
    x = (images(4, 1, 16, 16) > 0.5).float()
    for steps in (1, 3, 10):
        found = TvMinimisation(steps=steps, lambda_tv=0.005)(x, noise=noise(range(4)))
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1


@pytest.mark.parametrize("gradient", ["exact", "checkpointed", "bpda"])
def test_every_gradient_path_of_the_engine_works_and_none_is_in_doubt(gradient):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 4))
    x, module = images(5, 1, 8, 8), TvMinimisation(steps=8, surrogate_steps=4)
    found = rbench.evaluate(net, x, net(x).argmax(1), purifier=module, steps=2, eot=2, draws=2, gradient=gradient)
    assert found.gradient == gradient
    assert not found.flag_names & {"wrong-gradient", "randomised", "batch-dependent", "zero-gradients"}

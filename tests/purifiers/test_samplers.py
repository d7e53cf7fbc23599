from itertools import pairwise

import pytest
import torch
from gaussian_world import GaussianWorld

from rbench.networks.schedules import signal
from rbench.purifiers.samplers import Move, ddim, ddpm, moves, ode, step

LEVELS = signal("linear").tolist()
TOP = 400
POINTS = torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1, 1, 1)


def run(world, sampler, steps, x=POINTS, draw=lambda: torch.zeros_like(POINTS)):
    for move in moves(LEVELS, TOP, steps):
        x = step(sampler, world, move, draw)(x)
    return x


@pytest.mark.parametrize(("top", "steps"), [(400, 400), (100, 7), (5, 1), (1, 1), (1000, 3)])
def test_the_way_down_ends_at_the_image_in_the_steps_that_were_asked_for(top, steps):
    path = moves(LEVELS, top, steps)
    assert len(path) == steps
    assert (path[0].high, path[-1].low, path[-1].after) == (top, 0, 1.0)
    assert all(one.low == other.high for one, other in pairwise(path))
    lengths = [move.high - move.low for move in path]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "ode"])
@pytest.mark.parametrize("steps", [1, 3, 40])
def test_where_the_data_are_one_point_every_sampler_finds_it(sampler, steps):
    draws = torch.Generator().manual_seed(0)
    found = run(
        GaussianWorld(spread=0),
        sampler,
        steps,
        draw=lambda: torch.randn(POINTS.shape, generator=draws, dtype=torch.float64),
    )
    assert torch.allclose(found, torch.full_like(found, 0.3), atol=1e-9)


def slope(world, move):
    """How much of x the mean of an ancestral step keeps; the step is linear in x here."""
    one, zero = (ddpm(world, torch.full((1, 1, 1, 1), v, dtype=torch.float64), move, None) for v in (1.0, 0.0))
    return float(one - zero)


@pytest.mark.parametrize("steps", [1, 2, 10, 400])
def test_the_mean_of_ancestral_sampling_is_the_posterior_mean_however_many_steps(steps):
    """E[x_low | x_high] is linear in E[x_0 | x_high], so the tower rule holds step by step."""
    world = GaussianWorld()
    assert torch.allclose(run(world, "ddpm", steps), world.posterior(POINTS, LEVELS[TOP])[0], atol=1e-9)


def test_the_variance_of_ancestral_sampling_comes_nearer_to_the_posteriors_with_every_doubling():
    """From below: beta-tilde knows the image, which is still uncertain at every step."""
    world, errors = GaussianWorld(), []
    exact = world.posterior(POINTS, LEVELS[TOP])[1]
    for steps in (10, 20, 40, 80, 400):
        variance = 0.0
        for move in moves(LEVELS, TOP, steps):
            variance = slope(world, move) ** 2 * variance + move.variance
        errors.append(exact - variance)
    assert errors[-1] < 0.02 * exact
    assert all(0 < later < 0.65 * sooner for sooner, later in pairwise(errors))


def test_the_deterministic_samplers_come_nearer_to_the_flow_with_every_doubling():
    """DDIM as a rule of first order does; Heun's is of second order but for its last step, which ends where nothing can be asked."""
    world, errors = GaussianWorld(), {}
    exact = world.flow(POINTS, LEVELS[TOP])
    for sampler in ("ddim", "ode"):
        errors[sampler] = [float((run(world, sampler, steps) - exact).abs().max()) for steps in (10, 20, 40, 80)]
    for sampler, shrinks in (("ddim", 0.55), ("ode", 0.42)):
        assert all(later < shrinks * sooner for sooner, later in pairwise(errors[sampler]))
    assert errors["ddim"][-1] < 0.02
    assert errors["ode"][-1] < 0.002


def test_the_ddim_step_by_hand():
    """alpha-bar 1/4 to 16/25, x = 1, noise 1/2: image (1 - sqrt(3) / 4) / (1 / 2), then 4/5 of it and 3/5 of the noise."""
    found = ddim(lambda x, t: torch.full_like(x, 0.5), torch.ones(1, 1, 1, 1), Move(2, 1, 0.25, 0.64))
    assert float(found) == pytest.approx(0.8 * 1.1339745962 + 0.3, abs=1e-6)


def test_the_ancestral_step_by_hand():
    """The same: alpha = 25/64; mean sqrt(.64) (39/64) / (3/4) image + (5/8) (.36 / .75) x; variance (39/64) (.36 / .75)."""
    move = Move(2, 1, 0.25, 0.64)
    predict = lambda x, t: torch.full_like(x, 0.5)  # noqa: E731
    x = torch.ones(1, 1, 1, 1)
    mean = 0.65 * 1.1339745962 + 0.3
    assert float(ddpm(predict, x, move, None)) == pytest.approx(mean, abs=1e-6)
    assert float(ddpm(predict, x, move, 2 * x)) == pytest.approx(mean + 2 * 0.2925**0.5, abs=1e-6)


def test_heuns_step_asks_at_both_ends_and_the_last_step_is_eulers():
    asked = []

    def predict(x, t):
        asked.append(int(t[0]) + 1)
        return x

    ode(predict, torch.ones(1, 1, 1, 1), Move(8, 4, LEVELS[8], LEVELS[4]))
    assert asked == [8, 4]
    last = Move(4, 0, LEVELS[4], 1.0)
    assert torch.equal(ode(predict, torch.ones(1, 1, 1, 1), last), ddim(predict, torch.ones(1, 1, 1, 1), last))


def test_only_ancestral_sampling_draws_and_not_on_the_last_step():
    counts = {}
    for sampler in ("ddpm", "ddim", "ode"):
        drawn = []
        for move in moves(LEVELS, TOP, 5):
            step(sampler, GaussianWorld(), move, lambda drawn=drawn: drawn.append(1) or POINTS)
        counts[sampler] = len(drawn)
    assert counts == {"ddpm": 4, "ddim": 0, "ode": 0}

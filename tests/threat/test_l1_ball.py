"""The projection onto the L1 ball cut by the pixel range, proved optimal by linear programming."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from rbench.threat.ball import Ball, distance
from rbench.threat.l1_ball import onto_l1_ball


def furthest(slope, room, sign, radius):
    """The highest value of a linear function over all allowed perturbations of these signs, by linear programming.

    Perturbations against the sign only lengthen the way to the point, so the sizes are the variables.
    """
    n = len(slope)
    found = linprog(
        -slope * sign, A_ub=np.ones((1, n)), b_ub=[radius], bounds=list(zip(np.zeros(n), room, strict=True))
    )
    assert found.success
    return -found.fun


@pytest.mark.parametrize("radius", [0.05, 0.5, 2.0, 50.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_allowed_perturbation_is_nearer(seed, radius):
    """Of a convex set, p is nearest to d exactly where (d - p)(z - p) <= 0 for every z of the set."""
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(6, 12, generator=generator, dtype=torch.float64) * torch.tensor([0.01, 0.3, 3.0] * 4)
    room = torch.rand(6, 12, generator=generator, dtype=torch.float64) * 0.6
    room[0, :5], delta[1, :4], delta[2] = 0, 0, 0.7  # no room, nothing to project, many pixels alike
    found = onto_l1_ball(delta, room, torch.full((6,), radius, dtype=torch.float64))
    assert bool((found.abs().sum(1) <= radius * (1 + 1e-12)).all())
    assert bool((found.abs() <= room).all())
    assert bool((found * delta >= 0).all())
    for d, p, r in zip(delta.numpy(), found.numpy(), room.numpy(), strict=True):
        assert furthest(d - p, r, np.sign(d), radius) <= (d - p) @ p + 1e-9


def test_what_is_inside_stays_and_a_radius_of_nothing_leaves_nothing():
    delta = torch.tensor([[0.2, -0.3, 0.0], [0.2, -0.3, 0.0]], dtype=torch.float64)
    found = onto_l1_ball(delta, torch.ones_like(delta), torch.tensor([0.5, 0.0], dtype=torch.float64))
    assert torch.allclose(found[0], delta[0], atol=1e-15)
    assert not found[1].any()


def test_known_thresholds():
    """|d| = 3, 2, 1 and radius 3: threshold 1. With room 1 for the first: 1 of it, 1.5 and 0.5 of the others at threshold 0.5."""
    delta = torch.tensor([[3.0, -2.0, 1.0]] * 2, dtype=torch.float64)
    room = torch.tensor([[9.0, 9.0, 9.0], [1.0, 9.0, 9.0]], dtype=torch.float64)
    found = onto_l1_ball(delta, room, torch.tensor([3.0, 3.0], dtype=torch.float64))
    assert torch.allclose(found, torch.tensor([[2.0, -1.0, 0.0], [1.0, -1.5, 0.5]], dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("radius", [1e-9, 1e-3, 12.0])
def test_far_points_of_a_large_image_land_inside_all_the_same(radius):
    """Sums of 400,000 large numbers round by more than the slack of the radius."""
    generator = torch.Generator().manual_seed(0)
    delta = 1e6 * torch.randn(4, 200_000, generator=generator, dtype=torch.float64)
    room = torch.rand(delta.shape, generator=generator, dtype=torch.float64)
    found = onto_l1_ball(delta, room, torch.full((4,), radius, dtype=torch.float64)).abs().sum(1)
    assert bool((found <= radius * (1 + 1e-14)).all())
    assert bool((found >= radius - 1e-6).all())


@pytest.mark.parametrize("eps", [1e-9, 1e-3, 12.0])
def test_a_projected_image_is_inside_by_the_judges_own_sum(eps):
    generator = torch.Generator().manual_seed(0)
    origin = torch.randint(2, (2, 3, 64, 64), generator=generator).float()
    points = origin.double() + 1e3 * torch.randn(origin.shape, generator=generator, dtype=torch.float64)
    found = Ball("L1", torch.full((2,), eps, dtype=torch.float64)).project(points, origin)
    moved = distance(found, origin, "L1")
    assert bool((moved <= eps).all())
    assert bool((found >= 0).all())
    assert bool((found <= 1).all())
    assert bool((moved >= eps * 0.99).all()) or eps < 1e-6

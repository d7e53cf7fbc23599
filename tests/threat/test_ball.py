"""The ball, held to the judge's own check: float64, no tolerance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rbench.threat.ball import Ball, cast_inward, distance
from rbench.threat.noise import Noise, SampleNoise
from rbench.threat.terms import EXTERNAL_TOLERANCE

radii = st.one_of(
    st.floats(1e-6, 1.0),
    st.integers(1, 255).map(lambda level: level / 255),
    # Multiples of the spacing of float32 just below 1, and their neighbours in float64: where inward rounding is tightest.
    st.builds(
        lambda spacings, way: math.nextafter(spacings * 2.0**-24, way),
        st.integers(17, 1 << 24),
        st.sampled_from([0, 2]),
    ),
)
seeds = st.integers(0, 2**32 - 1)
balls = pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
quick = settings(max_examples=80, deadline=None, derandomize=True)


def images(seed: int, n: int = 4, pixels: int = 12) -> torch.Tensor:
    """Random, black, white and very dark images."""
    x = torch.rand(n, 1, 1, pixels, generator=torch.Generator().manual_seed(seed))
    x[1], x[2], x[3] = 0, 1, x[3] * 1e-7
    return x


def everywhere(seed: int, origin: torch.Tensor, scale: float) -> torch.Tensor:
    """Points around the images, some beyond [0, 1], float64."""
    generator = torch.Generator().manual_seed(seed + 1)
    return origin.double() + scale * torch.randn(origin.shape, generator=generator, dtype=torch.float64)


def inside(points: torch.Tensor, origin: torch.Tensor, eps: float, norm: str) -> bool:
    in_ball = bool((distance(points, origin, norm) <= eps).all())
    return in_ball and float(points.min()) >= 0 and float(points.max()) <= 1 and points.dtype == torch.float32


@balls
@quick
@given(seed=seeds, eps=radii, scale=st.sampled_from([1e-7, 1e-3, 0.1, 3.0]))
def test_a_projected_point_passes_the_judges_check_without_any_tolerance(norm, seed, eps, scale):
    origin = images(seed)
    radius = torch.full((4,), eps, dtype=torch.float64)
    points = everywhere(seed, origin, scale)
    assert inside(Ball(norm, radius).project(points, origin), origin, eps, norm)
    assert inside(Ball(norm, radius).project(points.float(), origin), origin, eps, norm)


@balls
@quick
@given(seed=seeds, spacings=st.integers(1, 40), way=st.sampled_from([0.0, 2.0]))
def test_a_point_whose_distance_is_the_radius_but_for_the_last_bit_is_not_let_through(norm, seed, spacings, way):
    origin = (
        torch.full((1, 1, 1, 3), 0.5) + torch.randint(100, (3,), generator=torch.Generator().manual_seed(seed)) / 255
    )
    points = origin.clone()
    for _ in range(spacings):
        points[..., 1] = torch.nextafter(points[..., 1], torch.tensor(2.0))
    eps = math.nextafter(float(distance(points, origin, norm)), way)
    projected = Ball(norm, torch.tensor([eps], dtype=torch.float64)).project(points, origin)
    assert inside(projected, origin, eps, norm)
    assert float(distance(projected, points, "Linf")) <= 2.0**-23


@balls
@quick
@given(seed=seeds, eps=radii, scale=st.sampled_from([1e-3, 1.0]))
def test_projecting_twice_is_projecting_once_up_to_one_rounding(norm, seed, eps, scale):
    origin, radius = images(seed), torch.full((4,), eps, dtype=torch.float64)
    once = Ball(norm, radius).project(everywhere(seed, origin, scale), origin)
    twice = Ball(norm, radius).project(once, origin)
    assert float(distance(once, twice, "Linf").max()) <= (0 if norm == "Linf" else 2.0**-23)


@quick
@given(seed=seeds, eps=radii, scale=st.sampled_from([1e-6, 1e-3, 0.3]))
def test_no_float32_image_in_the_linf_ball_is_nearer_to_the_point(seed, eps, scale):
    origin, radius = images(seed), torch.full((4,), eps, dtype=torch.float64)
    points = everywhere(seed, origin, scale).float()
    found = Ball("Linf", radius).project(points, origin)
    nearer = torch.nextafter(found, points)
    allowed = ((nearer.double() - origin.double()).abs() <= eps) & (nearer >= 0) & (nearer <= 1)
    assert bool((found == points)[allowed].all())


def test_the_l2_projection_shortens_the_perturbation_and_keeps_its_direction():
    origin = torch.full((2, 1, 2, 2), 0.5)
    points = origin + torch.tensor([[0.3, 0.0, -0.4, 0.0], [0.003, 0.0, -0.004, 0.0]]).view(2, 1, 2, 2)
    found = Ball("L2", torch.tensor([0.05, 0.05], dtype=torch.float64)).project(points, origin) - origin
    assert torch.allclose(found[0].flatten(), torch.tensor([0.03, 0.0, -0.04, 0.0]), atol=1e-6)
    assert torch.allclose(found[1], points[1] - origin[1], atol=1e-7)


def test_every_sample_has_its_own_radius():
    origin = torch.full((3, 1, 2, 2), 0.5)
    eps = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    for norm in ("Linf", "L2", "L1"):
        found = distance(Ball(norm, eps).project(origin + 0.45, origin), origin, norm)
        assert torch.allclose(found, eps, atol=1e-6)


@quick
@given(seed=seeds, scale=st.sampled_from([1e-9, 1e-3, 1.0]))
def test_inward_rounding_never_moves_a_pixel_away_from_the_image(seed, scale):
    origin = images(seed)
    points = everywhere(seed, origin, scale).clamp(0, 1)
    rounded = cast_inward(points, origin)
    assert bool(((rounded.double() - origin.double()).abs() <= (points - origin.double()).abs()).all())
    assert float((rounded.double() - points).abs().max()) <= 2.0**-23


# --- uniform draws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@quick
@given(seed=seeds, eps=radii)
def test_a_uniform_draw_lies_in_the_ball_and_in_the_pixel_range(norm, seed, eps):
    origin = images(seed)
    noise = Noise(seed).of("attack", torch.arange(4), origin.device)
    found = Ball(norm, torch.full((4,), eps, dtype=torch.float64)).uniform(origin, noise)
    assert inside(found, origin, eps, norm)


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_uniform_means_that_the_share_within_a_radius_is_its_power_of_the_dimension(norm):
    """The volume of a ball of radius r * eps is r^d of that of the ball; and a coordinate is as often up as down."""
    n, d, eps = 20_000, 3, 0.1
    origin = torch.full((n, 1, 1, d), 0.5)
    noise = Noise(0).of("attack", torch.arange(n), origin.device)
    found = Ball(norm, torch.full((n,), eps, dtype=torch.float64)).uniform(origin, noise)
    volume = (distance(found, origin, norm) / eps) ** d
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert float((volume <= quantile).double().mean()) == pytest.approx(quantile, abs=0.015)  # 4 standard errors
    delta = (found - origin).flatten(1)
    assert float((delta > 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert float((delta / eps).mean(0).abs().max()) < 0.02
    assert float(torch.corrcoef(delta.T).fill_diagonal_(0).abs().max()) < 0.03


def test_a_uniform_draw_under_linf_is_uniform_in_every_pixel():
    delta = uniform_points("Linf", 3).flatten()
    assert stats.kstest(delta.numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize("d", [2, 30])
def test_a_uniform_draw_under_l2_has_a_uniform_direction_and_a_radius_of_its_law(d):
    delta = uniform_points("L2", d)
    radius = delta.norm(dim=1)
    assert stats.kstest((radius**d).numpy(), "uniform").pvalue > 1e-3
    first = (1 + (delta / radius[:, None])[:, 0]) / 2  # a coordinate of a point of the sphere: beta, symmetric
    assert stats.kstest(first.numpy(), stats.beta((d - 1) / 2, (d - 1) / 2).cdf).pvalue > 1e-3
    assert abs(float(torch.corrcoef(torch.stack([radius, first]))[0, 1])) < 4 / len(delta) ** 0.5


@pytest.mark.parametrize("d", [2, 30])
def test_a_uniform_draw_under_l1_has_the_law_of_its_norm_and_of_its_shares(d):
    delta = uniform_points("L1", d)
    norms = delta.abs().sum(1)
    assert stats.kstest((norms**d).numpy(), "uniform").pvalue > 1e-3
    share = delta[:, 0].abs() / norms  # of d exponentials over their sum
    assert stats.kstest(share.numpy(), stats.beta(1, d - 1).cdf).pvalue > 1e-3
    up = (delta > 0).double()
    assert float((up.mean(0) - 0.5).abs().max()) < 5 * 0.5 / len(delta) ** 0.5
    assert float(torch.corrcoef(torch.cat([up, delta.abs()], 1).T)[:d, d:].abs().max()) < 5 / len(delta) ** 0.5


def uniform_points(norm, d, n=20_000):
    """Perturbations [n, d] in units of the radius, float64."""
    origin = torch.full((n, 1, 1, d), 0.5)
    noise = Noise(3).of("attack", torch.arange(n), origin.device)
    return (Ball(norm, 0.4).uniform(origin, noise).double() - 0.5).flatten(1) / 0.4


class Counted(SampleNoise):
    """Notes what it was asked for."""

    def normal(self, *shape):
        self.asked = [*getattr(self, "asked", []), ("normal", shape)]
        return super().normal(*shape)

    def uniform(self, *shape):
        self.asked = [*getattr(self, "asked", []), ("uniform", shape)]
        return super().uniform(*shape)


@pytest.mark.parametrize(
    ("norm", "asked"),
    [
        ("Linf", [("uniform", (1, 2, 3))]),
        ("L2", [("normal", (1, 2, 3)), ("uniform", ())]),
        ("L1", [("uniform", (1, 2, 3)), ("uniform", ()), ("uniform", (1, 2, 3))]),
    ],
)
def test_a_uniform_draw_takes_what_its_norm_needs_and_no_more(norm, asked):
    ids = torch.arange(4)
    noise = Counted(0, "attack", ids, 0, torch.zeros_like(ids), ids.device)
    Ball(norm, 0.1).uniform(torch.full((4, 1, 2, 3), 0.5), noise)
    assert noise.asked == asked


# --- eight bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@quick
@given(seed=seeds, levels=st.integers(1, 64))
def test_an_eight_bit_image_stays_one_within_the_ball(norm, seed, levels):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(256, (4, 1, 3, 4), generator=generator)
    origin, eps = clean / 255, levels / 255
    moved = Ball("Linf", torch.full((4,), eps, dtype=torch.float64)).project(everywhere(seed, origin, eps), origin)
    found = Ball(norm, eps).eight_bits(moved, origin)
    level = (found.double() * 255).round()
    assert float((found.double() * 255 - level).abs().max()) < 1e-4
    assert float(level.min()) >= 0
    assert float(level.max()) <= 255
    if norm == "Linf":
        assert int((level - clean).abs().max()) <= levels
        assert float(distance(found, origin, norm).max()) <= eps + EXTERNAL_TOLERANCE
        assert float((level - moved.double() * 255).abs().max()) <= 0.5 + 1e-4
    else:
        assert bool((distance(found, origin, norm) <= distance(moved, origin, norm) + EXTERNAL_TOLERANCE).all())


@pytest.mark.parametrize("way", [-8, 8])
def test_eight_bits_keep_a_perturbation_of_whole_levels_up_to_the_very_edge_of_the_ball(way):
    """k / 255 repeats the bits of k, so float32 rounds it up, always: without care 8/255 is only 7 levels down."""
    clean = torch.arange(8, 248).view(1, 1, 12, 20)
    attacked = Ball("Linf", torch.tensor([8 / 255], dtype=torch.float64)).project((clean + way) / 255, clean / 255)
    found = Ball("Linf", 8 / 255).eight_bits(attacked, clean / 255)
    assert torch.equal((found * 255).round().long(), clean + way)


def test_eight_bits_leave_a_pixel_alone_where_no_level_lies_in_the_ball():
    origin = torch.full((1, 1, 1, 1), 100.5 / 255)
    attacked = origin + 0.2 / 255
    assert torch.allclose(Ball("Linf", 0.3 / 255).eight_bits(attacked, origin), attacked, atol=1e-7)
    assert torch.allclose(Ball("L2", 0.3 / 255).eight_bits(attacked, origin), attacked, atol=1e-7)

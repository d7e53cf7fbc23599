import pytest
import torch
from gaussian_world import GaussianWorld, Still
from torch import nn
from torch.utils.checkpoint import checkpoint

from rbench.engine.defended import DefendedModel
from rbench.networks.schedules import signal
from rbench.networks.unet import UNet
from rbench.purifiers.diffusion import Diffusion
from rbench.threat.noise import Noise

LEVELS = signal("linear").tolist()
KINDS = {
    "ddpm": {"sampler": "ddpm"},
    "ddim": {"sampler": "ddim"},
    "ode": {"sampler": "ode"},
    "gdmp": {"guidance": 20.0, "rounds": 2},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def purifier(kind="ddpm", network=None, **params):
    network = GaussianWorld() if network is None else network
    return Diffusion(network, **{"t": 0.2, "steps": 3, "surrogate_steps": 2, **KINDS[kind], **params})


def unet(side=8, channels=1):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet(side=side, channels=channels, widths=[8, 16]).eval()


def noise(ids, seed=0, draw=0):
    return Noise(seed).of("score", torch.as_tensor(ids), torch.device("cpu"), draw=draw)


def images(n=4, side=8, dtype=torch.float32):
    return 0.2 + 0.6 * torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(1), dtype=dtype)


def composed(stages, x):
    for stage in stages:
        x = stage(x)
    return x


@every_kind
@pytest.mark.parametrize("side", [8, 7])
def test_the_composition_of_the_stages_is_the_forward_pass_bit_for_bit(kind, side):
    x, module = images(side=side), purifier(kind, unet())
    assert torch.equal(composed(module.stages(x, noise(range(4))), x), module(x, noise=noise(range(4))))


@every_kind
def test_a_stage_draws_nothing_and_can_be_run_again(kind):
    x, drawn = images(), noise(range(4))
    stages = purifier(kind, unet()).stages(x, drawn)
    before = drawn.stream
    first = composed(stages, x)
    assert drawn.stream == before > 0
    assert torch.equal(composed(stages, x), first)
    assert not torch.equal(composed(stages, 1 - x), first)


@every_kind
def test_stages_can_be_made_without_the_images_and_read_nothing_but_their_argument(kind):
    """So the gradient is whole whoever replays a stage, even one who cuts the graph between them."""
    x, module = images().requires_grad_(), purifier(kind, unet())
    stages = module.stages(torch.zeros_like(x), noise(range(4)))
    (whole,) = torch.autograd.grad(module(x, noise=noise(range(4))).square().sum(), x)
    points = [x.detach()]
    for stage in stages:
        points.append(stage(points[-1]).detach())
    backward = 2 * points[-1]
    for stage, point in zip(reversed(stages), reversed(points[:-1]), strict=True):
        point.requires_grad_()
        (backward,) = torch.autograd.grad(stage(point), point, backward)
    assert whole.abs().max() > 0
    assert torch.allclose(backward, whole, rtol=1e-4, atol=1e-6)


@every_kind
def test_checkpointed_stages_have_the_gradient_of_the_forward_pass_bit_for_bit(kind):
    x, module = images().requires_grad_(), purifier(kind, unet())
    (exact,) = torch.autograd.grad(module(x, noise=noise(range(4))).square().sum(), x)
    y = x
    for stage in module.stages(x, noise(range(4))):
        y = checkpoint(stage, y, use_reentrant=False, preserve_rng_state=False)
    assert torch.equal(torch.autograd.grad(y.square().sum(), x)[0], exact)


@every_kind
def test_the_gradient_through_three_steps_agrees_with_finite_differences(kind):
    """In float64, with the same draws on both sides of a difference."""
    module = purifier(kind, unet(side=4).double(), t=0.05)
    x = images(2, 4, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module(x, noise=noise(range(2))), x, eps=1e-6, atol=1e-6)


@every_kind
def test_the_same_noise_gives_the_same_image_whatever_the_batch(kind):
    x = images(5)
    order = [3, 0, 4]
    exact, close = purifier(kind), purifier(kind, unet())
    assert torch.equal(exact(x, noise=noise(range(5)))[order], exact(x[order], noise=noise(order)))
    assert torch.allclose(
        close(x, noise=noise(range(5)))[order], close(x[order], noise=noise(order)), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(exact(x, noise=noise(range(5))), exact(x, noise=noise(range(5))))
    assert not torch.equal(exact(x, noise=noise(range(5))), exact(x, noise=noise(range(5), draw=1)))


def test_the_image_goes_up_to_t_with_the_right_mean_and_variance():
    x = torch.full((4000, 1, 2, 2), 0.85)
    enter, up, *_ = purifier(t=0.2).stages(x, noise(range(4000)))
    found = up(enter(x))
    left = LEVELS[200]
    assert float(found.mean()) == pytest.approx(left**0.5 * 0.7, abs=4 * ((1 - left) / 16_000) ** 0.5)
    assert float(found.var()) == pytest.approx(1 - left, rel=0.05)
    assert float(torch.corrcoef(found.flatten(1).T).fill_diagonal_(0).abs().max()) < 0.07


def test_what_is_purified_of_a_gaussian_is_distributed_as_its_posterior():
    """Every level, all of the machinery, against the closed form; averaged over the noise on the way up too."""
    world = GaussianWorld(mean=0.1, spread=0.3)
    x = torch.full((4000, 1, 2, 2), 0.7)
    found = 2 * purifier(network=world, t=0.1, steps=100)(x, noise=noise(range(4000))) - 1
    left = LEVELS[100]
    mean, variance = world.posterior(left**0.5 * 0.4, left)
    keeps = left**0.5 * 0.3**2 / (left * 0.3**2 + 1 - left)
    assert float(found.mean()) == pytest.approx(mean, abs=0.01)
    assert float(found.var()) == pytest.approx(variance + keeps**2 * (1 - left), rel=0.05)


@pytest.mark.parametrize("kind", ["ddpm", "ddim", "ode"])
def test_where_the_data_are_one_point_the_image_is_that_point(kind):
    found = purifier(kind, GaussianWorld(mean=0.3, spread=0))(images(), noise=noise(range(4)))
    assert torch.allclose(found, torch.full_like(found, 0.65), atol=1e-5)


def test_sides_that_cannot_be_halved_are_padded_with_their_edge_and_cut_again():
    world = GaussianWorld(stride=4, spread=1.0)
    x = images(2, 6)
    module = purifier("ddim", world, t=0.001, steps=1)
    found = module(x, noise=Still(2))
    (seen,) = world.asked
    assert seen.shape == (2, 1, 8, 8)
    assert torch.equal(seen[..., :6, 6:], seen[..., :6, 5:6].expand(-1, -1, -1, 2))
    assert torch.equal(seen[..., 6:, :], seen[..., 5:6, :].expand(-1, -1, 2, -1))
    assert found.shape == x.shape


def test_padding_changes_nothing_where_none_is_needed_and_little_where_the_network_looks_at_one_pixel():
    x = images(3, 8)
    plain, strided = (purifier("ddim", GaussianWorld(stride=s)) for s in (1, 4))
    assert torch.equal(plain(x, noise=noise(range(3))), strided(x, noise=noise(range(3))))
    cut = x[..., :7, :7]
    still = purifier("ddim", GaussianWorld(stride=4))(cut, noise=Still(3))
    assert torch.allclose(still, plain(x, noise=Still(3))[..., :7, :7], atol=1e-6)


@every_kind
def test_the_output_is_clipped_with_the_true_gradient_and_the_surrogate_lets_it_through(kind):
    world = GaussianWorld(mean=-1.0, spread=0.2)  # black: half of the samples fall below 0
    x = torch.full((60, 1, 4, 4), 0.02).requires_grad_()
    module = purifier(kind, world, surrogate_steps=3)
    y = module(x, noise=noise(range(60)))
    below = y == 0
    assert 0.1 < float(below.float().mean()) < 0.9
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient == 0, below)
    stand_in = module.surrogate(x, noise=noise(range(60)))
    assert torch.allclose(stand_in, y, atol=1e-6)
    (through,) = torch.autograd.grad(stand_in.sum(), x)
    assert (through > 0).all()
    assert torch.allclose(through[~below], gradient[~below])


@every_kind
def test_the_surrogate_is_the_purifier_with_fewer_steps(kind):
    x = images()
    short, long = purifier(kind, unet(), steps=2), purifier(kind, unet(), steps=10)
    assert torch.allclose(
        long.surrogate(x, noise=noise(range(4))), short(x, noise=noise(range(4))), rtol=1e-5, atol=1e-6
    )
    assert purifier(steps=1, surrogate_steps=5).surrogate_steps == 1


@pytest.mark.parametrize(("t", "level"), [(1.0, 1000), (0.1, 100), (0.0366, 37), (1e-6, 1)])
def test_t_is_a_share_of_all_levels_and_every_one_is_a_step_unless_told_otherwise(t, level):
    module = purifier(t=t, steps=None)
    assert (module.top, module.steps) == (level, level)


def test_more_steps_than_levels_and_other_channels_are_refused():
    with pytest.raises(ValueError, match="101 steps from noise level 100; give at most 100, or a larger t"):
        purifier(t=0.1, steps=101)
    with pytest.raises(ValueError, match="the network is made for 1 channels; these have 3"):
        purifier()(torch.rand(2, 3, 8, 8), noise=noise(range(2)))


@every_kind
def test_the_engine_can_use_it_and_nothing_of_it_changes(kind):
    class Net(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3]

    model = DefendedModel(purifier(kind, unet()), Net())
    x = images(1)
    assert model.accepts_noise
    assert torch.equal(model(x, noise([7])), model(x, noise([7])))


# guidance


def test_guidance_of_nothing_is_diffpure_round_by_round():
    """Without noise, so that nothing depends on how many draws a step takes."""
    x = images()
    once, twice = (purifier("gdmp", unet(), t=0.02, guidance=0.0, rounds=rounds) for rounds in (1, 2))
    plain = purifier("ddpm", unet(), t=0.02)
    first = plain(x, noise=Still(4))
    assert 0 < float(first.detach().min()) <= float(first.detach().max()) < 1
    assert torch.allclose(once(x, noise=Still(4)), first, atol=1e-6)
    assert torch.allclose(twice(x, noise=Still(4)), plain(first, noise=Still(4)), atol=1e-6)


def test_guidance_is_that_of_the_authors_code():
    """mean + variance * scale(t) * grad(-mse_loss(x_t, the image at t)), the loss a mean over pixels and batch, for their constants."""
    guide_scale, ptb, world = 60_000.0, 8.0, GaussianWorld(spread=0.2)
    x = images(3)
    module = purifier("gdmp", world, t=0.036, steps=36, rounds=1, guidance=0.0)
    module.guidance = guide_scale * 2 / (x.numel() * (ptb * 2 / 255 / 3))
    draws = [noise(range(3)) for _ in range(2)]
    enter, doubled, up, first, *_ = module.stages(x, draws[0])
    before = up(doubled(enter(x)))
    after = first(before).chunk(2, 1)[0]

    x_t, image = before.chunk(2, 1)
    beta, left, left_before = 1 - LEVELS[36] / LEVELS[35], LEVELS[36], LEVELS[35]
    variance = beta * (1 - left_before) / (1 - left)
    draws[1].normal(1, 8, 8)
    fresh, again = draws[1].normal(1, 8, 8), draws[1].normal(1, 8, 8)
    image_t = left**0.5 * image + (1 - left) ** 0.5 * again
    point = x_t.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(-nn.functional.mse_loss(point, image_t), point)
    scale = (1 - left) ** 0.5 / ((ptb * 2 / 255 / 3 / guide_scale) * left**0.5)
    eps = world(x_t, torch.full((3,), 35))
    predicted = x_t / left**0.5 - (1 / left - 1) ** 0.5 * eps
    mean = beta * left_before**0.5 / (1 - left) * predicted + (1 - left_before) * (1 - beta) ** 0.5 / (1 - left) * x_t
    expected = mean + variance * scale * gradient + variance**0.5 * fresh
    assert float((variance * scale * gradient).abs().max()) > 1e-3
    assert torch.allclose(after, expected, atol=1e-5)


def test_stronger_guidance_stays_nearer_to_the_image():
    """The data are one point far from it; without guidance the image would be that point."""
    x = torch.full((50, 1, 4, 4), 0.9)
    distances = [
        float(
            (
                purifier("gdmp", GaussianWorld(mean=-0.5, spread=0.3), guidance=g, steps=50)(x, noise=noise(range(50)))
                - x
            )
            .square()
            .mean()
        )
        for g in (0.0, 2.0, 20.0)
    ]
    assert distances[0] > 1.1 * distances[1] > 1.2 * distances[2]

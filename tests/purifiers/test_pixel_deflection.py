import pytest
import torch
from torch import nn

import rbench
from rbench.purifiers.jpeg_surrogate import TO_YCC
from rbench.purifiers.pixel_deflection import PixelDeflection
from rbench.purifiers.wavelet import Wavelet, denoised
from rbench.threat.noise import Noise


def noise(ids, seed=0, draw=0):
    return Noise(seed).of("score", torch.as_tensor(ids), torch.device("cpu"), draw=draw)


def images(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def draws(n, deflections, seed=0):
    return images(n, deflections, 4, seed=seed)


def slow(height, width, window, shares):
    """One image, one deflection after another."""
    origin = [[(i, j) for j in range(width)] for i in range(height)]
    for row, column, down, right in shares.tolist():
        i, j = int(row * height), int(column * width)
        rows = range(max(i - window, 0), min(i + window, height - 1) + 1)
        columns = range(max(j - window, 0), min(j + window, width - 1) + 1)
        origin[i][j] = origin[rows[int(down * len(rows))]][columns[int(right * len(columns))]]
    return torch.tensor([i * width + j for row in origin for i, j in row])


@pytest.mark.parametrize(("height", "width", "window"), [(6, 9, 2), (5, 4, 1), (8, 8, 10), (1, 7, 3), (1, 1, 1)])
def test_pixels_move_as_in_a_slow_loop_each_reading_what_the_last_one_left(height, width, window):
    shares = draws(4, 40)
    found = PixelDeflection(deflections=40, window=window).origins(height, width, shares)
    for origin, one in zip(found, shares, strict=True):
        assert torch.equal(origin, slow(height, width, window, one))


def test_a_later_deflection_reads_the_pixel_that_an_earlier_one_brought():
    """In a row of three with a window of one: the middle takes the first, then the last takes the middle."""
    first, last = 0.1, 0.9
    shares = torch.tensor([[[0.0, 0.5, 0.0, first], [0.0, last, 0.0, first]]])
    assert PixelDeflection(window=1).origins(1, 3, shares).tolist() == [[0, 0, 0]]
    assert PixelDeflection(window=1).origins(1, 3, shares.flip(1)).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("deflections", [0, 1, 7, 60])
def test_as_many_pixels_as_asked_at_most_are_replaced(deflections):
    found = PixelDeflection(deflections=deflections, window=3).origins(16, 16, draws(20, deflections))
    moved = (found != torch.arange(256)).sum(1)
    assert int(moved.max()) <= deflections
    assert deflections == 0 or float(moved.float().mean()) > 0.7 * deflections


@pytest.mark.parametrize("window", [1, 2, 5])
def test_one_deflection_takes_a_pixel_of_the_window_cut_at_the_edges(window):
    found = PixelDeflection(window=window).origins(7, 9, draws(3000, 1))
    into = found != torch.arange(63)
    moved = into.any(1)
    target, source = into[moved].float().argmax(1), found[moved][into[moved]]
    down, right = source // 9 - target // 9, source % 9 - target % 9
    assert (int(down.min()), int(down.max())) == (-min(window, 6), min(window, 6))
    assert (int(right.min()), int(right.max())) == (-min(window, 8), min(window, 8))
    assert set(target.tolist()) == set(range(63))


def test_every_pixel_and_every_neighbour_is_as_likely():
    """The corner of 4x4 with a window of one has four neighbours, itself among them."""
    shares = draws(20_000, 1)
    found = PixelDeflection(window=1).origins(4, 4, shares)
    at_corner = ((shares[:, 0, :2] * 4).floor() == 0).all(1)
    assert float(at_corner.float().mean()) == pytest.approx(1 / 16, abs=0.006)
    counts = torch.bincount(found[at_corner, 0], minlength=16)[[0, 1, 4, 5]]
    assert int(counts.sum()) == int(at_corner.sum())
    assert torch.allclose(counts / counts.sum(), torch.full((4,), 0.25), atol=0.05)


def test_the_largest_draw_stays_in_the_image():
    shares = torch.full((1, 3, 4), 1 - 2.0**-24)
    found = PixelDeflection(window=1000).origins(5, 1000, shares)
    assert found.max() == 4999


def test_without_smoothing_every_pixel_keeps_its_colour_and_is_one_of_the_image():
    x = images(3, 3, 9, 8)
    module = PixelDeflection(deflections=30, window=2, sigma=0.0)
    origins = module.origins(9, 8, noise(range(3)).uniform(30, 4))
    found = module(x, noise=noise(range(3)))
    for image, deflected, origin in zip(x, found, origins, strict=True):
        assert torch.allclose(deflected.flatten(1), image.flatten(1)[:, origin], atol=1e-5)


def test_without_deflections_it_is_the_wavelet_alone():
    x = images(3, 1, 11, 12)
    found = PixelDeflection(deflections=0, sigma=0.07)(x, noise=noise(range(3)))
    assert torch.equal(found, Wavelet(sigma=0.07)(x))
    assert not torch.allclose(found, x, atol=0.01)


def test_colours_are_smoothed_as_luminance_and_two_differences():
    x = images(2, 3, 8, 8, dtype=torch.float64)
    red, green, blue = x.unbind(1)
    matrix = torch.tensor(TO_YCC, dtype=torch.float64)
    planes = torch.stack([a * red + b * green + c * blue for a, b, c in TO_YCC], 1)
    smoothed = denoised(planes, "haar", 2, "bayes", 0.05)
    expected = torch.linalg.solve(matrix, smoothed.flatten(2)).view_as(x).clamp(0, 1)
    assert torch.allclose(PixelDeflection(deflections=0, sigma=0.05)(x, noise=noise(range(2))), expected, atol=1e-12)


def test_grey_that_is_coded_as_colour_stays_grey():
    x = images(2, 1, 12, 12).expand(-1, 3, -1, -1)
    found = PixelDeflection(deflections=20)(x, noise=noise(range(2)))
    assert torch.allclose(found, found.mean(1, keepdim=True).expand_as(found), atol=1e-5)


def test_gradients_flow_to_the_origins_and_to_no_pixel_that_was_replaced():
    x = images(2, 2, 7, 7).requires_grad_()
    module = PixelDeflection(deflections=40, window=3, sigma=0.0)
    origins = module.origins(7, 7, noise(range(2)).uniform(40, 4))
    (gradient,) = torch.autograd.grad(module(x, noise=noise(range(2))).sum(), x)
    counts = torch.stack([torch.bincount(origin, minlength=49) for origin in origins])
    assert (counts == 0).any()
    assert torch.allclose(gradient, counts[:, None].expand(-1, 2, -1).reshape(2, 2, 7, 7).float(), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_those_of_finite_differences(channels):
    x = (0.3 + 0.4 * images(2, channels, 5, 6, dtype=torch.float64)).requires_grad_()
    module = PixelDeflection(deflections=15, window=2)
    assert torch.autograd.gradcheck(lambda x: module(x, noise=noise(range(2))), x, eps=1e-6, atol=1e-6)


def test_the_same_draw_gives_the_same_image_whatever_the_batch_and_another_draw_another_one():
    module, x, order = PixelDeflection(deflections=40), images(5, 3, 12, 12), [3, 0, 4]
    together = module(x, noise=noise(range(5)))
    assert torch.allclose(module(x[order], noise=noise(order)), together[order], atol=1e-6)
    assert not torch.allclose(module(x, noise=noise(range(5), draw=1)), together, atol=1e-2)
    same = module(x[:1].repeat(2, 1, 1, 1), noise=noise(range(2)))
    assert not torch.allclose(same[0], same[1], atol=1e-2)


def test_the_engine_judges_it_as_random_in_colour():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(192, 12), nn.ReLU(), nn.Linear(12, 4))
    x = images(5, 3, 8, 8)
    found = rbench.evaluate(net, x, net(x).argmax(1), purifier=PixelDeflection(), steps=2, eot=2, draws=3)
    assert found.gradient == "exact"
    assert not found.flag_names & {"wrong-gradient", "randomised", "batch-dependent", "not-reproducible"}

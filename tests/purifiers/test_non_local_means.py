import math

import pytest
import torch

from rbench.purifiers.non_local_means import NonLocalMeans


def images(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def offsets(side):
    """A window of even side reaches one pixel further up and left."""
    return range(-(side // 2), side - side // 2)


def slow(image, search, patch, strength):
    """One image [C, H, W], one pixel after another; coordinates beyond the edge are those of the edge."""
    channels, height, width = image.shape

    def at(c, i, j):
        return float(image[c, min(max(i, 0), height - 1), min(max(j, 0), width - 1)])

    found = torch.empty_like(image)
    for i in range(height):
        for j in range(width):
            total, weights = [0.0] * channels, 0.0
            for down in offsets(search):
                for right in offsets(search):
                    squares = [
                        (at(c, i + k, j + m) - at(c, i + down + k, j + right + m)) ** 2
                        for c in range(channels)
                        for k in offsets(patch)
                        for m in offsets(patch)
                    ]
                    weight = math.exp(-sum(squares) / len(squares) / strength**2)
                    weights += weight
                    total = [t + weight * at(c, i + down, j + right) for c, t in enumerate(total)]
            found[:, i, j] = torch.tensor(total) / weights
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("search", "patch"), [(1, 1), (5, 3), (3, 1), (4, 3), (5, 2), (4, 4), (9, 3)])
def test_it_is_the_mean_that_a_slow_direct_loop_finds(channels, search, patch):
    x = images(2, channels, 5, 6)
    found = NonLocalMeans(search=search, patch=patch, strength=0.3)(x)
    for image, smoothed in zip(x, found, strict=True):
        assert torch.allclose(smoothed, slow(image, search, patch, 0.3), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0])
def test_a_flat_image_stays(value):
    x = torch.full((2, 3, 9, 7), value)
    assert torch.allclose(NonLocalMeans()(x), x, atol=1e-6)


def test_a_window_of_one_pixel_is_the_identity():
    x = images(2, 3, 6, 5)
    assert torch.equal(NonLocalMeans(search=1)(x), x)


def test_where_all_patches_count_alike_it_is_a_box_filter():
    """No difference of pixels is large beside a strength of 1 when they differ by a thousandth."""
    x = 0.5 + 1e-3 * images(1, 1, 12, 12)
    found = NonLocalMeans(search=5, patch=3, strength=1.0)(x)[..., 2:-2, 2:-2]
    assert torch.allclose(found, torch.nn.functional.avg_pool2d(x, 5, stride=1), atol=1e-8)


def test_an_edge_between_flat_areas_stays_where_a_blur_would_wash_it_out():
    x = torch.cat([torch.full((1, 1, 8, 6), 0.2), torch.full((1, 1, 8, 6), 0.8)], 3)
    assert torch.allclose(NonLocalMeans(search=7, strength=0.05)(x), x, atol=1e-6)


def test_noise_on_a_flat_area_is_smoothed_and_a_repeated_pattern_kept():
    stripes = torch.tensor([0.2, 0.8], dtype=torch.float64).repeat(10).expand(1, 1, 20, 20)
    noisy = stripes + 0.02 * (images(1, 1, 20, 20) - 0.5)
    found = NonLocalMeans(search=9, strength=0.05)(noisy)
    assert float((found - stripes).square().mean()) < 0.1 * float((noisy - stripes).square().mean())


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 9)])
def test_a_window_may_be_larger_than_the_image(shape):
    x = images(2, 1, *shape)
    found = NonLocalMeans(search=13, patch=5, strength=0.3)(x)
    assert found.shape == x.shape
    assert torch.allclose(found[1], slow(x[1], 13, 5, 0.3), atol=1e-6)


def test_white_stays_white_and_keeps_its_gradient():
    """Every mean has weights that add up to one, and no clip cuts them."""
    x = torch.ones(1, 1, 12, 12, requires_grad=True)
    y = NonLocalMeans()(x)
    assert torch.equal(y, y.clamp(0, 1))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert (gradient > 0).all()
    assert float(gradient.sum()) == pytest.approx(144, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_puts_no_pixel_outside_the_range_of_those_that_it_is_the_mean_of(dtype):
    for seed in range(20):
        nearly_white = 1 - 1e-6 * images(4, 3, 16, 16, seed=seed, dtype=dtype).round(decimals=1)
        found = NonLocalMeans(search=7, strength=0.002)(nearly_white)
        assert float(found.max()) <= 1
        assert float(NonLocalMeans(search=7, strength=0.002)(1 - nearly_white).min()) >= 0


def test_the_gradient_goes_through_the_weights_too():
    x = (0.3 + 0.4 * images(2, 2, 4, 5)).requires_grad_()
    module = NonLocalMeans(search=3, patch=3, strength=0.2)
    assert torch.autograd.gradcheck(module, x, eps=1e-6, atol=1e-6)
    assert torch.autograd.gradgradcheck(module, x[:1, :1, :3, :3], eps=1e-6, atol=1e-4)

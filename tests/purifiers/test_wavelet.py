import math

import pytest
import torch
from torch.nn.functional import pad

from rbench.purifiers.wavelet import MAD, TAPS, Wavelet, denoised, inverse, transform

every_family = pytest.mark.parametrize("family", ["haar", "db2"])


def images(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def bands(details):
    return [band for level in details for band in level]


def soft(u, threshold):
    return math.copysign(max(abs(u) - threshold, 0.0), u)


@every_family
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_inverse_gives_the_image_back(family, levels):
    x = images(2, 3, 8, 24)
    assert torch.allclose(inverse(*transform(x, family, levels), family), x, atol=1e-13)


@every_family
def test_sides_no_longer_than_the_filter_are_given_back_too(family):
    x = images(2, 1, 2, 4)
    assert torch.allclose(inverse(*transform(x, family, 1), family), x, atol=1e-13)
    square = images(2, 1, 4, 4)
    assert torch.allclose(inverse(*transform(square, family, 2), family), square, atol=1e-13)


@every_family
def test_the_transform_is_orthogonal(family):
    basis = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
    coarse, details = transform(basis, family, 2)
    matrix = torch.cat([part.flatten(1) for part in (coarse, *bands(details))], 1)
    assert torch.allclose(matrix @ matrix.T, torch.eye(64, dtype=torch.float64), atol=1e-13)


@every_family
def test_the_energy_of_an_image_is_that_of_its_coefficients(family):
    x = images(3, 2, 16, 8)
    coarse, details = transform(x, family, 2)
    energy = sum(part.square().sum((1, 2, 3)) for part in (coarse, *bands(details)))
    assert torch.allclose(energy, x.square().sum((1, 2, 3)))


@every_family
def test_every_level_has_half_the_sides_of_the_one_before(family):
    coarse, details = transform(images(2, 3, 16, 24), family, 3)
    assert [{band.shape for band in level} for level in details] == [{(2, 3, 8, 12)}, {(2, 3, 4, 6)}, {(2, 3, 2, 3)}]
    assert coarse.shape == (2, 3, 2, 3)


def test_haar_of_four_pixels_is_that_of_the_hand():
    a, b, c, d = 0.1, 0.2, 0.4, 0.9
    coarse, ((rows, columns, both),) = transform(torch.tensor([[[[a, b], [c, d]]]], dtype=torch.float64), "haar", 1)
    assert float(coarse) == pytest.approx((a + b + c + d) / 2)
    assert float(rows) == pytest.approx((a - b + c - d) / 2)
    assert float(columns) == pytest.approx((a + b - c - d) / 2)
    assert float(both) == pytest.approx((a - b - c + d) / 2)


def test_the_filters_are_daubechies():
    """Sum, norm, orthogonality to itself shifted by two, and as many vanishing moments as its number says."""
    for number, family in ((1, "haar"), (2, "db2")):
        taps = TAPS[family]
        assert len(taps) == 2 * number
        assert sum(taps) == pytest.approx(math.sqrt(2))
        assert sum(tap * tap for tap in taps) == pytest.approx(1)
        high = [(-1) ** k * tap for k, tap in enumerate(reversed(taps))]
        for power in range(number):
            assert sum(k**power * tap for k, tap in enumerate(high)) == pytest.approx(0, abs=1e-12)
    assert TAPS["db2"] == pytest.approx((0.482962913, 0.836516304, 0.224143868, -0.129409523))
    assert TAPS["db2"][0] * TAPS["db2"][2] + TAPS["db2"][1] * TAPS["db2"][3] == pytest.approx(0)


def test_db2_sees_nothing_of_a_slope_but_its_jump_at_the_edge():
    x = torch.arange(16, dtype=torch.float64).expand(1, 1, 16, 16)
    rows = transform(x, "db2", 1)[1][0][0]
    assert float(rows[..., :-1].abs().max()) < 1e-12
    assert float(rows[..., -1].abs().min()) > 1


@every_family
def test_without_a_threshold_the_image_is_given_back(family):
    x = images(2, 3, 15, 9)
    for shrink in ("bayes", "visu"):
        assert torch.allclose(Wavelet(wavelet=family, levels=3, shrink=shrink, sigma=0.0)(x), x, atol=1e-12)


@every_family
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 3), (8, 8), (28, 28), (17, 40)])
def test_sides_that_cannot_be_halved_are_continued_with_copies_and_cut_again(family, shape):
    x = images(2, 1, *shape)
    height, width = shape
    padded = pad(x, [0, -width % 4, 0, -height % 4], mode="replicate")
    assert padded.shape[2] % 4 == padded.shape[3] % 4 == 0
    found = denoised(x, family, 2, "bayes", 0.1)
    assert found.shape == x.shape
    assert torch.allclose(found, denoised(padded, family, 2, "bayes", 0.1)[:, :, :height, :width], atol=1e-13)


def test_bayes_shrinks_a_band_by_hand():
    """2x4 pixels have two coefficients in each band of one level: the threshold is sigma^2 over the deviation of the clean ones."""
    x, sigma = images(1, 1, 2, 4), 0.1
    coarse, ((rows, columns, both),) = transform(x, "haar", 1)
    expected = []
    for band in (rows, columns, both):
        pair = band.flatten().tolist()
        clean = sum(u * u for u in pair) / 2 - sigma**2
        threshold = sigma**2 / math.sqrt(clean) if clean > 0 else math.inf
        expected.append(torch.tensor([soft(u, threshold) for u in pair], dtype=torch.float64).view(1, 1, 1, 2))
    assert all((band != 0).any() for band in expected)
    assert not torch.allclose(rows, expected[0], atol=1e-3)
    found = denoised(x, "haar", 1, "bayes", sigma)
    assert torch.allclose(found, inverse(coarse, [tuple(expected)], "haar"), atol=1e-13)


def test_visu_shrinks_every_band_of_every_level_by_the_universal_threshold():
    x, sigma = images(2, 3, 8, 12), 0.03
    threshold = sigma * math.sqrt(2 * math.log(96))
    coarse, details = transform(x, "db2", 2)
    found_coarse, found = transform(denoised(x, "db2", 2, "visu", sigma), "db2", 2)
    assert torch.allclose(found_coarse, coarse, atol=1e-12)
    for band, shrunk in zip(bands(details), bands(found), strict=True):
        expected = torch.tensor([soft(u, threshold) for u in band.flatten().tolist()], dtype=torch.float64)
        assert torch.allclose(shrunk.flatten(), expected, atol=1e-12)


def test_a_band_that_is_all_noise_is_forgotten_and_the_coarsest_part_is_kept():
    x = images(2, 1, 8, 8)
    coarse, details = transform(x, "haar", 2)
    sigma = max(float(band.square().mean((2, 3)).max()) for band in bands(details)) ** 0.5 + 1e-6
    found = transform(denoised(x, "haar", 2, "bayes", sigma), "haar", 2)
    assert torch.allclose(found[0], coarse, atol=1e-12)
    assert all(float(band.abs().max()) < 1e-12 for band in bands(found[1]))


def test_the_deviation_is_that_of_the_finest_diagonal_details_where_they_are_not_flat():
    x = torch.full((1, 2, 16, 16), 0.5, dtype=torch.float64)
    x[:, 0, :, 8:] += 0.1 * torch.randn(16, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    both = transform(x, "haar", 1)[1][0][2][0, 0, :, 4:]
    sigma = float(both.abs().flatten().sort().values[(both.numel() - 1) // 2]) / MAD
    found = denoised(x, "haar", 2, "bayes", None)
    assert torch.allclose(found[:, :1], denoised(x[:, :1], "haar", 2, "bayes", sigma), atol=1e-13)
    assert torch.allclose(found[:, 1], x[:, 1], atol=1e-13)


def test_the_deviation_of_gaussian_noise_is_found():
    noise = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    both = transform(0.5 + 0.07 * noise, "haar", 1)[1][0][2]
    assert float(both.abs().median()) / MAD == pytest.approx(0.07, rel=0.05)


@every_family
@pytest.mark.parametrize("shrink", ["bayes", "visu"])
def test_noise_is_taken_out_of_a_smooth_image(family, shrink):
    slope = torch.linspace(0.2, 0.8, 32).expand(1, 1, 32, 32)
    noisy = (slope + 0.05 * torch.randn(slope.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    found = Wavelet(wavelet=family, shrink=shrink)(noisy)
    assert float((found - slope).square().mean()) < 0.5 * float((noisy - slope).square().mean())


@pytest.mark.parametrize("sigma", [None, 0.0, 0.1])
@pytest.mark.parametrize("shrink", ["bayes", "visu"])
def test_flat_images_stay_and_have_finite_gradients(shrink, sigma):
    for value in (0.0, 0.3, 1.0):
        x = torch.full((2, 1, 9, 9), value, requires_grad=True)
        y = Wavelet(shrink=shrink, sigma=sigma)(x)
        assert torch.allclose(y, x, atol=1e-6)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        assert torch.isfinite(gradient).all()


def test_a_black_image_with_one_bright_pixel_has_finite_gradients():
    x = torch.zeros(1, 1, 28, 28)
    x[..., 5, 7] = 1.0
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(Wavelet()(x).square().sum(), x)
    assert torch.isfinite(gradient).all()
    assert gradient.any()


@every_family
@pytest.mark.parametrize("shrink", ["bayes", "visu"])
@pytest.mark.parametrize("sigma", [None, 0.05])
def test_gradients_are_those_of_finite_differences_through_the_thresholds(family, shrink, sigma):
    x = (0.3 + 0.4 * images(2, 2, 6, 7)).requires_grad_()
    module = Wavelet(wavelet=family, shrink=shrink, sigma=sigma)
    assert torch.autograd.gradcheck(module, x, eps=1e-6, atol=1e-6)

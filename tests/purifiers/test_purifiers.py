import io

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate

import rbench
from rbench.purifiers.bit_depth import BitDepth
from rbench.purifiers.clip import clip
from rbench.purifiers.feature_squeezing import FeatureSqueezing
from rbench.purifiers.gaussian_blur import GaussianBlur
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.purifiers.jpeg import Jpeg
from rbench.purifiers.jpeg_differentiable import JpegDifferentiable
from rbench.purifiers.jpeg_surrogate import CHROMINANCE, LUMINANCE, jpeg_surrogate, steps
from rbench.purifiers.median import Median
from rbench.purifiers.non_local_means import NonLocalMeans
from rbench.purifiers.pixel_deflection import PixelDeflection
from rbench.purifiers.random_resize_pad import RandomResizePad
from rbench.purifiers.tv_minimisation import TvMinimisation
from rbench.purifiers.wavelet import Wavelet
from rbench.threat.noise import Noise

PURIFIERS = [
    Identity(),
    Jpeg(quality=60),
    BitDepth(bits=3),
    GaussianBlur(sigma=0.8),
    Median(),
    Median(window=2),
    GaussianNoise(sigma=0.2),
    RandomResizePad(smallest=0.7),
    FeatureSqueezing(search=5),
    NonLocalMeans(search=5, strength=0.05),
    TvMinimisation(steps=10, surrogate_steps=5),
    PixelDeflection(deflections=20),
    Wavelet(),
    Wavelet(wavelet="db2", levels=3, shrink="visu", sigma=0.02),
    JpegDifferentiable(quality=60),
]
SHAPES = [(4, 1, 28, 28), (3, 3, 32, 32), (2, 3, 17, 40), (1, 1, 5, 5), (2, 3, 1, 1)]
every_purifier = pytest.mark.parametrize("purifier", PURIFIERS, ids=lambda p: type(p).__name__)


def images(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(shape[0], shape[1], 4, 4, generator=generator)
    return interpolate(coarse, shape[2:], mode="bilinear").clamp(0, 1)


def run(purifier, x, seed=0, ids=None):
    if not purifier.stochastic:
        return purifier(x)
    ids = torch.arange(len(x)) if ids is None else ids
    return purifier(x, noise=Noise(seed).of("score", ids, x.device))


@every_purifier
@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_in_the_unit_range_go_to_pixels_in_the_unit_range_of_the_same_shape(purifier, shape):
    for x in (images(shape), torch.zeros(shape), torch.ones(shape)):
        before = x.clone()
        y = run(purifier, x)
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert float(y.min()) >= 0
        assert float(y.max()) <= 1
        assert torch.equal(x, before)


@every_purifier
def test_the_declared_facts_are_true(purifier):
    x = images((3, 3, 16, 16)).requires_grad_()
    y = run(purifier, x)
    assert torch.equal(y, run(purifier, x.clone()))
    if purifier.stochastic:
        assert not torch.equal(y, run(purifier, x, seed=1))
    gradient = torch.zeros(()) if not y.requires_grad else torch.autograd.grad(y.square().sum(), x)[0]
    assert bool(gradient.any()) == purifier.differentiable


@every_purifier
def test_a_sample_is_purified_the_same_in_any_batch(purifier):
    x = images((5, 1, 12, 12))
    together = run(purifier, x)
    order = torch.tensor([3, 0, 4])
    assert torch.allclose(run(purifier, x[order], ids=order), together[order], atol=1e-6)


@every_purifier
def test_the_engine_judges_it_and_finds_its_facts_and_its_gradient_true(purifier):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(144, 12), nn.ReLU(), nn.Linear(12, 4))
    x = images((6, 1, 12, 12))
    labels = net(x).argmax(1)
    found = rbench.evaluate(net, x, labels, purifier=purifier, attack="pgd", steps=2, eps=0.03, draws=2)
    doubts = {"wrong-gradient", "randomised", "batch-dependent", "not-reproducible", "no-gradient-path"}
    assert not found.flag_names & (doubts - ({"no-gradient-path"} if isinstance(purifier, Jpeg) else set()))
    assert "optimises-at-test-time" not in found.flag_names
    assert (found.gradient == "bpda") is not purifier.differentiable
    assert found.robust_accuracy.n == 6


@every_purifier
def test_no_tensor_is_made_on_an_implicit_device(purifier):
    x = images((2, 1, 9, 9)).requires_grad_()
    torch.set_default_device("meta")
    try:
        copy = type(purifier)(
            **{k: v for k, v in vars(purifier).items() if k in ("bits", "quality", "sigma", "window")}
        )
        for module in (purifier, copy):
            y = run(module, x, ids=torch.arange(2, device="cpu"))
            assert y.device.type == "cpu"
            if module.differentiable:
                assert torch.autograd.grad(y.sum(), x)[0].device.type == "cpu"
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize(
    "purifier",
    [
        GaussianBlur(sigma=0.8),
        Median(),
        GaussianNoise(sigma=0.01),
        RandomResizePad(),
        FeatureSqueezing(bits=None, search=3, strength=0.3),
        NonLocalMeans(search=4, patch=2, strength=0.3),
        TvMinimisation(steps=5),
        PixelDeflection(deflections=10),
        Wavelet(),
        Wavelet(wavelet="db2", shrink="visu"),
        JpegDifferentiable(quality=60),
    ],
    ids=lambda p: type(p).__name__,
)
def test_gradients_agree_with_finite_differences(purifier):
    x = (
        0.2 + 0.6 * torch.rand(2, 1, 7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    ).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: run(purifier, x), x, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("purifier", [GaussianBlur(sigma=1.3), RandomResizePad()])
def test_rounding_does_not_cut_the_gradient_of_white_areas(purifier):
    x = torch.ones(1, 1, 30, 30, requires_grad=True)
    run(purifier, x).sum().backward()
    assert x.grad is not None
    assert float(x.grad[..., 10:20, 10:20].min()) > 0.3


def test_the_clip_of_a_defence_cuts_gradients_but_not_where_it_only_undoes_rounding():
    y = torch.tensor([-0.3, -2e-5, -1e-7, 0.0, 0.4, 1.0, 1 + 1e-6, 1 + 2e-5, 1.3], requires_grad=True)
    clipped = clip(y)
    assert torch.equal(clipped, y.clamp(0, 1))
    (gradient,) = torch.autograd.grad(clipped.sum(), y)
    assert gradient.tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 50, 75, 100])
def test_jpeg_is_the_coding_that_pillow_does(channels, quality):
    x = images((3, channels, 20, 29))
    y = Jpeg(quality=quality)(x)
    for image, coded in zip(x, y, strict=True):
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, "JPEG", quality=quality)
        expected = torch.from_numpy(np.array(Image.open(buffer))).view(pixels.shape).permute(2, 0, 1).float() / 255
        assert torch.equal(coded, expected)


def test_jpeg_codes_more_grey_images_than_one_picture_can_hold():
    x = images((10, 1, 900, 4)).repeat(8, 1, 1, 1)
    assert torch.equal(Jpeg()(x)[-10:], Jpeg()(x[:10]))


@pytest.mark.parametrize("quality", [1, 10, 50, 75, 96, 100])
def test_the_surrogate_quantises_with_libjpegs_tables(quality):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
    tables = Image.open(buffer).quantization
    for number, table in enumerate((LUMINANCE, CHROMINANCE)):
        assert sorted(entry for row in steps(table, quality) for entry in row) == sorted(tables[number])
        assert steps(table, quality)[0][:2] == list(tables[number])[:2]


@pytest.mark.parametrize("shape", [(4, 1, 28, 28), (4, 3, 31, 37), (2, 3, 1, 1)])
@pytest.mark.parametrize("quality", [10, 50, 90])
def test_the_surrogate_is_near_the_real_coding_and_has_a_gradient(shape, quality):
    x, jpeg = images(shape).requires_grad_(), Jpeg(quality=quality)
    surrogate = jpeg.surrogate(x)
    assert surrogate.shape == x.shape
    assert float((surrogate - jpeg(x)).detach().abs().mean()) < 0.02
    assert torch.autograd.grad(surrogate.square().sum(), x)[0].any()


def test_the_surrogate_ignores_what_the_coder_removes():
    x = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    checkers = torch.ones(8, 8)
    checkers[::2, ::2] = checkers[1::2, 1::2] = -1
    gradient = torch.autograd.grad((Jpeg(quality=10).surrogate(x) * checkers).sum(), x)[0]
    assert float(gradient.abs().max()) < 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_differentiable_jpeg_is_what_attackers_of_the_real_one_differentiate_clipped(channels):
    x = images((2, channels, 20, 19)) * 1.2 - 0.1
    defence = JpegDifferentiable(quality=30)
    assert torch.equal(defence(x.clamp(0, 1)), jpeg_surrogate(x.clamp(0, 1), 30).clamp(0, 1))
    assert torch.allclose(defence(x.clamp(0, 1)), Jpeg(quality=30)(x.clamp(0, 1)), atol=0.2)
    with pytest.raises(ValueError, match="these have 2 channels"):
        defence(torch.rand(1, 2, 8, 8))


def test_jpeg_refuses_channels_that_it_cannot_code():
    with pytest.raises(ValueError, match="these have 2 channels"):
        Jpeg()(torch.rand(1, 2, 8, 8))


@pytest.mark.parametrize("bits", range(1, 9))
def test_bit_depth_leaves_evenly_spaced_levels_and_moves_no_pixel_further_than_half_a_step(bits):
    x = torch.linspace(0, 1, 1001).view(1, 1, 1, -1)
    y = BitDepth(bits=bits)(x)
    assert len(y.unique()) == 2**bits
    assert {0.0, 1.0} <= set(y.unique().tolist())
    assert float((x - y).abs().max()) <= 0.5 / (2**bits - 1) + 1e-6


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3])
def test_gaussian_blur_is_scipys(sigma):
    x = images((2, 3, 20, 24)).double()
    radius = len(GaussianBlur(sigma=sigma).kernel) // 2
    expected = scipy.ndimage.gaussian_filter(x.numpy(), sigma, mode="nearest", radius=radius, axes=(2, 3))
    assert np.allclose(GaussianBlur(sigma=sigma)(x).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("window", [2, 3, 4, 5, 7])
def test_median_is_scipys_with_and_without_a_gradient(window):
    x = torch.rand(2, 3, 11, 9, generator=torch.Generator().manual_seed(0))
    expected = scipy.ndimage.median_filter(x.numpy(), size=window, mode="nearest", axes=(2, 3))
    assert np.array_equal(Median(window=window)(x).numpy(), expected)
    assert np.array_equal(Median(window=window)(x.requires_grad_()).detach().numpy(), expected)


def test_gaussian_noise_has_the_declared_deviation():
    x = torch.full((50, 1, 20, 20), 0.5)
    noise = run(GaussianNoise(sigma=0.05), x) - x
    assert float(noise.std()) == pytest.approx(0.05, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.002)


def test_resize_pad_is_a_bilinear_resize_on_a_black_canvas():
    x = images((40, 3, 12, 18)).clamp(0.1, 1)
    y = run(RandomResizePad(smallest=0.5), x)
    seen = set()
    for image, padded in zip(x, y, strict=True):
        inside = padded[0] > 0
        rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert int(inside.sum()) == height * width
        assert width == round(18 * height / 12)
        expected = interpolate(image[None], (height, width), mode="bilinear", align_corners=False)[0]
        found = padded[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.allclose(found, expected, atol=1e-5)
        seen.add((height, int(rows[0]), int(columns[0])))
    assert {height for height, _, _ in seen} == {6, 7, 8, 9, 10, 11, 12}
    assert len(seen) > 20

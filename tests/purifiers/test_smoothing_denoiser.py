import pytest
import torch
from torch import nn

import rbench
from rbench.errors import InputError
from rbench.purifiers import smoothing_denoiser as entry
from rbench.purifiers.denoised_noise import DenoisedNoise
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.threat.noise import Noise


def noise(ids, seed=0, draw=0):
    return Noise(seed).of("score", torch.as_tensor(ids), torch.device("cpu"), draw=draw)


@pytest.fixture(scope="module")
def fashion():
    data = rbench.load("dataset", "fashion-mnist-mini")
    return torch.from_numpy(data.read(data.ids[:8]))


@pytest.fixture(scope="module")
def shipped():
    return rbench.load("purifier", "smoothing-denoiser", weights="bundled:fashion-dae", sigma=0.2)


@pytest.fixture(scope="module")
def denoiser():
    return rbench.load("purifier", "denoising-autoencoder", weights="bundled:fashion-dae")


class Far(nn.Module):
    """Goes outside the pixel range, as a network without a last sigmoid may."""

    def forward(self, x):
        return 3 * x - 1


class Bent(nn.Module):
    """Has a stand-in of its own."""

    def forward(self, x):
        return x.square()

    def surrogate(self, x):
        return 2 * x


def images(n=4, side=6, dtype=torch.float32):
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_it_is_noise_and_then_the_denoiser(fashion, shipped, denoiser):
    noisy = GaussianNoise(sigma=0.2)(fashion, noise=noise(range(8)))
    found = shipped(fashion, noise=noise(range(8)))
    assert torch.equal(found, denoiser(noisy))
    assert not torch.equal(found, denoiser(fashion))


def test_the_denoiser_takes_most_of_the_noise_out(fashion):
    module = rbench.load("purifier", "smoothing-denoiser", weights="bundled:fashion-dae", sigma=0.1)
    noisy = GaussianNoise(sigma=0.1)(fashion, noise=noise(range(8)))
    found = module(fashion, noise=noise(range(8)))
    clean = rbench.load("purifier", "denoising-autoencoder", weights="bundled:fashion-dae")(fashion)
    assert float((found - clean).square().mean()) < 0.5 * float((noisy - fashion).square().mean())


def test_it_is_random_and_differentiable_and_says_so(fashion, shipped):
    assert (entry.STOCHASTIC, entry.DIFFERENTIABLE) == (shipped.stochastic, shipped.differentiable) == (True, True)
    first = shipped(fashion, noise=noise(range(8)))
    assert torch.equal(first, shipped(fashion, noise=noise(range(8))))
    assert not torch.allclose(first, shipped(fashion, noise=noise(range(8), draw=1)), atol=1e-3)
    assert not torch.allclose(first, shipped(fashion, noise=noise(range(8), seed=1)), atol=1e-3)


def test_every_sample_has_a_draw_of_its_own_which_no_batch_changes(fashion, shipped):
    order = [5, 0, 3]
    together = shipped(fashion, noise=noise(range(8)))
    assert torch.allclose(shipped(fashion[order], noise=noise(order)), together[order], atol=1e-5)
    same = shipped(fashion[:1].repeat(2, 1, 1, 1), noise=noise(range(2)))
    assert not torch.allclose(same[0], same[1], atol=1e-3)


def test_pixels_go_to_pixels_of_the_same_shape_whatever_the_network_says():
    x = images()
    before = x.clone()
    found = DenoisedNoise(Far(), sigma=0.2)(x, noise=noise(range(4)))
    noisy = GaussianNoise(sigma=0.2)(x, noise=noise(range(4)))
    assert torch.equal(found, (3 * noisy - 1).clamp(0, 1))
    assert {0.0, 1.0} < set(found.unique().tolist())
    assert torch.equal(x, before)


def test_the_surrogate_has_the_same_draw_and_no_clips():
    x = torch.ones(4, 1, 6, 6, requires_grad=True)
    module = DenoisedNoise(Far(), sigma=0.2)
    drawn = noise(range(4)).normal(1, 6, 6)
    y = module.surrogate(x, noise=noise(range(4)))
    assert torch.allclose(y, 3 * (1 + 0.2 * drawn) - 1)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.full_like(x, 3.0))
    assert torch.equal(y.clamp(0, 1), module(x, noise=noise(range(4))))


def test_the_surrogate_of_the_network_stands_in_for_it(fashion, shipped, denoiser):
    x = images()
    drawn = noise(range(4)).normal(1, 6, 6)
    module = DenoisedNoise(Bent(), sigma=0.2)
    assert torch.equal(module.surrogate(x, noise=noise(range(4))), 2 * (x + 0.2 * drawn))
    noisy = fashion + 0.2 * noise(range(8)).normal(1, 28, 28)
    assert torch.equal(shipped.surrogate(fashion, noise=noise(range(8))), denoiser.surrogate(noisy))


def test_gradients_are_those_of_finite_differences():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid())
    x = (0.4 + 0.2 * images(2, 4, torch.float64)).requires_grad_()
    module = DenoisedNoise(network.double(), sigma=0.05)
    for call in (module, module.surrogate):
        assert torch.autograd.gradcheck(lambda x, call=call: call(x, noise=noise(range(2))), x, eps=1e-6, atol=1e-6)


def test_a_denoiser_that_was_trained_for_something_else_is_refused():
    with pytest.raises(InputError, match="trained with the objective"):
        rbench.load("purifier", "smoothing-denoiser", weights="bundled:fashion-cropd")
    with pytest.raises(InputError, match="no such weights"):
        rbench.load("purifier", "smoothing-denoiser", weights="bundled:none")


def test_the_weights_are_a_file_that_decides_what_it_does():
    (path,) = entry.files(weights="bundled:fashion-dae", sigma=0.2)
    assert path.exists()
    assert path.stem == "fashion-dae"


def test_the_engine_judges_it_as_a_random_defence(fashion, shipped):
    backbone, few = rbench.load("backbone", "bundled:fashion-cnn"), fashion[:3]
    with torch.no_grad():
        labels = backbone(few).argmax(1)
    short = {"purifier": shipped, "draws": 3, "select_draws": 8}
    found = rbench.evaluate(backbone, few, labels, steps=2, eot=2, **short)
    assert found.gradient == "exact"
    doubts = {"wrong-gradient", "randomised", "batch-dependent", "not-reproducible", "no-gradient-path"}
    assert not found.flag_names & doubts
    assert "no-eot" in rbench.evaluate(backbone, few, labels, steps=1, **short).flag_names

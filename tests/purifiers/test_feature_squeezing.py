import pytest
import torch
from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.purifiers.bit_depth import BitDepth
from rbench.purifiers.feature_squeezing import FeatureSqueezing
from rbench.purifiers.median import Median
from rbench.purifiers.non_local_means import NonLocalMeans
from rbench.threat.noise import Noise


def images(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_it_rounds_first_takes_medians_next_and_means_last():
    x = images(2, 3, 9, 8)
    means = NonLocalMeans(search=5, patch=3, strength=0.1)
    found = FeatureSqueezing(bits=3, median=3, search=5, patch=3, strength=0.1)(x)
    assert torch.equal(found, means(Median(window=3)(BitDepth(bits=3)(x))))
    assert not torch.allclose(found, Median(window=3)(means(BitDepth(bits=3)(x))), atol=1e-3)


def test_the_defaults_are_those_of_the_papers_joint_detector_for_cifar():
    x = images(2, 3, 12, 12)
    joint = NonLocalMeans(search=13, patch=3, strength=2 / 255)(Median(window=2)(BitDepth(bits=5)(x)))
    assert torch.equal(FeatureSqueezing()(x), joint)


@pytest.mark.parametrize(
    ("left", "part"),
    [
        ({"bits": 2, "median": None, "search": None}, BitDepth(bits=2)),
        ({"bits": None, "median": 4, "search": None}, Median(window=4)),
        ({"bits": None, "median": None, "search": 4, "patch": 2, "strength": 0.2}, None),
    ],
)
def test_each_squeezer_is_left_alone_where_the_others_are_switched_off(left, part):
    x = images(2, 3, 9, 8)
    part = part or NonLocalMeans(search=4, patch=2, strength=0.2)
    assert torch.equal(FeatureSqueezing(**left)(x), part(x))


def test_with_every_squeezer_off_the_image_stays():
    x = images(2, 1, 5, 5)
    module = FeatureSqueezing(bits=None, median=None, search=None)
    assert torch.equal(module(x), x)
    assert torch.equal(module.surrogate(x), x)


@pytest.mark.parametrize(("bits", "differentiable"), [(5, False), (None, True)])
def test_rounding_alone_makes_it_pass_no_gradient_and_it_says_so(bits, differentiable):
    module = FeatureSqueezing(bits=bits, search=3)
    x = images(2, 1, 8, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(module(x).square().sum(), x)
    assert bool(gradient.any()) == differentiable
    assert module.differentiable == differentiable


def test_the_surrogate_is_all_but_the_rounding_and_has_its_gradient():
    x = (0.3 + 0.4 * images(2, 1, 5, 5, dtype=torch.float64)).requires_grad_()
    rounding, none = (FeatureSqueezing(bits=bits, search=3, strength=0.3) for bits in (4, None))
    assert torch.equal(rounding.surrogate(x), none(x))
    assert torch.allclose(rounding.surrogate(x), rounding(x), atol=0.5 / 15 + 0.01)
    assert torch.autograd.gradcheck(rounding.surrogate, x, eps=1e-6, atol=1e-5)


def test_the_engine_takes_the_surrogate_for_its_stand_in():
    x, module = images(3, 1, 8, 8), FeatureSqueezing(search=3)
    model = DefendedModel(module, nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    assert model.surrogate is not None
    noise = Noise(0).of("attack", torch.arange(3), x.device)
    assert torch.equal(model.surrogate(x, noise), module.surrogate(x))


def test_an_even_median_takes_the_upper_of_its_middle_values_at_its_upper_left_window():
    """As SciPy does, whose filter the source uses."""
    x = torch.tensor([[0.0, 0.2, 0.4], [0.6, 0.8, 1.0]]).view(1, 1, 2, 3)
    found = FeatureSqueezing(bits=None, search=None)(x)
    assert torch.equal(found.view(2, 3), torch.tensor([[0.0, 0.2, 0.4], [0.6, 0.6, 0.8]]))

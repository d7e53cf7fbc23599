"""The attack on the code of a purifier, against the optimum of a linear encoder."""

import pytest
import torch
from codes import Coded, Deaf, greys, judged
from torch import nn

import rbench
from rbench.errors import InputError
from rbench.purifiers.bit_depth import BitDepth
from rbench.threat.displacements import angle, log_ratio, relative

EPS = 0.05
DUAL = {"Linf": 1.0, "L2": 2.0}


def line(seed=1):
    """An encoder to one positive number."""
    weight = torch.rand(1, 16, generator=torch.Generator().manual_seed(seed)) + 0.1
    return Coded(weight), weight[0]


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_it_finds_the_farthest_code_of_a_linear_encoder(norm):
    purifier, weight = line()
    x, y = greys(5, 1, 4, 4)
    found = judged(purifier, x, y, "latent", norm=norm, eps=EPS, steps=30, step_size=EPS / 4)
    reach = EPS * torch.linalg.vector_norm(weight, DUAL[norm])
    best = (reach / purifier.encode(x)[:, 0]) ** 2
    assert torch.allclose(torch.tensor(found.samples["loss_last"]), best, rtol=1e-3)
    moved = (purifier.encode(found.adversarial) - purifier.encode(x))[:, 0].abs()
    assert torch.allclose(moved, reach.expand(5), rtol=1e-3)


def test_the_norm_part_finds_the_lowest_length_of_a_linear_encoder():
    purifier, weight = line()
    x, y = greys(5, 1, 4, 4)
    found = judged(purifier, x, y, "latent", part="norm", eps=EPS, steps=30, restarts=8)
    shrunk = 1 - EPS * weight.abs().sum() / purifier.encode(x)[:, 0]
    # The logarithm is steeper downwards, so the best of some starts has shrunk the code.
    assert bool((shrunk > 0).all())
    assert torch.allclose(torch.tensor(found.samples["loss_last"]), shrunk.log() ** 2, rtol=1e-3)


def test_the_angle_part_finds_the_widest_angle_of_two_pixels():
    """From the diagonal the corner (c + e, c - e) of the ball is the one at the widest angle."""
    middle, e = torch.tensor([0.3, 0.5, 0.6]), 0.1
    x = middle[:, None, None, None].expand(-1, 1, 1, 2).clone()
    found = judged(Coded(torch.eye(2)), x, torch.zeros(3, dtype=torch.int64), "latent", part="angle", eps=e, steps=30)
    widest = 1 - middle / (middle**2 + e**2).sqrt()
    assert torch.allclose(torch.tensor(found.samples["loss_last"]), widest, rtol=1e-3)
    corner = (found.adversarial - x).flatten(1)
    assert torch.allclose(corner.abs(), torch.tensor(e).expand(3, 2), atol=1e-6)
    assert bool((corner.prod(1) < 0).all())


class OnTheSphere(Coded):
    """A code of length one."""

    def encode(self, x):
        return nn.functional.normalize(super().encode(x), dim=1)


def test_each_part_is_blind_to_what_the_other_moves():
    x, y = greys(4, 1, 4, 4)
    sphere = OnTheSphere(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)))
    assert float(judged(sphere, x, y, "latent", part="norm", eps=EPS).samples["loss_last"].max()) < 1e-10
    assert float(judged(sphere, x, y, "latent", part="angle", eps=EPS).samples["loss_last"].min()) > 1e-3
    straight, _ = line()
    assert float(judged(straight, x, y, "latent", part="angle", eps=EPS).samples["loss_last"].max()) < 1e-10
    assert float(judged(straight, x, y, "latent", part="norm", eps=EPS).samples["loss_last"].min()) > 1e-3


def test_the_cosine_to_the_clean_code_drops_and_the_default_part_moves_farther_than_noise():
    x, y = greys(8, 1, 4, 4)
    purifier = Coded(torch.randn(6, 16, generator=torch.Generator().manual_seed(0)))
    clean = purifier.encode(x)
    by = {
        name: purifier.encode(judged(purifier, x, y, attack, eps=EPS, **more).adversarial)
        for name, attack, more in (
            ("angle", "latent", {"part": "angle"}),
            ("both", "latent", {}),
            ("noise", "noise", {}),
        )
    }
    cosine = {name: nn.functional.cosine_similarity(code, clean) for name, code in by.items()}
    assert bool((cosine["angle"] < cosine["noise"]).all())
    assert float(cosine["angle"].max()) < 0.99
    assert bool((relative(by["both"], clean) > relative(by["noise"], clean)).all())


def test_lengths_and_directions_are_told_apart():
    generator = torch.Generator().manual_seed(0)
    code, origin = torch.randn(6, 4, generator=generator), torch.randn(6, 4, generator=generator)
    scale = torch.rand(6, 1, generator=generator) * 5 + 0.1
    assert torch.allclose(angle(scale * code, origin), angle(code, origin), atol=1e-6)
    assert torch.allclose(angle(code, origin), 1 - nn.functional.cosine_similarity(code, origin), atol=1e-6)
    assert torch.allclose(log_ratio(code.roll(1, dims=1), origin), log_ratio(code, origin), atol=1e-6)
    assert torch.allclose(log_ratio(scale * origin, origin), scale[:, 0].log() ** 2, atol=1e-5)
    assert torch.allclose(log_ratio(code, origin), log_ratio(origin, code), atol=1e-6)
    assert torch.allclose(relative(3 * code, 3 * origin), relative(code, origin), rtol=1e-5)
    for displacement in (angle, log_ratio, relative):
        assert torch.equal(displacement(origin, origin), torch.zeros(6))
        assert bool(torch.isfinite(displacement(torch.zeros(2, 4), torch.zeros(2, 4))).all())


class RoundedBehindACode(BitDepth):
    """No gradient passes to the image it gives; the encoder has one."""

    def encode(self, x):
        return x.flatten(1)[:, :3]


def test_it_differentiates_the_encoder_even_where_the_output_has_no_gradient():
    x, y = greys(4, 1, 4, 4)
    found = judged(RoundedBehindACode(bits=2), x, y, "latent", eps=EPS)
    assert found.gradient == "exact"
    assert found.flag_names.isdisjoint({"zero-gradients", "no-gradient-path"})
    moved = (found.adversarial - x).flatten(1)[:, :3].abs()
    assert torch.allclose(moved, torch.tensor(EPS).expand(4, 3), atol=1e-6)


def test_it_fools_a_defended_model_whose_code_decides():
    x, _ = greys(30, 1, 4, 4)

    class Reads(nn.Module):
        def forward(self, image):
            height = image.flatten(1)[:, :2].sum(1) - 0.95
            return torch.stack([height, -height], 1)

    labels = Reads()(x).argmax(1)
    found = judged(Coded(torch.eye(16)[:2]), x, labels, "latent", backbone=Reads(), eps=EPS)
    assert found.robust_accuracy.value < found.standard_accuracy.value


def test_a_purifier_without_a_code_is_refused_by_name():
    x, y = greys(2, 1, 4, 4)
    with pytest.raises(InputError, match=r"purifier '\w+' has no encode\(x\).*`purifiers: \[...\]`"):
        rbench.evaluate(Deaf(), x, y, purifier=BitDepth(), attack="latent")


@pytest.mark.parametrize("gradient", ["blind", "bpda"])
def test_a_gradient_path_that_leaves_the_encoder_out_is_refused(gradient):
    x, y = greys(2, 1, 4, 4)
    with pytest.raises(InputError, match=f"gradient: .*auto or exact .*{gradient}"):
        judged(line()[0], x, y, "latent", gradient=gradient)


class Flat(Coded):
    """A code that keeps two axes."""

    def encode(self, x):
        return x[:, 0]


def test_a_code_of_another_shape_fails_the_cell():
    x, y = greys(3, 1, 4, 4)
    with pytest.raises(rbench.errors.CellFailed, match=r"encode of purifier '\w+' returned \(3, 4, 4\), not a code"):
        judged(Flat(torch.eye(16)), x, y, "latent")

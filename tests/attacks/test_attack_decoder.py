"""The attack on the output of a purifier, against the optimum of an affine one."""

import pytest
import torch
from codes import Deaf, greys, judged
from torch import nn

from rbench.errors import InputError

EPS, SLOPE = 0.05, 0.5


class Fade(nn.Module):
    """Every pixel halfway to grey."""

    stochastic = False

    def forward(self, x):
        return SLOPE * x + 0.25


class Cut(Fade):
    """The same without a gradient."""

    def forward(self, x):
        return super().forward(x).detach()


@pytest.mark.parametrize(("norm", "squared"), [("Linf", 16 * EPS**2), ("L2", EPS**2)])
def test_it_finds_the_farthest_image_of_an_affine_purifier(norm, squared):
    x, y = greys(5, 1, 4, 4)
    found = judged(Fade(), x, y, "decoder", norm=norm, eps=EPS, steps=30)
    assert torch.allclose(torch.tensor(found.samples["loss_last"]), torch.tensor(SLOPE**2 * squared), rtol=1e-3)


def test_neither_label_nor_backbone_is_looked_at():
    x, y = greys(5, 1, 4, 4)

    class Other(nn.Module):
        def forward(self, image):
            return Deaf()(image).flip(1)

    one = judged(Fade(), x, y, "decoder", eps=EPS)
    other = judged(Fade(), x, y + 2, "decoder", backbone=Other(), eps=EPS)
    assert one.robust_accuracy.value == other.robust_accuracy.value == 1
    assert torch.equal(one.adversarial, other.adversarial)


def test_a_purifier_without_a_gradient_is_moved_through_its_stand_in():
    x, y = greys(6, 1, 4, 4)
    exact, auto = (judged(Cut(), x, y, "decoder", eps=EPS, gradient=gradient) for gradient in ("exact", "auto"))
    best = SLOPE**2 * 16 * EPS**2
    assert "zero-gradients" in exact.flag_names
    assert float(exact.samples["loss_last"].max()) < 0.7 * best
    assert auto.gradient == "bpda"
    assert "zero-gradients" not in auto.flag_names
    assert torch.allclose(torch.tensor(auto.samples["loss_last"]), torch.tensor(best), rtol=1e-3)


def test_a_blind_attacker_has_no_output_to_move():
    x, y = greys(2, 1, 4, 4)
    with pytest.raises(InputError, match=r"gradient: .*auto or exact or checkpointed or bpda.*blind"):
        judged(Fade(), x, y, "decoder", gradient="blind")

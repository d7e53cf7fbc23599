import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rbench.engine.defended import DefendedModel
from rbench.theory.measure import measure
from rbench.theory.points import Settings


class Plain(nn.Module):
    """Codes are the pixels, and so is the output."""

    def encode(self, x):
        return x.flatten(1)

    def forward(self, x):
        return x


class Linear(nn.Module):
    """Two logits, w.x and -w.x."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        score = x.flatten(1) @ self.weight
        return torch.stack([score, -score], 1)


def problem(n=10):
    draw = torch.Generator().manual_seed(0)
    x = 0.3 + 0.4 * torch.rand(n, 1, 2, 2, generator=draw)
    return x, torch.arange(n) % 2, torch.tensor([1.0, -2.0, 0.5, 3.0])


def test_the_adversarial_cross_entropy_of_a_linear_model_is_that_of_the_dual_norm():
    x, y, weight = problem()
    found = measure(DefendedModel(Plain(), Linear(weight)), x, y, 0.1, Settings(steps=20, batch=4))
    score, sign = x.flatten(1) @ weight, 1 - 2 * y
    worst = score - sign * 0.1 * weight.abs().sum()  # no pixel leaves [0, 1]
    clean, attacked = (cross_entropy(torch.stack([s, -s], 1), y) for s in (score, worst))
    assert found["clean_ce"] == pytest.approx(float(clean), rel=1e-5)
    assert found["adversarial_ce"] == pytest.approx(float(attacked), rel=1e-4)
    assert found["standard_accuracy"] == pytest.approx(float((sign * score > 0).double().mean()))
    assert found["robust_accuracy"] == pytest.approx(float((sign * worst > 0).double().mean()))


def test_the_attacked_contrastive_loss_of_codes_that_are_the_pixels():
    """Two images of two pixels, at right angles to nothing: the attacked angle is found by looking at all corners of the ball."""
    x = torch.tensor([[0.5, 0.5], [0.3, 0.6]]).view(2, 1, 1, 2)
    found = measure(
        DefendedModel(Plain(), Linear(torch.ones(2))), x, torch.tensor([0, 0]), 0.1, Settings(steps=40, restarts=10)
    )

    def cosine(a, b):
        return sum(p * q for p, q in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    codes, losses, clean = [(0.5, 0.5), (0.3, 0.6)], [], []
    for i in (0, 1):
        corners = [(codes[i][0] + a, codes[i][1] + b) for a in (-0.1, 0.1) for b in (-0.1, 0.1)]
        positive = min(cosine(corner, codes[i]) for corner in corners) / 0.5
        negative = cosine(*codes) / 0.5
        losses.append(math.log(math.exp(positive) + math.exp(negative)) - positive)
        clean.append(math.log(math.exp(2) + math.exp(negative)) - 2)
    assert found["attacked_contrastive"] == pytest.approx(sum(losses) / 2, rel=1e-4)
    assert found["clean_contrastive"] == pytest.approx(sum(clean) / 2, rel=1e-5)


def test_no_batch_is_left_with_a_single_image_and_nothing_is_counted_twice():
    x, y, weight = problem(9)
    told = []
    measure(DefendedModel(Plain(), Linear(weight)), x, y, 0.1, Settings(steps=2, batch=4), told.append)
    assert told == [3, 3, 3]

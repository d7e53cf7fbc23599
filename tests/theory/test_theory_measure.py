import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rbench.attacks.pgd import pgd
from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed
from rbench.objectives.adversarial_contrastive import contrastive_loss, hardest
from rbench.theory.measure import answers, measure
from rbench.theory.points import Settings
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise
from rbench.threat.query import Answer


class Plain(nn.Module):
    """Codes are the pixels, and so is the output."""

    def encode(self, x):
        return x.flatten(1)

    def forward(self, x):
        return x


class Halved(Plain):
    """Codes are the pixels, the output is half of them: the attacker has half the room."""

    def forward(self, x):
        return x / 2


class Linear(nn.Module):
    """Two logits, w.x and -w.x."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        score = x.flatten(1) @ self.weight
        return torch.stack([score, -score], 1)


class Hill(nn.Module):
    """Two logits; that of class 0 is lowest where the pixel is 0.5, and is the higher one from `width` on either side of it."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, x):
        score = 40 * ((x.flatten(1)[:, 0] - 0.5).abs() - self.width)
        return torch.stack([score, torch.zeros_like(score)], 1)


def problem(n=10):
    draw = torch.Generator().manual_seed(0)
    x = 0.3 + 0.4 * torch.rand(n, 1, 2, 2, generator=draw)
    return x, torch.arange(n) % 2, torch.arange(n), torch.tensor([1.0, -2.0, 0.5, 3.0])


@pytest.mark.parametrize(("purifier", "scale"), [(Plain, 1.0), (Halved, 0.5)])
def test_the_adversarial_cross_entropy_of_a_linear_model_is_that_of_the_dual_norm(purifier, scale):
    x, y, ids, weight = problem()
    found = measure(DefendedModel(purifier(), Linear(weight)), Batch(x, y, ids), 0.1, Settings(steps=20, batch=4))
    score, sign = scale * x.flatten(1) @ weight, 1 - 2 * y
    worst = score - sign * scale * 0.1 * weight.abs().sum()  # no pixel leaves [0, 1]
    clean, attacked = (cross_entropy(torch.stack([s, -s], 1), y) for s in (score, worst))
    assert found.clean_ce == pytest.approx(float(clean), rel=1e-5)
    assert found.adversarial_ce == pytest.approx(float(attacked), rel=1e-4)
    assert found.standard_accuracy == pytest.approx(float((sign * score > 0).double().mean()))
    assert found.robust_accuracy == pytest.approx(float((sign * worst > 0).double().mean()))


def test_the_attacked_contrastive_loss_of_codes_that_are_the_pixels():
    """Two images of two pixels, at right angles to nothing: the attacked angle is found by looking at all corners of the ball."""
    x = torch.tensor([[0.5, 0.5], [0.3, 0.6]]).view(2, 1, 1, 2)
    model = DefendedModel(Plain(), Linear(torch.ones(2)))
    labels, ids = torch.tensor([0, 0]), torch.tensor([0, 1])

    def cosine(a, b):
        return sum(p * q for p, q in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    codes, losses, clean = [(0.5, 0.5), (0.3, 0.6)], {"infonce": [], "paper": []}, []
    for i in (0, 1):
        corners = [(codes[i][0] + a, codes[i][1] + b) for a in (-0.1, 0.1) for b in (-0.1, 0.1)]
        positive = min(cosine(corner, codes[i]) for corner in corners) / 0.5
        negative = cosine(*codes) / 0.5
        losses["infonce"].append(math.log(math.exp(positive) + math.exp(negative)) - positive)
        losses["paper"].append(negative - positive)
        clean.append(math.log(math.exp(2) + math.exp(negative)) - 2)
    for form, expected in losses.items():
        found = measure(model, Batch(x, labels, ids), 0.1, Settings(steps=40, restarts=10, contrastive=form))
        assert found.attacked_contrastive == pytest.approx(sum(expected) / 2, rel=1e-4)
        if form == "infonce":
            assert found.clean_contrastive == pytest.approx(sum(clean) / 2, rel=1e-5)


def hill(width=0.0):
    x = torch.full((40, 1, 1, 1), 0.45)
    return DefendedModel(Plain(), Hill(width)), x, torch.zeros(40).long(), torch.arange(40)


def test_the_worst_of_all_points_counts_and_not_the_last_one():
    """Steps of 0.05 cross the top of the loss at 0.5 again and again; the point nearest to it is rarely the last."""
    width = 0.01
    model, x, y, ids = hill(width)

    def ask(points):
        return Answer(points.flatten(1), points.flatten(1)[:, 0], 0.5 - points)

    seen = torch.stack([answer.loss for answer in answers(pgd(steps=5), ask, Batch(x, y, ids), 0.1, Noise(0))])
    losses, standing = torch.log1p(torch.exp(40 * (width - (seen - 0.5).abs()))), (seen - 0.5).abs() > width
    worst, left = losses.amax(0).mean(), standing.all(0).double().mean()
    assert worst > losses[-1].mean() + 0.01
    assert left < standing[-1].double().mean()
    found = measure(model, Batch(x, y, ids), 0.1, Settings(steps=5, restarts=1))
    assert found.adversarial_ce == pytest.approx(float(worst), rel=1e-5)
    assert found.robust_accuracy == pytest.approx(float(left))


def test_the_clean_image_counts_too():
    model, x, y, ids = hill()
    found = measure(model, Batch(torch.full_like(x, 0.5), y, ids), 0.1, Settings(steps=10, restarts=1))
    assert found.clean_ce == found.adversarial_ce == pytest.approx(math.log(2), rel=1e-6)


def test_more_starts_never_find_less():
    model, x, y, ids = hill()
    found = [measure(model, Batch(x, y, ids), 0.1, Settings(steps=1, restarts=n)).adversarial_ce for n in (1, 2, 8)]
    assert found[0] < found[1] < found[2]
    x, y, ids, weight = problem(12)
    model = DefendedModel(Plain(), Linear(weight))
    found = [
        measure(model, Batch(x, y, ids), 0.2, Settings(steps=1, restarts=n)).attacked_contrastive for n in (1, 2, 8)
    ]
    assert found[0] < found[1] < found[2]


def test_a_climb_tells_of_every_point_of_every_start():
    x, y, ids, _ = problem(3)
    asked = []

    def ask(points):
        asked.append(points.clone())
        return Answer(points.flatten(1), points.sum((1, 2, 3)), torch.ones_like(points))

    told = list(answers(pgd(steps=4, restarts=2), ask, Batch(x, y, ids), 0.1, Noise(0)))
    assert len(told) == len(asked) == 2 * (4 + 1)
    assert not torch.equal(asked[0], asked[5])
    assert all((points - x).abs().max() <= 0.1 + 1e-7 for points in asked)
    assert torch.allclose(asked[4], x + 0.1)


def test_the_attack_on_the_encoder_is_as_strong_as_the_one_that_trains_it():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))

    class Curved(Plain):
        def encode(self, x):
            return encoder(x)

    x, ids = torch.rand(12, 1, 4, 4), torch.arange(12)
    found = measure(DefendedModel(Curved(), Linear(torch.ones(16))), Batch(x, ids % 2, ids), 0.1, Settings(restarts=3))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        clean = encoder(x)
    theirs = torch.full((12,), -torch.inf)
    for _ in range(3):
        points = hardest(encoder, x, eps=0.1, steps=50, step_size=None, generator=generator)
        with torch.no_grad():
            theirs = torch.maximum(theirs, contrastive_loss(encoder(points), clean, tau=0.5, form="infonce"))
    assert found.attacked_contrastive == pytest.approx(float(theirs.mean()), rel=2e-3)
    assert found.attacked_contrastive > found.clean_contrastive + 0.01


def test_every_image_is_counted_once_whatever_the_batches():
    x, y, ids, weight = problem(9)
    model, told = DefendedModel(Plain(), Linear(weight)), []
    small = measure(model, Batch(x, y, ids), 0.1, Settings(steps=2, batch=4), told.append)
    whole = measure(model, Batch(x, y, ids), 0.1, Settings(steps=2))
    assert told == [3, 3, 3]
    assert small.adversarial_ce == pytest.approx(whole.adversarial_ce, rel=1e-6)  # starts are keyed by sample
    assert small.attacked_contrastive < whole.attacked_contrastive  # fewer negatives


def test_a_random_purifier_and_a_broken_code_are_refused():
    class Random(Plain):
        def encode(self, x):
            return x.flatten(1) + 0.1 * torch.randn(len(x), 4)

    class Broken(Plain):
        def encode(self, x):
            return torch.where(x > 0.72, torch.nan, x).flatten(1)

    x, y, ids, weight = problem()
    with pytest.raises(CellFailed, match="'noisy' is random"):
        measure(DefendedModel(Random(), Linear(weight), name="noisy"), Batch(x, y, ids), 0.1, Settings(steps=1))
    with pytest.raises(CellFailed, match=r"sample \d: its code is NaN"):
        measure(DefendedModel(Broken(), Linear(weight)), Batch(x, y, ids), 0.1, Settings(steps=5))

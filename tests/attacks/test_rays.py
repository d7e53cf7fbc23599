"""RayS on models that tell the winning class and nothing else."""

import pytest
import torch
from problems import fooled_at, outcomes, problem, same
from torch import nn

import rbench
from rbench.attacks.rays import LOOK, REACH, SEARCH, rays
from rbench.errors import InputError
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.testing.known_answers import linear_problem
from rbench.threat.ball import Ball
from rbench.threat.noise import Noise
from rbench.threat.query import Answer


class Winner(nn.Module):
    """One for the winning class, nothing for the others."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        logits = self.model(x)
        return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).float()


@pytest.mark.parametrize("classes", [2, 5])
def test_comes_near_the_closed_form_optimum_of_a_linear_model_that_tells_its_class_only(classes):
    """The nearest corner of the ball is found pixel by pixel; the search along a ray stops short by its tolerance."""
    model, x, y, distance = linear_problem(8, "Linf", classes=classes, shape=(1, 4, 4))
    reach = distance * 1.1 + 1e-3
    assert bool(fooled_at(rays(queries=3000), Winner(model), x, y, "Linf", reach).all())
    assert not bool(fooled_at(rays(queries=600), Winner(model), x, y, "Linf", 0.99 * distance).any())


def test_it_beats_what_needs_a_loss_on_hard_labels_and_does_not_care_on_others():
    model, x, y = problem(40, side=6)
    hard, soft = (rbench.evaluate(net, x, y, attack=rays(queries=600), eps=0.06) for net in (Winner(model), model))
    assert hard.samples["robust"].tolist() == soft.samples["robust"].tolist()
    assert hard.samples["queries"].tolist() == soft.samples["queries"].tolist()
    pgd = rbench.evaluate(Winner(model), x, y, attack="pgd", eps=0.06, gradient="exact")
    assert hard.robust_accuracy.high < pgd.attacks["pgd"].robust_accuracy.low
    assert hard.cost["backwards"] <= 40, "the audit's"


class Asked:
    """A model on one line: wrong beyond a radius that depends on the signs of the ray. Notes how it is asked."""

    def __init__(self, x, wrong_from):
        self.x, self.wrong_from, self.radii, self.rays = x, wrong_from, [], []

    def __call__(self, state):
        delta = (state.x - self.x).flatten()
        self.radii.append(float(state.at))
        self.rays.append([1 if d > 0 else -1 for d in delta.tolist()])
        wrong = float(delta.abs().max()) > self.wrong_from(self.rays[-1])
        return Answer(torch.tensor([[float(not wrong), float(wrong)]]), torch.zeros(1), None)


def run(wrong_from, queries, eps=0.01, pixels=4):
    x, attack = torch.full((1, 1, 1, pixels), 0.5), rays(queries=queries)
    ball = Ball("Linf", torch.tensor([eps], dtype=torch.float64))
    model = Asked(x, wrong_from)
    state = attack.init(x, torch.zeros(1, dtype=torch.int64), ball, Noise(0).of("attack", torch.arange(1), x.device))
    states = [state]
    for _ in range(queries - 1):
        state = attack.update(state, model(state))
        states.append(state)
    return model, states, attack


def test_blocks_are_turned_round_from_the_whole_image_down_to_single_pixels():
    """Nothing is ever wrong, so that every ray is refused at the whole range; the first point is that on the ball."""
    model, states, attack = run(lambda ray: 9, 14)
    assert model.radii == [0.01] + [1.0] * 12
    assert model.rays[1:] == [
        [1, 1, 1, 1],
        [-1, -1, -1, -1],
        [-1, -1, 1, 1],
        [1, 1, -1, -1],
        [-1, 1, 1, 1],
        [1, -1, 1, 1],
        [1, 1, -1, 1],
        [1, 1, 1, -1],
        [-1, 1, 1, 1],
        [1, -1, 1, 1],
        [1, 1, -1, 1],
        [1, 1, 1, -1],
    ]
    assert [bool(attack.inside(state)) for state in states[:3]] == [True, False, False]


def test_a_ray_is_searched_to_the_tolerance_and_then_asked_on_the_ball():
    model, states, _ = run(lambda ray: 0.3, 16)
    kinds = [int(state.asks) for state in states]
    assert kinds[:14] == [REACH, LOOK, *[SEARCH] * 10, REACH, LOOK]
    assert 0.3 <= float(states[12].radius) <= 0.3 + 1e-3
    assert model.radii[12] == 0.01
    assert model.radii[13] == float(states[12].radius), "the next ray must be wrong where the best one is"


def test_a_ray_that_comes_nearer_is_kept_and_the_next_block_is_turned_in_it():
    """Every pixel turned down brings the border nearer."""
    _, states, _ = run(lambda ray: 0.4 + 0.05 * sum(ray), 400)
    assert states[-1].best_ray.flatten().tolist() == [-1, -1, -1, -1]
    assert 0.2 <= float(states[-1].radius) <= 0.2 + 1e-3
    _, states, _ = run(lambda ray: 0.4 - 0.05 * (ray[0] - ray[1] + ray[2] - ray[3]), 400)
    assert states[-1].best_ray.flatten().tolist() == [1, -1, 1, -1]


@pytest.mark.parametrize("pixels", [1, 3, 5, 12])
def test_blocks_that_do_not_divide_the_image_cover_it(pixels):
    model, states, _ = run(lambda ray: 9, 60, pixels=pixels)
    turned = {tuple(ray) for ray in model.rays}
    for pixel in range(pixels):
        assert tuple(-1 if i == pixel else 1 for i in range(pixels)) in turned
    assert bool((states[-1].block < pixels).all())


def test_points_beyond_the_ball_are_asked_about_and_never_proposed():
    model, x, y = problem(20, side=6)
    found = rbench.evaluate(Winner(model), x, y, attack=rays(queries=200), eps=1e-4)
    assert found.samples["robust"].mean() > 0.9
    assert float((found.adversarial - x).abs().max()) <= 1e-4
    assert float((found.adversarial - x).abs().min()) > 0.9e-4, "a point on the ball, not the clean image"


@pytest.mark.parametrize("purifier", [None, GaussianNoise(sigma=0.05)], ids=["deterministic", "random"])
def test_neither_batch_nor_order_changes_a_verdict(purifier):
    model, x, y = problem(24, side=6)
    attack, common = (
        rays(queries=100),
        {"purifier": purifier, "norm": "Linf", "eps": 0.3 if purifier else 0.06, "draws": 4},
    )
    first = outcomes(attack, Winner(model), x, y, batch_size=16, **common)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    assert same(first, outcomes(attack, Winner(model), x, y, batch_size=8, order=order, **common))
    assert first["queries"].unique().numel() > 1, "samples leave at different times"


@pytest.mark.parametrize("norm", ["L2", "L1"])
def test_other_norms_are_refused(norm):
    model, x, y = problem(2)
    with pytest.raises(InputError, match=f"norm: .*{norm}.*Linf"):
        rbench.evaluate(model, x, y, attack="rays", norm=norm)

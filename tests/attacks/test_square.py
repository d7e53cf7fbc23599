"""Square: the shapes of its paper, the authors' code at the same budget, and a stream of draws that belongs to the sample."""

import pytest
import torch
from problems import outcomes, problem, same
from pyautoattack.square import SquareAttack
from torch import nn

import rbench
from rbench.attacks.square import bump, mound, sides, square, window
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.threat.ball import Ball, distance
from rbench.threat.noise import Noise, step_uniforms
from rbench.threat.query import Answer

CPU = torch.device("cpu")
RADII = {"Linf": 0.012, "L2": 0.12, "L1": 0.6}
norms = pytest.mark.parametrize("norm", list(RADII))


# --- its shapes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "decay", "order"), [("L2", 2, 2), ("L1", 4, 1)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3), (2, 5), (3, 3), (4, 7)])
def test_a_mound_is_the_sum_of_the_paper(norm, decay, order, height, width):
    """Eq. 2: at (r, s), counted from 1, the sum over k = 0 .. M of (n + 1 - k)^-2, where M is n less the ring of (r, s)."""
    n = max(height, width) // 2
    expected = torch.zeros(height, width, dtype=torch.float64)
    for r in range(1, height + 1):
        for s in range(1, width + 1):
            m = n - max(abs(r - height // 2 - 1), abs(s - width // 2 - 1))
            expected[r - 1, s - 1] = sum((n + 1 - k) ** -decay for k in range(m + 1))
    expected /= expected.flatten().norm(p=order)
    assert torch.allclose(mound(height, width, norm), expected, atol=1e-14)


@pytest.mark.parametrize(("norm", "order"), [("L2", 2), ("L1", 1)])
@pytest.mark.parametrize("side", [1, 2, 3, 8])
def test_a_bump_has_length_one_and_two_signs(norm, order, side):
    made = bump(side, norm)
    assert float(made.flatten().norm(p=order)) == pytest.approx(1)
    assert bool((made[: side // 2] > 0).all())
    assert bool((made[side // 2 :] < 0).all())


def test_squares_shrink_as_the_paper_says():
    """32 x 32, p = 0.8: sides sqrt(p * 1024), p halved at each of nine queries of 10,000."""
    assert sides(32, 32, 0.8, least=1, device=CPU).tolist() == [29, 20, 14, 10, 7, 5, 4, 3, 2, 1]
    assert sides(32, 32, 0.8, least=3, device=CPU).tolist() == [29, 21, 15, 11, 7, 5, 5, 3, 3, 3]
    assert sides(4, 9, 1.0, least=1, device=CPU).tolist()[0] == 4


def test_a_window_is_anywhere_with_the_same_chance_and_never_outside():
    n, side = 4000, 3
    uniforms = torch.rand(n, 2, generator=torch.Generator().manual_seed(0)).double()
    within, (top, left) = window(uniforms, torch.full((n,), side), torch.zeros(n, 1, 5, 7))
    assert bool((within.flatten(1).sum(1) == side**2).all())
    for first, places in ((top, 3), (left, 5)):
        counts = torch.bincount(first, minlength=places)
        assert len(counts) == places
        assert bool(((counts / n * places - 1).abs() < 0.12).all())
    row = within[0, 0].nonzero()
    assert row.amin(0).tolist() == [int(top[0]), int(left[0])]


def begun(norm, n=6, side=10, channels=3, **params):
    attack = square(queries=100, **params)
    x = torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    ball = Ball(norm, torch.full((n,), RADII[norm], dtype=torch.float64))
    return (
        attack,
        x,
        attack.init(x, torch.zeros(n, dtype=torch.int64), ball, Noise(0).of("attack", torch.arange(n), x.device)),
    )


def test_it_starts_from_vertical_stripes_at_corners_of_the_ball():
    _, x, state = begun("Linf")
    delta = (state.x - x) / RADII["Linf"]
    assert torch.allclose(delta.abs(), torch.ones_like(delta), atol=1e-4)
    assert torch.allclose(delta, delta[:, :, :1].expand_as(delta), atol=1e-4)
    assert 0.4 < float((delta > 0).float().mean()) < 0.6


@pytest.mark.parametrize("norm", ["L2", "L1"])
def test_it_starts_on_the_sphere_with_every_part_of_the_image_moved(norm):
    _, x, state = begun(norm)
    assert torch.allclose(distance(state.x, x, norm), torch.full((6,), RADII[norm], dtype=torch.float64), rtol=1e-3)
    quarters = (state.x - x).unfold(2, 5, 5).unfold(3, 5, 5).abs().amax((-1, -2))
    assert bool((quarters > 0).all())


@norms
def test_a_query_changes_the_best_point_in_squares_only(norm):
    """One square under Linf, at corners of the ball; two otherwise, of which the second is emptied, and all the rest in proportion."""
    attack, x, state = begun(norm)
    state = attack.update(state, Answer(torch.zeros(6, 2), torch.zeros(6), None))
    for _ in range(80):  # small squares by then
        state = attack.update(state, Answer(torch.zeros(6, 2), torch.full((6,), -1.0), None))
    assert torch.equal(state.best, begun(norm)[2].x), "never better than the start"
    assert bool((distance(state.x, x, norm) <= RADII[norm]).all())
    before, after = state.best - x, state.x - x
    if norm == "Linf":
        changed = (after != before).any(1)
        assert bool((changed.flatten(1).sum(1) <= 2**2).all())
        assert bool(changed.flatten(1).any(1).sum() >= 3)
    elif norm == "L2":
        ratio = (after / before).flatten(1)
        common = ratio.median(dim=1, keepdim=True).values
        changed = ((ratio - common).abs() > 1e-3).view_as(before).any(1)
        assert bool((changed.flatten(1).sum(1) <= 2 * 3**2).all())
        assert bool(changed.flatten(1).any(1).all())


@pytest.mark.parametrize("norm", ["L2", "L1"])
def test_one_square_is_emptied_into_another_and_the_radius_is_used_up(norm):
    """However much of the radius the best point has left over."""
    attack, x, state = begun(norm)
    half = (x + 0.5 * (state.x - x)).clamp(0, 1)
    state = state._replace(best=half, best_loss=torch.full((6,), 1.0), asked=torch.full_like(state.asked, 90))
    after = attack.update(state, Answer(torch.zeros(6, 2), torch.zeros(6), None)).x - x
    assert torch.allclose(
        after.flatten(1).norm(p=1 if norm == "L1" else 2, dim=1), torch.tensor(RADII[norm]), rtol=1e-3
    )
    if norm == "L2":
        emptied = ((after == 0) & (half != x)).all(1).flatten(1).sum(1)
        assert bool((emptied <= 3**2).all())
        assert int((emptied > 0).sum()) >= 4, "the two squares may lie on each other"


def test_what_is_better_is_kept_and_what_is_not_is_forgotten():
    attack, _, first = begun("Linf")
    second = attack.update(first, Answer(torch.zeros(6, 2), torch.zeros(6), None))
    loss = torch.tensor([1.0, -1.0, 0.0, 2.0, -2.0, 0.5])
    third = attack.update(second, Answer(torch.zeros(6, 2), loss, None))
    for row, value in enumerate(loss.tolist()):
        assert torch.equal(third.best[row], (second if value > 0 else first).x[row])
    assert third.best_loss.tolist() == loss.clamp(min=0).tolist()


# --- the authors' code --------------------------------------------------------------------------------------------


@norms
def test_at_the_same_budget_it_comes_as_far_as_the_package(norm):
    """The package never puts a square into the last row or column, which costs it a little on small images."""
    model, x, y = problem(80, side=16)
    found = rbench.evaluate(model, x, y, attack=square(queries=400), norm=norm, eps=RADII[norm], batch_size=80)
    reference = SquareAttack(model, norm=norm, n_queries=400, eps=RADII[norm], seed=0)
    with torch.random.fork_rng():
        theirs = float((model(reference.perturb(x, y)).argmax(1) == y).float().mean())
    assert 0.2 < theirs < 0.9
    assert theirs - 0.12 <= found.samples["robust"].mean() <= theirs + 0.03
    assert found.cost["backwards"] <= 80, "the audit's"


# --- what it asks -------------------------------------------------------------------------------------------------


class Stepped(nn.Module):
    """A model without a useful gradient anywhere."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return (500 * self.model(x)).round() / 500


def test_it_needs_no_gradient():
    model, x, y = problem(40)
    found = rbench.evaluate(Stepped(model), x, y, attack=square(queries=300), eps=0.03)
    assert found.robust_accuracy.high < found.standard_accuracy.low
    assert "zero-gradients" not in found.flag_names


def test_it_asks_as_often_as_it_is_told():
    model, x, y = problem(3)
    found = rbench.evaluate(model, x, y, attack=square(queries=50, restarts=2), eps=1e-6)
    assert found.samples["queries"].tolist() == [100] * 3


def test_a_larger_first_share_begins_with_larger_squares():
    _, _, wide = begun("Linf", share=0.8)
    attack, _, narrow = begun("Linf", share=0.01)
    answer = Answer(torch.zeros(6, 2), torch.zeros(6), None)
    changed = (attack.update(narrow, answer).x != narrow.x).any(1).flatten(1).sum(1)
    assert bool((changed <= 1).all())
    assert bool(((begun("Linf")[0].update(wide, answer).x != wide.x).any(1).flatten(1).sum(1) > 20).any())


# --- the batch is a matter of speed only --------------------------------------------------------------------------


@norms
@pytest.mark.parametrize("purifier", [None, GaussianNoise(sigma=0.05)], ids=["deterministic", "random"])
def test_neither_batch_nor_order_changes_a_verdict(norm, purifier):
    model, x, y = problem(24, side=6)
    common = {"purifier": purifier, "norm": norm, "eps": RADII[norm] * (8 if purifier else 1), "draws": 4}
    first = outcomes(square(queries=40), model, x, y, batch_size=16, **common)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    assert same(first, outcomes(square(queries=40), model, x, y, batch_size=8, order=order, **common))
    assert first["queries"].unique().numel() > 1, "samples leave at different times"


def test_the_draws_of_a_step_are_those_of_the_sample():
    key, step = torch.tensor([3, 5, 3]), torch.tensor([0, 0, 1])
    draws = step_uniforms(key, step, 8)
    assert torch.equal(draws[0], step_uniforms(key[:1], step[:1], 8)[0])
    assert bool((draws[0] != draws[1]).any())
    assert bool((draws[0] != draws[2]).any())

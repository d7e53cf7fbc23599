"""Auto-PGD: its schedule, the authors' code from the same starts, closed forms, and a verdict that no batch changes."""

import warnings
from fractions import Fraction

import pytest
import torch
from problems import fooled_at, outcomes, problem, same
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

import rbench
from rbench.attacks.apgd import apgd, checkpoints
from rbench.attacks.apgd_l1 import SHRINKING, schedule, sparse, steepest_pixels
from rbench.errors import InputError
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.testing.known_answers import linear_problem
from rbench.threat.ball import Ball, distance
from rbench.threat.losses import LOSSES, TARGETED
from rbench.threat.noise import Noise
from rbench.threat.query import Answer

RADII = {"Linf": 0.012, "L2": 0.08, "L1": 0.5}
norms = pytest.mark.parametrize("norm", list(RADII))


# --- the schedule -------------------------------------------------------------------------------------------------


def test_a_hundred_steps_are_looked_at_where_the_paper_says():
    assert checkpoints(100) == (0, 22, 41, 57, 70, 80, 87, 93, 99)


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50, 1000])
def test_checkpoints_follow_the_recursion_of_the_paper(steps):
    """p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06); looked at after ceil(p_j * steps) steps."""
    shares = [Fraction(0), Fraction(22, 100)]
    while shares[-1] <= 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - Fraction(3, 100), Fraction(6, 100)))
    assert checkpoints(steps) == tuple(sorted({-(-share * steps // 1) for share in shares if share <= 1}))


# --- the authors' code from the same starts -----------------------------------------------------------------------


def starts(attack, x, y, norm, restart):
    """Where our attack begins."""
    eps = torch.full((len(x),), RADII[norm], dtype=torch.float64)
    noise = Noise(0).of("attack", torch.arange(len(x)), x.device, draw=restart)
    return attack.init(x, y, Ball(norm, eps), noise).x


def by_hand(model, x, y, loss, norm, attack, monkeypatch):
    """What the package finds from our starts: which samples it fools, and the highest loss it has seen of each."""
    fooled, highest = torch.zeros(len(x), dtype=torch.bool), torch.full((len(x),), -torch.inf)
    targets = model(x).scatter(1, y[:, None], -torch.inf).sort(dim=1, descending=True).indices
    for run in range(attack.runs):
        start = starts(attack, x, y, norm, run)
        common = {"n_iter": attack.steps, "norm": norm, "eps": RADII[norm], "device": x.device}
        if attack.targets:
            reference = APGDAttack_targeted(model, **common)
            reference.y_target = targets[:, run]
        else:
            reference = APGDAttack(model, loss=loss, **common)
        reference.init_hyperparam(x)
        if norm == "L1":
            # It draws its start, so it is made to draw ours: inside, it projects onto itself.
            monkeypatch.setattr(torch, "randn_like", lambda like, start=start: start - x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if norm == "L1":
                radii, steps = [3 * RADII[norm], 2 * RADII[norm], RADII[norm]], [30, 30, 40]
                _, right, best, _ = reference.decr_eps_pgd(x, y, radii, steps)
            else:
                _, right, best, _ = reference.attack_single_run(x, y, x_init=start)
        fooled |= ~right.bool()
        highest = torch.maximum(highest, best)
    return fooled, highest


def loss_at(model, points, y, loss, clean):
    logits = model(points)
    if loss in LOSSES:
        return LOSSES[loss](logits, y)
    others = clean.scatter(1, y[:, None], -torch.inf).topk(9, dim=1).indices
    return torch.stack([TARGETED[loss](logits, y, others[:, i]) for i in range(9)]).amax(0)


@norms
@pytest.mark.parametrize("loss", ["ce", "dlr", "dlr-targeted"])
def test_from_the_same_starts_the_package_comes_as_far(norm, loss, monkeypatch):
    model, x, y = problem(100)
    attack = apgd(steps=100, loss=loss, targets=9)
    found = rbench.evaluate(model, x, y, attack=attack, norm=norm, eps=RADII[norm])
    fooled, highest = by_hand(model, x, y, loss, norm, attack, monkeypatch)
    ours = torch.tensor(found.samples["robust"].to_numpy() == 0)
    assert 0.2 < float(ours.float().mean()) < 0.8
    assert int((fooled & ~ours).sum()) <= 2
    stand = ~ours & ~fooled
    reached, highest = loss_at(model, found.adversarial, y, loss, model(x))[stand], highest[stand]
    assert float(reached.mean()) >= float(highest.mean()) - 0.005 * float(highest.abs().mean())
    if norm != "L1":  # there ours comes down to single pixels, and the package does not
        assert int((ours & ~fooled).sum()) <= 2
        assert torch.allclose(reached, highest, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_every_point_on_the_way_is_that_of_the_package(norm, loss):
    model, x, y = problem(40)
    attack, eps = apgd(steps=100, loss=loss), 4 * RADII[norm]
    ball = Ball(norm, torch.full((40,), eps, dtype=torch.float64))
    state = attack.init(x, y, ball, Noise(0).of("attack", torch.arange(40), x.device))
    ours, theirs = [state.x], []

    def watched(points):
        theirs.append(points.detach().clone())
        return model(points)

    reference = APGDAttack(watched, n_iter=100, norm=norm, eps=eps, loss=loss, device=x.device)
    reference.init_hyperparam(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.attack_single_run(x, y, x_init=state.x)
    for _ in range(100):
        point = state.x.clone().requires_grad_()
        logits = model(point)
        losses = LOSSES[loss](logits, y)
        (gradient,) = torch.autograd.grad(losses.sum(), point)
        state = attack.update(state, Answer(logits.detach(), losses.detach(), gradient))
        ours.append(state.x)
    assert len(ours) == len(theirs)
    apart = torch.stack([(a - b).abs().flatten(1).amax(1) for a, b in zip(ours, theirs, strict=True)]).amax(0)
    assert float((apart < 0.01 * eps).float().mean()) >= 0.9, "rounding may part a few"
    assert float(state.step_size.min()) < eps / 4


def told(attack, x, norm, losses, slopes, **begin):
    """The states of an attack on one image that is told these losses and slopes; `begin` is set at its start."""
    ball = Ball(norm, torch.tensor([0.1], dtype=torch.float64))
    start = attack.init(x, torch.zeros(1, dtype=torch.int64), ball, Noise(0).of("attack", torch.arange(1), x.device))
    states = [start._replace(**begin)]
    for loss, slope in zip(losses, slopes, strict=True):
        states.append(attack.update(states[-1], Answer(torch.zeros(1, 2), torch.tensor([loss]), slope)))
    return states


def test_a_loss_that_falls_halves_the_step_and_takes_the_best_point_up_again():
    """Of ten steps, the third answer after the first is the first to be looked at."""
    x = torch.full((1, 1, 1, 4), 0.5)
    up, down = torch.ones_like(x), -torch.ones_like(x)
    states = told(apgd(steps=10), x, "Linf", [0.0, -1.0, -2.0, -3.0], [up, down, down, down])
    assert [float(state.step_size) / 0.1 for state in states] == pytest.approx([2, 2, 2, 2, 1])
    assert torch.equal(states[-1].previous, states[0].x)
    assert bool((states[-1].x > states[-2].x).all()), "along the slope at the best point, not the last one"


def test_a_best_loss_that_stood_still_halves_the_step_however_often_the_loss_rose():
    """It rises at two steps of three and more, but never above the start; nor after a halving, which is given time to tell."""
    x = torch.full((1, 1, 1, 4), 0.5)
    losses = [0.0, *(-100.0 + step for step in range(99))]
    states = told(apgd(steps=100), x, "Linf", losses, [torch.ones_like(x)] * 100)
    sizes = [float(state.step_size) / 0.2 for state in states]
    assert [sizes[step] for step in (22, 23, 41, 42, 57, 58, 70, 71)] == pytest.approx(
        [1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    )


ONE = ((1.0, 1.0),)
"""One ball, that of the threat."""
MANY = {"pixels": torch.tensor([10.0]).double(), "checkpoint_pixels": torch.tensor([50.0]).double()}
"""A start of so many pixels, of which ten are moved at first."""


def test_under_l1_fewer_pixels_bring_the_step_back_and_as_many_shrink_it():
    x = torch.full((1, 1, 1, 50), 0.5)
    slope = torch.linspace(1, 2, 50).view_as(x)
    rising = told(sparse(25, ONE), x, "L1", [float(step) for step in range(25)], [slope] * 25, **MANY)
    moved = [int(((state.best - x).abs() > 1e-6).sum()) for state in rising]
    assert moved[-1] == 1
    assert all(float(state.step_size) == pytest.approx(0.1) for state in rising if state.pixels > 1)
    still = told(sparse(25, ONE), x, "L1", [0.0, *[-1.0] * 24], [slope] * 25, **MANY)
    sizes = [float(state.step_size) / 0.1 for state in still]
    # Counted at the first look, from all pixels to those of the start; from then on as many each time.
    assert sizes[:6] == pytest.approx([1, 1, 1, 1 / 1.5, 1.5**-2, 1.5**-3])
    assert min(sizes) == pytest.approx(0.1)
    assert torch.equal(still[2].best, still[0].x)


def test_under_l1_a_step_that_is_brought_back_goes_on_from_the_best_point_along_its_slope():
    x = torch.full((1, 1, 1, 50), 0.5)
    flat, first, last = torch.zeros(50), torch.zeros(50), torch.zeros(50)
    first[0], last[1] = 1, 1
    slopes = [slope.view_as(x) for slope in (flat, first, last)]
    states = told(sparse(50, ONE), x, "L1", [0.0, 5.0, 1.0], slopes, **MANY)
    best = states[1].x
    assert torch.equal(states[3].best, best)
    expected = Ball("L1", torch.tensor([0.1], dtype=torch.float64)).project(best + 0.1 * slopes[1], x)
    assert torch.allclose(states[3].x, expected, atol=1e-7)


def test_a_sparse_step_moves_the_steepest_pixels_by_the_same_length():
    slopes = torch.tensor([[0.1, -3.0, 0.2, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]).view(2, 1, 1, 5)
    step = steepest_pixels(slopes, torch.tensor([2.0, 2.0], dtype=torch.float64)).flatten(1)
    assert step.tolist() == [[0, -0.5, 0, 0.5, 0], [0] * 5]


# --- known answers ------------------------------------------------------------------------------------------------


@norms
@pytest.mark.parametrize(
    ("loss", "classes", "reach"),
    [
        ("ce", 2, 1.05),
        ("dlr", 2, 1.05),
        ("dlr-targeted", 3, 1.05),
        ("dlr-targeted", 10, 1.05),
        ("margin-targeted", 5, 1.05),
        # The best wrong class of ten changes from step to step, so the loss has a ridge; the targeted losses are there for it.
        ("margin", 10, 1.25),
        ("dlr", 10, 1.25),
    ],
)
def test_finds_the_closed_form_optimum_of_a_linear_model(norm, loss, classes, reach):
    if norm == "L1" and reach > 1.05:
        pytest.skip("on a ridge the one pixel to move changes at every step")
    model, x, y, distance = linear_problem(8, norm, classes=classes)
    attack = apgd(steps=100, loss=loss)
    assert bool(fooled_at(attack, model, x, y, norm, reach * distance).all())
    assert not bool(fooled_at(attack, model, x, y, norm, 0.99 * distance).any())


def test_a_sample_that_stands_costs_its_steps_toward_every_target_and_one_query_to_find_them():
    model, x, y = problem(3)
    attack = apgd(steps=5, restarts=2, loss="dlr-targeted", targets=4)
    found = rbench.evaluate(model, x, y, attack=attack, eps=1e-6)
    assert found.samples["queries"].tolist() == [1 + 2 * 4 * 6] * 3
    assert attack.runs == 8


def test_targets_come_by_their_logits_and_every_wrong_class_is_reached():
    """Only the fifth likeliest class can win: the others are out of reach of the ball."""

    class Fifth(torch.nn.Module):
        def forward(self, x):
            rise = (x - 0.5).flatten(1).sum(1)
            still = torch.zeros_like(rise)
            return torch.stack([still + 5, 4 - 0.01 * rise, 3 + still, 2 + still, 1 + still, 6 * rise, still], 1)

    x, y = torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, dtype=torch.int64)
    x[1, 0, 0, 0] += 0.01  # equal images would count once
    few, all_of_them = (
        rbench.evaluate(Fifth(), x, y, attack=apgd(steps=10, loss="margin-targeted", targets=n), eps=0.06)
        for n in (1, 9)
    )
    assert few.samples["robust"].mean() == 1
    assert all_of_them.robust_accuracy.value == 0
    assert all_of_them.audit["targets"] == "6 targets (9 asked for; the backbone has 7 classes)"


@pytest.mark.parametrize(
    ("classes", "loss", "instead"),
    [
        (2, "dlr", "margin"),
        (3, "dlr", "dlr"),
        (3, "dlr-targeted", "margin-targeted"),
        (4, "dlr-targeted", "dlr-targeted"),
    ],
)
def test_few_classes_get_a_loss_that_they_allow_and_the_record_says_so(classes, loss, instead):
    model, x, y = problem(4, classes=classes)
    found = rbench.evaluate(model, x, y, attack=apgd(steps=5, loss=loss), eps=0.2)
    assert found.audit["loss"] == instead
    assert found.robust_accuracy.value == 0
    if loss.endswith("targeted"):
        assert found.audit["targets"].startswith(f"{classes - 1} targets")


def test_ten_classes_leave_no_note_of_targets():
    model, x, y = problem(2)
    assert "targets" not in rbench.evaluate(model, x, y, attack=apgd(steps=1, loss="dlr-targeted"), eps=0.01).audit


@pytest.mark.parametrize("params", [{"targets": 0}, {"steps": 0}, {"loss": "cw"}])
def test_what_makes_no_attack_is_refused(params):
    with pytest.raises(InputError):
        rbench.load("attack", "apgd", **params)


# --- the batch is a matter of speed only --------------------------------------------------------------------------


@norms
@pytest.mark.parametrize("purifier", [None, GaussianNoise(sigma=0.05)], ids=["deterministic", "random"])
@pytest.mark.parametrize("loss", ["ce", "dlr-targeted"])
def test_neither_batch_nor_order_changes_a_verdict(norm, purifier, loss):
    model, x, y = problem(24, side=6)
    attack = apgd(steps=16 if purifier else 8, loss=loss, targets=3)
    common = {
        "purifier": purifier,
        "norm": norm,
        "eps": RADII[norm] * ((3 if norm == "L2" else 8) if purifier else 1),
        "eot": 2 if purifier else 1,
    }
    first = outcomes(attack, model, x, y, batch_size=16, **common)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    assert same(first, outcomes(attack, model, x, y, batch_size=8, order=order, **common))
    # Under L1 a start comes into the ball itself only when it is more than half over, too late for a test and as many steps again.
    assert (first["queries"].unique().numel() > 1) == (norm != "L1" or purifier is None), (
        "samples leave at different times"
    )


def test_under_l1_the_ball_shrinks_to_that_of_the_threat_and_each_begins_at_the_best_point_of_the_one_before():
    x = torch.full((1, 1, 1, 50), 0.5)
    slope = torch.linspace(1, 2, 50).view_as(x)
    states = told(apgd(steps=20), x, "L1", [float(step) for step in range(20)], [slope] * 20)
    sizes = [float(distance(state.x, x, "L1")) for state in states]
    assert [round(10 * max(sizes[first:last]), 4) for first, last in ((0, 6), (6, 12), (12, 21))] == [3, 2, 1]
    nearest = Ball("L1", torch.tensor([0.2], dtype=torch.float64)).project(states[5].x, x)
    assert torch.allclose(states[6].x, nearest)
    inside = [bool(apgd(steps=20).inside(state)) for state in states]
    assert inside == [False] * 12 + [True] * 9
    assert float(states[6].step_size) == pytest.approx(0.2)
    assert float(states[12].step_size) == pytest.approx(0.1)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10, 100])
def test_under_l1_the_last_query_is_in_the_ball_of_the_threat(steps):
    plan = schedule(steps, SHRINKING, torch.device("cpu"))
    assert len(plan.factor) == len(plan.checkpoint) == len(plan.last) == steps + 1
    assert float(plan.factor[-1]) == 1
    assert not plan.last[-1]

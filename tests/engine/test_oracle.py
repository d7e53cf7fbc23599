"""The oracle against gradients written by hand, and its costs against a count."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle, refuse_non_finite
from rbench.errors import CellFailed
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.random_resize_pad import RandomResizePad
from rbench.threat.batch import Batch
from rbench.threat.losses import LOSSES, cross_entropy
from rbench.threat.noise import Noise

B, SHAPE, CLASSES = 5, (1, 3, 4), 4


class Linear(nn.Module):
    """A linear backbone, so that its gradient can be written down."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(CLASSES, 12, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T

    def gradient(self, purified, y):
        """Of the cross-entropy at the purified image: W' (softmax - onehot)."""
        slope = self(purified).softmax(1) - functional.one_hot(y, CLASSES)
        return (slope @ self.weight).view(-1, *SHAPE).detach()


class Steps(nn.Module):
    """Rounds to four levels: true gradient zero."""

    stochastic = False

    def forward(self, x):
        return (x * 3).round() / 3


class StepsOfASquare(Steps):
    """Rounds the square and says so: its stand-in has the derivative 2x."""

    def forward(self, x):
        return super().forward(x * x)

    def surrogate(self, x):
        return x * x


class Doubling(nn.Module):
    """Doubles and draws: its exact gradient is twice that behind it, at the noisy image."""

    stochastic = True

    def forward(self, x, *, noise):
        return 2 * x + 0.3 * noise.normal(*x.shape[1:])


class Detached(nn.Module):
    """Cuts the graph."""

    stochastic = False

    def forward(self, x):
        return x.detach() * 0.5


class InfiniteSlope(nn.Module):
    """The identity, with NaN as derivative of the first pixel."""

    stochastic = False

    def forward(self, x):
        first = x.flatten(1)[:, 0]
        return x + functional.pad((first - first).sqrt()[:, None], (0, 11)).view_as(x)


class Forbidden(nn.Module):
    """Must not be called."""

    stochastic = False

    def forward(self, x):
        raise AssertionError("the blind path looked at the purifier")


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(B, *SHAPE, generator=generator)
    return x, torch.arange(B) % CLASSES, torch.arange(10, 10 + B), torch.zeros(B, dtype=torch.int64)


def oracle(purifier, path="exact", *, eot=1, seed=0):
    return Oracle(DefendedModel(purifier, Linear()), path, eot=eot, noise=Noise(seed))


def test_bpda_passes_the_gradient_at_the_purified_image_straight_through(problem):
    x, y, ids, calls = problem
    asked = oracle(Steps(), "bpda")
    answer = asked.gradient(Batch(x, y, ids), calls, "ce")
    assert torch.allclose(answer.gradient, Linear().gradient(Steps()(x), y), atol=1e-6)


def test_bpda_multiplies_by_the_derivative_of_the_purifiers_own_stand_in(problem):
    x, y, ids, calls = problem
    answer = oracle(StepsOfASquare(), "bpda").gradient(Batch(x, y, ids), calls, "ce")
    expected = Linear().gradient(StepsOfASquare()(x), y) * 2 * x
    assert torch.allclose(answer.gradient, expected, atol=1e-6)


@pytest.mark.parametrize("purifier", [Steps(), StepsOfASquare(), GaussianNoise()])
@pytest.mark.parametrize("path", ["exact", "bpda"])
def test_what_an_attacker_sees_forward_is_the_purifier_to_the_bit(purifier, path, problem):
    x, y, ids, calls = problem
    asked = oracle(purifier, path)
    truth = asked.model(x, Noise(0).of("defence", ids, x.device))
    assert torch.equal(asked.gradient(Batch(x, y, ids), calls, "ce").logits, truth)
    assert torch.equal(asked.logits(Batch(x, y, ids), calls, "ce").logits, truth)


def test_blind_leaves_the_purifier_out(problem):
    x, y, ids, calls = problem
    answer = oracle(Forbidden(), "blind").gradient(Batch(x, y, ids), calls, "ce")
    assert torch.equal(answer.logits, Linear()(x))
    assert torch.allclose(answer.gradient, Linear().gradient(x, y), atol=1e-6)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("eot", [1, 3])
def test_eot_is_the_mean_of_the_draws_each_differentiated_under_its_own_noise(eot, loss, problem):
    x, y, ids, _ = problem
    calls, model = torch.tensor([0, 3, 1, 0, 7]), Linear()
    answer = oracle(Doubling(), eot=eot).gradient(Batch(x, y, ids), calls, loss)
    logits, losses, gradients = [], [], []
    for draw in range(eot):
        point = x.clone().requires_grad_()
        noise = Noise(0).of("defence", ids, x.device, draw=draw, calls=calls).normal(*SHAPE)
        logits.append(model(2 * point + 0.3 * noise))
        losses.append(LOSSES[loss](logits[-1], y))
        gradients.append(torch.autograd.grad(losses[-1].sum(), point)[0])
    for found, parts in zip(answer[:3], (logits, losses, gradients), strict=True):
        assert torch.allclose(found, torch.stack(parts).mean(0), atol=1e-6)
    assert torch.equal(torch.stack(answer.draws), torch.stack(logits)), "the logits of every draw are told"


def test_forward_and_backward_meet_the_same_noise(problem):
    """Under the exact path the gradient is that at the very image whose logits are told; bpda differs by the factor 2 alone."""
    x, y, ids, calls = problem
    exact, bpda = (oracle(Doubling(), path).gradient(Batch(x, y, ids), calls, "ce") for path in ("exact", "bpda"))
    slope = exact.logits.softmax(1) - functional.one_hot(y, CLASSES)
    expected = (slope @ Linear().weight).view(-1, *SHAPE).detach()
    assert torch.allclose(exact.gradient, 2 * expected, atol=1e-5)
    assert torch.allclose(bpda.gradient, expected, atol=1e-5)


def test_every_query_of_a_sample_meets_fresh_noise_and_the_same_query_the_same(problem):
    x, y, ids, calls = problem
    asked = oracle(Doubling(), eot=2)
    answers = [asked.logits(Batch(x, y, ids), calls + call, "ce").logits for call in (0, 1, 2, 0)]
    assert torch.equal(answers[0], answers[3])
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert bool((answers[a] != answers[b]).any(1).all())


def test_an_attacker_never_sees_the_noise_of_the_judge(problem):
    x, y, ids, calls = problem
    asked = oracle(Doubling())
    seen = asked.logits(Batch(x, y, ids), calls, "ce").logits
    for role in ("select", "score", "attack", "calibration"):
        assert bool((seen != asked.model(x, Noise(0).of(role, ids, x.device))).any(1).all())


def test_a_cut_graph_answers_with_zeros_and_costs_no_backward(problem):
    x, y, ids, calls = problem
    asked = oracle(Detached())
    answer = asked.gradient(Batch(x, y, ids), calls, "ce")
    assert torch.equal(answer.gradient, torch.zeros_like(x))
    assert torch.allclose(answer.loss, cross_entropy(Linear()(x / 2), y))
    assert asked.model.meter.backwards == 0


@pytest.mark.parametrize("eot", [1, 2])
def test_a_nan_gradient_becomes_zero_where_it_is_nan_and_nowhere_else(eot, problem):
    x, y, ids, calls = problem
    found = oracle(InfiniteSlope(), eot=eot).gradient(Batch(x, y, ids), calls, "ce").gradient.flatten(1)
    assert torch.equal(found[:, 0], torch.zeros(B))
    assert torch.allclose(found[:, 1:], Linear().gradient(x, y).flatten(1)[:, 1:], atol=1e-6)


@pytest.mark.parametrize("ask", ["gradient", "logits"])
def test_logits_that_are_not_finite_fail_the_cell_and_name_the_samples(ask, problem):
    x, y, ids, calls = problem
    x[1], x[3] = torch.nan, torch.inf
    answer = getattr(oracle(nn.Identity()), ask)(Batch(x, y, ids), calls, "ce")
    with pytest.raises(CellFailed, match="sample 11: logits are NaN") as failure:
        refuse_non_finite(answer.logits, ids)
    assert failure.value.sample_ids == (11, 13)


@pytest.mark.parametrize("path", ["exact", "bpda", "blind"])
@pytest.mark.parametrize("eot", [1, 3])
def test_costs_are_counted_in_images(path, eot, problem):
    x, y, ids, calls = problem
    asked = oracle(Doubling(), path, eot=eot)
    asked.gradient(Batch(x, y, ids), calls, "ce")
    purified = 0 if path == "blind" else B * eot
    assert asked.model.meter.totals() == {
        "forwards": B * eot, "backwards": B * eot, "purifier_passes": purified, "queries": B
    }  # fmt: skip
    asked.logits(Batch(x[:2], y[:2], ids[:2]), calls[:2], "ce")
    assert asked.model.meter.forwards == (B + 2) * eot
    assert asked.model.meter.backwards == B * eot
    assert asked.model.meter.queries == B + 2


@pytest.mark.parametrize("path", ["exact", "bpda", "blind"])
@pytest.mark.parametrize("purifier", [Doubling(), StepsOfASquare(), RandomResizePad(smallest=0.5)])
def test_a_sample_alone_gets_the_answer_it_gets_among_others(purifier, path, problem):
    x, y, ids, calls = problem
    asked = oracle(purifier, path, eot=2)
    together = asked.gradient(Batch(x, y, ids), calls + 4, "ce")
    for row in range(B):
        one = slice(row, row + 1)
        alone = asked.gradient(Batch(x[one], y[one], ids[one]), calls[one] + 4, "ce")
        for found, expected in zip(alone[:3], together[:3], strict=True):
            assert torch.allclose(found, expected[one], atol=1e-5)


def test_a_single_image_is_shown_twice_and_both_are_counted(problem):
    x, y, ids, calls = problem
    asked = oracle(Doubling())
    asked.gradient(Batch(x[:1], y[:1], ids[:1]), calls[:1], "ce")
    assert asked.model.meter.totals() == {"forwards": 2, "backwards": 1, "purifier_passes": 2, "queries": 1}


# --- as a module for third-party attacks --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["exact", "bpda", "blind"])
def test_as_a_module_the_oracle_has_the_same_logits_and_the_same_backward(path, problem):
    x, y, ids, calls = problem
    asked = oracle(StepsOfASquare(), path)
    expected = asked.gradient(Batch(x, y, ids), calls, "ce")
    point = x.clone().requires_grad_()
    logits = asked.as_module(Batch(x, y, ids))(point)
    assert torch.equal(logits, expected.logits)
    assert torch.allclose(torch.autograd.grad(cross_entropy(logits, y).sum(), point)[0], expected.gradient, atol=1e-6)


def test_as_a_module_it_draws_afresh_at_every_call_and_counts_what_is_spent(problem):
    x, y, ids, _ = problem
    asked = oracle(Doubling())
    module = asked.as_module(Batch(x, y, ids))
    with torch.no_grad():
        first, second = module(x), module(x)
    assert bool((first != second).any(1).all())
    logits = module(x.clone().requires_grad_())
    cross_entropy(logits, y).sum().backward()
    assert asked.model.meter.totals() == {
        "forwards": 3 * B, "backwards": B, "purifier_passes": 3 * B, "queries": 3 * B
    }  # fmt: skip


def test_as_a_module_a_cut_graph_can_still_be_differentiated_and_gives_zeros(problem):
    x, y, ids, _ = problem
    point = x.clone().requires_grad_()
    logits = oracle(Detached()).as_module(Batch(x, y, ids))(point)
    cross_entropy(logits, y).sum().backward()
    assert torch.equal(point.grad, torch.zeros_like(x))


def test_as_a_module_it_cannot_be_put_in_train_mode(problem):
    x, y, ids, _ = problem
    module = oracle(nn.Dropout(0.9)).as_module(Batch(x, y, ids)).train()
    assert not any(part.training for part in module.modules())
    assert torch.equal(module(x), Linear()(x))


def test_as_a_module_it_names_the_clean_image_behind_a_broken_row(problem):
    x, y, ids, _ = problem
    moved = x[[4, 2]] + 0.001
    moved[1, 0, 0, 0] = torch.nan
    with pytest.raises(CellFailed, match="sample 12") as failure:
        oracle(nn.Identity()).as_module(Batch(x, y, ids))(moved)
    assert failure.value.sample_ids == (12,)

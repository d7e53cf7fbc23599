"""The judge on predictions and proposals made by hand."""

import pytest
import torch
from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.engine.judge import Judge
from rbench.errors import CellFailed
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise
from rbench.threat.terms import EXTERNAL_TOLERANCE

EPS = 8 / 255


def samples(x, ids):
    """Of class 0."""
    return Batch(x, torch.zeros(len(x), dtype=torch.int64), ids)


def judge(*, purifier=None, norm="Linf", draws=1, batch_size=64, eps=EPS):
    model = DefendedModel(purifier or Identity(), nn.Flatten())
    return Judge(model, Ball(norm, eps), draws, draws, "mean", Noise(0), batch_size, random=draws > 1)


def test_equal_logits_are_decided_for_the_first_class():
    x = torch.zeros(2, 1, 1, 3)
    assert judge().score(x, samples(x, torch.arange(2))).tolist() == [[0], [0]]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_the_batch_size_changes_no_prediction(batch_size):
    x = torch.full((7, 1, 2, 2), 0.5)
    noisy = judge(purifier=GaussianNoise(), draws=6)
    expected = noisy.score(x, samples(x, torch.arange(7)))
    found = judge(purifier=GaussianNoise(), draws=6, batch_size=batch_size).score(x, samples(x, torch.arange(7)))
    assert torch.equal(found, expected)
    assert expected.unique().numel() > 1


def test_draws_are_independent_and_select_and_score_share_none():
    x = torch.full((50, 1, 2, 2), 0.5)
    noisy = judge(purifier=GaussianNoise(), draws=20)
    select, score = noisy.both(x, samples(x, torch.arange(50)))
    assert float((select == score).float().mean()) == pytest.approx(1 / 4, abs=0.06)
    assert float((score[:, :-1] == score[:, 1:]).float().mean()) == pytest.approx(1 / 4, abs=0.06)
    assert noisy.model.meter.queries == 0, "the judge's looks are no queries of an attacker"


def test_a_logit_that_is_not_finite_fails_the_cell_and_says_how_far_the_sample_was_moved():
    origin = torch.full((3, 1, 1, 2), 0.5)
    x = origin.clone()
    x[1] = torch.inf
    x[2] += 0.25
    with pytest.raises(
        CellFailed, match=r"sample 8: logits are NaN or infinite after it was moved by Linf inf"
    ) as failure:
        judge().score(x, samples(origin, torch.tensor([7, 8, 9])))
    assert failure.value.sample_ids == (8,)


# --- proposals ----------------------------------------------------------------------------------------------------


def proposal():
    origin = torch.full((3, 1, 2, 2), 0.5)
    return origin, origin.clone(), torch.tensor([40, 41, 42])


def test_distances_are_those_of_the_norm():
    origin, x, ids = proposal()
    x[1, 0, 0, 0] += 0.03125
    x[1, 0, 1, 1] -= 0.015625
    for norm, expected in (("Linf", 0.03125), ("L2", (0.03125**2 + 0.015625**2) ** 0.5), ("L1", 0.046875)):
        found = judge(norm=norm, eps=1.0).admit(x, samples(origin, ids), 0.0)
        assert found.dtype == torch.float64
        assert found.tolist() == pytest.approx([0, expected, 0])


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_a_proposal_outside_the_ball_is_refused_by_its_sample(norm):
    origin, x, ids = proposal()
    x[1, 0, 0, 0] += EPS + 1e-3
    with pytest.raises(CellFailed, match=rf"sample 41: the attack left the ball \({norm} 0.0323") as failure:
        judge(norm=norm).admit(x, samples(origin, ids), EXTERNAL_TOLERANCE)
    assert failure.value.sample_ids == (41,)


def test_one_rounding_outside_passes_for_third_party_attacks_and_never_for_our_own():
    origin, x, ids = proposal()
    x[2, 0, 0, 0] = torch.nextafter(torch.tensor(0.75), torch.tensor(1.0))
    strict = judge(eps=0.25)
    assert strict.admit(x, samples(origin, ids), EXTERNAL_TOLERANCE)[2] > 0.25
    with pytest.raises(CellFailed, match="sample 42: the attack left the ball"):
        strict.admit(x, samples(origin, ids), 0.0)
    x[2, 0, 0, 0] = 0.75 + 2.0e-7
    with pytest.raises(CellFailed, match="sample 42: the attack left the ball"):
        strict.admit(x, samples(origin, ids), EXTERNAL_TOLERANCE)


@pytest.mark.parametrize(("norm", "eps"), [("L2", 3.0), ("L1", 8.0)])
def test_the_rounding_of_a_sum_over_pixels_passes_for_third_party_attacks_alone(norm, eps):
    origin = torch.zeros(1, 1, 4, 4)
    x = torch.full_like(origin, eps / (4 if norm == "L2" else 16))
    x[0, 0, 0, 0] += {"L2": 3e-6, "L1": 1e-6}[norm] / 2
    clean, theirs = samples(origin, torch.tensor([7])), judge(norm=norm, eps=eps)
    moved = float(theirs.admit(x, clean, EXTERNAL_TOLERANCE))
    assert EXTERNAL_TOLERANCE < moved - eps < 1e-6 * eps
    with pytest.raises(CellFailed, match="sample 7: the attack left the ball"):
        theirs.admit(x, clean, 0.0)
    x[0, 0, 0, 0] += 2e-5
    with pytest.raises(CellFailed, match="sample 7: the attack left the ball"):
        theirs.admit(x, clean, EXTERNAL_TOLERANCE)


def test_exactly_on_the_sphere_is_inside():
    origin, x, ids = proposal()
    x[0, 0, 0, 0] = 0.75
    assert judge(eps=0.25).admit(x, samples(origin, ids), 0.0)[0] == 0.25


@pytest.mark.parametrize("pixel", [-1e-3, -2e-7, 1 + 1e-3, 1 + 3e-7])
def test_a_proposal_outside_the_pixel_range_is_refused_by_its_sample(pixel):
    _, _, ids = proposal()
    origin = torch.full((3, 1, 2, 2), float(round(pixel)))
    x = origin.clone()
    x[0, 0, 1, 1] = pixel
    with pytest.raises(CellFailed, match=r"sample 40: the attack left \[0, 1\]") as failure:
        judge().admit(x, samples(origin, ids), EXTERNAL_TOLERANCE)
    assert failure.value.sample_ids == (40,)


@pytest.mark.parametrize("pixel", [torch.nan, torch.inf, -torch.inf])
def test_a_proposal_that_is_not_finite_is_refused_by_its_sample(pixel):
    origin, x, ids = proposal()
    x[0, 0, 0, 1] = x[2, 0, 1, 0] = pixel
    with pytest.raises(CellFailed, match="sample 40: the attack returned NaN or infinite pixels") as failure:
        judge(eps=1.0).admit(x, samples(origin, ids), EXTERNAL_TOLERANCE)
    assert failure.value.sample_ids == (40, 42)


def test_a_proposal_of_another_shape_or_type_is_refused():
    origin, x, ids = proposal()
    for wrong in (x[:2], x.double(), x.half(), x[:, :, :1], x.expand(3, 3, 2, 2)):
        with pytest.raises(CellFailed, match=r"the attack returned \(.*\) torch\.float\d+, not \(3, 1, 2, 2\)"):
            judge().admit(wrong, samples(origin, ids), EXTERNAL_TOLERANCE)

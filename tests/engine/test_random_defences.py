"""Random defences are attacked to the end: who may leave, what races, and on which draws (docs/judging.md, rules 1.2 and 1.3)."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import rbench
from rbench.engine.best_of_many import CONTENDERS, BestOfMany, Nothing
from rbench.engine.defended import DefendedModel
from rbench.engine.judge import Judge
from rbench.engine.kept import Asked
from rbench.engine.leaving import Leaving, draws_needed
from rbench.engine.race import ROUNDS, race
from rbench.engine.unattacked import UnattackedVerdicts
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise
from rbench.threat.query import Answer


class Coin(nn.Module):
    """Turns an image into a draw: 1 where a uniform number is below the first pixel, else 0."""

    stochastic = True

    def forward(self, x, *, noise):
        right = noise.uniform()[:, None, None, None] < x[:, :, :1, :1]
        return torch.cat([right, ~right], 3).float().expand_as(x)


class Recorded(Noise):
    """Noise that keeps the keys of its draws; whoever draws is not told them."""

    drawn: ClassVar[list] = []

    def of(self, role, ids, device, **named):
        noise = super().of(role, ids, device, **named)
        self.drawn.extend((role, int(i), noise.draw, int(c)) for i, c in zip(ids, noise.calls, strict=True))
        return noise


def coins(count, *, batch_size=64):
    """Samples of class 0 that the model gets right with the probability that their first pixel says."""
    model, noise = DefendedModel(Coin(), nn.Flatten()), Recorded(0)
    noise.drawn.clear()
    clean = Batch(torch.zeros(count, 1, 1, 2), torch.zeros(count, dtype=torch.int64), torch.arange(50, 50 + count))
    return Judge(model, Ball("Linf", 1.0), 16, 64, "mean", noise, batch_size, random=True), clean


def right_with(*shares):
    """A point for each share of right draws."""
    points = torch.zeros(len(shares), 1, 1, 2)
    points[:, 0, 0, 0] = torch.tensor(shares)
    return points


# --- leaving ------------------------------------------------------------------------------------------------------


def test_the_draws_that_a_test_takes_are_those_of_the_rule():
    assert [draws_needed(test) for test in (1, 2, 3)] == [368, 477, 546]
    by_luck = sum(0.99 ** draws_needed(test) for test in range(1, 2000))
    assert by_luck <= 0.05


def test_a_point_that_is_never_right_passes_and_one_that_is_right_now_and_then_does_not():
    judge, clean = coins(3)
    leaving = Leaving(3, clean.device)
    rows = torch.arange(3)
    assert leaving.test(judge, right_with(0.0, 0.1, 1.0), clean, rows).tolist() == [True, False, False]
    assert leaving.passed.tolist() == [True, False, False]
    assert leaving.used.tolist()[0] == 368
    assert leaving.used.tolist()[2] == 8, "the first group held a right draw"
    assert leaving.used.tolist()[1] in (8, 24, 56, 120)


def test_no_draw_of_a_test_is_used_twice_or_by_anyone_else():
    judge, clean = coins(2)
    leaving, rows = Leaving(2, clean.device), torch.arange(2)
    for _ in range(3):
        leaving.test(judge, right_with(0.0, 0.3), clean, rows)
    judge.both(right_with(0.5, 0.5), clean)
    race(judge, right_with(0.5, 0.2).expand(2, 2, 1, 1, 2), torch.zeros(2, 2), clean)
    drawn = [key for key in judge.noise.drawn if key[0] != "race"]  # contenders share their draws
    assert len(set(drawn)) == len(drawn)
    assert leaving.tests.tolist() == [3, 3]
    assert leaving.used.tolist()[0] == 368 + 477 + 546


def test_a_look_at_every_doubling_fools_the_test_no_more_often_than_it_says():
    """Points that are right on 1 % of their draws, each tested seven times: at most 5 % of the samples may ever pass."""
    judge, clean = coins(300)
    leaving = Leaving(300, clean.device)
    for _ in range(7):
        leaving.test(judge, right_with(*[0.01] * 300), clean, torch.arange(300))
    assert int(leaving.passed.sum()) <= 0.05 * 300 + 3 * (300 * 0.05 * 0.95) ** 0.5


# --- what is kept -------------------------------------------------------------------------------------------------


def asked(judge, rows, points, query, *, draws=10, inside=True):
    """A query of some samples, answered with EOT draws of the model itself."""
    numbers = 1000 * query + torch.arange(draws)
    clean = Batch(points, torch.zeros(len(points), dtype=torch.int64), rows)
    logits = judge.logits(points, clean, "defence", numbers)
    answer = Answer(logits.mean(1), -logits[:, :, 0].mean(1), None, tuple(logits.unbind(1)))
    allowed = torch.full((len(points),), inside)
    return Asked(rows, clean, points, torch.full((len(points),), query), allowed, answer)


def leaves(kept, one):
    """Which samples leave after a query."""
    return kept.open(kept.consider(Nothing(), one), one)


def kept_of(count):
    judge, clean = coins(count)
    return judge, BestOfMany(judge, clean, Leaving(count, clean.device), torch.arange(count))


def test_a_sample_that_passes_at_query_t_goes_on_for_as_many_queries_again_and_leaves():
    judge, kept = kept_of(1)
    rows, point = torch.arange(1), right_with(0.0)
    left = [query for query in range(1, 40) if leaves(kept, asked(judge, rows, point, query)).all()]
    assert left[0] == 14, "asked first at query 4, and 10 more at least"
    judge, kept = kept_of(1)
    shares = [1.0] * 20 + [0.0] * 60
    left = [query for query in range(1, 80) if leaves(kept, asked(judge, rows, right_with(shares[query]), query)).all()]
    assert left[0] == 64, "asked at query 32, the first power of two after it fell"


def test_nobody_leaves_at_a_point_that_is_right_now_and_then_and_none_is_tested_that_a_draw_gets_right():
    judge, kept = kept_of(1)
    rows = torch.arange(1)
    assert not any(leaves(kept, asked(judge, rows, right_with(0.05), query)).any() for query in range(1, 70))
    judge, kept = kept_of(1)
    for query in range(1, 70):
        leaves(kept, asked(judge, rows, right_with(0.9), query))
    assert kept.leaving.tests.tolist() == [0]


def test_the_best_points_race_and_the_one_that_is_right_least_often_is_proposed():
    judge, kept = kept_of(1)
    rows = torch.arange(1)
    for query, share in enumerate((0.9, 0.6, 0.2, 0.5, 0.8, 0.4), 1):
        leaves(kept, asked(judge, rows, right_with(share), query, draws=64))
    assert sorted(round(float(share), 1) for share in kept.points[0, :, 0, 0, 0]) == [0.2, 0.4, 0.5, 0.6]
    chosen = kept.choose()
    assert float(chosen.x[0, 0, 0, 0]) == pytest.approx(0.2)
    assert chosen.claimed.tolist() == [True]


def test_points_outside_the_ball_are_no_contenders():
    judge, kept = kept_of(1)
    rows = torch.arange(1)
    leaves(kept, asked(judge, rows, right_with(0.0), 1, inside=False))
    leaves(kept, asked(judge, rows, right_with(0.7), 2))
    assert float(kept.choose().x[0, 0, 0, 0]) == pytest.approx(0.7)


def test_a_query_with_few_draws_is_ranked_by_eight_select_draws_that_no_final_choice_uses():
    judge, kept = kept_of(1)
    judge.noise.drawn.clear()
    point = right_with(0.5)
    leaves(kept, asked(judge, torch.arange(1), point, 3, draws=2))
    ranked = [key for key in judge.noise.drawn if key[0] == "select"]
    assert len(set(ranked)) == 8
    judge.noise.drawn.clear()
    judge.select(point, Batch(point, torch.zeros(1, dtype=torch.int64), torch.tensor([50])))
    assert not set(ranked) & set(judge.noise.drawn)


class Flicker(nn.Module):
    """Wrong on every draw of a bright image, right on every draw of a dark one; the noise changes nothing but makes it random."""

    stochastic = True

    def forward(self, x, *, noise):
        return x + 1e-3 * noise.uniform(*x.shape[1:])


def test_images_that_are_wrong_without_an_attack_are_attacked_as_well():
    """Each query may bring what a draw gets right now and then below that."""
    x, y = torch.full((4, 1, 4, 4), 0.8), torch.tensor([1, 1, 0, 0])
    x[:, 0, 0, 0] += torch.arange(4) * 1e-5  # no image is there twice
    found = rbench.evaluate(Bright(), x, y, purifier=Flicker(), attack="pgd", steps=3, eot=8, eps=0.1)
    assert found.samples["clean_select"].tolist() == [0, 0, 1, 1]
    assert found.samples["queries"].tolist() == [4, 4, 4, 4]
    still = rbench.evaluate(Bright(), x, y, attack="pgd", steps=3, eps=0.1)
    assert still.samples["queries"].tolist() == [0, 0, 4, 4], "one wrong answer of a deterministic model is enough"


# --- the race -----------------------------------------------------------------------------------------------------


def test_in_a_race_all_points_of_a_sample_meet_the_same_draws():
    judge, clean = coins(2)
    points = torch.stack([right_with(0.3, 0.6, 0.5, 0.9), right_with(0.9, 0.8, 0.1, 0.2)])
    ranks = torch.tensor([[0.4, 0.3, 0.2, 0.1]] * 2)
    assert race(judge, points, ranks, clean).tolist() == [0, 2]
    keys = judge.noise.drawn
    first = {key for key in keys if key[1] == 50 and keys.count(key) == CONTENDERS}
    assert len(first) == ROUNDS[0][0]


def test_a_single_point_needs_no_race_and_a_tie_goes_to_the_higher_margin():
    judge, clean = coins(2)
    points = right_with(0.0, 0.0).expand(2, 2, 1, 1, 2)
    assert race(judge, points, torch.tensor([[0.1, -torch.inf], [0.1, 0.2]]), clean).tolist() == [0, 1]
    assert {key[1] for key in judge.noise.drawn} == {51}


# --- end to end ---------------------------------------------------------------------------------------------------


class Lottery(nn.Module):
    """Right with probability p whatever the image; the draws fall out anew for every image, as if its bits were a seed."""

    stochastic = True

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x, *, noise):
        shift = (x.double().flatten(1) @ torch.arange(1.0, 1 + x[0].numel(), dtype=torch.float64)) * 1e4
        right = ((noise.uniform().double() + shift) % 1 < self.p).view(-1, 1, 1, 1)
        return torch.where(right, x * 0 + 1, x * 0)


class Bright(nn.Module):
    """Class 0 where the image is bright."""

    def forward(self, x):
        bright = x.flatten(1).mean(1)
        return torch.stack([bright, 1 - bright], 1)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
def test_a_defence_whose_draws_fall_out_anew_for_every_image_is_as_robust_as_it_is_over_a_row_of_attacks(tmp_path, p):
    """Choosing by any score draw would report the least of many lucky ones."""
    x = torch.rand(100, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(100, dtype=torch.int64)
    attacks = [{"attack": "pgd", "steps": 5, "restarts": 2, "eot": 8}, {"attack": "square", "queries": 8, "eot": 8}]
    attacks += [{"attack": "noise", "tries": 6}, {"attack": "fgsm"}]
    cells = [rbench.evaluate(Bright(), x, y, purifier=Lottery(p), eps=0.1, **attack).samples for attack in attacks]
    select = [cell[name] for cell in cells for name in ("select", "robust_8bit_select")]
    select += [cells[0]["clean_select"], cells[0]["noise_select"]]
    score = [cell[name] for cell in cells for name in ("robust", "robust_8bit")] + [
        cells[0]["clean"],
        cells[0]["noise"],
    ]
    chosen = np.stack(select).argmin(0)
    reported = float(np.stack(score)[chosen, np.arange(100)].mean())
    spread = (p * (1 - p) / (100 * 16)) ** 0.5
    assert abs(reported - p) < 4 * spread
    assert float(np.stack(score).min(0).mean()) < p - 4 * spread, "choosing by score draws would be seen"


def test_one_draw_to_choose_and_one_to_value_are_two():
    """With one draw for both, an attack that picks the image which its draw calls wrong would be paid for luck."""
    x, y = torch.rand(300, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(300, dtype=torch.int64)
    attack = {"attack": "noise", "tries": 20, "draws": 1, "select_draws": 1}
    found = rbench.evaluate(Bright(), x, y, purifier=Lottery(0.5), eps=0.1, **attack)
    assert found.robust_accuracy.value == pytest.approx(0.5, abs=0.12)


def test_images_without_an_attack_are_judged_once_for_all_attacks_on_a_model():
    judge, clean = coins(4)
    verdicts = UnattackedVerdicts()
    first = verdicts.of(judge, clean)
    drawn = judge.noise.drawn
    spent = len(drawn)
    again = verdicts.of(judge, clean.at(torch.tensor([2, 0])))
    assert len(drawn) == spent
    assert all(torch.equal(again[name], first[name][[2, 0]]) for name in first)
    other = UnattackedVerdicts().of(replace(judge, ball=Ball("Linf", 0.5)), clean)
    verdicts.of(replace(judge, ball=Ball("Linf", 0.5)), clean)
    assert len(drawn) == 3 * spent, "another radius is another question"
    assert judge.model.meter.forwards == 0, "which cell of a row asks first is no matter of its cost"
    assert other.keys() == first.keys()

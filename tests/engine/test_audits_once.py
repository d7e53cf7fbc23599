"""What an audit measures is measured once for what it depends on: no pass for a second attack, no slope for a second radius."""

import pytest
import torch
from small_models import Says
from torch import nn

from rbench.attacks.adaptive import adaptive
from rbench.attacks.apgd import apgd
from rbench.attacks.pgd import pgd
from rbench.engine.audit import audit
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.engine.parts import Parts
from rbench.engine.points import Few, loss_change
from rbench.engine.setup import Protocol, set_up
from rbench.engine.slopes import measure_slopes
from rbench.errors import CellFailed
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.purifiers.jpeg import Jpeg
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 5)).eval()


def shown(n=20, channels=1):
    x = torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    return Batch(x, torch.arange(n) % 5, torch.arange(n))


class Row:
    """A defended model whose cells are set up one after the other, and the images that were passed through its backbone."""

    def __init__(self, purifier=None, **options):
        self.passed, self.in_double, self.audits = [], [], Audits()
        network = net()
        network.register_forward_pre_hook(lambda _, given: self.passed.append(len(given[0])))
        network.register_forward_pre_hook(
            # Slopes alone are measured in float64, on a copy that keeps this hook.
            lambda _, given: self.in_double.append(1) if given[0].dtype == torch.float64 else None
        )
        self.model, self.options = DefendedModel(purifier or Identity(), network), options

    def cell(self, attack, eps=0.1, *, n=20, batch_size=20, **options):
        """Sets a cell up; how many images the backbone was shown."""
        self.passed.clear()
        self.in_double.clear()
        protocol = Protocol(Ball("Linf", eps), batch_size=batch_size)
        self.setup = set_up(self.model, attack, protocol, shown(n), audits=self.audits, **options)
        return sum(self.passed)


@pytest.mark.parametrize("make", [Identity, GaussianNoise, lambda: Jpeg(quality=50)], ids=["plain", "random", "jpeg"])
def test_a_second_attack_on_the_same_row_and_radius_costs_no_pass(make):
    row = Row(make())
    assert row.cell(pgd()) > 0
    assert row.cell(apgd()) == 0
    assert row.cell(pgd(steps=3)) == 0
    assert row.cell(adaptive(batch_size=20)) <= 5 * 16 + 200, (
        "whether the outputs are hard labels, and whether the stand-in misleads"
    )
    assert row.cell(adaptive(batch_size=20, steps=2)) == 0
    assert row.cell(pgd(), 0.2) > 0


def test_a_second_radius_costs_no_slope_and_asks_about_clean_images_only_for_memory():
    row = Row()
    first = row.cell(pgd())
    assert row.in_double
    before = row.setup.audit, row.setup.gradients
    second = row.cell(pgd(), 0.2)
    assert not row.in_double
    assert second < first - 300, "neither slopes nor clean images"
    anew = Row()
    anew.cell(pgd(), 0.2)
    assert (row.setup.audit, row.setup.gradients) == (anew.setup.audit, anew.setup.gradients)
    assert row.setup.loss_change == anew.setup.loss_change
    assert row.cell(pgd()) == 0
    assert (row.setup.audit, row.setup.gradients) == before


def test_another_batch_size_asks_about_batches_of_that_size_alone():
    row, anew = Row(), Row()
    first = row.cell(pgd(), n=40, batch_size=20)
    more = row.cell(pgd(), n=40, batch_size=40)
    whole = anew.cell(pgd(), n=40, batch_size=40)
    assert anew.in_double
    assert not row.in_double
    assert more < whole - first / 2
    assert row.setup.audit == anew.setup.audit
    assert row.setup.first.sizes == anew.setup.first.sizes
    assert torch.equal(row.setup.first.whole, anew.setup.first.whole)


def test_another_stand_in_costs_its_own_passes_and_no_slope():
    row = Row(Says(lambda x: 0.9 * x))
    own = row.cell(pgd())
    cosine = row.setup.gradients.bpda_cosine
    blur = nn.AvgPool2d(3, 1, 1)
    named = row.cell(pgd(), stand_in=blur)
    assert not row.in_double
    assert named < own / 4
    assert row.setup.gradients.bpda_cosine != cosine
    assert row.cell(pgd(), stand_in=blur) == 0
    row.cell(pgd())
    assert row.setup.gradients.bpda_cosine == cosine


def test_what_a_refused_model_has_answered_is_not_believed_again():
    asked = []

    def turning(x):
        asked.append(len(x))
        return x if len(asked) < 30 else 0.5 * x

    model, audits, runs = DefendedModel(Says(turning), net()), Audits(), []
    for _ in range(2):
        asked.clear()
        with pytest.raises(CellFailed):
            audits.of(model, None, shown(), Noise(0), Ball("Linf", 0.1), 20)
        runs.append(list(asked))
    assert runs[0] == runs[1], "from the beginning"


def test_no_question_is_asked_about_a_whole_batch_that_is_the_few():
    few, larger = (audit_sizes(size) for size in (16, 17))
    assert sum(few) < sum(larger) - 6 * 17
    assert len(few) < len(larger)


def audit_sizes(size):
    row = Row()
    audit(row.model, shown(40).at(slice(size)), Noise(0), Ball("Linf", 0.1), size, Parts())
    return row.passed


# --- blocks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_how_many_points_are_there_at_once_changes_nothing_that_is_measured(norm):
    model, ball = DefendedModel(Identity(), net()), Ball(norm, {"Linf": 0.1, "L2": 1.0, "L1": 5.0}[norm])
    alone, four = (Few(shown(4), Noise(0), same_shape=one) for one in (True, False))
    assert (alone.together(1024), four.together(1024)) == (1, 4)
    assert loss_change(model, alone, ball) == pytest.approx(loss_change(model, four, ball), rel=1e-5)
    slopes = [measure_slopes(model, few, low_precision=False) for few in (alone, four)]
    assert [found.precision for found in slopes] == ["float64"] * 2
    assert slopes[0].error == pytest.approx(slopes[1].error, abs=1e-6)


def test_large_images_are_asked_about_in_small_batches():
    sizes = []
    network = nn.Sequential(nn.AvgPool2d(112), nn.Flatten(), nn.Linear(48, 5))
    network.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    x = torch.rand(4, 3, 448, 448)
    few = Few(Batch(x, torch.zeros(4, dtype=torch.int64), torch.arange(4)), Noise(0), same_shape=False)
    drawn, model = [], DefendedModel(Identity(), network)
    real = Ball.uniform
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ball, "uniform", lambda ball, x, noise: (drawn.append(len(x)), real(ball, x, noise))[1])
        patch.setattr("rbench.engine.points.NEIGHBOURS", 6)
        loss_change(model, few, Ball("Linf", 0.1))
    assert set(sizes) == {4}
    assert drawn == [4] * 6, "never are all neighbours there"


def test_a_model_that_draws_from_a_global_generator_is_asked_in_one_shape_whatever_fits():
    few = Few(shown(4), Noise(0), same_shape=True)
    assert few.together(1) == 1
    assert Few(shown(4), Noise(0), same_shape=False).together(1) == 4

"""Rows 61 to 69 of the fault table: attacks that cheat, break or are too weak."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from parts import refused, some
from torch import nn

import rbench
from rbench.attacks.fgsm import fgsm
from rbench.attacks.loading import held
from rbench.attacks.pgd import pgd
from rbench.engine.defended import DefendedModel
from rbench.engine.evaluation import evaluate_batch
from rbench.engine.setup import Protocol, set_up
from rbench.errors import CellFailed
from rbench.purifiers.identity import Identity
from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch

EPS = 0.1


class Net(nn.Module):
    """16 pixels to three logits, the same each time it is made."""

    def __init__(self):
        super().__init__()
        weight = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


def images(n=8):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25


def judged(perturb, **changes):
    """One attack of a third party on eight images."""
    return of_attack(ExternalAttack(perturb, batch_size=8, norms=("Linf",)), **changes)


def of_attack(attack, *, x=None, eps=EPS):
    x, net = images() if x is None else x, Net()
    return rbench.evaluate(net, x, net(x).argmax(1), attack=attack, eps=eps)


def one_moved(by, *, sample=3):
    """Moves one pixel of one image."""

    def perturb(model, batch, ball, classes, seed):
        x = batch.x.clone()
        x[sample, 0, 0, 0] += by
        return x

    return perturb


def test_061_a_point_outside_the_ball_fails_the_cell_with_the_worst_value_and_the_sample():
    with refused(CellFailed, problem=some("left the ball (Linf 0.10099")) as caught:
        judged(one_moved(EPS + 1e-3))
    assert caught.value.sample_ids == (3,)
    assert "sample 3" in str(caught.value)


def test_062_one_rounding_outside_passes_for_third_party_code_and_is_in_the_record():
    x = torch.full((8, 1, 4, 4), 0.5)
    x[:, 0, 3, 3] = torch.linspace(0.4, 0.6, 8)  # equal images would count once
    found = judged(one_moved(0.25 + 6e-8), x=x, eps=0.25)
    assert 0.25 < found.samples["distance"].max() <= 0.25 + 1.2e-7
    with refused(CellFailed, problem=some("left the ball")):
        judged(one_moved(0.25 + 2.4e-7), x=x, eps=0.25)


@pytest.mark.parametrize(("start", "by"), [(0.995, 0.01), (0.005, -0.01)])
def test_063_a_pixel_outside_0_to_1_fails_the_cell_and_is_never_clipped(start, by):
    x = torch.full((8, 1, 4, 4), start)
    x[:, 0, 3, 3] = torch.linspace(0.4, 0.6, 8)
    with refused(CellFailed, problem=some("left [0, 1]")) as caught:
        judged(one_moved(by), x=x)
    assert caught.value.sample_ids == (3,)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_064_a_pixel_that_is_no_number_fails_the_cell(value):
    with refused(CellFailed, problem=some("NaN or infinite pixels")) as caught:
        judged(one_moved(value))
    assert caught.value.sample_ids == (3,)


CHANGED = {
    "order": (lambda x: x.flip(0), "left the ball"),
    "shorter": (lambda x: x[:-1], "(7, 1, 4, 4)"),
    "longer": (lambda x: torch.cat([x, x]), "(16, 1, 4, 4)"),
    "dtype": (lambda x: x.double(), "torch.float64"),
    "channels": (lambda x: x.expand(-1, 3, -1, -1), "(8, 3, 4, 4)"),
    "nothing": (lambda x: None, "returned NoneType, not a tensor (8, 1, 4, 4)"),
    "tuple": (lambda x: (x, x), "returned tuple, not a tensor"),
    "array": (lambda x: x.numpy(), "returned ndarray, not a tensor"),
    "device": (lambda x: x.to("meta"), "on meta, not on cpu"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_065_third_party_code_that_hands_back_another_batch_is_found_out(name):
    change, words = CHANGED[name]
    with refused(CellFailed, problem=some(words)):
        judged(lambda model, batch, ball, classes, seed: change(batch.x))


def test_065_an_attack_that_writes_on_what_it_was_given_changes_no_sample():
    def perturb(model, batch, ball, classes, seed):
        given = batch.x.clone()
        batch.x.zero_(), batch.y.fill_(2), batch.ids.fill_(0)
        return given

    clean = judged(lambda model, batch, ball, classes, seed: batch.x)
    assert judged(perturb).samples.equals(clean.samples)


def state(**changes):
    """An attack of our own shape whose state is spoiled after the first step."""

    def init(x, y, ball, noise):
        return SimpleNamespace(**({"x": x} | {name: make(x) for name, make in changes.items()}))

    return IterativeAttack(init, lambda state, answer: state, steps=2, norms=("Linf",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.double(), "torch.float64"),
        (lambda x: x[:-1], "(7, 1, 4, 4)"),
        (lambda x: None, "no tensor `x`"),
        (lambda x: [x], "x of type list"),
    ],
    ids=["dtype", "shorter", "nothing", "list"],
)
def test_065_a_state_that_asks_about_another_batch_is_found_out(change, words):
    with refused(CellFailed, problem=some(words)):
        of_attack(state(x=change))


@pytest.mark.parametrize(
    "made",
    [None, object(), SimpleNamespace(init=1, update=2, steps=3), {"steps": 1}, fgsm],
    ids=["nothing", "object", "namespace", "map", "function"],
)
def test_065_what_is_no_attack_is_named_before_anything_runs(made):
    with refused(component="attack 'pgd'", found=type(made).__name__, remedy=some("Return one of them")):
        held(made, "pgd")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("steps", value) for value in (-1, "ten", True, 1.5)),
        *(("norms", value) for value in ("Linf", (), ("L7",), None)),
        *(("knows", "all"), ("asks", ("luck",)), ("loss", "x"), ("update", None), ("targets", -1)),
    ],
)
def test_065_a_field_that_no_attack_can_have_is_named(field, value):
    attack = pgd(steps=3)
    object.__setattr__(attack, field, value)
    with refused(place=field, component="attack 'pgd'", found=repr(value)):
        held(attack, "pgd")


class OnlyInFloat32(nn.Module):
    """Gives other classes while it is computed in half precision."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        logits = self.net(x).float()
        return logits.roll(1, 1) if torch.is_autocast_enabled("cpu") else logits


def test_066_what_half_precision_found_and_float32_does_not_confirm_is_not_counted_and_the_rate_is_told():
    net, x = OnlyInFloat32(), images()
    shown = Batch(x, net(x).argmax(1), torch.arange(len(x)))
    protocol = Protocol(Ball("Linf", 1e-6), precision="bf16-propose")
    setup = set_up(DefendedModel(Identity(), net), pgd(steps=2), protocol, shown)
    counts = evaluate_batch(setup, shown).counts
    assert (counts["proposed"], counts["confirmed"]) == (8, 0)


def raising(model, batch, ball, classes, seed):
    raise RuntimeError("no gradient today")


def test_067_an_attack_that_raises_gives_no_number():
    with pytest.raises(RuntimeError, match="no gradient today"):
        judged(raising)


RAISES = """
from rbench.threat.attack import ExternalAttack
NORMS = ("Linf",)

def perturb(model, batch, ball, classes, seed):
    raise RuntimeError("no gradient today")

def breaks():
    \"\"\"Breaks.\"\"\"
    return ExternalAttack(perturb, batch_size=8, norms=NORMS)
"""


def test_067_its_cell_is_failed_and_the_other_cells_go_on(tiny, capsys):
    tiny.add("mine", {"mine_attacks": RAISES}, {"rbench.attacks": {"breaks": "mine_attacks:breaks"}})
    assert tiny.run(attacks="[breaks, fgsm]") == 1
    assert "breaks: failed: RuntimeError: no gradient today" in capsys.readouterr().err
    found = {name: (record.status, record.summary is None) for name, record in tiny.records().items()}
    assert found == {"identity/breaks": ("failed", True), "identity/fgsm": ("done", False)}


def test_068_attacks_that_are_weaker_than_weaker_ones_are_flagged_in_the_row(tiny):
    weak = "{name: pgd, steps: 2, step_size: 0.0001, restarts: 1}"
    attacks = {"one-step-wins": f"[{weak}, fgsm]", "black-box-wins": f"[{weak}, {{name: square, queries: 100}}]"}
    for number, (flag, both) in enumerate(attacks.items()):
        tiny.root = tiny.folder / str(number)
        assert tiny.run(attacks=both, threat="{norm: Linf, eps: 0.1}") == 0
        assert flag in tiny.flags()


def test_069_an_attack_that_changes_the_model_fails_its_cell():
    def perturb(model, batch, ball, classes, seed):
        for parameter in model.parameters():
            parameter.data.mul_(0.5)
        return batch.x

    with refused(CellFailed, problem=some("changed")):
        judged(perturb)


def test_069_the_weights_are_those_of_before_in_the_next_evaluation():
    clean = judged(lambda model, batch, ball, classes, seed: batch.x)
    again = judged(lambda model, batch, ball, classes, seed: batch.x)
    assert clean.result_hash == again.result_hash
    assert np.isfinite(clean.robust_accuracy.value)

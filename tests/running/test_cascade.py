"""A cascade: what one attack of a row has fooled is not attacked by those after it, and nothing else changes."""

import numpy as np
import pytest
import torch
from small_runs import rbench, records
from torch import nn

from rbench.attacks.pgd import pgd
from rbench.engine.defended import DefendedModel
from rbench.engine.evaluation import evaluate_batch
from rbench.engine.settled import Settled, already_fooled
from rbench.engine.setup import Protocol, set_up
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.table import table
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch

SUITE = """\
suite: cascade
dataset: {name: fashion-mnist-mini, samples: 12}
threat: {norm: Linf, eps: 0.02}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {name: gaussian-noise, sigma: 0.05}]
attacks:
  - {name: square, queries: 30, purifiers: [identity]}
  - {name: pgd, steps: 2}
  - {name: pgd, steps: 6, as: pgd-more}
protocol: {cascade: true, draws: 2, select_draws: 4}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The suite with and without the cascade."""
    folder = tmp_path_factory.mktemp("cascade")
    (folder / "on.yaml").write_text(SUITE)
    (folder / "off.yaml").write_text(SUITE.replace("cascade: true", "cascade: false"))
    for name in ("on", "off"):
        assert rbench("run", folder / f"{name}.yaml", "--out", folder / name, "--batch-size", "4") == 0
    return folder


def samples(root, title):
    record, folder = records(root)[title], RunFolder(root)
    return record, folder.read_samples(record), dict(zip(*folder.read_images(record.id)[::-1], strict=True))


def test_who_comes_later_attacks_the_survivors_alone_and_keeps_what_fooled_the_others(runs):
    _, first, images = samples(runs / "on", "identity/pgd")
    record, later, kept = samples(runs / "on", "identity/pgd-more")
    fooled = first["robust"].to_numpy() == 0
    right = first["clean"].to_numpy() == 1
    assert 0 < (fooled & right).sum() < right.sum(), "some fall to the first attack and some do not"
    assert (later["queries"].to_numpy() == 0)[fooled].all()
    assert (later["queries"].to_numpy() > 0)[~fooled].all()
    assert (later["robust"].to_numpy()[fooled] == 0).all()
    ids = first["sample"].to_numpy()
    assert all(np.array_equal(images[one], kept[one]) for one in ids[fooled])
    full, alone, _ = samples(runs / "off", "identity/pgd-more")
    assert record.cost.backwards < full.cost.backwards
    # Noise and starts are those of the sample, so a survivor meets the attack that it would have met without a cascade.
    for name in ("label", "robust", "robust_8bit", "queries"):
        assert later[name].filter(~fooled).equals(alone[name].filter(~fooled))


def test_the_worst_case_of_a_row_is_what_it_is_without_a_cascade(runs):
    on, off = (table(read_runs([runs / name])) for name in ("on", "off"))
    assert on.frame["robust_accuracy"].tolist() == off.frame["robust_accuracy"].tolist()
    assert "strongest_attack" in on.frame
    rows = {row[0].label("purifier"): [cell.label("attack") for cell in row] for row in on.cells}
    assert rows["identity"] == ["square (cascade)", "pgd", "pgd-more (cascade)"]
    assert any("(cascade)" in note for note in on.notes)
    assert not any("(cascade)" in note for note in off.notes)


def test_behind_a_random_defence_nobody_is_settled(runs):
    _, cascaded, _ = samples(runs / "on", "gaussian-noise/pgd-more")
    _, alone, _ = samples(runs / "off", "gaussian-noise/pgd-more")
    assert cascaded.equals(alone)


@pytest.mark.parametrize("options", [("--workers", "2"), ("--batch-size", "12")], ids=["workers", "batch"])
def test_the_results_are_the_same_whoever_does_the_work(runs, tmp_path, options):
    assert rbench("run", runs / "on.yaml", "--out", tmp_path / "run", *options) == 0
    hashes = [{one.id: one.result_hash for one in records(root).values()} for root in (runs / "on", tmp_path / "run")]
    assert hashes[0] == hashes[1]


def test_a_cascade_is_verified_and_run_again(runs, capsys):
    assert rbench("verify", runs / "on", "--audit", "--survivors", "0") == 0, capsys.readouterr().err
    assert all(cell.verified for cell in read_runs([runs / "on"]).cells)


# --- who is settled -----------------------------------------------------------------------------------------------


class Threshold(nn.Module):
    """Two classes: whether the mean is above a half."""

    def forward(self, x):
        far = 20 * (x.flatten(1).mean(1, keepdim=True) - 0.5)
        return torch.cat([far, -far], 1)


def ready(purifier=None, eps=0.2):
    clean = Batch(torch.full((3, 1, 2, 2), 0.55), torch.zeros(3, dtype=torch.long), torch.tensor([4, 5, 6]))
    model = DefendedModel(purifier or nn.Identity(), Threshold())
    return set_up(model, pgd(steps=1), Protocol(Ball("Linf", eps), draws=4, select_draws=4), clean), clean


def test_an_image_that_does_not_fool_when_it_is_judged_again_settles_nobody():
    setup, clean = ready()
    given = Settled(np.array([6, 4]), np.stack([np.full((1, 2, 2), value, np.float32) for value in (0.52, 0.45)]))
    fooled, images = already_fooled(setup, clean, given)
    assert fooled.tolist() == [True, False, False]
    assert images.flatten(1).mean(1).tolist() == pytest.approx([0.45, 0.55, 0.55])
    found = evaluate_batch(setup, clean, settled=given).arrays
    assert (found["queries"] > 0).tolist() == [False, True, True]
    assert found["images"][0].max() == pytest.approx(0.45)


def test_an_image_outside_the_ball_settles_nobody_and_is_no_verdict():
    setup, clean = ready(eps=0.01)
    with pytest.raises(Exception, match="sample 4: the attack left the ball"):
        already_fooled(setup, clean, Settled(np.array([4]), np.full((1, 1, 2, 2), 0.45, np.float32)))


class OfItsBatch(nn.Module):
    """What an image becomes depends on the others."""

    stochastic = False

    def forward(self, x):
        return (x + 0.1 * (x.mean(0, keepdim=True) - 0.5)).clamp(0, 1)


def test_where_answers_depend_on_the_batch_nobody_is_settled():
    setup, clean = ready(OfItsBatch())
    clean = clean.of(clean.x + torch.tensor([0.0, 0.1, 0.2]).view(3, 1, 1, 1))
    setup = set_up(setup.model, pgd(steps=1), setup.protocol, clean)
    assert setup.audit.batch_dependent
    fooled, images = already_fooled(setup, clean, Settled(np.array([4]), np.full((1, 1, 2, 2), 0.4, np.float32)))
    assert not fooled.any()
    assert torch.equal(images, clean.x)

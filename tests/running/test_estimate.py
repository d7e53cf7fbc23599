"""`rbench plan --probe`: what it counts and times comes to the hours that it prints."""

import json

import pytest
import torch
from small_runs import rbench

from rbench.errors import CellFailed
from rbench.running import estimate as module
from rbench.running.components import Components
from rbench.running.estimate import Cost, Estimate, Work, cost_of, estimate, probe
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """\
suite: probed
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {name: gaussian-noise, sigma: 0.1}]
attacks:
  - {name: pgd, steps: 10}
  - {name: square, queries: 50}
  - {name: noise, tries: 3}
  - {name: autoattack, version: custom, attacks: [apgd-ce], engine: reference, purifiers: [identity]}
protocol: {draws: 4, select_draws: 8}
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    return path


def cells_of(suite):
    return plan(load_suite(suite)).cells


@pytest.fixture
def costs(monkeypatch):
    """A pass forward and backward takes 3 s, one forward 1 s; the models that were timed."""
    models = []
    monkeypatch.setattr(module, "_cost", lambda model, batch: models.append(model) or Cost(3.0, 1.0))
    return models


def test_seconds_are_passes_times_what_a_pass_takes_and_workers_share_them(suite):
    cells = cells_of(suite)[:2]
    told = {cells[0].id: (Work(100, 20), Cost(3.0, 1.0), 2), cells[1].id: (Work(0, 80), Cost(3.0, 1.0), 2)}
    found = estimate(cells, lambda cell: told[cell.id])
    assert list(found.seconds.values()) == [320.0, 80.0]
    assert found.with_workers(1) == 400.0
    assert found.with_workers(2) == 200.0
    # No worker is done before the longest of two spans is.
    assert found.with_workers(64) == found.longest == 160.0
    assert found.document()["hours"]["2"] == 200 / 3600


def test_a_cell_that_cannot_be_told_is_named_and_not_counted(suite):
    cells = cells_of(suite)[:3]

    def measure(cell):
        if cell is cells[0]:
            raise CellFailed("the logits are not finite")
        return (None if cell is cells[1] else Work(1, 0)), Cost(2.0, 1.0), 8

    found = estimate(cells, measure)
    assert list(found.seconds.values()) == [2.0]
    assert len(found.unknown) == 2
    assert "not finite" in next(iter(found.unknown.values()))


@pytest.mark.parametrize(("overhead", "each"), [(0.0, 0.01), (0.64, 0.01), (0.64, 0.0)])
def test_two_small_batches_tell_what_an_image_costs_in_a_batch_of_the_usual_size(overhead, each):
    assert cost_of(lambda size: overhead + each * size) == pytest.approx(overhead / 64 + each)


def test_passes_are_those_of_the_attacks_and_of_the_verdicts(suite, costs):
    measure = probe(Components(torch.device("cpu")))
    told = {f"{cell.purifier.label}/{cell.attack.label}": measure(cell) for cell in cells_of(suite)}
    work = {name: found[0] for name, found in told.items()}
    assert {spans for _, _, spans in told.values()} == {1}
    verdicts, random = 3 * 8, 3 * 8 * 12
    assert work["identity/pgd"] == Work(10 * 8, verdicts)
    assert work["gaussian-noise/pgd"] == Work(10 * 8, random)
    assert work["identity/square"] == Work(0, 50 * 8 + verdicts)
    assert work["gaussian-noise/square"] == Work(0, 50 * 8 + random)
    assert work["identity/noise"] == Work(0, 3 * 8 + verdicts)
    assert work["identity/autoattack"] is None
    assert len(costs) == 2  # once a row


def test_the_rungs_of_a_ladder_are_counted_as_if_each_met_every_sample(tmp_path, costs):
    suite = tmp_path / "suite.yaml"
    attacks = "attacks: [{name: autoattack, version: custom, attacks: [apgd-ce, square]}, {name: adaptive, steps: 5}]"
    head, _, _ = SUITE.partition("purifiers:")
    suite.write_text(f"{head}purifiers: [identity]\n{attacks}")
    measure = probe(Components(torch.device("cpu")))
    native, ladder = (measure(cell)[0] for cell in cells_of(suite))
    assert native.gradients == 5 * 100 * 8  # the restarts of its authors' custom version
    assert native.forwards > 5000 * 8
    assert ladder.gradients > 5 * 5 * 8
    assert ladder.forwards > 5000 * 8


def test_the_command_prints_a_small_table_and_says_what_it_is(suite, capsys):
    assert rbench("plan", suite, "--probe") == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    table = out[out.index("workers") :].splitlines()
    assert [line.split()[0] for line in table[1:8]] == ["1", "2", "4", "8", "16", "32", "64"]
    assert "An estimate" in out
    assert "Not in it, 1 of 7 cells" in out


def test_the_command_gives_programs_the_hours(suite, capsys):
    assert rbench("plan", suite, "--probe", "--json", "--only", "*/identity/pgd") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cells"]
    hours = document["probe"]["hours"]
    assert hours["1"] == pytest.approx(sum(document["probe"]["seconds"].values()) / 3600)
    assert hours["1"] > 0
    assert document["probe"]["unknown"] == {}


def test_without_it_nothing_is_loaded(suite, capsys, monkeypatch):
    monkeypatch.setattr(Components, "of", None)
    assert rbench("plan", suite) == 0
    assert "workers" not in capsys.readouterr().out


def test_no_number_of_workers_is_slower_than_fewer():
    found = Estimate({"a": 1000.0, "b": 10.0}, 30.0, {})
    times = [found.with_workers(count) for count in module.WORKERS]
    assert times == sorted(times, reverse=True)

"""How many images at once: measured once for each defended model, kept in the run folder, and never where results depend on it."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import rbench, records

from rbench.engine.defended import DefendedModel
from rbench.registry import load
from rbench.running import throughput
from rbench.running.components import Components
from rbench.running.tasks import Prepare, Ready
from rbench.running.throughput import BATCH_BYTES, FEW, LEAST, MOST, SECONDS, USUAL, fastest, largest, passes
from rbench.running.worker import Worker
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.threat.batch import Batch

SUITE = """\
suite: sizes
dataset: {{name: fashion-mnist-mini, samples: 8}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
purifiers: [{purifier}]
attacks: [{{name: pgd, steps: 2}}]
"""
MEAN = """
import torch

class Mean(torch.nn.Module):
    \"\"\"Darker where the other images are brighter.\"\"\"

    def forward(self, x):
        return (x - 0.2 * x.mean()).clamp(0, 1)
"""
GLOBAL = """
import torch

class Global(torch.nn.Module):
    \"\"\"Noise from torch's own generator.\"\"\"
    stochastic = True

    def forward(self, x):
        return (x + 0.05 * torch.randn_like(x)).clamp(0, 1)
"""


def linear(overhead, each):
    """Seconds of a pass that takes some time whatever it is asked, and some for each image."""
    return lambda size: overhead + each * size


def best_at_32(size):
    """Seconds of a pass that is fastest, for each image, with 32 images."""
    return 1e-4 * (size + 8 if size <= 32 else 1.5 * size)


def no_room(above):
    """A device that is fast, and has room for so many images and no more."""

    def asked(size):
        if size > above:
            raise torch.OutOfMemoryError(f"no room for {size} images")
        return 0.001

    return asked


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        (linear(0.0, 1e-4), 16),  # nothing is gained by more
        (linear(0.001, 1e-4), 256),  # 512 gains 2 %
        (linear(0.0, 0.05), 16),  # slow, and seen to gain nothing
        (linear(0.1, 0.0), 64),  # the second is over while more still gains
        (linear(0.0, 0.6), 64),  # the second is over before anything is seen
        (lambda size: 1e-4 * size * (3.0 if size == 32 else 1.0 + 8 / size), 128),  # one slow size among faster ones
        (best_at_32, 32),
        (no_room(100), 32),  # 64 would fit, but an attack keeps more than a pass
        (no_room(16), 8),
        (no_room(1), 1),
    ],
)
def test_the_smallest_size_is_taken_that_is_about_as_fast_as_the_best(seconds, size):
    assert fastest(seconds) == size


@pytest.mark.parametrize("most", [1, 16, 40, 64, MOST])
def test_no_larger_size_is_tried_than_is_asked_for(most):
    asked = []
    assert fastest(lambda size: asked.append(size) or 0.001, most) <= most
    assert max(asked) <= max(most, FEW)


@given(st.floats(0, 0.05), st.floats(1e-6, 0.05))
def test_trying_is_over_within_the_second(overhead, each):
    asked = []

    def seconds(size):
        asked.append(overhead + each * size)
        return asked[-1]

    assert LEAST <= fastest(seconds) <= MOST
    assert sum(asked[1:]) <= 1.5 * SECONDS


def test_other_work_on_the_machine_makes_no_batch_smaller():
    """Every second pass takes ten times as long as it would alone."""
    calls = iter(range(100))

    def busy(size):
        return (0.001 + 1e-4 * size) * (10 if next(calls) % 2 else 1)

    assert fastest(busy) >= USUAL


def test_a_batch_stays_small_where_images_are_large_or_samples_few():
    def images(side):
        return Batch(torch.zeros(2, 3, side, side), torch.zeros(2, dtype=torch.long), torch.arange(2))

    assert largest(24, images(28)) == largest(256, images(28)) == USUAL
    assert largest(1000, images(28)) == 250
    assert largest(10**6, images(28)) == MOST
    assert largest(5000, images(224)) == BATCH_BYTES // (4 * 3 * 224**2) == 55
    assert largest(5000, images(4096)) == LEAST


@pytest.mark.parametrize("purifier", ["identity", "jpeg", "gaussian-noise", "bit-depth"])
def test_a_pass_is_timed_with_and_without_a_gradient_through_the_purifier(purifier):
    batch = batch_of(3)
    kept = batch.x.clone()
    backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(batch.x[0].numel(), 10))
    model = DefendedModel(load("purifier", purifier), backbone)
    seconds = passes(model, batch)
    assert seconds(8) >= 0
    assert model.meter.forwards == 8
    assert torch.equal(batch.x, kept)


def batch_of(count):
    return Batch(torch.rand(count, 1, 28, 28), torch.arange(count), torch.arange(count))


@pytest.fixture
def timed(monkeypatch):
    """Passes are fastest with 32 images; the list of defended models that were timed."""
    models = []

    def fake(model, batch):
        models.append(model)
        return best_at_32

    monkeypatch.setattr(throughput, "passes", fake)
    return models


@pytest.fixture
def suite(tmp_path):
    def written(purifier="identity"):
        path = tmp_path / "suite.yaml"
        path.write_text(SUITE.format(purifier=purifier))
        return path

    return written


def run(suite, root, *arguments):
    assert rbench("run", suite, "--out", root, *arguments) == 0
    return next(iter(records(root).values()))


def sizes(root):
    return json.loads((root / "batch_sizes.json").read_text())


def test_the_size_is_measured_once_kept_and_used_by_a_run_that_goes_on(suite, timed, tmp_path):
    path, root = suite("identity, bit-depth"), tmp_path / "run"
    first = run(path, root, "--batch-size", "auto", "--limit", "4")
    assert len(timed) == 2
    assert first.provenance["batch_size"] == 32
    assert sorted(sizes(root).values()) == [32, 32]
    assert all(key.startswith("cpu bundled:fashion-cnn/") for key in sizes(root))
    assert run(path, root, "--batch-size", "auto", "--redo", "all").provenance["batch_size"] == 32
    assert len(timed) == 2


def test_measuring_is_what_happens_unless_the_user_says_a_number(suite, timed, tmp_path, monkeypatch):
    monkeypatch.delenv("RBENCH_BATCH_SIZE")
    assert run(suite(), tmp_path / "auto").provenance["batch_size"] == 32
    given = run(suite(), tmp_path / "given", "--batch-size", "8")
    assert given.provenance["batch_size"] == 8
    assert len(timed) == 1
    assert not (tmp_path / "given" / "batch_sizes.json").exists()


def test_the_verdicts_are_those_of_any_other_size(suite, timed, tmp_path):
    one, other = (run(suite(), tmp_path / size, "--batch-size", size) for size in ("auto", "5"))
    assert one.result_hash == other.result_hash


@pytest.mark.parametrize(("name", "text"), [("mean", MEAN), ("global", GLOBAL)])
def test_a_model_whose_results_may_depend_on_it_keeps_the_usual_size(plugins, suite, timed, tmp_path, name, text):
    plugins.add(f"odd_{name}", {f"odd_{name}": text}, {"rbench.purifiers": {name: f"odd_{name}:{name.title()}"}})
    root = tmp_path / "run"
    run(suite(name), root, "--batch-size", "auto")
    assert {name: record.provenance["batch_size"] for name, record in records(root).items()} == {
        "identity/pgd": 32,
        f"{name}/pgd": USUAL,
    }
    assert sorted(sizes(root).values()) == [32, USUAL]


@pytest.mark.parametrize("text", ["{", "[1]", '{"cpu x": "many"}', '{"cpu x": 0}'])
def test_a_broken_file_of_sizes_is_measured_again(suite, timed, tmp_path, text):
    root = tmp_path / "run"
    run(suite(), root, "--batch-size", "auto")
    (root / "batch_sizes.json").write_text(text)
    assert run(suite(), root, "--batch-size", "auto", "--redo", "all").provenance["batch_size"] == 32
    assert len(timed) == 2


def test_a_worker_takes_the_size_that_another_one_measured(suite, timed):
    (cell,) = plan(load_suite(suite())).cells
    worker = Worker(Components(torch.device("cpu")), "auto", None)
    told = worker.do(Prepare(cell, 24), lambda count: None).result
    assert isinstance(told, Ready)
    assert told.batch == 24
    assert not timed
    found = Worker(worker.components, "auto", None).do(Prepare(cell), lambda count: None).result
    assert isinstance(found, Ready)
    assert found.batch == 32


def test_the_model_that_was_timed_is_not_the_one_that_is_judged(suite, timed):
    (cell,) = plan(load_suite(suite())).cells
    components = Components(torch.device("cpu"))
    before = components.defended(cell.backbone, cell.purifier)
    assert throughput.batch_size_for(cell, components) == 32
    assert timed == [before]
    assert components.defended(cell.backbone, cell.purifier) is not before


def test_a_model_that_fails_while_it_is_timed_has_the_usual_size(suite, monkeypatch):
    def broken(model, batch):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(throughput, "passes", broken)
    (cell,) = plan(load_suite(suite())).cells
    assert throughput.batch_size_for(cell, Components(torch.device("cpu"))) == USUAL


@pytest.mark.parametrize("size", ["0", "-1", "many", "1.5", ""])
def test_neither_a_number_nor_auto_is_refused(suite, tmp_path, capsys, size):
    assert rbench("run", suite(), "--out", tmp_path / "run", "--batch-size", size) == 2
    assert "--batch-size: found" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

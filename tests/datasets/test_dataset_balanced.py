import json

import numpy as np
import pytest
from parts import refused, some
from small_runs import rbench as command
from small_runs import records

from rbench.datasets.subset import of_classes
from rbench.datasets.types import Dataset
from rbench.running.components import order
from rbench.suite.cell import Slice
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

LABELS = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
SUITE = """\
suite: even
dataset: {{name: fashion-mnist-mini, {}}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
attacks: [fgsm]
"""


def whole(labels=LABELS, names=("a", "b", "c")):
    return Dataset(labels, lambda ids: np.zeros((len(ids), 1, 2, 2), np.float32), names, {"source": "mine.npz"})


@pytest.mark.parametrize("shuffle", [False, 0, 7])
def test_each_class_has_as_many_samples(shuffle):
    ids = order(whole(), Slice(6, shuffle, True))
    assert ids.tolist() == sorted(set(ids.tolist()))
    assert np.bincount(np.array(LABELS)[ids]).tolist() == [2, 2, 2]
    assert order(whole(), Slice(3, False, True)).tolist() == [0, 4, 6]


def test_all_samples_are_as_many_of_each_class_as_the_smallest_has():
    assert np.bincount(np.array(LABELS)[order(whole(), Slice(None, 1, True))]).tolist() == [2, 2, 2]


def test_the_first_samples_of_a_class_are_those_of_the_permutation():
    places = np.random.default_rng(3).permutation(10)
    first = {label: next(int(p) for p in places if LABELS[p] == label) for label in range(3)}
    assert order(whole(), Slice(3, 3, True)).tolist() == sorted(first.values())


def test_a_class_with_too_few_samples_is_told_with_its_count():
    with refused(
        place="dataset.balanced", found="2 of class 1 (b)", problem=some("3 samples of each"), remedy=some("6")
    ):
        order(whole(), Slice(9, 0, True))
    with refused(place="dataset.balanced", found="0 of class 3 (d)", problem=some("mine.npz")):
        order(whole(names=("a", "b", "c", "d")), Slice(None, 0, True))


@pytest.mark.parametrize(("samples", "remedy"), [(7, "write samples: 6 or 9"), (2, "write samples: 3")])
def test_a_number_that_cannot_be_shared_is_refused_with_those_beside_it(samples, remedy):
    with refused(place="dataset.samples", found=str(samples), remedy=remedy):
        order(whole(), Slice(samples, 0, True))


def test_chosen_classes_are_balanced_among_themselves_and_ids_stay():
    part = of_classes(whole(), [2, 1])
    ids = order(part, Slice(4, 0, True))
    assert np.bincount(np.array(LABELS)[ids], minlength=3).tolist() == [0, 2, 2]


def test_where_classes_have_no_names_those_that_have_samples_count():
    data = whole([5, 5, 9, 9, 9], names=())
    assert order(data, Slice(None, False, True)).tolist() == [0, 1, 2, 3]


def planned(folder, text):
    path = folder / "even.yaml"
    path.write_text(SUITE.format(text))
    return plan(load_suite(path, ()))


def test_balanced_is_part_of_the_cell_and_of_the_resolved_suite_only_where_it_is_asked_for(tmp_path):
    plain, said, even = (
        planned(tmp_path, f"samples: 20{more}") for more in ("", ", balanced: false", ", balanced: true")
    )
    assert [cell.id for cell in plain.cells] == [cell.id for cell in said.cells]
    assert not {cell.id for cell in plain.cells} & {cell.id for cell in even.cells}
    assert "balanced" not in json.dumps([plain.cells[0].document(), plain.resolved])
    assert even.cells[0].document()["dataset"]["balanced"] is True
    assert "balanced: true" in even.resolved
    (tmp_path / "again.yaml").write_text(even.resolved)
    assert [cell.id for cell in plan(load_suite(tmp_path / "again.yaml", ())).cells] == [c.id for c in even.cells]


def test_a_run_judges_as_many_of_each_class(tmp_path, capsys):
    planned(tmp_path, "samples: 20, balanced: true")
    assert command("run", tmp_path / "even.yaml", "--out", tmp_path / "run") == 0, capsys.readouterr().err
    (record,) = records(tmp_path / "run").values()
    assert record.dataset.samples == 20
    (samples,) = (tmp_path / "run" / "samples").glob("*.parquet")
    import pandas as pd

    assert pd.read_parquet(samples)["label"].value_counts().tolist() == [2] * 10
    assert command("run", tmp_path / "even.yaml", "--out", tmp_path / "odd", "--limit", "7") == 2
    assert "7 samples cannot be shared equally by 10 classes; write samples: 10" in capsys.readouterr().err

"""Which attacks of a row follow which in a cascade."""

from pathlib import Path

import pytest

from rbench.suite.cell import lasting
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """\
suite: cascade
dataset: {name: fashion-mnist-mini, samples: 16}
threat: {norm: Linf, eps: [0.05, 0.1]}
backbones: [bundled:fashion-cnn]
purifiers: [jpeg]
attacks:
  - {name: square, queries: 50}
  - adaptive
  - {name: pgd, steps: 40, as: pgd-40}
  - {name: pgd, steps: 10, as: pgd-10}
  - {name: pgd, steps: 10, gradient: blind, as: blind}
  - {name: pgd, steps: 1, as: one}
  - fgsm
  - noise
  - {name: autoattack, engine: reference, as: by-others}
  - {name: torchattacks:MIFGSM, as: mifgsm}
  - {name: rays, queries: 50}
protocol: {cascade: true}
"""


@pytest.fixture
def planned(tmp_path):
    def made(text=SUITE, **options):
        path = Path(tmp_path / "suite.yaml")
        path.write_text(text)
        return plan(load_suite(path), **options).cells

    return made


def before(cells, label, eps="0.05"):
    row = [cell for cell in cells if cell.purifier.label == "jpeg" and cell.threat.eps.text == eps]
    names = {cell.id: cell.attack.label for cell in row}
    (cell,) = (cell for cell in row if cell.attack.label == label)
    return [names[cell_id] for cell_id in cell.after]


def test_gradients_go_first_and_the_cheap_ones_before_the_costly_then_those_that_ask_for_outputs(planned):
    cells = planned()
    assert before(cells, "pgd-10") == []
    assert before(cells, "pgd-40") == ["pgd-10"]
    assert before(cells, "adaptive") == ["pgd-10", "pgd-40"]
    assert before(cells, "square") == ["pgd-10", "pgd-40", "adaptive"]
    assert before(cells, "rays") == ["pgd-10", "pgd-40", "adaptive", "square"]


@pytest.mark.parametrize("label", ["blind", "one", "fgsm", "noise", "by-others", "mifgsm"])
def test_what_others_are_compared_with_settles_nothing_and_is_attacked_in_full(planned, label):
    cells = planned()
    assert before(cells, label) == []
    assert not any(label in before(cells, other.attack.label) for other in cells)


def test_rows_have_cascades_of_their_own_and_the_order_of_the_suite_stays(planned):
    cells = planned()
    ids = {cell.id: cell for cell in cells}
    for cell in cells:
        assert all(
            (ids[one].purifier, ids[one].backbone, ids[one].threat) == (cell.purifier, cell.backbone, cell.threat)
            for one in cell.after
        )
    plain = planned(SUITE.replace("cascade: true", "cascade: false"))
    assert [cell.title for cell in cells] == [cell.title for cell in plain]
    assert not any(cell.after for cell in plain)


def test_what_comes_before_is_part_of_the_id_and_what_came_before_on_another_day_is_not_of_the_work(planned):
    cells, plain = planned(), planned(SUITE.replace("cascade: true", "cascade: false"))
    fewer = planned(SUITE.replace("  - {name: pgd, steps: 10, as: pgd-10}\n", ""))

    def square(found):
        return next(cell for cell in found if cell.attack.label == "square" and cell.purifier.label == "jpeg")

    assert len({square(found).id for found in (cells, plain, fewer)}) == 3
    assert lasting(square(cells).document()) == lasting(square(fewer).document())
    assert lasting(square(cells).document()) != lasting(square(plain).document())


def test_who_asks_for_one_cell_gets_those_before_it(planned):
    found = planned(only="*/jpeg/pgd-40")
    assert {cell.attack.label for cell in found} == {"pgd-10", "pgd-40"}

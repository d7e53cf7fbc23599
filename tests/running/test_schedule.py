"""Which task a worker gets next."""

from pathlib import Path

import pytest
from small_runs import SUITE

from rbench.running.schedule import Schedule, gaps, row_of
from rbench.running.tasks import Attack, Conclude, Prepare
from rbench.suite.load import load_suite
from rbench.suite.plan import plan


@pytest.fixture
def cells(tmp_path):
    """Two of one row and one of another, in the order of the suite."""
    path = tmp_path / "small.yaml"
    path.write_text(SUITE)
    return plan(load_suite(path)).cells


def conclude(cell):
    return Conclude(cell, Path("run"))


def test_one_worker_runs_one_cell_after_the_other(cells):
    schedule, row, done = Schedule.of(cells), None, []
    while schedule.jobs:
        task = schedule.take(row, ())
        row = row_of(task.cell)
        done.append((type(task).__name__, cells.index(task.cell)))
        if isinstance(task, Prepare):
            schedule.prepared(task.cell, [(0, 8), (8, 12)], conclude(task.cell))
        elif isinstance(task, Attack):
            schedule.attacked(task.cell, conclude(task.cell))
        else:
            schedule.ended(task.cell)
    steps = ("Prepare", "Attack", "Attack", "Conclude")
    assert done == [(step, place) for place in range(3) for step in steps]


def test_a_second_worker_begins_a_row_that_nobody_has_and_helps_when_there_is_none(cells):
    schedule = Schedule.of(cells)
    first = schedule.take(None, ())
    second = schedule.take(None, {row_of(first.cell)})
    assert (first.cell, second.cell) == (cells[0], cells[2]), "the second cell is of the first one's row"
    schedule.prepared(cells[0], [(0, 8), (8, 12)], conclude(cells[0]))
    schedule.prepared(cells[2], [], conclude(cells[2]))
    assert schedule.take(row_of(cells[2]), {row_of(cells[0])}) == conclude(cells[2])
    schedule.ended(cells[2])
    assert schedule.take(row_of(cells[0]), ()) == Attack(cells[0], 0, 8)
    assert schedule.take(row_of(cells[2]), {row_of(cells[0])}) == Attack(cells[0], 8, 12)
    assert schedule.take(row_of(cells[2]), ()) == Prepare(cells[1])
    assert schedule.take(row_of(cells[2]), ()) is None


def test_conclusions_wait_for_every_span_and_a_lost_task_is_the_next_of_its_cell(cells):
    schedule = Schedule.of(cells[:1])
    schedule.take(None, ())
    schedule.prepared(cells[0], [(0, 8), (8, 12)], conclude(cells[0]))
    one, two = schedule.take(None, ()), schedule.take(None, ())
    schedule.attacked(cells[0], conclude(cells[0]))
    assert schedule.take(None, ()) is None
    schedule.again(one)
    assert schedule.take(None, ()) == one
    schedule.attacked(cells[0], conclude(cells[0]))
    assert schedule.take(None, ()) == conclude(cells[0])
    assert two == Attack(cells[0], 8, 12)


def test_what_is_left_between_finished_spans_is_cut_to_size():
    assert list(gaps([(4, 10)], 20, 4)) == [(0, 4), (10, 14), (14, 18), (18, 20)]
    assert list(gaps([], 3, 4)) == [(0, 3)]
    assert list(gaps([(0, 3)], 3, 4)) == []


def spans(schedule, cell):
    return [(task.start, task.stop) for task in schedule.jobs[cell.id].waiting]


def test_spans_that_are_soon_done_grow_side_by_side_and_leave_enough_for_every_worker(cells):
    schedule = Schedule.of(cells[:1])
    schedule.take(None, ())
    schedule.prepared(cells[0], [(4 * n, 4 * n + 4) for n in range(10) if n != 5], conclude(cells[0]))
    schedule.take(None, ())
    schedule.attacked(cells[0], conclude(cells[0]))
    schedule.widen(cells[0], 4, 10)
    assert spans(schedule, cells[0]) == [(4, 12), (12, 20), (24, 32), (32, 40)]
    schedule.widen(cells[0], 2, 10)
    assert spans(schedule, cells[0]) == [(4, 12), (12, 20), (24, 32), (32, 40)], "ten samples at most"
    schedule.widen(cells[0], 3, 100)
    assert spans(schedule, cells[0]) == [(4, 20), (24, 32), (32, 40)], "three are left"
    for _ in range(3):
        schedule.take(None, ())
        assert not isinstance(schedule.jobs[cells[0].id].waiting, Conclude)
        schedule.attacked(cells[0], conclude(cells[0]))
    assert list(schedule.jobs[cells[0].id].waiting) == [conclude(cells[0])]

"""The drawings of the page: points where the figures are, names that overlap nothing, round marks."""

import itertools
import math
import re

import pytest
from made_runs import Made
from pages import page_of

from rbench.reports.page import scatter
from rbench.reports.page.view import page
from rbench.results.record import Cost
from rbench.results.runs import read_runs
from rbench.results.table import table

N = 20


@pytest.fixture
def sections(tmp_path):
    """Five rows of known accuracies and costs."""
    made = Made(tmp_path)
    for place, (clean, robust, seconds) in enumerate(
        [(20, 10, 2.0), (18, 10, 2.0), (16, 4, 2000.0), (16, 0, 20.0), (16, 0, 20.0)]
    ):
        made.done(
            "pgd",
            clean=[one < clean for one in range(N)],
            robust=[one < robust for one in range(N)],
            cell_changes={"purifier": f"purifier-{place}"},
            record_changes={"cost": Cost(seconds=seconds)},
            verified=place != 2,
        )
    made.other("pgd", "failed", purifier="broken", samples=N)
    made.plan()
    return page(table(read_runs([tmp_path]))).sections


def back(plot, point):
    """Where a point is, read from the marks of both axes."""
    (a, b), (c, d) = [(ticks[0], ticks[-1]) for ticks in (plot.across, plot.up)]
    number = [float(tick.text.removesuffix(" s").replace(",", "")) for tick in (a, b, c, d)]
    across = (point.x - a.place) / (b.place - a.place)
    up = (point.y - c.place) / (d.place - c.place)
    return across, number[0], number[1], number[2] + up * (number[3] - number[2])


def test_points_are_where_the_figures_are_and_lead_to_their_rows(sections):
    (section,) = sections
    standard, cost = section.plots
    rows = {row.anchor: row.fields for row in section.rows}
    assert len(standard.points) == len(cost.points) == 5  # a row without a number has no point
    for point in standard.points:
        share, low, high, robust = back(standard, point)
        assert low + share * (high - low) == pytest.approx(100 * rows[point.anchor]["standard_accuracy"], abs=0.2)
        assert robust == pytest.approx(100 * rows[point.anchor]["robust_accuracy"], abs=0.2)
        assert point.verified == rows[point.anchor]["verified"]
    for point in cost.points:
        share, low, high, _ = back(cost, point)
        seconds = rows[point.anchor]["cost_seconds"] / N
        assert math.log10(low) + share * math.log10(high / low) == pytest.approx(math.log10(seconds), abs=0.02)


def test_names_overlap_neither_each_other_nor_points_nor_the_frame(sections):
    for plot in sections[0].plots:
        labels = [point.label for point in plot.points if point.label]
        assert len(labels) >= 3
        boxes = []
        for label in labels:
            width = scatter.LETTER * len(label.text)
            left = label.x - {"start": 0, "middle": width / 2, "end": width}[label.side]
            boxes.append(scatter.Box(left, label.y - 3.2 - 5, left + width, label.y - 3.2 + 5))
        assert not any(first.meets(second) for first, second in itertools.combinations(boxes, 2))
        assert all(box.left >= scatter.LEFT and box.right <= scatter.WIDTH for box in boxes)
        for point in plot.points:
            dot = scatter.Box(point.x - 3.9, point.y - 3.9, point.x + 3.9, point.y + 3.9)
            assert not any(dot.meets(box) for box in boxes)


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [1.0, 1.0], [0.71, 0.72], [0.0, 1.0], [0.3, 0.1], [0.013, 0.4]])
@pytest.mark.parametrize("zero", [False, True])
def test_axes_of_shares_hold_all_values_with_two_to_six_round_marks(values, zero):
    made = scatter._shares(values, zero=zero)
    assert 0 <= made.low <= min(values)
    assert max(values) <= made.high + 1e-9 <= 1 + 2e-9
    assert 2 <= len(made.marks) <= 6
    assert made.low == 0 or not zero
    assert len({f"{100 * mark:.0f}" for mark in made.marks}) == len(made.marks)


@pytest.mark.parametrize("seconds", [[1.0], [0.001, 0.0011], [0.02, 3.0], [1e-9, 3e10], [59, 4000]])
def test_axes_of_times_hold_all_values_with_two_to_seven_marks(seconds):
    made = scatter._times(seconds)
    assert made.low < math.log10(min(seconds)) < math.log10(max(seconds)) + 1e-12 < made.high
    assert 2 <= len(made.marks) <= 8
    assert len({scatter._time(10**mark) for mark in made.marks}) == len(made.marks)


def test_the_page_draws_links_to_rows_with_words_for_those_who_do_not_see_them(tmp_path, sections):
    text = page_of(tmp_path)
    drawing = text.split('<figure class="plot">')[1].split("</figure>")[0]
    links = re.findall(r'<a href="#(row-\d+)"><title>([^<]*)</title><circle class="(\w+)"', drawing)
    assert [anchor for anchor, _, _ in links] == [f"row-{place}" for place in (1, 2, 3, 4, 5)]
    assert "purifier-1 on cnn: standard 90.0 %, robust 50.0 %" in [words for _, words, _ in links]
    assert sorted(kind for _, _, kind in links) == ["known"] * 4 + ["open"]
    assert all(f'id="{anchor}"' in text for anchor, _, _ in links)


def test_a_table_of_one_row_has_no_drawing(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=[1] * 4, robust=[1, 1, 0, 0])
    made.plan()
    assert "<figure" not in page_of(tmp_path)

"""The drawings of a section, robust accuracy against standard accuracy and against cost, as numbers for the template."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rbench.reports.page.rows import RowView
from rbench.reports.page.words import duration
from rbench.reports.plain import named, percent

WIDTH, HEIGHT = 340, 220
LEFT, RIGHT, TOP, BOTTOM = 36, 330, 10, 182
RADIUS = 4
LETTER, LINE = 5.2, 10
"""Width and height of a letter of a label, rather too large than too small."""
LONGEST = 18
"""Letters of a label; longer names are cut."""
MOST_LABELS = 30
"""Labels of a drawing; of more points only the best are labelled."""


class Tick(NamedTuple):
    """A place on an axis and what stands there."""

    place: float
    text: str


class Label(NamedTuple):
    """Text beside a point, `side` as in `text-anchor`."""

    text: str
    x: float
    y: float
    side: str


class Box(NamedTuple):
    """A rectangle of the drawing."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether two rectangles overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


@dataclass(frozen=True)
class Point:
    """A row in a drawing.

    Attributes:
        anchor: the fragment of a link to the row.
        x: place across.
        y: place down.
        words: its figures as a sentence.
        verified: whether the row is.
        label: its name beside it; None where there is no room.
    """

    anchor: str
    x: float
    y: float
    words: str
    verified: bool
    label: Label | None


@dataclass(frozen=True)
class Plot:
    """A drawing.

    Attributes:
        against: what robust accuracy is shown against.
        below: what the horizontal axis is.
        across: its ticks.
        up: the ticks of the vertical axis, which is robust accuracy in percent.
        limit: both ends of the line on which robust and standard accuracy are the same; None if it is not there.
        points: one for each row with a number.
    """

    against: str
    below: str
    across: Sequence[Tick]
    up: Sequence[Tick]
    limit: tuple[float, float, float, float] | None
    points: Sequence[Point]


class _Scale(NamedTuple):
    low: float
    high: float
    marks: Sequence[float]

    def across(self, value: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (value - self.low) / (self.high - self.low), 1)

    def up(self, value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - self.low) / (self.high - self.low), 1)


def plots(rows: Sequence[RowView]) -> list[Plot]:
    """The drawings of rows that were judged alike; none where fewer than two of them have what a drawing shows."""
    judged = [row for row in rows if row.fields["robust_accuracy"] is not None]
    standard = [row for row in judged if row.fields["standard_accuracy"] is not None]
    priced = [row for row in judged if row.fields["cost_seconds"] and row.fields["n"]]
    made = []
    if len(standard) > 1:
        made.append(_against_standard(standard))
    if len(priced) > 1:
        made.append(_against_cost(priced))
    return made


def _against_standard(rows: Sequence[RowView]) -> Plot:
    x = _shares([row.fields["standard_accuracy"] for row in rows])
    y = _shares([row.fields["robust_accuracy"] for row in rows], zero=True)
    low, high = max(x.low, y.low), min(x.high, y.high)
    limit = (x.across(low), y.up(low), x.across(high), y.up(high)) if low < high else None
    return Plot(
        against="standard accuracy",
        below="standard accuracy, %",
        across=[Tick(x.across(mark), f"{100 * mark:.0f}") for mark in x.marks],
        up=[Tick(y.up(mark), f"{100 * mark:.0f}") for mark in y.marks],
        limit=limit,
        points=_points(
            rows,
            lambda row: (x.across(row.fields["standard_accuracy"]), y.up(row.fields["robust_accuracy"])),
            lambda row: f"standard {percent(row.fields['standard_accuracy'])} %",
        ),
    )


def _against_cost(rows: Sequence[RowView]) -> Plot:
    x = _times([_seconds(row) for row in rows])
    y = _shares([row.fields["robust_accuracy"] for row in rows], zero=True)
    return Plot(
        against="cost",
        below="time of all its attacks on one image",
        across=[Tick(x.across(mark), _time(10**mark)) for mark in x.marks],
        up=[Tick(y.up(mark), f"{100 * mark:.0f}") for mark in y.marks],
        limit=None,
        points=_points(
            rows,
            lambda row: (x.across(math.log10(_seconds(row))), y.up(row.fields["robust_accuracy"])),
            lambda row: f"{duration(_seconds(row))} an image",
        ),
    )


def _seconds(row: RowView) -> float:
    # Records are anybody's: no time is shorter than a nanosecond or longer than a thousand years.
    return float(min(max(row.fields["cost_seconds"] / row.fields["n"], 1e-9), 3e10))


def _time(seconds: float) -> str:
    # In seconds throughout, since a power of ten of them is no round number of minutes.
    return f"{seconds:,.0f} s" if seconds >= 1 else f"{seconds:.2g} s"


def _shares(values: Sequence[float], *, zero: bool = False) -> _Scale:
    """An axis of fractions that holds all values, in round steps; from zero on if wanted."""
    inside = [min(max(value, 0.0), 1.0) for value in values]
    low, high = (0.0 if zero else min(inside)), max(inside)
    for step in (0.02, 0.05, 0.1, 0.2):
        # Rounded first, since 0.3 / 0.1 is a little less than 3.
        first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
        if first == last:
            first, last = (first - 1, last) if last * step >= 1 else (first, last + 1)
        if last - first <= 5:
            break
    return _Scale(first * step, last * step, [mark * step for mark in range(first, last + 1)])


def _times(seconds: Sequence[float]) -> _Scale:
    """An axis of powers of ten that holds all times, with at least two marks."""
    rungs = [math.log10(lead) + decade for decade in range(-10, 12) for lead in (1, 2, 5)]
    low, high = math.log10(min(seconds)), math.log10(max(seconds))
    first = max(mark for mark in rungs if mark < low - 0.02)
    last = min(mark for mark in rungs if mark > high + 0.02)
    marks = [mark for mark in rungs if first <= mark <= last]
    every = -(-(last - first) // 6)
    if len(marks) > 6:
        marks = [mark for mark in marks if mark == round(mark) and round(mark) % max(every, 1) == 0]
    return _Scale(first, last, marks)


def _points(
    rows: Sequence[RowView],
    place: Callable[[RowView], tuple[float, float]],
    said: Callable[[RowView], str],
) -> list[Point]:
    places = [place(row) for row in rows]
    taken = [Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in places]
    points = []
    for rank, (row, (x, y)) in enumerate(zip(rows, places, strict=True)):
        found = next(_free(named(row.fields["purifier"]), x, y, taken), None) if rank < MOST_LABELS else None
        label: Label | None = None
        if found is not None:
            label, box = found
            taken.append(box)
        name = f"{named(row.fields['purifier'])} on {named(row.fields['backbone'])}"
        words = f"{name}: {said(row)}, robust {row.robust} %"
        points.append(Point(row.anchor, x, y, words, bool(row.fields["verified"]), label))
    return points


def _free(name: str, x: float, y: float, taken: Sequence[Box]) -> Iterator[tuple[Label, Box]]:
    """The places beside a point where its name overlaps nothing."""
    text = name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
    width, gap = LETTER * len(text), RADIUS + 2
    starts = {"start": x + gap, "end": x - gap, "middle": x}
    for side, up in (("start", 0), ("end", 0), ("middle", -gap - 3), ("middle", gap + 5), ("start", -8), ("start", 8)):
        at, middle = starts[side], y + up
        left = at - {"start": 0.0, "end": width, "middle": width / 2}[side]
        box = Box(left, middle - LINE / 2, left + width, middle + LINE / 2)
        inside = box.left >= LEFT and box.right <= WIDTH - 2 and box.top >= 0 and box.bottom <= BOTTOM + 2
        if inside and not any(box.meets(other) for other in taken):
            yield Label(text, round(at, 1), round(middle + 3.2, 1), side), box

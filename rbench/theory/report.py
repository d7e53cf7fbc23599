"""The points of the theory as a table for programs and as a page for readers."""

import csv
import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rbench.reports.plain import csv_text, markdown_name, markdown_text, percent

if TYPE_CHECKING:
    from rbench.theory.correlate import Correlation
    from rbench.theory.points import Point, Settings

WIDTH = 80
_HEADER: tuple[str, ...] = ("purifier", "lambda", "CE", "adv. CE", "L_con", "kappa", "std %", "rob %")
_AGAINST = {"robust_accuracy": "robust accuracy", "adversarial_ce": "adversarial CE"}
_SOURCES = {
    "run": "the worst case over all attacks of the suite's run",
    "pgd": "what survives the PGD of *adv. CE*, not a worst case over attacks",
}
_ABOUT = (
    "Means over all images. *CE* and *adv. CE*: cross-entropy in nats, clean and at the worst image that PGD sees through purifier and "
    "backbone. *L_con*: at the worst code that PGD sees on the encoder, so a lower estimate of the maximum that the theorem has. *kappa* = "
    "(adv. CE - CE) / L_con is the smallest constant with which the theorem holds there. It hides the Lipschitz constant of all that "
    "follows the encoder: that a kappa exists says nothing, that it is small and the same everywhere would. theory.csv also has what the "
    "attacker adds to L_con, and a kappa of that."
)


def points_csv(points: Sequence["Point"]) -> str:
    """One line for each point, numbers in full."""
    rows = [point.row() for point in points]
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_plain(value) for value in row.values()] for row in rows)
    return sink.getvalue()


def _plain(value: Any) -> Any:
    return csv_text(value) if isinstance(value, str) else value


def theory_markdown(points: Sequence["Point"], correlations: Sequence["Correlation"], settings: "Settings") -> str:
    """The page: points by radius and backbone, correlations, and how it was measured; prose and short names fit 80 columns."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        heading = f"{point.dataset} ({point.n:,} images), {point.frozen}, Linf {point.eps}"
        groups.setdefault(heading, []).append(point)
    lines = ["# The theorem, measured", ""]
    for heading, some in groups.items():
        lines += [f"## {markdown_text(heading)}", "", *_grid(some), ""]
    lines += ["## Spearman's rank correlation of L_con", ""]
    lines += [_item(one) for one in correlations]
    return "\n".join([*lines, "", _wrapped(_ABOUT), "", _wrapped(_how(points, settings))]) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _how(points: Sequence["Point"], settings: "Settings") -> str:
    n = points[0].n
    parts = settings.batches(n)
    sizes = " or ".join(str(size) for size in sorted({n // parts, -(-n // parts)}))
    sources = "; or ".join(_SOURCES[kind] for kind in sorted({point.robust_from for point in points}))
    return (
        f"PGD: {settings.steps} steps from each of {settings.restarts} random starts on both sides, Linf. L_con: form "
        f"`{settings.contrastive}`, tau {settings.tau:g}, for every purifier; negatives are the other images of a batch of {sizes}. "
        f"*rob %*: {sources}. Intervals: percentile bootstrap over points, 95 %; points behind the same purifier share its "
        "L_con, and one of no width means that the few points are in perfect order, not that it is certain."
    )


def _grid(points: Sequence["Point"]) -> list[str]:
    labels = [point.purifier for point in points]
    rows = [_HEADER]
    for point in points:
        # Two heads of one backbone behind one purifier are told apart by the backbone's label.
        alone = labels.count(point.purifier) == 1
        rows.append(_cells(point, point.purifier if alone else f"{point.purifier} / {point.backbone}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    marks = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [_line(rows[0], widths), _line(marks, widths), *(_line(row, widths) for row in rows[1:])]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cells[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
    ]
    return f"| {' | '.join(padded)} |"


def _cells(point: "Point", name: str) -> tuple[str, ...]:
    return (
        markdown_name(name),
        "-" if point.lam is None else f"{point.lam:g}",
        f"{point.clean_ce:.3f}",
        f"{point.adversarial_ce:.3f}",
        f"{point.attacked_contrastive:.3f}",
        "-" if point.kappa is None else f"{point.kappa:.2f}",
        percent(point.standard_accuracy),
        percent(point.robust_accuracy),
    )


def _item(one: "Correlation") -> str:
    text = f"- with {_AGAINST[one.against]}, {markdown_text(one.group)}: {spelled(one)}"
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def spelled(one: "Correlation") -> str:
    """A correlation in words."""
    if one.rho is None:
        return f"none, {one.n} points are too few or do not vary"
    held = "no interval" if one.low is None or one.high is None else f"{one.low:+.2f} to {one.high:+.2f}"
    return f"{one.rho:+.2f} ({held}, {one.n} points)"

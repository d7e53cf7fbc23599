"""`rbench plan`: the cells of a suite; nothing executed."""

import json
from typing import TYPE_CHECKING

import typer

from rbench.cli.terms import Json, Limit, Only, Set, Suite

if TYPE_CHECKING:
    from rbench.suite.plan import Plan

_SHOWN = 40


def command(suite: Suite, set_: Set = None, only: Only = None, limit: Limit = None, as_json: Json = False) -> None:
    """Show what a suite would run; nothing is executed."""
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan, plan_document

    planned = plan(load_suite(suite, set_ or ()), only=only, limit=limit)
    typer.echo(json.dumps(plan_document(planned), indent=1) if as_json else summary(planned))


def summary(planned: "Plan") -> str:
    """The plan in at most 80 columns: a line a cell, and the totals."""
    from rbench.suite.plan import gradient_passes

    cells = planned.cells
    columns = [
        ("cell", [c.id for c in cells], str.ljust),
        ("backbone", [c.backbone.label for c in cells], str.ljust),
        ("purifier", [c.purifier.label for c in cells], str.ljust),
        ("attack", [c.attack.label for c in cells], str.ljust),
        ("eps", [c.threat.eps.text for c in cells], str.rjust),
        ("passes", [_count(gradient_passes(c)) for c in cells], str.rjust),
    ]
    aligned = []
    for title, values, align in columns:
        shown = [title, *(_short(value, 15) for value in values[:_SHOWN])]
        width = max(map(len, shown))
        aligned.append([align(text, width) for text in shown])
    lines = ["  ".join(row).rstrip() for row in zip(*aligned, strict=True)]
    if len(cells) > _SHOWN:
        lines.append(f"... and {len(cells) - _SHOWN} more (--json lists all)")
    return "\n".join([*lines, "", _totals(planned)])


def _totals(planned: "Plan") -> str:
    from rbench.suite.plan import gradient_passes

    known = [passes for cell in planned.cells if (passes := gradient_passes(cell)) is not None]
    samples = planned.spec.dataset.samples
    size = "all samples" if samples is None else f"{samples} samples"
    unknown = len(planned.cells) - len(known)
    total = f"at most {sum(known):,} gradient passes" if known else "gradient passes unknown"
    rest = f", {unknown} cells unknown" if known and unknown else ""
    return f"{planned.spec.suite}: {len(planned.cells)} cells of {size}; {total}{rest}"


def _count(passes: int | None) -> str:
    return "-" if passes is None else f"{passes:,}"


def _short(text: str, width: int) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= width else f"{printable[: width - 3]}..."

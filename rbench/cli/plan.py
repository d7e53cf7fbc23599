"""`rbench plan`: the cells of a suite; nothing executed."""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import terminal
from rbench.cli.run import Device
from rbench.cli.terms import Json, Limit, Only, Set, Suite
from rbench.cli.trusting import Trust, must_be_trusted
from rbench.harmless import NAME, harmless
from rbench.harmless import columns as taken

if TYPE_CHECKING:
    from rbench.suite.plan import Plan

_SHOWN = 40


Probe = Annotated[
    bool, typer.Option("--probe", help="Load every model, time two small batches of it and estimate the hours.")
]


def command(
    suite: Suite,
    set_: Set = None,
    only: Only = None,
    limit: Limit = None,
    probe: Probe = False,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show what a suite would run; nothing is executed unless --probe is given."""
    from rbench.registry.trust import trusting
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan, plan_document

    on_read = must_be_trusted(suite, trust=trust) if probe else trusting(trust=trust)
    planned = plan(load_suite(suite, set_ or (), on_read), only=only, limit=limit)
    timed = _probed(planned, device) if probe else None
    if as_json:
        document = plan_document(planned)
        terminal.document(document if timed is None else {**document, "probe": timed})
    else:
        terminal.say(summary(planned) if timed is None else f"{summary(planned)}\n\n{forecast(timed)}")


def _probed(planned: "Plan", device: str) -> dict[str, Any]:
    from rbench.allocator import keep_freed_memory
    from rbench.engine.devices import resolve_device
    from rbench.engine.precision import full_float32
    from rbench.running.components import Components
    from rbench.running.estimate import estimate, probe
    from rbench.running.pool import threads_of

    keep_freed_memory()
    place = resolve_device(device)
    with threads_of(1), full_float32():
        return {"device": place.type, **estimate(planned.cells, probe(Components(place))).document()}


def forecast(timed: Mapping[str, Any]) -> str:
    """The hours by the number of workers, in at most 80 columns."""
    worker = "a GPU" if timed["device"] == "cuda" else "a process of one thread"
    lines = ["workers        time"]
    lines += [f"{count:>7}  {_duration(hours):>10}" for count, hours in timed["hours"].items()]
    lines += [
        "",
        "An estimate, from two small batches of each model; a worker is",
        f"{worker}. Attacks count as if no sample fell early, so most runs",
        "take less; loading and audits are not counted.",
    ]
    unknown = timed["unknown"]
    if unknown:
        lines.append(f"Not in it, {len(unknown)} of {len(unknown) + len(timed['seconds'])} cells:")
        lines += [f"  {_short(f'{name}: {why}', 78)}" for name, why in list(unknown.items())[:_SHOWN]]
    return "\n".join(lines)


def _duration(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1 else f"{hours:.1f} h"


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
        width = max(map(taken, shown))
        aligned.append([align(text, width - taken(text) + len(text)) for text in shown])
    lines = ["  ".join(row).rstrip() for row in zip(*aligned, strict=True)]
    if not cells:
        lines = []
    if len(cells) > _SHOWN:
        lines.append(f"... and {len(cells) - _SHOWN} more (--json lists all)")
    lines += _corrupted(planned)
    return "\n".join([*lines, "", *fill(_totals(planned), 80).splitlines(), *_asked(planned)])


def _corrupted(planned: "Plan") -> list[str]:
    """How many corruptions at which severities, of how many defended models."""
    names = dict.fromkeys(cell.corruption.name for cell in planned.corrupted)
    if not names:
        return []
    models = {cell.probe.id for cell in planned.corrupted}
    severities = {one for cell in planned.corrupted for one in cell.corruption.severity} - {0}
    made = "read" if any(cell.corruption.folder for cell in planned.corrupted) else "made"
    severity = ", ".join(map(str, sorted(severities)))
    text = f"{len(planned.corrupted)} cells of corruptions, {made}: {', '.join(names)}; severity {severity}; {len(models)} defended models"
    return fill(text, 80).splitlines()


def _asked(planned: "Plan") -> list[str]:
    from rbench.suite.effort import ASK_ABOVE, very_much
    from rbench.suite.plan import needs_trust

    lines = []
    much = very_much(planned.cells, lambda cell: None)
    if much is not None:
        lines += fill(f"{much}; above {ASK_ABOVE:,}, `rbench run` asks for --yes.", 80).splitlines()
    if code := needs_trust(planned):
        names = ", ".join(harmless(one, 2 * NAME) for one in code)
        lines += fill(f"Code of your own, which `rbench run` runs only with --trust: {names}", 80).splitlines()
    return lines


def _totals(planned: "Plan") -> str:
    from rbench.suite.plan import gradient_passes

    known = [passes for cell in planned.cells if (passes := gradient_passes(cell)) is not None]
    samples = planned.spec.dataset.samples
    size = "all samples" if samples is None else f"{samples} samples"
    unknown = len(planned.cells) - len(known)
    total = f"at most {sum(known):,} gradient passes" if known else "gradient passes unknown"
    rest = f", {unknown} cells unknown" if known and unknown else ""
    if not planned.cells:
        return f"{harmless(planned.spec.suite, NAME)}: {len(planned.corrupted)} cells of {size}; no attacks"
    return f"{harmless(planned.spec.suite, NAME)}: {len(planned.cells)} cells of {size}; {total}{rest}"


def _count(passes: int | None) -> str:
    return "-" if passes is None else f"{passes:,}"


def _short(text: str, width: int) -> str:
    return harmless(text, width)

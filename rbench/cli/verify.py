"""`rbench verify`: is what a run folder, or a bundle of one, says true?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli import terminal
from rbench.cli.following import Following, followed
from rbench.cli.planned import planned_of
from rbench.cli.terms import Files, Json, Set, Workers
from rbench.cli.trusting import Trust, must_be_trusted
from rbench.errors import RbenchError
from rbench.harmless import NAME, STORED, harmless

if TYPE_CHECKING:
    from rbench.bundles.opened import Opened
    from rbench.suite.plan import Plan
    from rbench.verifying.verdict import Verdict, Verified
    from rbench.verifying.verify import JudgedRow

FAILED = 4
"""The exit code of a verification that failed."""


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|BUNDLE", help="A run folder, such as results/quickstart, or a bundle.", show_default=False
        ),
    ],
    set_: Set = None,
    survivors: Annotated[
        int, typer.Option(min=0, metavar="K", help="Claimed survivors of each row to attack again, another seed.")
    ] = 30,
    audit: Annotated[
        bool, typer.Option("--audit", help="Run every cell again with another seed, order and batch size.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only hold the files against each other; no model, no torch.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, metavar="B", help="Images at once.")] = 64,
    workers: Workers = "auto",
    files: Files = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Judge every stored example again, attack some survivors again, and mark what holds as verified. Exit code 4 if anything does not."""
    from rbench.bundles.opened import opened
    from rbench.reports.leaderboards import held
    from rbench.results.runs import read_runs

    with opened(folder) as run:
        before, places = read_runs([run.root]), files or ()  # a folder that is none is refused before torch is loaded
        if offline:
            from rbench.verifying.verdict import offline as check

            found = check(run.root, _planned(run, set_ or (), places))
        else:
            demand = {"survivors": survivors, "audit": audit, "batch_size": batch_size}
            allowed = must_be_trusted(_suite(run), trust=trust, ask=False, remedy=_code_of(run))
            plan = planned_of(run.root, set_ or (), on_read=allowed, files=places, beside=run.beside, given=run.given)
            found = judged_again(run.root, plan, device, demand, workers)
        against = held(run.root, before)
        tables, found = against.edited, replace(found, notes=(*found.notes, *run.claims, *against.notes))
        _show(found, tables, as_json=as_json)
    if tables or not holds(found, offline=offline):
        raise typer.Exit(FAILED)


def holds(found: "Verified", *, offline: bool = False) -> bool:
    """Whether everything was read and judged, and nothing was found."""
    verdicts = found.verdicts
    whole = all(not verdict.faults and (offline or verdict.evidence or verdict.unjudged) for verdict in verdicts)
    return bool(verdicts) and whole and not found.broken


def _suite(run: "Opened") -> Path:
    return run.root / "suite.yaml" if run.manifest is None else run.given


def _code_of(run: "Opened") -> str:
    """What the records say of code of their author's own, and how it is left alone."""
    from rbench.results.store import RunFolder
    from rbench.verifying.needs import brought, code_told

    return f"{code_told(brought(RunFolder(run.root)))} --offline runs none of it."


def _planned(run: "Opened", overrides: Sequence[str], files: Sequence[Path]) -> "Plan | None":
    """The suite beside the results, planned today; None where that is impossible."""
    from rbench.registry.trust import trusting

    trusted = trusting(trust=False)
    try:
        return planned_of(run.root, overrides, on_read=trusted, files=files, beside=run.beside, given=run.given)
    except RbenchError as error:
        terminal.note(f"not held against the suite, which cannot be planned here: {error}")
        return None


def judged_again(root: Path, plan: "Plan", device: str, demand: dict[str, Any], workers: str) -> "Verified":
    """Judges what a run folder holds again, with a bar for the rows on a terminal.

    Args:
        root: the run folder.
        plan: its suite, planned today.
        device: as in `--device`.
        demand: the arguments of `rbench.verifying.verify.Demand`.
        workers: how many, as a text.
    """
    from rbench.allocator import keep_freed_memory
    from rbench.engine.devices import resolve_device
    from rbench.engine.precision import full_float32
    from rbench.results.store import RunFolder
    from rbench.running.components import Components
    from rbench.running.pool import threads_of, workers_for
    from rbench.running.signals import interruptible
    from rbench.verifying.apart import judged_apart
    from rbench.verifying.verify import Demand, Rows, concluded

    keep_freed_memory()
    with RunFolder(root).lock(), interruptible(), threads_of(1), full_float32():
        wanted = Demand(**demand)
        rows = Rows(root, plan, Components(resolve_device(device)), wanted)
        many = min(workers_for(workers, device, 1, plan.cells), len(rows.names))
        here = map(rows.judged, rows.names)
        judged = here if many < 1 else judged_apart(root, plan, device, wanted, rows.names, many)
        with followed("verifying", "rows judged again") as following:
            found = concluded(rows, _shown(judged, len(rows.names), following), _progress)
        if not rows.runs.corrupted:
            return found
        from rbench.verifying.corrupted_again import verify_corruptions

        corrupted = verify_corruptions(root, plan, str(resolve_device(device)), wanted.batch_size, _progress)
        return replace(found, verdicts=(*found.verdicts, *corrupted))


def _shown(rows: "Iterable[JudgedRow]", count: int, following: Following) -> "Iterator[JudgedRow]":
    """The same rows."""
    following.at("verifying", "", 0, count)
    for done, row in enumerate(rows, 1):
        yield row
        following.at("verifying", "", done, count)


def _progress(verdict: "Verdict") -> None:
    for fault in verdict.faults:
        terminal.tell(f"FAILED {harmless(_title(verdict), 3 * NAME)} ({verdict.cell.id}): {harmless(fault, STORED)}")


def _title(verdict: "Verdict") -> str:
    return "/".join(verdict.cell.label(part) for part in ("backbone", "purifier", "attack"))


def _show(found: "Verified", tables: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        terminal.document(_document(found, tables))
        return
    from rbench.reports.verified import verified

    terminal.show(verified(found, tables))


def _document(found: "Verified", tables: Sequence[str]) -> dict[str, Any]:
    cells = [
        {
            "cell": verdict.cell.id,
            "title": _title(verdict),
            "faults": verdict.faults,
            "notes": verdict.notes,
            "unjudged": verdict.unjudged or None,
            "evidence": verdict.evidence.model_dump(mode="json", by_alias=True) if verdict.evidence else None,
        }
        for verdict in found.verdicts
    ]
    unreadable = [{"path": one.path, "message": one.message} for one in found.broken]
    return {"schema": 1, "cells": cells, "unreadable": unreadable, "leaderboards": [*tables], "notes": [*found.notes]}

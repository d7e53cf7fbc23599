"""`rbench verify`: is what a run folder says true?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench.cli.terms import Json, Set
from rbench.errors import InputError

if TYPE_CHECKING:
    from rbench.results.runs import Broken
    from rbench.verifying.verdict import Verdict

FAILED = 4
"""The exit code of a verification that failed."""


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run folder, such as results/quickstart.", show_default=False)
    ],
    set_: Set = None,
    survivors: Annotated[
        int, typer.Option(min=0, metavar="K", help="Claimed survivors of each row to attack again, another seed.")
    ] = 10,
    audit: Annotated[
        bool, typer.Option("--audit", help="Run every cell again with another seed, order and batch size.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only hold the files against each other; no model, no torch.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, metavar="B", help="Images at once.")] = 256,
    as_json: Json = False,
) -> None:
    """Judge every stored example again, attack some survivors again, and mark what holds as verified. Exit code 4 if anything does not."""
    if offline:
        from rbench.verifying.verdict import offline as check

        verdicts, broken = check(folder)
    else:
        demand = {"survivors": survivors, "audit": audit, "batch_size": batch_size}
        verdicts, broken = _online(folder, set_ or (), device, demand)
    _show(verdicts, broken, as_json=as_json)
    whole = all(not verdict.faults and (offline or verdict.evidence) for verdict in verdicts)
    if broken or not verdicts or not whole:
        raise typer.Exit(FAILED)


def _online(
    root: Path, overrides: Sequence[str], device: str, demand: dict[str, Any]
) -> "tuple[list[Verdict], tuple[Broken, ...]]":
    from rbench.results.runs import read_runs
    from rbench.results.store import RunFolder
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    read_runs([root])  # a folder that is none is refused before torch is loaded
    path = root / "suite.yaml"
    if not path.is_file():
        raise InputError("no such file", place=path, remedy="it says which models and data to judge with")
    cells = plan(load_suite(path, overrides)).cells
    from rbench.engine.devices import resolve_device
    from rbench.running.components import Components
    from rbench.running.signals import interruptible
    from rbench.verifying.verify import Demand, verify

    with RunFolder(root).lock(), interruptible():
        return verify(root, cells, Components(resolve_device(device)), Demand(**demand), _progress)


def _progress(verdict: "Verdict") -> None:
    from rbench.reports.plain import visible

    for fault in verdict.faults:
        typer.echo(visible(f"FAILED {_title(verdict)} ({verdict.cell.id}): {fault}"), err=True)


def _title(verdict: "Verdict") -> str:
    return "/".join(verdict.cell.label(part) for part in ("backbone", "purifier", "attack"))


def _show(verdicts: "Sequence[Verdict]", broken: "Sequence[Broken]", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_document(verdicts, broken), indent=1, allow_nan=False))
        return
    from rich.console import Console

    from rbench.reports.verified import verified

    Console().print(verified(verdicts, broken))


def _document(verdicts: "Sequence[Verdict]", broken: "Sequence[Broken]") -> dict[str, Any]:
    cells = [
        {
            "cell": verdict.cell.id,
            "title": _title(verdict),
            "faults": verdict.faults,
            "notes": verdict.notes,
            "evidence": verdict.evidence.model_dump(mode="json", by_alias=True) if verdict.evidence else None,
        }
        for verdict in verdicts
    ]
    return {"schema": 1, "cells": cells, "unreadable": [{"path": one.path, "message": one.message} for one in broken]}

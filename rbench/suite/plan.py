"""A suite to its cells: every combination, resolved and content-hashed; nothing executed, no torch."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rbench.errors import InputError
from rbench.registry import registry
from rbench.registry.trust import own_code_in
from rbench.signature import nearest
from rbench.suite.binding import BoundSuite, bind_suite
from rbench.suite.budgets import convergence_passes
from rbench.suite.cascade import cascaded
from rbench.suite.cell import Cell, Slice, Threat
from rbench.suite.corruptions import CorruptedCell, corrupted_cells, matching
from rbench.suite.document import FieldPath
from rbench.suite.effort import very_much
from rbench.suite.resolve import dump, part_of, resolved_document
from rbench.suite.spec import SuiteSpec
from rbench.suite.titles import together

if TYPE_CHECKING:
    import pandas as pd

MAX_CELLS = 100_000


@dataclass(frozen=True, repr=False)
class Plan:
    """What a suite asks for.

    Attributes:
        cells: in the order to run: by backbone, purifier, eps, attack.
        spec: the suite; with `samples` lowered if the plan was limited.
        resolved: text of a suite file with all defaults written out that plans the same cells; kept beside the results.
        corrupted: the cells of common corruptions, by backbone and purifier.
    """

    cells: tuple[Cell, ...]
    spec: SuiteSpec
    resolved: str
    corrupted: tuple[CorruptedCell, ...] = ()

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each cell: id, labels, threat, gradient path, EOT, samples, gradient passes."""
        import pandas as pd

        return pd.DataFrame(plan_document(self)["cells"])

    def __repr__(self) -> str:
        more = f", {len(self.corrupted)} of corruptions" if self.corrupted else ""
        return f"Plan({self.spec.suite}: {len(self.cells)} cells{more})"

    def _repr_html_(self) -> str:
        return str(self.frame.to_html(index=False, border=0))


def plan(spec: SuiteSpec, *, only: str | None = None, limit: int | None = None) -> Plan:
    """Resolves a suite into cells.

    Args:
        spec: the suite.
        only: keep cells whose `backbone/purifier/attack` labels match this glob, or one of several parted by commas;
            without a slash it is matched against each label. Cells that come before them in a cascade are kept with them.
        limit: at most so many samples.

    Raises:
        InputError: a component, file or combination is wrong, two cells are the same work, or `only` matches none.
    """
    if limit is not None:
        spec = _limited(spec, limit)
    suite = bind_suite(spec)
    cells, corrupted = tuple(_unique(spec, suite)), tuple(corrupted_cells(spec, suite))
    resolved = dump(resolved_document(spec, suite))
    if only is None:
        return Plan(cells, spec, resolved, corrupted)
    some = matching(corrupted, only)
    return Plan(_matching(cells, only, other=len(some)), spec, resolved, some)


def gradient_passes(cell: Cell) -> int | None:
    """Most backward passes that a cell may take, with those for its convergence; None if they do not follow from its parameters.

    Known for attacks with a parameter `steps` and suites with a number of samples; but for a ladder `steps` is that of each rung.
    """
    params = cell.attack.params
    steps, samples = params.get("steps"), cell.slice.samples
    ladder = registry("attack").get(cell.attack.given_name).facts().get("ladder", False)
    if ladder or not isinstance(steps, int) or samples is None:
        return None
    restarts = given if isinstance(given := params.get("restarts", 1), int) else 1
    more = convergence_passes(steps, restarts) * min(cell.convergence, samples)
    return cell.eot * (steps * restarts * samples + more)


def _limited(spec: SuiteSpec, limit: int) -> SuiteSpec:
    if limit < 1:
        raise InputError("expected at least 1.", place="--limit", found=str(limit))
    samples = spec.dataset.samples
    lowered = limit if samples is None else min(samples, limit)
    return spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"samples": lowered})})


def _unique(spec: SuiteSpec, suite: BoundSuite) -> Iterator[Cell]:
    """All cells; refuses two that are the same work, since one of them cannot be what its author meant."""
    count = len(suite.backbones) * len(suite.purifiers) * len(suite.attacks) * len(spec.threat.eps)
    if count > MAX_CELLS:
        found = f"{count:,} cells"
        problem = f"{found} is above the limit of {MAX_CELLS:,}."
        raise spec.wrong(("suite",), problem, found=found, remedy="Split the suite.")
    seen: dict[str, tuple[FieldPath, ...]] = {}
    for cell, paths in _cells(spec, suite):
        if cell.id in seen:
            path, first = next((b, a) for a, b in zip(seen[cell.id], paths, strict=True) if a != b)
            problem = f"the same work as {spec.line(first)} ({cell.title})."
            raise spec.wrong(path, problem, remedy="Remove one of them.")
        seen[cell.id] = paths
        yield cell


def _cells(spec: SuiteSpec, suite: BoundSuite) -> Iterator[tuple[Cell, tuple[FieldPath, ...]]]:
    dataset = part_of(spec, suite.dataset)
    piece = Slice(spec.dataset.samples, spec.dataset.shuffle, spec.dataset.balanced)
    backbones = [part_of(spec, bound) for bound in suite.backbones]
    purifiers = [part_of(spec, bound) for bound in suite.purifiers]
    attacks = [
        (part_of(spec, bound), None if bound.stand_in is None else part_of(spec, bound.stand_in))
        for bound in suite.attacks
    ]
    protocol = spec.protocol
    places = together(spec, suite.listed, [purifier.label for purifier in purifiers])
    for (b, p, e), places_of_row in groupby(places, lambda place: place[:3]):
        row, paths = list[Cell](), list[tuple[FieldPath, ...]]()
        for *_, a in places_of_row:
            (attack, stand_in), own = attacks[a], suite.attacks[a].spec
            row.append(Cell(
                dataset, piece, backbones[b], purifiers[p], Threat(spec.threat.norm, spec.threat.eps[e]), attack,
                own.gradient, own.eot, protocol.draws, protocol.select_draws,
                protocol.decide, protocol.seed, stand_in, protocol.convergence, precision=own.precision,
            ))  # fmt: skip
            paths.append(
                (suite.backbones[b].path, suite.purifiers[p].path, ("threat", "eps", e), suite.attacks[a].path)
            )
        yield from zip(cascaded(row, gradient_passes) if protocol.cascade else row, paths, strict=True)


def _matching(cells: tuple[Cell, ...], only: str, other: int) -> tuple[Cell, ...]:
    patterns = [pattern.strip() for pattern in only.split(",") if pattern.strip()]

    def matches(cell: Cell, pattern: str) -> bool:
        labels = (cell.backbone.label, cell.purifier.label, cell.attack.label)
        return fnmatchcase(cell.title, pattern) or any(fnmatchcase(label, pattern) for label in labels)

    found = tuple(cell for cell in cells if any(matches(cell, pattern) for pattern in patterns))
    if not found and not other:
        labels = Counter(label for c in cells for label in (c.backbone.label, c.purifier.label, c.attack.label))
        close = nearest(only.split("/")[-1], labels)
        remedy = f"Did you mean {close[0]!r}?" if close else f"Labels: {', '.join(list(labels)[:12])}."
        raise InputError(f"matches none of {len(cells)} cells.", place=f"--only {only}", remedy=remedy)
    before = {cell_id for cell in found for cell_id in cell.after}
    return tuple(cell for cell in cells if cell in found or cell.id in before)


def needs_trust(planned: Plan) -> list[str]:
    """The code of the user's own that a plan names, as a suite has it after `python:`: a run of it wants `--trust`."""
    cells = [*planned.cells, *(one.probe for one in planned.corrupted)]
    parts = [part for c in cells for part in (c.dataset, c.backbone, c.purifier, c.attack, c.stand_in) if part]
    return [one.given for one in own_code_in([[part.given_name, part.given_params] for part in parts])]


def plan_document(planned: Plan) -> dict[str, Any]:
    """A plan as JSON values, for programs.

    `asks` says why a run of it wants `--yes`, null if it does not; `trust` which code it names that runs only with `--trust`.
    """
    return {
        "suite": planned.spec.suite,
        "asks": very_much(planned.cells, lambda cell: None),
        "trust": needs_trust(planned),
        "cells": [
            {
                "id": cell.id,
                "backbone": cell.backbone.label,
                "purifier": cell.purifier.label,
                "attack": cell.attack.label,
                "norm": cell.threat.norm,
                "eps": cell.threat.eps.text,
                "gradient": cell.gradient,
                "eot": cell.eot,
                "samples": cell.slice.samples,
                "gradient_passes": gradient_passes(cell),
                "after": list(cell.after),
                "precision": cell.precision,
            }
            for cell in planned.cells
        ],
        **({"corrupted": [_corrupted(cell) for cell in planned.corrupted]} if planned.corrupted else {}),
    }


def _corrupted(cell: CorruptedCell) -> dict[str, Any]:
    return {
        "id": cell.id,
        "backbone": cell.backbone.label,
        "purifier": cell.purifier.label,
        "corruption": cell.corruption.name,
        "severity": list(cell.corruption.severity),
        "samples": cell.slice.samples,
    }

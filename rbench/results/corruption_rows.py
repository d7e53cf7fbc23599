"""Rows of common corruptions: the mean corruption accuracy of each defended model. A mean, and never part of a worst case."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbench.claims.data_sets import data_set
from rbench.claims.figures import corruption_accuracy
from rbench.results.columns import Column
from rbench.results.corrupted_runs import ReadCorrupted
from rbench.results.statistics import Estimate, clustered
from rbench.suite.cell import id_of

CLEAN = "clean"
ALL = 15
"""Corruptions of the benchmark that figures are published for."""
_MODEL = ("dataset", "backbone", "purifier")

COLUMNS: dict[str, Column] = {
    "corruptions": Column(
        "Mean accuracy over common corruptions and severities (mCA), no attack; never part of robust accuracy.",
        "fraction",
        "higher",
    ),
    "corruptions_low": Column("Lower end of its 95 % interval, clustered by image.", "fraction", "higher"),
    "corruptions_high": Column("Upper end of its 95 % interval, clustered by image.", "fraction", "higher"),
    "corruptions_of": Column("How many corruptions, and which severities.", "text"),
}
"""Columns of a leaderboard in which some row has a mean corruption accuracy; any other has none of them."""


@dataclass(frozen=True)
class CorruptionRow:
    """A defended model under common corruptions.

    Attributes:
        dataset: label of the data set.
        backbone: label of the classifier.
        purifier: label of the purifier.
        n: images; None while nothing is done.
        names: the corruptions, in the order of the plan.
        severity: the severities, ascending.
        images: `made` by the library with ImageNet-C's parameters, or read from `files`.
        standard: accuracy on the images as they are; None where that is not done.
        mean: over all corruptions and severities; None where one is not done.
        by_severity: the same at each severity.
        by_name: accuracy of each corruption at each severity.
        decide: how draws become one value.
        draws: of each image.
        status: `done`, or what blocks the mean.
        verified: whether all its images were made and judged again.
        group: rows with one mark were judged alike.
        model: hash of data set, backbone and purifier.
        cells: what it is made of.
        published: mean corruption accuracy that RobustBench has of the same model, if the images are CIFAR-10-C's files.
        robust: robust accuracy of the same model beside it, with its threat in words; None where there is none.
    """

    dataset: str
    backbone: str
    purifier: str
    n: int | None
    names: tuple[str, ...]
    severity: tuple[int, ...]
    images: str
    standard: Estimate | None
    mean: Estimate | None
    by_severity: Mapping[int, Estimate]
    by_name: Mapping[str, Mapping[int, Estimate]]
    decide: str
    draws: int | None
    status: str
    verified: bool
    group: str
    model: str
    cells: tuple[ReadCorrupted, ...]
    published: float | None = None
    robust: tuple[str, float] | None = field(default=None)

    @property
    def of(self) -> str:
        """`15 corruptions, severity 1, 3, 5`."""
        count = f"{len(self.names)} corruption{'s' if len(self.names) > 1 else ''}"
        return f"{count}, severity {', '.join(map(str, self.severity))}"


def corruption_rows(cells: Sequence[ReadCorrupted]) -> tuple[CorruptionRow, ...]:
    """A row for each defended model of each folder, best mean first among rows that were judged alike; rows without a mean come last."""
    found: dict[Any, list[ReadCorrupted]] = defaultdict(list)
    for cell in cells:
        key = id_of(
            {**{part: cell.document[part] for part in (*_MODEL, "protocol")}, "judge": cell.document.get("judge")}
        )
        found[cell.root, key].append(cell)
    rows = [row for some in found.values() if (row := _row(some)) is not None]
    places = {mark: place for place, mark in enumerate(dict.fromkeys(row.group for row in rows))}
    return tuple(sorted(rows, key=lambda row: (places[row.group], -(row.mean.value if row.mean else -1.0))))


def model_of(document: Mapping[str, Any]) -> str:
    """Hash of what a row of attacks and one of corruptions share: the slice of the data set, the backbone and the purifier."""
    return id_of({part: document.get(part) for part in _MODEL})


def _row(cells: Sequence[ReadCorrupted]) -> CorruptionRow | None:
    corrupted = [cell for cell in cells if cell.name != CLEAN]
    if not corrupted:
        return None
    clean = next((cell for cell in cells if cell.name == CLEAN and cell.judged is not None), None)
    first, done = corrupted[0], [cell for cell in corrupted if cell.judged is not None]
    severity = tuple(first.document["threat"]["severity"])
    decide = str(first.document["protocol"].get("decide", "mean"))
    blocked = _blocked(corrupted, [*done, *([clean] if clean else [])])
    values = {cell.name: _values(cell, decide) for cell in done}
    whole = not blocked and len(done) == len(corrupted)
    everything = np.stack([values[cell.name] for cell in corrupted], axis=2) if whole else None
    record = next((cell.record for cell in done if cell.record), None)
    mean = None if everything is None else clustered(everything.mean(axis=(1, 2)))
    names, images = tuple(cell.name for cell in corrupted), str(first.document["threat"].get("images"))
    alike = {key: first.document[key] for key in ("dataset", "protocol")}
    threat = {"names": list(names), "severity": list(severity), "images": images}
    return CorruptionRow(
        dataset=first.label("dataset"),
        backbone=first.label("backbone"),
        purifier=first.label("purifier"),
        n=None if record is None else record.dataset.samples,
        names=names,
        severity=severity,
        images=images,
        standard=None if clean is None else clustered(_values(clean, decide)[:, 0]),
        mean=mean,
        by_severity={}
        if everything is None
        else {one: clustered(everything[:, place].mean(axis=1)) for place, one in enumerate(severity)},
        by_name={
            name: {one: clustered(found[:, place]) for place, one in enumerate(severity)}
            for name, found in values.items()
        },
        decide=decide,
        draws=None if record is None else record.protocol.draws,
        status=blocked or "done",
        verified=all(cell.verified for cell in cells),
        group=id_of(
            {**alike, "data": record and record.dataset.sha256, "threat": threat, "judge": first.document.get("judge")}
        ),
        model=model_of(first.document),
        cells=tuple(cells),
        published=_published(first, names, severity, images),
    )


def _values(cell: ReadCorrupted, decide: Any) -> NDArray[np.float64]:
    assert cell.judged is not None
    return cell.judged.values(decide)


def _blocked(corrupted: Sequence[ReadCorrupted], done: Sequence[ReadCorrupted]) -> str:
    """Why there is no mean over these corruptions; empty if there is one."""
    states = ("failed", "unreadable", "missing")
    named = {state: [cell.name for cell in corrupted if cell.status == state] for state in states}
    if waiting := "; ".join(f"{state}: {', '.join(names)}" for state, names in named.items() if names):
        return waiting
    if len({tuple(cell.document["threat"]["severity"]) for cell in corrupted}) > 1:
        return "mixed: corruptions at other severities"
    first = done[0]
    for cell in done[1:]:
        assert cell.judged is not None
        assert first.judged is not None
        assert cell.record is not None
        assert first.record is not None
        same = all(
            np.array_equal(getattr(first.judged, name), getattr(cell.judged, name)) for name in ("ids", "labels")
        )
        weights = [one.record and one.record.provenance.get("weights_sha256") for one in (first, cell)]
        if not same or first.record.dataset.sha256 != cell.record.dataset.sha256:
            return f"mixed: {first.name} and {cell.name} were judged on different data"
        if weights[0] != weights[1]:
            return f"mixed: {first.name} and {cell.name} were judged on different weights"
    return ""


def _published(cell: ReadCorrupted, names: Sequence[str], severity: Sequence[int], images: str) -> float | None:
    """RobustBench's figure for the same model on the whole of CIFAR-10-C; images that were made are others."""
    backbone, dataset = cell.document["backbone"], cell.document["dataset"]
    source, _, model = str(backbone.get("name")).partition(":")
    params = backbone.get("params")
    params = params if isinstance(params, Mapping) else {}
    given = dataset.get("params")
    judged_on = data_set(str(dataset.get("name")), cell.label("dataset"), given if isinstance(given, Mapping) else {})
    whole = len(names) == ALL and tuple(severity) == (1, 2, 3, 4, 5) and images == "files"
    bare = cell.document["purifier"].get("name") == "identity" and not {"head", "class_names"} & params.keys()
    if source != "robustbench" or judged_on != "cifar10" or not (whole and bare):
        return None
    return corruption_accuracy(model, judged_on, str(params.get("threat")))

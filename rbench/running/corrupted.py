"""Common corruptions of one defended model: images made or read, judged, and put into a record. No attack, no gradient, no ball."""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from rbench.backbones.told import told
from rbench.datasets.corrupted_files import corrupted_files
from rbench.datasets.corruptions import corrupted, ready
from rbench.engine.answers import refuse_other_answers
from rbench.engine.setup import watched
from rbench.engine.two_faces import refuse_other_sizes
from rbench.registry import registry
from rbench.results.corruption_record import CorruptionRecord, Judged, SeverityPart, figure
from rbench.results.record import BackbonePart, Cost, DatasetPart, Protocol, PurifierPart
from rbench.results.versions import versions
from rbench.running.components import Components
from rbench.running.prepare import Prepared
from rbench.suite.corruptions import CLEAN, CorruptedCell
from rbench.threat.batch import Batch

Pixels = np.ndarray
Make = Callable[[Batch, int], Pixels]
"""(clean images, severity) -> uint8 [B, C, H, W], or float32 as they are."""


def images_of(cell: CorruptedCell, components: Components) -> Make:
    """How the images of a cell come about.

    Raises:
        InputError: the files of corrupted images do not belong to its data set.
    """
    name, folder, seed = cell.corruption.name, cell.corruption.folder, cell.seed
    if name == CLEAN:
        return lambda clean, severity: clean.x.cpu().numpy()
    if folder is not None:
        part = cell.dataset
        source = part.given_name.partition(":")[0]
        read = corrupted_files(folder, name, components.dataset(part), source, part.given_params)
        return lambda clean, severity: read(clean.ids.cpu().numpy(), severity)
    ready()
    return lambda clean, severity: corrupted(clean.x.cpu().numpy(), clean.ids.cpu().numpy(), name, severity, seed)


def shown(pixels: Pixels, clean: Batch) -> torch.Tensor:
    """Pixels as a defended model sees them, float32 in [0, 1] on the device of the clean images."""
    levels = pixels.dtype == np.uint8
    values = pixels.astype(np.float32) / np.float32(255) if levels else pixels
    return torch.from_numpy(np.ascontiguousarray(values)).to(clean.device)


def judge_corrupted(
    cell: CorruptedCell, prepared: Prepared, components: Components, on_done: Callable[[int], None]
) -> tuple[Judged, list[str], Cost]:
    """Judges the images of a cell on score draws, the same ones at each severity.

    Args:
        cell: the cell.
        prepared: its defended model and samples, audited.
        components: loads the data set.
        on_done: called with the number of samples that are done.

    Returns:
        The predicted classes, the hash of the images of each severity, and the cost.

    Raises:
        CellFailed: a logit is not finite, or the model has changed or answers otherwise than before.
        InputError: the images cannot be made or read.
    """
    setup, severity = prepared.setup, cell.corruption.severity
    make, size, clock = images_of(cell, components), setup.judge.batch_size, time.monotonic()
    spent, digests = setup.model.meter.totals(), [hashlib.sha256() for _ in severity]
    found, labels = list[np.ndarray](), list[np.ndarray]()
    with watched(setup):
        for start in range(0, len(prepared.ids), size):
            clean, answers = prepared.read(prepared.ids[start : start + size]), []
            for digest, one in zip(digests, severity, strict=True):
                pixels = np.ascontiguousarray(make(clean, one))
                digest.update(pixels.tobytes())
                answers.append(setup.judge.score(shown(pixels, clean), clean).cpu().numpy())
            found.append(np.stack(answers, axis=1).astype(np.int32))
            labels.append(clean.y.cpu().numpy())
            on_done(len(clean))
    with watched(setup):
        refuse_other_answers(setup.model, setup.first)
        refuse_other_sizes(setup.model, setup.first)
    totals = setup.model.meter.totals()
    counts = {name: int(totals[name] - spent[name]) for name in ("forwards", "purifier_passes")}
    cost = Cost(**counts, seconds=round(time.monotonic() - clock, 3))
    judged = Judged(prepared.ids, np.concatenate(labels), severity, np.concatenate(found))
    return judged, [digest.hexdigest() for digest in digests], cost


def corruption_record(
    cell: CorruptedCell, prepared: Prepared, judged: Judged, images: list[str], cost: Cost, data: Mapping[str, Any]
) -> CorruptionRecord:
    """The record of a finished cell.

    Args:
        cell: the cell.
        prepared: as it was judged.
        judged: what came out.
        images: the hash of the images of each severity.
        cost: what it took.
        data: of the images and labels: fields of the record's `dataset`.
    """
    setup, values = prepared.setup, judged.values(cell.decide)
    parts = _parts(cell)
    part = parts["dataset"].model_copy(update={"samples": len(prepared.ids), "classes": setup.audit.classes, **data})
    severities = [
        SeverityPart(severity=one, accuracy=figure(values[:, place]), images_sha256=images[place])
        for place, one in enumerate(judged.severity)
    ]
    return CorruptionRecord.model_validate(
        {
            **parts,
            "status": "done",
            "dataset": part,
            "backbone": parts["backbone"].model_copy(update={"told": told(setup.model.backbone)}),
            "purifier": parts["purifier"].model_copy(update={"stochastic": setup.random}),
            "protocol": Protocol(draws=setup.judge.draws, decide=cell.decide, seed=cell.seed),
            "severities": severities,
            "mean_accuracy": figure(values.mean(axis=1)),
            "cost": cost,
            "audit": {"random": setup.random, **by_batch(prepared)},
            "result_hash": judged.hash(),
            "provenance": {
                **versions(),
                "distributions": _distributions(cell),
                "device": str(next(setup.model.parameters(), torch.empty(0)).device),
                "threads": torch.get_num_threads(),
                "batch_size": setup.judge.batch_size,
                "weights_sha256": setup.weights,
            },
        }
    )


def by_batch(prepared: Prepared) -> dict[str, bool]:
    """Whether the same images get the same answers again, and whether those depend on the batch."""
    audit = prepared.setup.audit
    return {"reproducible": bool(audit.reproducible), "batch_dependent": bool(audit.batch_dependent)}


def failed(cell: CorruptedCell, error: str) -> CorruptionRecord:
    """The record of a cell that has no figures."""
    protocol = Protocol(draws=cell.draws, decide=cell.decide, seed=cell.seed)
    return CorruptionRecord.model_validate(
        {**_parts(cell), "status": "failed", "error": error, "protocol": protocol, "provenance": versions()}
    )


def _parts(cell: CorruptedCell) -> dict[str, Any]:
    backbone, purifier = cell.backbone, cell.purifier
    return {
        "cell": cell.labelled(),
        "dataset": DatasetPart(name=cell.dataset.name, label=cell.dataset.label, samples=0),
        "backbone": BackbonePart(label=backbone.label, name=backbone.name, params=backbone.params),
        "purifier": PurifierPart(label=purifier.label, name=purifier.name, params=purifier.params),
    }


def _distributions(cell: CorruptedCell) -> dict[str, str]:
    parts = {"dataset": cell.dataset, "backbone": cell.backbone, "purifier": cell.purifier}
    components = [registry(kind).get(part.given_name) for kind, part in parts.items()]
    return {component.distribution: component.version for component in components}

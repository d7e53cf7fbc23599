"""One cell from its first chunk to its record; whatever goes wrong becomes a state of the record."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rbench.engine.audit import SAMPLES
from rbench.engine.convergence import Convergence, converge
from rbench.engine.evaluation import Evaluated, Protocol, Setup, describe, evaluate_chunk, join, refuse_changed, set_up
from rbench.engine.outcome import Outcome, conclude
from rbench.errors import CellFailed, RbenchError
from rbench.results.flags.of_cell import unverifiable
from rbench.results.gallery import Gallery
from rbench.results.record import AttackPart, BackbonePart, Cost, DatasetPart, PurifierPart, Record, ThreatPart
from rbench.results.record import Protocol as ProtocolPart
from rbench.results.store import RunFolder
from rbench.results.versions import versions
from rbench.running.components import Components, order, read_batch
from rbench.running.gallery import picture
from rbench.running.resume import cell_document
from rbench.suite.cell import Cell
from rbench.threat.attack import IterativeAttack

CHUNK_BATCHES = 2
"""Batches per chunk of our own attacks: what a kill can cost."""

KEPT_SIDE = 64
"""Up to this many pixels a side all adversarial images are kept, above only those that fooled (docs/judging.md, rule 1.11)."""


@dataclass(frozen=True)
class Work:
    """What running a cell needs beside the cell.

    Attributes:
        components: loaded models, data and attacks.
        folder: where chunks and results go.
        images: which adversarial images are stored.
        batch_size: samples at once for our own attacks.
        on_done: called with the number of samples that are done.
        on_note: called with a line the user should see, e.g. on a chunk that was torn.
    """

    components: Components
    folder: RunFolder
    images: str
    batch_size: int
    on_done: Callable[[int], None]
    on_note: Callable[[str], None]


def protocol_of(cell: Cell, batch_size: int) -> Protocol:
    """The cell's protocol in the engine's terms."""
    return Protocol(
        norm=cell.threat.norm,
        eps=cell.threat.eps.value,
        gradient=cell.gradient,
        eot=cell.eot,
        draws=cell.draws,
        decide=cell.decide,
        seed=cell.seed,
        batch_size=batch_size,
    )


def run_cell(cell: Cell, work: Work) -> Record:
    """Runs what is missing of a cell and writes its results.

    A rule of judging that is broken, and any exception of a model or an attack, becomes a failed record with the sample ids where they
    are known; it is never counted as robust or as fooled.
    """
    started = time.monotonic()
    try:
        ended = _evaluate(cell, work, started)
    except CellFailed as error:
        record = blank(cell, "failed", str(error), error.sample_ids)
    except RbenchError:
        raise
    except Exception as error:
        record = blank(cell, "failed", f"{type(error).__name__}: {error}", ())
    else:
        work.folder.finish(ended.record, ended.samples, ended.images, ended.pictures)
        return ended.record
    work.components.forget_models()  # whatever broke may have changed them: the next cell gets fresh ones
    work.folder.finish(record)
    return record


def blank(cell: Cell, status: str, error: str, samples: tuple[int, ...]) -> Record:
    """A record without figures."""
    return Record.model_validate(
        {
            **_parts(cell),
            "status": status,
            "error": error,
            "failed_samples": samples,
            "protocol": ProtocolPart(draws=cell.draws, decide=cell.decide, seed=cell.seed),
            "provenance": versions(),
        }
    )


def set_up_cell(
    components: Components, cell: Cell, protocol: Protocol, sample: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> Setup:
    """The setup of a cell under a protocol, which may be another than its own.

    Raises:
        InputError: the attack cannot do what the protocol asks.
        CellFailed: the defended model cannot be judged.
    """
    attack, model = components.attack(cell.attack), components.defended(cell.backbone, cell.purifier)
    stand_in = None if cell.stand_in is None else components.purifier(cell.stand_in)
    return set_up(model, attack, protocol, sample, components.source(attack), stand_in, components.audits)


@dataclass(frozen=True)
class _Ended:
    """What a finished cell leaves on disk."""

    record: Record
    samples: dict[str, np.ndarray]
    images: tuple[np.ndarray, np.ndarray] | None
    pictures: Gallery


def _evaluate(cell: Cell, work: Work, started: float) -> _Ended:
    components = work.components
    dataset, attack = components.dataset(cell.dataset), components.attack(cell.attack)
    ids = order(dataset, cell.slice)
    first = read_batch(dataset, ids[:SAMPLES], components.device)
    setup = set_up_cell(components, cell, protocol_of(cell, work.batch_size), first)
    dataset.require_classes(setup.audit.classes)
    size = CHUNK_BATCHES * work.batch_size if isinstance(attack, IterativeAttack) else attack.batch_size
    parts = _finished(work, cell, ids)
    for start, stop in _gaps(parts, len(ids), size):
        evaluated = _chunk(setup, work, dataset, ids[start:stop])
        work.folder.write_chunk(cell.id, start, stop, evaluated.arrays, evaluated.counts)
        parts[start, stop] = evaluated
    whole = join([parts[span] for span in sorted(parts)])
    outcome = conclude(setup, whole)
    found = Convergence()
    if cell.convergence:
        few = read_batch(dataset, ids[: cell.convergence], components.device)
        found = converge(setup, lambda changes: components.changed_attack(cell.attack, changes), few)
        refuse_changed(setup)
    kept = _policy(whole, work.images)
    data_hash = components.data_hash(cell.dataset, ids)
    record = _record(cell, setup, whole, outcome, data_hash=data_hash, started=started)
    flags = (*record.flags, *found.flags, *unverifiable(kept))
    evidence = {"convergence": found.parts, "converged": found.converged, "flags": flags, "images": kept}
    adversarial = torch.from_numpy(whole.arrays["images"][: len(first[0])]).to(components.device)
    pictures = picture(setup.model, first[0], adversarial, *first[1:], setup.noise)
    return _Ended(record.model_copy(update=evidence), outcome.samples, _kept(whole, outcome, kept), pictures)


def _chunk(setup: Setup, work: Work, dataset: Any, ids: np.ndarray) -> Evaluated:
    spent, clock = setup.model.meter.totals(), time.monotonic()
    evaluated = evaluate_chunk(setup, *read_batch(dataset, ids, work.components.device), work.on_done)
    refuse_changed(setup)  # before the chunk is kept: a later run would not attack these samples, and so not notice
    cost = {name: count - spent[name] for name, count in setup.model.meter.totals().items()}
    return Evaluated(evaluated.arrays, {**evaluated.counts, **cost, "seconds": time.monotonic() - clock})


def _finished(work: Work, cell: Cell, ids: np.ndarray) -> dict[tuple[int, int], Evaluated]:
    """Chunks of an earlier run that cover the slice without overlap."""
    found: dict[tuple[int, int], Evaluated] = {}
    end = 0
    chunks, notes = work.folder.read_chunks(cell.id)
    for note in notes:
        work.on_note(note)
    for chunk in sorted(chunks, key=lambda c: c.start):
        same = np.array_equal(chunk.arrays.get("sample", ()), ids[chunk.start : chunk.stop])
        if chunk.start >= end and same:
            found[chunk.start, chunk.stop] = Evaluated(chunk.arrays, chunk.meta)
            end = chunk.stop
            work.on_done(chunk.stop - chunk.start)
    return found


def _gaps(parts: Iterable[tuple[int, int]], count: int, size: int) -> Iterator[tuple[int, int]]:
    """What is left between finished chunks, which may be of another batch size, in pieces of at most `size`."""
    position = 0
    for start, stop in [*sorted(parts), (count, count)]:
        for first in range(position, start, size):
            yield first, min(first + size, start)
        position = stop


def _policy(whole: Evaluated, images: str) -> str:
    small = max(whole.arrays["images"].shape[2:]) <= KEPT_SIDE
    return ("all" if small else "fooled") if images == "auto" else images


def _kept(whole: Evaluated, outcome: Outcome, policy: str) -> tuple[np.ndarray, np.ndarray] | None:
    pixels, ids = whole.arrays["images"], whole.arrays["sample"]
    if policy == "none":
        return None
    if policy == "all":
        return pixels, ids
    fooled = outcome.samples["robust"] < 1
    return pixels[fooled], ids[fooled]


def _parts(cell: Cell) -> dict[str, Any]:
    return {
        "cell": cell_document(cell),
        "dataset": DatasetPart(name=cell.dataset.name, label=cell.dataset.label, samples=0),
        "threat": _threat(cell),
        "backbone": BackbonePart(label=cell.backbone.label, name=cell.backbone.name, params=cell.backbone.params),
        "purifier": PurifierPart(label=cell.purifier.label, name=cell.purifier.name, params=cell.purifier.params),
        "attack": AttackPart(
            label=cell.attack.label,
            name=cell.attack.name,
            params=cell.attack.params,
            gradient_requested=cell.gradient,
            eot=cell.eot,
        ),
    }


def _threat(cell: Cell) -> ThreatPart:
    threat = cell.threat
    return ThreatPart(kind=threat.kind, norm=threat.norm, eps_text=threat.eps.text, eps=threat.eps.value)


def used(cell: Cell, setup: Setup) -> dict[str, Any]:
    """What the attack really used."""
    own = "identity" if setup.model.surrogate is None else "surrogate"
    stand_in = own if cell.stand_in is None else cell.stand_in.label
    return {"gradient": setup.path, "eot": setup.oracle.eot, "stand_in": stand_in if setup.path == "bpda" else None}


def _record(cell: Cell, setup: Setup, whole: Evaluated, outcome: Outcome, *, data_hash: str, started: float) -> Record:
    parts = _parts(cell)
    changes = {"samples": len(whole.arrays["sample"]), "sha256": data_hash, "classes": setup.audit.classes}
    names = ("forwards", "backwards", "purifier_passes", "queries")
    cost = {name: int(whole.counts[name]) for name in names}
    return Record.model_validate(
        {
            **parts,
            "status": "done",
            "dataset": parts["dataset"].model_copy(update=changes),
            "purifier": parts["purifier"].model_copy(update={"stochastic": setup.random}),
            "attack": parts["attack"].model_copy(update=used(cell, setup)),
            "protocol": ProtocolPart(draws=setup.judge.draws, decide=cell.decide, seed=cell.seed),
            "summary": outcome.summary,
            "cost": Cost(**cost, seconds=round(float(whole.counts["seconds"]), 3)),
            "rungs": outcome.rungs,
            "flags": outcome.flags,
            "audit": describe(setup),
            "result_hash": outcome.result_hash,
            "provenance": {
                **versions(),
                "device": str(next(setup.model.parameters(), torch.empty(0)).device),
                "threads": torch.get_num_threads(),
                "weights_sha256": setup.weights,
                "images_sha256": outcome.images_hash,
                "last_run_seconds": round(time.monotonic() - started, 3),
            },
        }
    )

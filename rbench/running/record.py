"""The record of a cell: what was run, and its results."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from rbench.backbones.told import told
from rbench.engine.setup import Setup, describe
from rbench.errors import RbenchError
from rbench.harmless import without_paths
from rbench.registry import Component, registry, resolved
from rbench.registry.own import OwnComponent
from rbench.results.flags.of_cell import unverifiable
from rbench.results.record import AttackPart, BackbonePart, Cost, DatasetPart, PurifierPart, Record, ThreatPart
from rbench.results.record import Protocol as ProtocolPart
from rbench.results.versions import versions
from rbench.running.conclude import Finished
from rbench.running.prepare import Prepared
from rbench.running.resume import cell_document
from rbench.suite.cell import Cell, Part

COSTS = ("forwards", "backwards", "purifier_passes", "queries")
_ADDED = ("head", "class_names", "noise", "classes")
"""Keys of a part that are no parameters of its component."""


def blank(cell: Cell, status: str, error: str, samples: tuple[int, ...]) -> Record:
    """A record without results, of a cell that failed or was cancelled."""
    return Record.model_validate(
        {
            **_parts(cell),
            "status": status,
            "error": without_paths(error),
            "failed_samples": samples,
            "protocol": _protocol(cell, cell.draws, cell.select_draws),
            "provenance": {**versions(), **_origins(cell)},
        }
    )


def _protocol(cell: Cell, draws: int, select_draws: int) -> ProtocolPart:
    return ProtocolPart(draws=draws, select_draws=select_draws, decide=cell.decide, seed=cell.seed)


def done(cell: Cell, prepared: Prepared, finished: Finished, data: Mapping[str, Any], images: str) -> Record:
    """The record of a finished cell.

    Args:
        cell: the cell.
        prepared: as it was run.
        finished: its results.
        data: of the images and labels that were judged: fields of the record's `dataset`.
        images: which adversarial images are stored: `all`, `fooled` or `none`.
    """
    setup, whole, outcome, convergence = prepared.setup, finished.whole, finished.outcome, finished.convergence
    parts = _parts(cell)
    judged = {"samples": len(prepared.ids), "classes": setup.audit.classes, **data}
    return Record.model_validate(
        {
            **parts,
            "status": "done",
            "dataset": parts["dataset"].model_copy(update=judged),
            "backbone": parts["backbone"].model_copy(update={"told": told(setup.model.backbone)}),
            "purifier": parts["purifier"].model_copy(update={"stochastic": setup.random}),
            "attack": parts["attack"].model_copy(update=used(cell, setup)),
            "protocol": _protocol(cell, setup.judge.draws, setup.judge.select_draws),
            "summary": outcome.summary,
            "cost": Cost(
                **{name: int(whole.counts[name]) for name in COSTS}, seconds=round(float(whole.counts["seconds"]), 3)
            ),
            "rungs": outcome.rungs,
            "convergence": convergence.parts,
            "converged": convergence.converged,
            "images": images,
            "flags": (*outcome.flags, *convergence.flags, *unverifiable(images)),
            "audit": {**describe(setup), **finished.facts},
            "result_hash": outcome.result_hash,
            "provenance": {
                **versions(),
                **_origins(cell),
                "device": str(next(setup.model.parameters(), torch.empty(0)).device),
                "threads": torch.get_num_threads(),
                "batch_size": setup.judge.batch_size,
                "weights_sha256": setup.weights,
                "images_sha256": outcome.images_hash,
            },
        }
    )


def used(cell: Cell, setup: Setup) -> dict[str, Any]:
    """What the attack really used."""
    own = "identity" if setup.model.surrogate is None else "surrogate"
    stand_in = own if cell.stand_in is None else cell.stand_in.label
    return {
        "gradient": setup.path,
        "eot": setup.oracle.eot,
        "stand_in": stand_in if setup.path == "bpda" else None,
        "knows": setup.knows,
        "steps": setup.attack.steps_up,
    }


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


def _origins(cell: Cell) -> dict[str, Any]:
    """The packages that brought the components, with versions, and the sha256 of files of the user's own code; no part of the id."""
    parts = [
        ("dataset", cell.dataset),
        ("backbone", cell.backbone),
        ("purifier", cell.purifier),
        ("attack", cell.attack),
        *([] if cell.stand_in is None else [("purifier", cell.stand_in)]),
    ]
    components = [one for kind, part in parts if part.given_name for one in _with_used(kind, part)]
    code = dict[str, str]()
    for one in components:
        if isinstance(one, OwnComponent):
            with suppress(RbenchError):  # it went away meanwhile, of which the cell says what is wrong
                code |= one.hashes()
    return {
        "distributions": {component.distribution: component.version for component in components},
        **({"code": dict(sorted(code.items()))} if code else {}),
    }


def _with_used(kind: str, part: Part) -> list[Component]:
    """A component and the registered ones that it is made of."""
    component = registry(kind).get(part.given_name)
    own = {key: value for key, value in part.given_params.items() if key not in _ADDED}
    used = list[Component]()
    with suppress(RbenchError):  # the cell says what is wrong with it
        used = [one.component for one in resolved(kind, part.given_name, own).all_used()]
    return [component, *used]

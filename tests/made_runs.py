"""Run folders made by hand for the tests of results and reports: no model, no attack, known answers."""

import hashlib
import json
from pathlib import Path

import numpy as np

from rbench.results.hashes import file_hash
from rbench.results.record import (
    AttackPart,
    BackbonePart,
    Confirmation,
    Cost,
    DatasetPart,
    Figure,
    Protocol,
    PurifierPart,
    Record,
    Summary,
    ThreatPart,
)
from rbench.results.store import RunFolder
from rbench.results.verification import Verification
from rbench.suite.cell import JUDGE_VERSION


def document(
    attack="pgd",
    *,
    purifier="jpeg",
    backbone="cnn",
    dataset="toy",
    samples=4,
    eps="8/255",
    decide="mean",
    draws=8,
    gradient="auto",
    dataset_label=None,
    backbone_params=None,
    purifier_params=None,
    name=None,
    judge=JUDGE_VERSION,
):
    """A resolved cell with its id and labels, as the suite layer makes it."""
    content = {
        "judge": judge,
        "dataset": {"name": dataset, "params": {}, "samples": samples, "shuffle": 0},
        "backbone": {"name": backbone, "params": backbone_params or {}},
        "purifier": {"name": purifier, "params": purifier_params or {}},
        "threat": {"norm": "Linf", "eps": eps},
        "attack": {"name": name or attack, "params": {"as": attack}, "gradient": gradient, "eot": 1},
        "protocol": {"draws": draws, "decide": decide, "seed": 0},
    }
    cell_id = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    labels = {"dataset": dataset_label or dataset, "backbone": backbone, "purifier": purifier, "attack": attack}
    return {**content, "id": cell_id, "labels": labels}


def record(
    cell,
    *,
    status="done",
    error=None,
    sha256="data",
    stochastic=False,
    gradient="exact",
    knows="white-box",
    steps=None,
    flags=(),
    **changes,
):
    """The record of a cell, figures made up."""
    numerator, _, denominator = cell["threat"]["eps"].partition("/")
    n = cell["dataset"]["samples"]
    half = Figure(value=0.5, low=0.25, high=0.75, n=n)
    parts = {part: {"name": cell[part]["name"], "label": cell["labels"][part]} for part in ("backbone", "purifier")}
    done = status == "done"
    content = {
        "cell": cell,
        "status": status,
        "error": error or (None if done else "it broke"),
        "dataset": DatasetPart(
            name=cell["dataset"]["name"], label=cell["labels"]["dataset"], samples=n if done else 0, sha256=sha256
        ),
        "threat": ThreatPart(
            norm="Linf", eps_text=cell["threat"]["eps"], eps=float(numerator) / float(denominator or 1)
        ),
        "backbone": BackbonePart(**parts["backbone"]),
        "purifier": PurifierPart(**parts["purifier"], stochastic=stochastic),
        "attack": AttackPart(
            name=cell["attack"]["name"],
            label=cell["labels"]["attack"],
            gradient=gradient if done else None,
            knows=knows,
            steps=steps,
        ),
        "protocol": Protocol(
            draws=cell["protocol"]["draws"] if stochastic else 1, decide=cell["protocol"]["decide"], seed=0
        ),
        "summary": Summary(
            standard_accuracy=half,
            noise_accuracy=half,
            robust_accuracy=half,
            confirmed=Confirmation(proposed=1, confirmed=1),
        )
        if done
        else None,
        "cost": Cost(seconds=2.0),
        "flags": flags,
        "result_hash": "0" * 64 if done else None,
    }
    return Record(**{**content, **changes})


def verification(folder, cell_id):
    """What verifying leaves, figures made up but for the hashes of the files; stores an example, without which nothing is verified."""
    folder.write_images(cell_id, np.zeros((1, 1, 2, 2), np.float32), np.zeros(1, np.int64))
    return Verification(
        cell=cell_id,
        record_sha256=file_hash(folder.record_path(cell_id)),
        samples_sha256=file_hash(folder.samples_path(cell_id)),
        images_sha256="0" * 64,
        examples=4,
        near_ties=0,
        largest_distance=0.03,
        passes=32,
        seconds=0.1,
    )


def columns(clean, robust, *, select=None, noise=None, decide="mean", **more):
    """The samples of a cell from what was right: bool [n], or [n, draws] for a random defence."""
    right = {"clean": clean, "robust": robust, "select": robust if select is None else select}
    right["noise"] = clean if noise is None else noise
    right |= more
    drawn = {name: np.atleast_2d(np.asarray(value, bool).T).T for name, value in right.items()}
    n = len(drawn["clean"])
    values = {name: decided(value, "mean" if "select" in name else decide) for name, value in drawn.items()}
    label = np.arange(n) % 10
    predictions = {
        f"{name}_predictions": np.where(drawn[name], label[:, None], label[:, None] + 1)
        for name in ("clean", "robust", "noise", "robust_8bit")
        if name in drawn
    }
    return {
        "sample": np.arange(n),
        "label": label,
        **values,
        **predictions,
        "distance": np.zeros(n),
        "queries": np.zeros(n, np.int32),
    }


def decided(right, decide):
    """What the draws say of each sample."""
    if decide == "mean":
        return right.mean(axis=1)
    return (right.all(axis=1) if decide == "any" else right.mean(axis=1) > 0.5).astype(float)


class Made:
    """A run folder that is filled cell by cell."""

    def __init__(self, root: Path):
        self.folder = RunFolder.create(root)
        self.root = root
        self.cells = []

    def done(self, attack="pgd", *, clean, robust, record_changes=None, cell_changes=None, verified=True, **samples):
        """Add a finished cell, with the verification that would be there had its examples been judged again."""
        cell = document(attack, samples=len(clean), **(cell_changes or {}))
        self.cells.append(cell)
        decide = cell["protocol"]["decide"]
        table = columns(clean, robust, decide=decide, **samples)
        self.folder.finish(record(cell, **(record_changes or {})), table)
        if verified:
            self.folder.write_verification(verification(self.folder, cell["id"]))
        return cell

    def other(self, attack, status, *, samples=4, error=None, **cell_changes):
        """Add a cell that is not done; `missing` ones leave no record."""
        cell = document(attack, samples=samples, **cell_changes)
        self.cells.append(cell)
        if status != "missing":
            self.folder.finish(record(cell, status=status, error=error))
        return cell

    def plan(self):
        """Write what was planned."""
        self.folder.write_cells(self.cells)

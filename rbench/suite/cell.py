"""The cell: what is run, stored and reported as one, under an id that is a hash of its content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

JUDGE_VERSION = 3
"""Increased by one whenever the judge, the driver or an oracle may give another verdict for the same cell."""

Norm = Literal["Linf", "L2", "L1"]
Decide = Literal["mean", "majority", "any"]
GradientChoice = Literal["auto", "exact", "checkpointed", "bpda", "blind"]
Precision = Literal["fp32", "bf16-propose"]


def id_of(document: Mapping[str, Any]) -> str:
    """First 12 hex digits of the sha256 of the canonical JSON of a cell's content."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Part:
    """One resolved component of a cell.

    Attributes:
        name: the registry name, e.g. `jpeg` or `torchattacks:MIFGSM`.
        params: every parameter that decides the outcome with its value, defaults filled in; JSON values only. Of a path, here and in
            `name`, only the last part is kept: what counts is the content, which `files` has, and the same work elsewhere has the same id.
        given_name: the name with the path as given, to construct the component; empty for an object of the caller's, which no name makes.
        given_params: all parameters, with the paths as given.
        label: what tables show; not part of the cell's id.
        version: `distribution+hash` of what the component's code computes. The distribution's own version is not in it: a release that
            leaves this code alone leaves its results alone.
        files: sha256 of every file the component reads, by file name.
    """

    name: str
    params: dict[str, Any]
    given_name: str
    given_params: dict[str, Any]
    label: str
    version: str
    files: dict[str, str]

    def document(self) -> dict[str, Any]:
        """What decides the outcome: everything but the label and the places of files."""
        return {"name": self.name, "params": self.params, "version": self.version, "files": self.files}


def defended_id(backbone: Part, purifier: Part) -> str:
    """The id of a defended model as it is in code and files; of its weights it knows only the files."""
    return id_of({"backbone": backbone.document(), "purifier": purifier.document()})


@dataclass(frozen=True)
class Slice:
    """Which samples: the first `samples` (None: all) after a permutation by `shuffle` (False: as stored).

    If `balanced`, the first ones of each class, as many of one as of any other.
    """

    samples: int | None
    shuffle: int | Literal[False]
    balanced: bool = False


@dataclass(frozen=True)
class Eps:
    """A radius on the [0, 1] pixel scale, exact, with the text the user wrote."""

    text: str
    exact: Fraction

    @property
    def value(self) -> float:
        """The nearest float64."""
        return float(self.exact)


@dataclass(frozen=True)
class Threat:
    """What the attacker may do: move an image within a ball around it.

    Attributes:
        norm: in which the radius of the ball is measured.
        eps: the radius.
        kind: always `ball`; a threat of another kind would have other fields.
    """

    norm: Norm
    eps: Eps
    kind: Literal["ball"] = "ball"

    def document(self) -> dict[str, Any]:
        """Its part of a cell's content."""
        return {"kind": self.kind, "norm": self.norm, "eps": str(self.eps.exact)}


@dataclass(frozen=True)
class Cell:
    """(dataset slice, backbone, purifier, threat, attack, protocol), everything resolved.

    `after` are the ids of the cells of its row whose fooled samples it does not attack again: those before it in a cascade. `precision`
    is that in which the attack asks the backbone; judged is in float32.
    """

    dataset: Part
    slice: Slice
    backbone: Part
    purifier: Part
    threat: Threat
    attack: Part
    gradient: GradientChoice
    eot: int
    draws: int
    select_draws: int
    decide: Decide
    seed: int
    stand_in: Part | None = None
    convergence: int = 0
    after: tuple[str, ...] = ()
    precision: Precision = "fp32"

    def document(self) -> dict[str, Any]:
        """The canonical content of the cell, as JSON values."""
        return {
            "judge": JUDGE_VERSION,
            "dataset": {
                **self.dataset.document(),
                "samples": self.slice.samples,
                "shuffle": self.slice.shuffle,
                **({"balanced": True} if self.slice.balanced else {}),
            },
            "backbone": self.backbone.document(),
            "purifier": self.purifier.document(),
            "threat": self.threat.document(),
            "attack": {
                **self.attack.document(),
                "gradient": self.gradient,
                "eot": self.eot,
                **self._stand_in(),
                **({"after": list(self.after)} if self.after else {}),
                **({"precision": self.precision} if self.precision != "fp32" else {}),
            },
            "protocol": {
                "draws": self.draws,
                "select_draws": self.select_draws,
                "decide": self.decide,
                "seed": self.seed,
                **({"convergence": self.convergence} if self.convergence else {}),
            },
        }

    def _stand_in(self) -> dict[str, Any]:
        """The entry `stand_in` of the attack, where it has one; a cell without a stand-in has no such entry."""
        return {} if self.stand_in is None else {"stand_in": self.stand_in.document()}

    @cached_property
    def id(self) -> str:
        """Cells with the same id are the same work."""
        return id_of(self.document())

    @property
    def title(self) -> str:
        """`backbone/purifier/attack`, the labels a user filters by."""
        return f"{self.backbone.label}/{self.purifier.label}/{self.attack.label}"


def shown_attack(label: str, after: object, precision: object) -> str:
    """What tables call an attack: one that asked in half precision, or was run on what others have left, is not the attack alone.

    Args:
        label: of the attack.
        after: the cells before it in a cascade, nothing if there are none.
        precision: in which it asked the backbone; nothing for float32.
    """
    half = f"{label} (bf16)" if precision == "bf16-propose" else label
    return f"{half} (cascade)" if after else half


_STATE = ("version", "files")
"""Entries of a part that hold the state of its code and files when the cell was planned."""


def lasting(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell is apart from the state of its code and files: names, parameters, data, threat and protocol.

    Two cells for which this is equal ask the same question, maybe of different code. The threat of a cell that was recorded before
    threats had a kind is a ball.

    Args:
        document: the content of a cell, from a plan, a record or `cells.jsonl`; an id and labels do not count.
    """
    kept = {key: value for key, value in document.items() if key not in ("id", "labels", "judge")}
    parts = {name: _lasting(part) if isinstance(part, Mapping) else part for name, part in kept.items()}
    if isinstance(threat := parts.get("threat"), dict):
        parts["threat"] = {"kind": "ball", **threat}
    return parts


def _lasting(part: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in part.items() if key not in _STATE}
    if "after" in kept:  # ids of cells, which are another day's with other code
        kept["after"] = True
    return {
        key: _lasting(value) if key == "stand_in" and isinstance(value, Mapping) else value
        for key, value in kept.items()
    }

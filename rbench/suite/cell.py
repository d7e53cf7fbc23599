"""The cell: the unit of work, of cache and of result, with an id made of its content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

JUDGE_VERSION = 1
"""Raised whenever the judge, the driver or an oracle may give another verdict for the same cell."""

Norm = Literal["Linf", "L2", "L1"]
Decide = Literal["mean", "majority", "any"]
GradientChoice = Literal["auto", "exact", "checkpointed", "bpda", "blind"]


def id_of(document: Mapping[str, Any]) -> str:
    """First 12 hex digits of the sha256 of the canonical JSON of a cell's content."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Part:
    """One resolved component of a cell.

    Attributes:
        name: the registry name, e.g. `jpeg` or `torchattacks:MIFGSM`.
        params: every parameter with its value, defaults filled in; JSON values only. Of a path, here and in `name`, only the last
            part is kept: what counts is the content, which `files` has, and the same work elsewhere has the same id.
        given_name: the name with the path as given, to construct the component.
        given_params: the parameters with the paths as given.
        label: what tables show; not part of the cell's id.
        version: `distribution version+source hash` of the component.
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


@dataclass(frozen=True)
class Slice:
    """Which samples: the first `samples` (None: all) after a permutation by `shuffle` (False: as stored)."""

    samples: int | None
    shuffle: int | Literal[False]


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
class Cell:
    """(dataset slice, backbone, purifier, threat, attack, protocol), everything resolved."""

    dataset: Part
    slice: Slice
    backbone: Part
    purifier: Part
    norm: Norm
    eps: Eps
    attack: Part
    gradient: GradientChoice
    eot: int
    draws: int
    decide: Decide
    seed: int
    stand_in: Part | None = None
    convergence: int = 0

    def document(self) -> dict[str, Any]:
        """The canonical content of the cell, as JSON values."""
        return {
            "judge": JUDGE_VERSION,
            "dataset": {
                **self.dataset.document(),
                "samples": self.slice.samples,
                "shuffle": self.slice.shuffle,
            },
            "backbone": self.backbone.document(),
            "purifier": self.purifier.document(),
            "threat": {"norm": self.norm, "eps": str(self.eps.exact)},
            "attack": {**self.attack.document(), "gradient": self.gradient, "eot": self.eot, **self._stand_in()},
            "protocol": {
                "draws": self.draws,
                "decide": self.decide,
                "seed": self.seed,
                **({"convergence": self.convergence} if self.convergence else {}),
            },
        }

    def _stand_in(self) -> dict[str, Any]:
        """Not in the document where there is none: such a cell is the one that it was before there were stand-ins."""
        return {} if self.stand_in is None else {"stand_in": self.stand_in.document()}

    @cached_property
    def id(self) -> str:
        """Same id, same work."""
        return id_of(self.document())

    @property
    def title(self) -> str:
        """`backbone/purifier/attack`, the labels a user filters by."""
        return f"{self.backbone.label}/{self.purifier.label}/{self.attack.label}"

"""A ladder: attacks run one after the other, chosen by what was measured of a defended model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rbench.threat.attack import ExternalAttack, IterativeAttack
from rbench.threat.terms import ANY_PATH, GradientChoice, GradientPath, Knows, Norm


@dataclass(frozen=True)
class Measured:
    """What was measured of a defended model, and what its purifier brings; the rungs of a ladder are chosen by it.

    Attributes:
        random: repeated evaluations differ.
        differentiable: the exact gradient is of use to an attacker.
        changes: the purifier may change images: any but rbench's own `identity`, whatever it did to those that were looked at.
        encodes: the purifier brings `encode`.
        surrogate: the purifier brings `surrogate`.
        hard_label: the outputs give the winning class and nothing else.
        eot: draws per gradient that the suite asks for.
        norm: norm of the ball.
        trusted: nothing measured says that the exact gradient is zero, not finite or wrong for some samples.
        path: the gradient path that the suite asks for, or the one of most use.
    """

    random: bool
    differentiable: bool
    changes: bool
    encodes: bool
    surrogate: bool
    hard_label: bool = False
    eot: int = 1
    norm: Norm = "Linf"
    trusted: bool = True
    path: GradientPath = "exact"

    @property
    def doubtful(self) -> bool:
        """Whether gradients alone may mislead: there is none, or it is not trusted."""
        return not (self.differentiable and self.trusted)


@dataclass(frozen=True)
class Rung:
    """One attack of a ladder.

    Attributes:
        label: its name in the record, once in a ladder.
        attack: what is run on the samples that have survived so far.
        path: its gradient path.
        eot: draws of a random defence per gradient.
        stand_in: what `bpda` differentiates: the purifier's own surrogate where it brings one, or the identity all the same.
    """

    label: str
    attack: IterativeAttack | ExternalAttack
    path: GradientPath
    eot: int = 1
    stand_in: Literal["surrogate", "identity"] = "surrogate"


@dataclass(frozen=True)
class Ladder:
    """Attacks one after the other, each on the samples that survived those before it.

    Attributes:
        rungs: what was measured -> the attacks, cheap ones first.
        batch_size: samples that are attacked together; changes only the speed, unless a third-party rung draws per batch.
        norms: the norms that it has rungs for.
        gradients: what a suite may ask for as the gradient path; a ladder whose rungs have paths of their own takes `auto` alone.
        knows: what the attacker uses.
        said: number of classes -> notes for the record, as `notes`.
    """

    rungs: Callable[[Measured], tuple[Rung, ...]]
    batch_size: int
    norms: tuple[Norm, ...]
    gradients: tuple[GradientChoice, ...] = ("auto",)
    knows: Knows = "white-box"
    said: Callable[[int], Mapping[str, str]] = field(default=lambda classes: {})

    driven = True
    tolerance = 0.0
    loss = None
    source = None
    steps_up = None
    paths = ANY_PATH
    """Each rung takes the one whose gradient is of most use."""

    @property
    def asks_gradient(self) -> bool:
        """Whether any rung uses gradients."""
        return self.knows != "black-box"

    def averages(self, eot: int) -> bool:
        """If the oracle averages; `eot` is the largest number of draws that a rung has."""
        return eot > 1

    def fit(self, classes: int) -> "Ladder":  # noqa: ARG002
        """Itself: its rungs are fitted when they are chosen."""
        return self

    def notes(self, classes: int) -> Mapping[str, str]:
        """What is to be said beside the notes of its rungs."""
        return self.said(classes)

    def chunk(self, batch_size: int) -> int:  # noqa: ARG002
        """The samples that are attacked together."""
        return self.batch_size

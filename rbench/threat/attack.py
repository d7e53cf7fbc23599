"""What an attack is: our own (init, update) pairs, third-party code that draws per batch, and a ladder of both.

Every attack answers the same questions about itself (`Attack`), so that no one who runs it has to know which of the three it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.losses import usable
from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer
from rbench.threat.terms import ANY_PATH, DISPLACED, EXTERNAL_TOLERANCE, GradientChoice, Knows, Norm, Objective

Asks = Literal["gradient", "nearest", "logits"]
"""What a query is for: the gradient of the loss, that of the margin to the class whose border is nearest, or logits alone."""

CHUNK_BATCHES = 2
"""Batches of one of rbench's own attacks that are stored as one chunk: a killed run loses at most this many."""


class Attack(Protocol):
    """What every attack says of itself."""

    @property
    def knows(self) -> Knows:
        """What the attacker uses: gradients of the defended model, its outputs alone, another model, the bare backbone, or nothing."""

    @property
    def norms(self) -> tuple[Norm, ...]:
        """The norms it can work under."""

    @property
    def gradients(self) -> tuple[GradientChoice, ...]:
        """What a suite may ask for as its gradient path."""

    @property
    def paths(self) -> tuple[GradientChoice, ...]:
        """The gradient paths that mean something for it, or for parts of it."""

    @property
    def loss(self) -> Objective | None:
        """The loss it maximises; None where it has one of its own, or several."""

    @property
    def source(self) -> str | None:
        """The backbone that it is crafted on instead of the defended model; None for all but transfer."""

    @property
    def steps_up(self) -> int | None:
        """Gradient steps per restart that raise a loss of the true label; None where there are none, or their number is not known."""

    @property
    def asks_gradient(self) -> bool:
        """Whether it uses gradients at all."""

    @property
    def driven(self) -> bool:
        """Whether the driver asks for it: its queries are counted, and each may be the mean over draws (EOT)."""

    @property
    def tolerance(self) -> float:
        """By how much rounding may take a pixel out of the ball and of [0, 1]; for a distance see `summed`."""

    def averages(self, eot: int) -> bool:
        """Whether a single draw of a random defence cannot mislead it, if the oracle averages `eot` draws."""

    def fit(self, classes: int) -> "Attack":
        """The same attack with a loss and with targets that this number of classes allows (docs/judging.md, rule 1.10)."""

    def notes(self, classes: int) -> Mapping[str, str]:
        """Notes for the record on how it was changed to fit the number of classes, by the name of what was changed."""

    def chunk(self, batch_size: int) -> int:
        """Samples that are attacked and stored as one chunk, where batches of `batch_size` are asked for."""


def everywhere(state: Any) -> Tensor:
    """Every point asked about may be proposed, [B] bool."""
    return _everyone(len(state.x), state.x.device)


@cache
def _everyone(count: int, device: torch.device) -> Tensor:
    """Made once for each size of a batch: an attack asks thousands of times."""
    return torch.ones(count, dtype=torch.bool, device=device)


class Pair(NamedTuple):
    """The functions of an attack under one norm, where they differ between norms; see `IterativeAttack`."""

    init: Callable[[Tensor, Tensor, Ball, SampleNoise], Any]
    update: Callable[[Any, Answer], Any]
    inside: Callable[[Any], Tensor] = everywhere


@dataclass(frozen=True)
class IterativeAttack:
    """A pair of pure functions over per-sample state; the driver owns the loop.

    Attributes:
        init: (x, y, ball, noise) -> state, a NamedTuple of tensors and balls with the batch as first axis and the next query in `x`.
        update: (state, answer) -> state, one step.
        steps: updates per restart.
        norms: the norms it can work under.
        restarts: independent starts, toward every target where the loss has one.
        targets: wrong classes to aim at one by one, those that the oracle finds likeliest for the clean image first; 0 for none.
        asks: what it needs of the oracle for one query after the other, over and over; the last query of a start is for logits alone.
        loss: the loss it maximises.
        knows: what the attacker uses.
        source: craft on this backbone instead of the defended model (transfer).
        gradients: the gradient paths that mean something for it.
        changes: what `fit` has changed.
        inside: state -> which of the points asked about may be proposed, [B] bool; a search along a ray also asks beyond the ball.
        first: `init` of the first restart, where that begins in another way than those after it.
    """

    init: Callable[[Tensor, Tensor, Ball, SampleNoise], Any]
    update: Callable[[Any, Answer], Any]
    steps: int
    norms: tuple[Norm, ...]
    restarts: int = 1
    targets: int = 0
    asks: tuple[Asks, ...] = ("gradient",)
    loss: Objective = "ce"
    knows: Knows = "white-box"
    source: str | None = None
    gradients: tuple[GradientChoice, ...] = ANY_PATH
    changes: Mapping[str, str] = field(default_factory=dict)
    inside: Callable[[Any], Tensor] = everywhere
    first: Callable[[Tensor, Tensor, Ball, SampleNoise], Any] | None = None

    driven = True
    tolerance = 0.0

    def begin(self, run: int) -> Callable[[Tensor, Tensor, Ball, SampleNoise], Any]:
        """The function that makes the state of a start, by the number of the start: restart after restart, within each every target."""
        return self.first if self.first and run < max(1, self.targets) else self.init

    @property
    def runs(self) -> int:
        """Starts of one sample that survives them all."""
        return self.restarts * max(1, self.targets)

    @property
    def paths(self) -> tuple[GradientChoice, ...]:
        """Those that a suite may ask for."""
        return self.gradients

    @property
    def asks_gradient(self) -> bool:
        """Whether it asks the oracle for gradients."""
        return self.asks != ("logits",)

    @property
    def steps_up(self) -> int | None:
        """Its steps, if all of them follow the gradient of a loss of the label."""
        return self.steps if self.asks == ("gradient",) and self.loss not in DISPLACED else None

    def averages(self, eot: int) -> bool:
        """If the oracle averages, or if it uses no gradient: a point that is wrong in a lucky draw alone is not confirmed by the judge."""
        return eot > 1 or not self.asks_gradient

    def fit(self, classes: int) -> "IterativeAttack":
        """With a loss and with targets that this number of classes allows, and a note of what was changed (docs/judging.md, rule 1.10)."""
        loss, targets = usable(self.loss, classes), min(self.targets, classes - 1)
        changes = dict(self.changes)
        if loss != self.loss:
            changes["loss"] = f"{loss} instead of {self.loss} ({classes} classes)"
        if targets != self.targets:
            changes["targets"] = f"{targets} targets ({self.targets} asked for; the backbone has {classes} classes)"
        return replace(self, loss=loss, targets=targets, changes=changes)

    def notes(self, classes: int) -> Mapping[str, str]:  # noqa: ARG002
        """What `fit` has changed."""
        return self.changes

    def chunk(self, batch_size: int) -> int:
        """Any number would do, since no sample depends on another."""
        return CHUNK_BATCHES * batch_size


@dataclass(frozen=True)
class ExternalAttack:
    """Third-party code over `oracle.as_module()`.

    Attributes:
        perturb: (module, batch, ball, classes, seed) -> adversarial images [B, C, H, W].
        batch_size: samples handed over at once; part of the cell, since such code draws per batch.
        norms: the norms it can work under.
        averages_draws: whether it has its own EOT.
        knows: what the attacker uses.
        steps_up: gradient steps per restart that raise a loss of the true label; None where there are none, or their number is not known.
        said: number of classes -> notes for the record, as `notes`.
    """

    perturb: Callable[[nn.Module, Batch, Ball, int, int], Tensor]
    batch_size: int
    norms: tuple[Norm, ...]
    averages_draws: bool = False
    knows: Knows = "white-box"
    steps_up: int | None = None
    said: Callable[[int], Mapping[str, str]] = field(default=lambda classes: {})
    gradients: tuple[GradientChoice, ...] = ANY_PATH

    driven = False
    tolerance = EXTERNAL_TOLERANCE
    loss = None
    source = None

    @property
    def paths(self) -> tuple[GradientChoice, ...]:
        """Those that a suite may ask for."""
        return self.gradients

    @property
    def asks_gradient(self) -> bool:
        """Whether it uses gradients at all."""
        return self.knows not in ("black-box", "noise")

    def averages(self, eot: int) -> bool:  # noqa: ARG002
        """If it has its own EOT."""
        return self.averages_draws

    def fit(self, classes: int) -> "ExternalAttack":  # noqa: ARG002
        """Itself: `perturb` is given the number of classes."""
        return self

    def notes(self, classes: int) -> Mapping[str, str]:
        """The notes of the adapter."""
        return self.said(classes)

    def chunk(self, batch_size: int) -> int:  # noqa: ARG002
        """The samples that are handed over at once."""
        return self.batch_size

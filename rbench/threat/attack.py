"""The shapes of an attack: our own (init, update) pairs, third-party code that draws per batch, and a ladder of both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from rbench.threat.noise import SampleNoise
from rbench.threat.query import Answer, Threat
from rbench.threat.terms import ANY_PATH, GradientChoice, GradientPath, Norm, Objective

Asks = Literal["gradient", "logits"]


def everywhere(state: Any) -> Tensor:
    """Every point asked about may be proposed, [B] bool."""
    return torch.ones(len(state.x), dtype=torch.bool, device=state.x.device)


class Pair(NamedTuple):
    """The two functions of an attack that needs others under another norm; see `IterativeAttack`."""

    init: Callable[[Tensor, Tensor, Threat, SampleNoise], Any]
    update: Callable[[Any, Answer], Any]


@dataclass(frozen=True)
class IterativeAttack:
    """A pair of pure functions over per-sample state; the driver owns the loop.

    Attributes:
        init: (x, y, threat, noise) -> state, a NamedTuple of tensors with the batch as first axis and the next query in `x`.
        update: (state, answer) -> state, one step.
        steps: updates per restart.
        norms: the norms it can work under.
        restarts: independent starts, toward every target where the loss has one.
        targets: wrong classes to aim at one by one, those that the oracle finds likeliest for the clean image first; 0 for none.
        asks: what it needs of the oracle.
        loss: the loss it maximises.
        source: craft on this backbone instead of the defended model (transfer).
        gradients: the gradient paths that mean something for it.
        notes: what the record must say of how the attack was changed to fit the number of classes.
        inside: state -> which of the points asked about may be proposed, [B] bool; a search along a ray also asks beyond the ball.
    """

    init: Callable[[Tensor, Tensor, Threat, SampleNoise], Any]
    update: Callable[[Any, Answer], Any]
    steps: int
    norms: tuple[Norm, ...]
    restarts: int = 1
    targets: int = 0
    asks: Asks = "gradient"
    loss: Objective = "ce"
    source: str | None = None
    gradients: tuple[GradientChoice, ...] = ANY_PATH
    notes: Mapping[str, str] = field(default_factory=dict)
    inside: Callable[[Any], Tensor] = everywhere

    @property
    def runs(self) -> int:
        """Starts of one sample that never falls."""
        return self.restarts * max(1, self.targets)


@dataclass(frozen=True)
class ExternalAttack:
    """Third-party code over `oracle.as_module()`.

    Attributes:
        perturb: (module, x, y, norm, eps, classes, seed) -> adversarial images [B, C, H, W].
        batch_size: samples handed over at once; part of the cell, since such code draws per batch.
        norms: the norms it can work under.
        averages_draws: whether it has its own EOT.
        notes: what the record must say, given the number of classes.
    """

    perturb: Callable[[nn.Module, Tensor, Tensor, Norm, float, int, int], Tensor]
    batch_size: int
    norms: tuple[Norm, ...]
    averages_draws: bool = False
    notes: Callable[[int], dict[str, str]] = field(default=lambda classes: {})
    gradients: tuple[GradientChoice, ...] = ANY_PATH


@dataclass(frozen=True)
class Found:
    """What was detected of a defended model, and what its purifier brings; a ladder is chosen by it.

    Attributes:
        random: repeated evaluations differ.
        differentiable: the exact path tells an attacker something.
        changes: the purifier changes images at all.
        encodes: the purifier brings `encode`.
        surrogate: the purifier brings `surrogate`.
        hard_label: the outputs tell the winning class and nothing else.
        eot: draws per gradient that the suite asks for.
        norm: norm of the ball.
    """

    random: bool
    differentiable: bool
    changes: bool
    encodes: bool
    surrogate: bool
    hard_label: bool = False
    eot: int = 1
    norm: Norm = "Linf"


@dataclass(frozen=True)
class Rung:
    """One attack of a ladder.

    Attributes:
        label: its name in the record, once in a ladder.
        attack: what is run on the samples that still stand.
        path: its gradient path.
        eot: draws of a random defence per gradient.
        stand_in: what `bpda` differentiates: the purifier's own surrogate where it brings one, or the identity all the same.
        black_box: it asks for no gradient.
    """

    label: str
    attack: IterativeAttack | ExternalAttack
    path: GradientPath
    eot: int = 1
    stand_in: Literal["surrogate", "identity"] = "surrogate"
    black_box: bool = False


@dataclass(frozen=True)
class Ladder:
    """Attacks one after the other, each on what still stands.

    Attributes:
        rungs: what was found -> the attacks, cheap ones first.
        batch_size: samples that climb together; part of the cell, since a third-party rung would draw per batch.
        norms: the norms that it has rungs for.
        gradients: every rung has its own path, so none can be asked for.
    """

    rungs: Callable[[Found], tuple[Rung, ...]]
    batch_size: int
    norms: tuple[Norm, ...]
    gradients: tuple[GradientChoice, ...] = ("auto",)


Attack = IterativeAttack | ExternalAttack | Ladder

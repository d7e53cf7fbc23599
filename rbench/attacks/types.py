"""The two shapes of an attack: our own (init, update) pairs, and third-party code that draws per batch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from rbench.engine.answer import Answer, Threat
from rbench.engine.noise import SampleNoise
from rbench.engine.terms import Loss, Norm

Asks = Literal["gradient", "logits"]


@dataclass(frozen=True)
class IterativeAttack:
    """A pair of pure functions over per-sample state; the driver owns the loop.

    Attributes:
        init: (x, y, threat, noise) -> state, a NamedTuple of tensors with the batch as first axis and the next query in `x`.
        update: (state, answer) -> state, one step.
        steps: updates per restart.
        norms: the norms it can work under.
        restarts: independent starts.
        asks: what it needs of the oracle.
        loss: the loss it maximises.
        source: craft on this backbone instead of the defended model (transfer).
    """

    init: Callable[[Tensor, Tensor, Threat, SampleNoise], Any]
    update: Callable[[Any, Answer], Any]
    steps: int
    norms: tuple[Norm, ...]
    restarts: int = 1
    asks: Asks = "gradient"
    loss: Loss = "ce"
    source: str | None = None


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


Attack = IterativeAttack | ExternalAttack

"""Terms that attacks and engine share; imports no torch."""

from typing import Literal

from rbench.suite.cell import GradientChoice, Norm

Loss = Literal["ce", "dlr", "margin"]
Targeted = Literal["dlr-targeted", "margin-targeted"]
"""Losses toward one wrong class, the target, and away from the true one."""

Displacement = Literal["latent", "latent-angle", "latent-norm", "decoder", "feature"]
"""Losses that need no label: how far the defence's own code of an image is from that of the clean one."""

Objective = Loss | Targeted | Displacement
GradientPath = Literal["exact", "checkpointed", "bpda", "blind"]

Knows = Literal["white-box", "black-box", "transfer", "blind", "noise"]
"""What an attacker uses: gradients of the defended model, along whatever path; its outputs alone; gradients of another model; those of the
bare backbone, the purifier left out; or nothing beside the ball."""

DISPLACED: frozenset[Objective] = frozenset({"latent", "latent-angle", "latent-norm", "decoder", "feature"})
"""The losses that look at no label."""

ANY_PATH: tuple[GradientChoice, ...] = ("auto", "exact", "checkpointed", "bpda", "blind")

__all__ = [
    "ANY_PATH",
    "DISPLACED",
    "Displacement",
    "GradientChoice",
    "GradientPath",
    "Knows",
    "Loss",
    "Norm",
    "Objective",
    "Targeted",
]

"""Words shared by attacks and engine that must not need torch."""

from typing import Literal

from rbench.suite.cell import GradientChoice, Norm

Loss = Literal["ce", "dlr", "margin"]
Targeted = Literal["dlr-targeted", "margin-targeted"]
"""Losses toward one wrong class, the target, and away from the true one."""

Displacement = Literal["latent", "latent-angle", "latent-norm", "decoder", "feature"]
"""Losses that need no label: how far the defence's own code of an image is from that of the clean one."""

Objective = Loss | Targeted | Displacement
GradientPath = Literal["exact", "checkpointed", "bpda", "blind"]

EXACT: tuple[GradientPath, ...] = ("exact", "checkpointed")
"""The paths through the purifier itself: the same gradient, the second in the memory of one stage."""

ANY_PATH: tuple[GradientChoice, ...] = ("auto", "exact", "checkpointed", "bpda", "blind")

__all__ = [
    "ANY_PATH",
    "EXACT",
    "Displacement",
    "GradientChoice",
    "GradientPath",
    "Loss",
    "Norm",
    "Objective",
    "Targeted",
]

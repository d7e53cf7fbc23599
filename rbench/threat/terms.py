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

EXTERNAL_TOLERANCE = 1.2e-7
"""How far outside [0, 1] and a Linf ball a point of third-party code may lie: one float32 ulp at 1, on the [0, 1] pixel scale."""


def summed(tolerance: float, norm: Norm, eps: float) -> float:
    """What a tolerance for a pixel amounts to for the distance of an image, by the rounding of float32.

    Under L2 and L1 a distance is a sum over pixels, which code in float32 knows to some units in its last place: eight are given, one at
    1 at least. A tolerance of zero stays zero.

    Args:
        tolerance: for a pixel.
        norm: of the distance.
        eps: the radius.
    """
    return tolerance if norm == "Linf" else tolerance * max(1.0, 8 * eps)


ANY_PATH: tuple[GradientChoice, ...] = ("auto", "exact", "checkpointed", "bpda", "blind")

__all__ = [
    "ANY_PATH",
    "DISPLACED",
    "EXTERNAL_TOLERANCE",
    "Displacement",
    "GradientChoice",
    "GradientPath",
    "Knows",
    "Loss",
    "Norm",
    "Objective",
    "Targeted",
    "summed",
]

"""Words shared by attacks and engine that must not need torch."""

from typing import Literal

from rbench.suite.cell import GradientChoice, Norm

Loss = Literal["ce", "dlr", "margin"]
Displacement = Literal["latent", "latent-angle", "latent-norm", "decoder", "feature"]
"""Losses that need no label: how far the defence's own code of an image is from that of the clean one."""

Objective = Loss | Displacement
GradientPath = Literal["exact", "bpda", "blind"]

ANY_PATH: tuple[GradientChoice, ...] = ("auto", "exact", "bpda", "blind")

__all__ = ["ANY_PATH", "Displacement", "GradientChoice", "GradientPath", "Loss", "Norm", "Objective"]

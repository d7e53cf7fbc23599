"""Words shared by attacks and engine that must not need torch."""

from typing import Literal

from rbench.suite.cell import Norm

Loss = Literal["ce", "dlr", "margin"]
GradientPath = Literal["exact", "bpda", "blind"]

__all__ = ["GradientPath", "Loss", "Norm"]

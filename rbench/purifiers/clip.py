"""Clipping to the pixel range as part of a defence."""

from torch import Tensor

from rbench.purifiers.rounding import trim

ROUNDING = 1e-5
"""How far outside [0, 1] float arithmetic alone may put a pixel."""


def clip(y: Tensor) -> Tensor:
    """Clips to [0, 1]. The gradient is that of the clip, zero where it cuts, but not where it only undoes rounding."""
    return trim(y.clamp(-ROUNDING, 1 + ROUNDING))

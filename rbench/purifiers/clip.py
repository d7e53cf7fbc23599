"""The end of the pixel range, as part of a defence."""

from torch import Tensor

from rbench.purifiers.rounding import trim

ROUNDING = 1e-5
"""What float arithmetic alone may put outside [0, 1]."""


def clip(y: Tensor) -> Tensor:
    """Clips to [0, 1]. The gradient is that of the clip, zero where it cuts, but not where it only undoes rounding."""
    return trim(y.clamp(-ROUNDING, 1 + ROUNDING))

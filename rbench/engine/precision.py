"""How exactly a GPU computes: torch's defaults round more than a verdict may.

By default torch lets cuDNN round what a convolution multiplies to 10 bits of mantissa (TF32), and choose kernels whose sums come in any
order. Logits then differ by 1e-4 and more from one batch size to another and from those of a CPU, so honest models look as if an image's
answer depended on its neighbours.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WANTED = (
    (torch.backends.cuda.matmul, "allow_tf32", False),
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cudnn, "deterministic", True),
    (torch.backends.cudnn, "benchmark", False),
)


def use_full_float32() -> None:
    """Lets this process compute in full float32 on a GPU from now on, with kernels that sum in the same order every time."""
    for owner, name, value in _WANTED:
        setattr(owner, name, value)


@contextmanager
def full_float32() -> Iterator[None]:
    """A block in which this process computes so; afterwards it computes as it did."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in _WANTED]
    use_full_float32()
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)

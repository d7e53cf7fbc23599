"""Where two texts that should be the same first differ."""

from dataclasses import dataclass
from itertools import zip_longest

AROUND = 16
"""Characters that are shown on either side."""


@dataclass(frozen=True, order=True)
class Difference:
    """Where two texts differ.

    Attributes:
        lines: how many lines differ; the least first.
        words: the first of them.
    """

    lines: int
    words: str


def difference(found: str, expected: str) -> Difference:
    """Where a text differs from what it should be.

    Args:
        found: the text.
        expected: what it should be.
    """
    pairs = enumerate(zip_longest(found.splitlines(), expected.splitlines(), fillvalue=""), 1)
    other = [(number, a, b) for number, (a, b) in pairs if a != b]
    if not other:
        return Difference(0, "only its ends of lines are others")
    number, a, b = other[0]
    start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return Difference(len(other), f"line {number} has {_near(a, start)}, they give {_near(b, start)}")


def _near(line: str, place: int) -> str:
    low, high = max(0, place - AROUND), place + AROUND
    return repr(f"{'...' if low else ''}{line[low:high]}{'...' if high < len(line) else ''}")

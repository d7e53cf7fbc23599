"""What a conformance check is about: a component that was made, and what it is to be asked about."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rbench.errors import InputError

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

MOST_IMAGES = 64


@dataclass(frozen=True)
class Subject:
    """A component under examination.

    Attributes:
        kind: `purifier`, `backbone`, ...
        name: what verdicts and errors call it.
        made: the component: a module, an attack, a data set, or the function that is a reporter.
        declared: what it says of itself without being asked, by name, e.g. `stochastic`.
        remake: makes it anew with other parameters; None where it was handed over as it is.
        parameters: names of those that it takes.
        images: how many it is asked about.
        shape: of the images; None for the first usual shape that it takes.
    """

    kind: str
    name: str
    made: Any
    declared: Mapping[str, Any] = field(default_factory=dict)
    remake: Callable[[Mapping[str, Any]], Any] | None = None
    parameters: frozenset[str] = frozenset()
    images: int = 8
    shape: Shape | None = None

    @property
    def owner(self) -> str:
        """What errors call it."""
        return f"{self.kind} '{self.name}'"


def shape_of(text: str) -> Shape:
    """The shape that `3x32x32` is, or `32x32` for grey images.

    Raises:
        InputError: it is none.
    """
    if not re.fullmatch(r"(\d{1,3}x)?\d{1,5}x\d{1,5}", text) or 0 in (sizes := [int(size) for size in text.split("x")]):
        remedy = "Write channels, height and width: --shape 3x32x32."
        raise InputError("no shape of an image.", place="--shape", found=repr(text), remedy=remedy)
    channels, height, width = (1, *sizes)[-3:]
    return channels, height, width


def written(shape: tuple[int, ...]) -> str:
    """A shape as people write it: `3x32x32`."""
    return "x".join(map(str, shape))

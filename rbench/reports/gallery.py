"""Pictures of attacks, for the page and the figure: whose pictures are shown, and how the change is amplified."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rbench.results.runs import ReadCell

KINDS = ("clean", "attacked", "difference", "purified clean", "purified attacked")

Pixels = NDArray[np.uint8]


T = TypeVar("T")


def ignores_purifier(cell: ReadCell) -> bool:
    """Whether the attack of a recorded cell was blind."""
    return cell.record is not None and cell.record.attack.gradient == "blind"


def strongest_first(cells: Iterable[ReadCell]) -> list[ReadCell]:
    """The done cells: attacks that use the purifier before those that ignore it, each from strong to weak."""
    done = [
        (ignores_purifier(cell), cell.record.summary.robust_accuracy.value, cell)
        for cell in cells
        if cell.record and cell.record.summary
    ]
    return [cell for _, _, cell in sorted(done, key=lambda one: one[:2])]


def first_changed(pictures: Iterable[T | None], unchanged: Callable[[T], bool]) -> T | None:
    """The first picture in which an attack changed something; the first of all if none did, and None if there are no pictures.

    Pictures of images that an attack left unchanged come last, since they show nothing of it.

    Args:
        pictures: one for each attack; None where it has none.
        unchanged: whether the attack left the images of a picture unchanged.
    """
    first = None
    for one in pictures:
        if one is not None and not unchanged(one):
            return one
        first = one if first is None else first
    return first


def amplified(clean: Pixels, attacked: Pixels) -> tuple[Pixels, int]:
    """The change of an attack on a grey ground, uint8, and the factor by which it was amplified; 0 if it changed nothing."""
    change = attacked.astype(np.int16) - clean
    most = int(np.abs(change).max(initial=0))
    factor = max(1, 127 // most) if most else 0
    return np.clip(128 + factor * change, 0, 255).astype(np.uint8), factor

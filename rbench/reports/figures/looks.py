"""One look for each purifier in all figures of a table: its colour and marker; the fill tells its rows on other backbones apart."""

import hashlib
from collections.abc import Iterable
from itertools import count

UNDEFENDED = "#000000"
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D1F", "#E69F00", "#6A3D9A", "#B2182B", "#7F7F7F", "#8FB300",
)  # fmt: skip
"""Those of Okabe and Ito (2008) but black, which is the undefended backbone, and four more; no two next to each other are alike in grey."""
MARKERS = "sD^vPX*o"
FILLS = ("full", "none", "left", "top", "right", "bottom")

Look = dict[str, str]


def looks(purifiers: Iterable[str], undefended: Iterable[str]) -> dict[str, Look]:
    """Colour and marker of each purifier, mostly the same in all tables: the place follows from the name, the next free one if it is taken.

    Args:
        purifiers: their labels.
        undefended: which of them change nothing.
    """
    bare, taken, found = set(undefended), set[int](), dict[str, Look]()
    for name in sorted(set(purifiers)):
        if name in bare:
            found[name] = {"colour": UNDEFENDED, "marker": "o"}
            continue
        wanted = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4], "big")
        place = next(place for place in _places(wanted) if place not in taken)
        taken.add(place)
        # Eight markers and eleven colours meet again after 88 purifiers.
        found[name] = {"colour": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
    return found


def fill(place: int) -> str:
    """The fill of a marker for the n-th row of one purifier."""
    return FILLS[place % len(FILLS)]


def _places(wanted: int) -> Iterable[int]:
    for lap in count():
        for step in range(len(COLOURS)):
            yield lap * len(COLOURS) + (wanted + step) % len(COLOURS)

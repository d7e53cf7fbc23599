"""The pictures of a row as one PNG: a column for each sample, the kinds of picture below each other."""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from rbench.errors import InputError
from rbench.reports.gallery import KINDS, Pixels, amplified
from rbench.results.gallery import Gallery
from rbench.results.runs import ReadCell
from rbench.results.store import RunFolder

MAX_SIDE = 96
"""Pixels. Larger pictures are reduced to at most this: the page gives an impression, the run folder has every pixel."""
MAX_SAMPLES = 8
MARGIN = 1


OUTCOMES = ("fooled", "survived", "wrong without an attack")


class Shown(NamedTuple):
    """Id, true class and predicted classes of one sample."""

    sample: int
    label: int
    clean: int
    attacked: int

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`, on the draw that the pictures show."""
        if self.attacked == self.label:
            return "survived"
        return "fooled" if self.clean == self.label else "wrong without an attack"


@dataclass(frozen=True)
class Sheet:
    """A picture for the page, or why there is none.

    Attributes:
        attack: the attack whose pictures these are.
        uri: the PNG as a data URI; empty if there is none.
        factor: the factor by which the difference was amplified; grey is no difference, and 0 means that there is none anywhere.
        reduced: pixels of a side that were averaged into one.
        samples: id and classes for each column: the fooled ones, those that survived, those that were wrong before, each in their order.
        tiles: bytes of colour of one image in it.
        trouble: why pictures that exist are not shown; empty if they are.
    """

    attack: str
    uri: str = ""
    factor: int = 0
    reduced: int = 1
    samples: Sequence[Shown] = ()
    tiles: int = 0
    trouble: str = ""

    @property
    def unchanged(self) -> bool:
        """Whether there are pictures, and the attack changed none of them."""
        return bool(self.uri) and not self.factor

    @property
    def outcomes(self) -> Sequence[tuple[str, int]]:
        """What became of the samples, with the number of columns, from left to right."""
        return [(name, len(list(some))) for name, some in groupby(one.outcome for one in self.samples)]

    @property
    def lacks(self) -> str:
        """Whether it has no fooled or no surviving sample, as a sentence; empty if it has both."""
        seen = {one.outcome for one in self.samples}
        missing = [word for name, word in (("fooled", "was fooled"), ("survived", "survived")) if name not in seen]
        return f"None of them {' and none '.join(missing)}." if missing else ""

    @property
    def size(self) -> int:
        """Bytes of colour in the picture, before it was compressed: the same on every machine."""
        return self.tiles * len(self.samples) * len(KINDS)


def sheet(cell: ReadCell) -> Sheet | None:
    """The pictures of a cell; None if its run kept none."""
    attack = cell.label("attack")
    try:
        gallery = RunFolder(cell.root).read_gallery(cell.id)
        if gallery is None or not len(gallery.samples):
            return None
        return _drawn(attack, gallery)
    except InputError as error:
        return Sheet(attack, trouble=str(error))


def _drawn(attack: str, gallery: Gallery) -> Sheet:
    _, _, channels, height, width = gallery.pixels.shape
    if channels not in (1, 3) or not 0 < max(height, width) <= 4096:
        return Sheet(attack, trouble=f"{channels} channels of {height} x {width} pixels cannot be drawn")
    said = zip(gallery.samples.tolist(), gallery.labels.tolist(), gallery.predictions.tolist(), strict=True)
    shown = [Shown(sample, label, *seen) for sample, label, seen in said][:MAX_SAMPLES]
    order = sorted(range(len(shown)), key=lambda place: OUTCOMES.index(shown[place].outcome))
    pixels = gallery.pixels[order]
    difference, factor = amplified(pixels[:, 0], pixels[:, 1])
    tiles = np.stack([pixels[:, 0], pixels[:, 1], difference, pixels[:, 2], pixels[:, 3]])
    reduced = -(-max(height, width) // MAX_SIDE)
    if reduced > 1:
        tiles = _smaller(tiles, reduced)
    return Sheet(
        attack=attack,
        uri=f"data:image/png;base64,{b64encode(_png(tiles)).decode()}",
        factor=factor,
        reduced=reduced,
        samples=[shown[place] for place in order],
        tiles=tiles[0, 0].size,
    )


def _smaller(tiles: Pixels, by: int) -> Pixels:
    height, width = (side - side % by for side in tiles.shape[3:])
    cut = tiles[..., :height, :width]
    blocks = cut.reshape(*cut.shape[:3], height // by, by, width // by, by)
    smaller: Pixels = blocks.mean(axis=(4, 6)).round().astype(np.uint8)
    return smaller


def _png(tiles: Pixels) -> bytes:
    """The tiles [kinds, samples, C, H, W] in a grid, with a transparent margin around each."""
    from PIL import Image

    opaque = np.full_like(tiles[:, :, :1], 255)
    edges = (MARGIN, MARGIN)
    padded = np.pad(np.concatenate([tiles, opaque], axis=2), ((0, 0), (0, 0), (0, 0), edges, edges))
    kinds, samples, layers, height, width = padded.shape
    grid = padded.transpose(0, 3, 1, 4, 2).reshape(kinds * height, samples * width, layers)
    sink = io.BytesIO()
    Image.fromarray(grid, "LA" if layers == 2 else "RGBA").save(sink, "PNG", optimize=True)
    return sink.getvalue()

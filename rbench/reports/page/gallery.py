"""The pictures of a row as one PNG: a column for each sample, the kinds of picture below each other."""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
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


class Shown(NamedTuple):
    """Id, true class and predicted classes of one sample."""

    sample: int
    label: int
    clean: int
    attacked: int


@dataclass(frozen=True)
class Sheet:
    """A picture for the page, or why there is none.

    Attributes:
        attack: the attack whose pictures these are.
        uri: the PNG as a data URI; empty if there is none.
        factor: the factor by which the difference was amplified; grey is no difference, and 0 means that there is none anywhere.
        reduced: pixels of a side that were averaged into one.
        samples: id and classes for each column.
        trouble: why pictures that exist are not shown; empty if they are.
    """

    attack: str
    uri: str = ""
    factor: int = 0
    reduced: int = 1
    samples: Sequence[Shown] = ()
    trouble: str = ""

    @property
    def unchanged(self) -> bool:
        """Whether there are pictures, and the attack changed none of them."""
        return bool(self.uri) and not self.factor

    @property
    def words(self) -> str:
        """The alternative text of the picture, for screen readers."""
        each = "; ".join(
            f"sample {one.sample}, true class {one.label}: clean seen as {one.clean}, attacked seen as {one.attacked}"
            for one in self.samples
        )
        return f"A column for each sample. From top to bottom: {', '.join(KINDS)}. {each}."


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
    pixels = gallery.pixels[:MAX_SAMPLES]
    _, _, channels, height, width = pixels.shape
    if channels not in (1, 3) or not 0 < max(height, width) <= 4096:
        return Sheet(attack, trouble=f"{channels} channels of {height} x {width} pixels cannot be drawn")
    difference, factor = amplified(pixels[:, 0], pixels[:, 1])
    tiles = np.stack([pixels[:, 0], pixels[:, 1], difference, pixels[:, 2], pixels[:, 3]])
    reduced = -(-max(height, width) // MAX_SIDE)
    if reduced > 1:
        tiles = _smaller(tiles, reduced)
    said = zip(gallery.samples.tolist(), gallery.labels.tolist(), gallery.predictions.tolist(), strict=True)
    samples = [Shown(sample, label, *seen) for sample, label, seen in said][:MAX_SAMPLES]
    return Sheet(attack, f"data:image/png;base64,{b64encode(_png(tiles)).decode()}", factor, reduced, samples)


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

"""Images before and after attacks and purifiers."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rbench.errors import InputError
from rbench.reports.figures.rows import named
from rbench.reports.figures.style import WIDTH, blank, shown
from rbench.reports.gallery import KINDS, amplified, first_changed, strongest_first
from rbench.reports.plain import csv_text
from rbench.results.gallery import SHOWN
from rbench.results.runs import ReadCell
from rbench.results.store import RunFolder
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWS = (
    "For each row of the first panel the strongest attack that uses the purifier and changed one of the first images: the first that it "
    "changed. Difference amplified, grey is none; classes as the defended model sees them."
)
LACKS = "no run kept pictures"
MOST = 8
_PIXELS = [name.replace(" ", "_") for name in SHOWN]


def frame(table: Table) -> pd.DataFrame:
    """A line for each row with pictures: panel, row, attack, sample, label, classes, shape, and the pixels as hexadecimal bytes."""
    rows = []
    for panel, name, _, cells in named(table):
        picture = first_changed(map(_picture, strongest_first(cells)), lambda one: one[_PIXELS[0]] == one[_PIXELS[1]])
        if picture is not None:
            rows.append({"panel": panel, "row": name, **picture})
    columns = [
        "panel",
        "row",
        "attack",
        "sample",
        "label",
        "clean_class",
        "attacked_class",
        "channels",
        "height",
        "width",
    ]
    return pd.DataFrame(rows, columns=[*columns, *_PIXELS])


def _picture(cell: ReadCell) -> dict[str, object] | None:
    try:
        gallery = RunFolder(cell.root).read_gallery(cell.id)
    except InputError:  # the page says so; a figure has no place for it
        return None
    if gallery is None or not len(gallery.samples) or gallery.pixels.shape[2] not in (1, 3):
        return None
    changed = np.flatnonzero((gallery.pixels[:, 0] != gallery.pixels[:, 1]).any(axis=(1, 2, 3)))
    one = int(changed[0]) if len(changed) else 0
    channels, height, width = gallery.pixels.shape[2:]
    labels = {
        "attack": csv_text(cell.label("attack")),
        "sample": int(gallery.samples[one]),
        "label": int(gallery.labels[one]),
    }
    classes = dict(zip(("clean_class", "attacked_class"), gallery.predictions[one].tolist(), strict=True))
    pixels = {name: gallery.pixels[one, place].tobytes().hex() for place, name in enumerate(_PIXELS)}
    return {**labels, **classes, "channels": channels, "height": height, "width": width, **pixels}


def draw(data: pd.DataFrame) -> "Figure":
    """A column for each row of the leaderboard, five pictures below each other."""
    rows = data[data["panel"] == data["panel"].iloc[0]].head(MOST)
    figure = blank(max(2.2, WIDTH * len(rows) / MOST), 4.6)
    axes = figure.subplots(len(KINDS), len(rows), squeeze=False)
    for column, row in enumerate(rows.to_dict("records")):
        for place, pixels in enumerate(_pictures(row)):
            axis = axes[place, column]
            axis.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
            if column == 0:
                axis.set_ylabel(KINDS[place].replace(" ", "\n"), rotation=0, ha="right", va="center", fontsize=7)
        title = f"{shown(str(row['row']), 15)}\n{shown(str(row['attack']), 15)}"
        axes[0, column].set_title(title, fontsize=6.5, loc="center")
        axes[-1, column].set_xlabel(
            f"class {row['label']}\n{row['clean_class']} \N{RIGHTWARDS ARROW} {row['attacked_class']}", fontsize=6.5
        )
    return figure


def _pictures(row: dict[str, object]) -> list[np.ndarray]:
    shape = [int(str(row[name])) for name in ("channels", "height", "width")]
    clean, attacked, *purified = (
        np.frombuffer(bytes.fromhex(str(row[name])), np.uint8).reshape(shape).transpose(1, 2, 0) for name in _PIXELS
    )
    difference, _ = amplified(clean, attacked)
    return [clean, attacked, difference, *purified]

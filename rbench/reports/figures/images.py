"""Images before and after attacks and purifiers."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rbench.errors import InputError
from rbench.reports.figures.rows import shown_rows
from rbench.reports.figures.style import LETTER, WIDTH, blank, narrow, shown, wrapped
from rbench.reports.gallery import KINDS, amplified, strongest_first
from rbench.reports.plain import csv_text
from rbench.results.gallery import SHOWN
from rbench.results.runs import ReadCell
from rbench.results.store import RunFolder
from rbench.results.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWS = (
    "For each row of a ranking the first image that the strongest attack which uses the purifier fooled; where no attack fooled one, the "
    "first that one changed. Difference amplified, grey is none; classes as the defended model sees them."
)
LACKS = "no run kept pictures"
MOST, MOST_COLUMNS = 1, 8
"""Panels of a figure, and rows of a panel."""
_PIXELS = [name.replace(" ", "_") for name in SHOWN]


def frame(table: Table) -> pd.DataFrame:
    """A line for each row with pictures: attack, sample, label, classes, shape, and the pixels as hexadecimal bytes."""
    rows = []
    for one in shown_rows(table):
        pictures = [picture for cell in strongest_first(one.cells) for picture in _pictures_of(cell)]
        if pictures:
            first: dict[Any, Any] = max(pictures, key=_telling)  # of those that tell most
            rows.append({**one.place, **first})
    columns = [
        "dataset",
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


def _telling(picture: dict[Any, Any]) -> int:
    """How much a picture says of an attack: it fooled, it changed something, or neither."""
    right = picture["clean_class"] == picture["label"]
    fooled = right and picture["attacked_class"] != picture["label"]
    return 2 * int(fooled) + int(picture[_PIXELS[0]] != picture[_PIXELS[1]])


def _pictures_of(cell: ReadCell) -> list[dict[Any, Any]]:
    """The pictures of a cell, in their order."""
    try:
        gallery = RunFolder(cell.root).read_gallery(cell.id)
    except InputError:  # the page says so; a figure has no place for it
        return []
    if gallery is None or gallery.pixels.shape[2] not in (1, 3):
        return []
    channels, height, width = gallery.pixels.shape[2:]
    shape = {"channels": channels, "height": height, "width": width}
    found = []
    for one in range(len(gallery.samples)):
        clean, attacked = gallery.predictions[one].tolist()
        classes = {"label": int(gallery.labels[one]), "clean_class": clean, "attacked_class": attacked}
        pixels = {name: gallery.pixels[one, place].tobytes().hex() for place, name in enumerate(_PIXELS)}
        about = {"attack": csv_text(cell.label("attack")), "sample": int(gallery.samples[one])}
        found.append({**about, **classes, **shape, **pixels})
    return found


def draw(data: pd.DataFrame) -> "Figure":
    """A column for each row of the leaderboard, five pictures below each other."""
    rows = data.head(MOST_COLUMNS)
    width = max(WIDTH / 2, 0.75 + (WIDTH - 0.75) * len(rows) / MOST_COLUMNS)
    side = (width - 0.75) / len(rows)
    figure = blank(width, (len(KINDS) * min(side, 1.1)) + 1.0)
    axes = figure.subplots(len(KINDS), len(rows), squeeze=False)
    letters = max(9, int(side / 0.054))
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
        title = f"{narrow(str(row['row']), letters)}\n{shown(str(row['attack']), letters)}"
        axes[0, column].set_title(title, fontsize=6.5, loc="center", fontweight="normal")
        axes[-1, column].set_xlabel(_outcome(row), fontsize=6.5)
    figure.suptitle(wrapped(str(rows["panel"].iloc[0]), int(width / LETTER)), fontsize=8.5, fontweight="bold")
    left = len(data) - len(rows)
    if left:
        figure.supxlabel(f"Not drawn: rows beyond {MOST_COLUMNS}; see the CSV file.", fontsize=7)
    return figure


def _outcome(row: dict[Any, Any]) -> str:
    """What the attack came to, in two short lines."""
    label, clean, attacked = (row[name] for name in ("label", "clean_class", "attacked_class"))
    if clean != label:
        return f"class {label}\nnever right"
    return f"class {label}\n" + ("survives" if attacked == label else f"taken for {attacked}")


def _pictures(row: dict[Any, Any]) -> list[np.ndarray]:
    shape = [int(str(row[name])) for name in ("channels", "height", "width")]
    clean, attacked, *purified = (
        np.frombuffer(bytes.fromhex(str(row[name])), np.uint8).reshape(shape).transpose(1, 2, 0) for name in _PIXELS
    )
    difference, _ = amplified(clean, attacked)
    return [clean, attacked, difference, *purified]

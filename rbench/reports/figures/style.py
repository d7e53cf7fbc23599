"""The style of every figure, and its rendering to bytes: the same data give the same file."""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from math import floor, log10
from typing import TYPE_CHECKING, Any

from rbench.reports.plain import visible

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vPX*"
WIDTH = 6.8
"""Inches: the text width of most papers; half of it is a column."""
NARROW = 0.78
"""Of that width: a figure of one panel."""
LONGEST = 36
LETTER = 0.076
"""Inches: the width of a letter of a title, on average."""
_INSIDE = re.compile("(?<!,) ")
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
MOST_TICKS = 7
KINDS = ("png", "svg", "pdf")
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What is left out, so that the same data give the same bytes."""


@contextmanager
def styled() -> Iterator[None]:
    """The common style; matplotlib's own settings are as before afterwards."""
    import matplotlib as mpl

    path = files("rbench.reports.figures").joinpath("rbench.mplstyle")
    with mpl.rc_context(mpl.rc_params_from_file(str(path), use_default_template=False)):
        yield


def rendered(
    draw: "Callable[[pd.DataFrame], Figure]", data: "pd.DataFrame", kinds: Sequence[str] = KINDS
) -> dict[str, bytes]:
    """The figure of some data in some formats."""
    with styled():
        figure = draw(data)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # found once, for all formats
        return {kind: _saved(figure, kind) for kind in kinds}


def blank(width: float, height: float) -> "Figure":
    """An empty figure of some inches, with no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def grid(
    titles: Sequence[str], heights: Sequence[float], *, across: int = 2, more: float = 0.3, beside: float = 0.0
) -> "tuple[Figure, list[Axes]]":
    """A figure with a panel for each title, from left to right and from top to bottom.

    Args:
        titles: of the panels.
        heights: of the panels, inches; the taller of two neighbours counts.
        across: most panels beside each other.
        more: inches above and below all of them, for a legend.
        beside: inches that a legend takes at the right of a single one.
    """
    columns = min(across, len(titles))
    lines = [max(heights[start : start + columns]) for start in range(0, len(titles), columns)]
    width = WIDTH if columns > 1 or across == 1 else WIDTH * NARROW
    figure = blank(width, sum(lines) + more)
    axes = list(figure.subplots(len(lines), columns, squeeze=False, height_ratios=lines).flat)
    for spare in axes[len(titles) :]:
        spare.remove()
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(wrapped(title, int((width / columns - (beside if columns == 1 else 0.0)) / LETTER)))
    return figure, axes[: len(titles)]


def flush(figure: "Figure") -> "Figure":
    """The figure with the titles of its panels where the names of their rows begin: there is more room than above the axes."""
    figure.draw_without_rendering()  # the layout is known only then
    columns: dict[int, float] = {}
    for axis in figure.axes:
        spec = axis.get_subplotspec()
        box = axis.yaxis.get_tightbbox() if spec else None
        if spec and box:
            column = spec.colspan.start
            columns[column] = min(columns.get(column, box.x0), box.x0)
    for axis in figure.axes:
        spec = axis.get_subplotspec()
        if spec and spec.colspan.start in columns:
            place = axis.get_window_extent()
            axis.set_title(
                axis.get_title(loc="left"), loc="left", x=(columns[spec.colspan.start] - place.x0) / place.width
            )
    return figure


def legend(figure: "Figure", title: str = "") -> None:
    """One legend for all panels, outside them: at the right of a single one, else above all."""
    found: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    alone = len(figure.axes) == 1
    figure.legend(
        found.values(),
        found.keys(),
        loc="outside right upper" if alone else "outside upper center",
        ncols=1 if alone else _ncols(found),
        title=title or None,
        title_fontsize=7.5,
        handletextpad=0.5,
        columnspacing=1.4,
    )


def legend_height(names: Sequence[str]) -> float:
    """Inches that such a legend takes above several panels."""
    shortened = {shown(name): None for name in names}
    return 0.35 + 0.17 * -(-len(shortened) // _ncols(shortened))


def _ncols(labels: Mapping[str, object]) -> int:
    return max(1, min(4, int(WIDTH / (0.55 + 0.062 * max(map(len, labels), default=1)))))


def remarked(figure: "Figure", text: str) -> None:
    """A remark below the panels."""
    if text:
        figure.supxlabel(text, fontsize=7)


def logarithmic(axis: "Axes", values: "pd.Series[float]") -> None:
    """A logarithmic horizontal axis that begins and ends at a labelled tick, so that there are two at least."""
    low, high = float(values.min()) / 1.2, float(values.max()) * 1.2
    ticks = [step * 10.0**power for power in range(floor(log10(low)) - 1, floor(log10(high)) + 2) for step in (1, 3)]
    first = max(place for place, tick in enumerate(ticks) if tick <= low)
    last = min(place for place, tick in enumerate(ticks) if tick >= high)
    kept = ticks[first : last + 1]
    axis.set_xscale("log")
    axis.set_xlim(kept[0], kept[-1])
    axis.set_xticks(kept if len(kept) <= MOST_TICKS else [tick for tick in kept if log10(tick) % 1 < 0.1])
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.minorticks_off()


def wrapped(text: str, letters: int) -> str:
    """A title in lines of at most so many letters, three at most, broken after commas where that can be."""
    kept = _INSIDE.sub("\N{NO-BREAK SPACE}", visible(text))
    return _lines(textwrap.wrap(kept, letters, max_lines=3, placeholder=f" {ELLIPSIS}", break_on_hyphens=False))


def narrow(text: str, letters: int) -> str:
    """A name in lines of at most so many letters, broken before its backbone and at hyphens; two lines for each part."""
    first, backbone, rest = visible(text).partition(" (")
    parts = [first, *([f"({rest}"] if backbone else [])]
    return _lines([line for part in parts for line in textwrap.wrap(part, letters, max_lines=2, placeholder=ELLIPSIS)])


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(line.replace("$", r"\$") for line in lines)


def named(name: str, letters: int = 26) -> str:
    """The name of a row beside its panel: the backbone, if it is there, in a line of its own where both are too long for one."""
    if len(name) <= letters or " (" not in name:
        return shown(name, letters)
    first, _, rest = name.partition(" (")
    return f"{shown(first, letters)}\n{shown('(' + rest, letters)}"


def look_of(row: "pd.Series[Any]") -> dict[str, Any]:
    """Colour, marker and fill of a row, as matplotlib takes them for a line."""
    return {
        "color": row["colour"],
        "marker": row["marker"],
        "fillstyle": row["fill"],
        "markerfacecoloralt": "white",
        "markeredgewidth": 1.0,
    }


def colour(place: int) -> str:
    """The colour of the n-th line or mark."""
    return f"C{place % 8}"


def marker(place: int) -> str:
    """The marker of the n-th line or mark, which distinguishes it in grey too."""
    return MARKERS[place % len(MARKERS)]


def shown(text: str, longest: int = LONGEST) -> str:
    """A name for a figure: invisible characters spelled out, dollar signs escaped, cut to a number of letters."""
    plain = visible(text)
    short = plain if len(plain) <= longest else f"{plain[: longest - 1]}{ELLIPSIS}"
    return short.replace("$", r"\$")


def _saved(figure: "Figure", kind: str) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format=kind, metadata=_METADATA[kind])
    return sink.getvalue()

"""The style of every figure, and its rendering to bytes: the same data give the same file."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

from rbench.reports.plain import visible

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vPX*"
WIDTH = 6.8
"""Inches: the text width of most papers; half of it is a column."""
LONGEST = 36
EDGE = 0.01
"""Of the width of a panel, between the edge of the figure and a title."""


@contextmanager
def styled() -> Iterator[None]:
    """The common style; matplotlib's own settings are as before afterwards."""
    import matplotlib as mpl

    path = files("rbench.reports.figures").joinpath("rbench.mplstyle")
    with mpl.rc_context(mpl.rc_params_from_file(str(path), use_default_template=False)):
        yield


def rendered(
    draw: "Callable[[pd.DataFrame], Figure]", data: "pd.DataFrame", kinds: Sequence[str] = ("png", "svg")
) -> dict[str, bytes]:
    """The figure of some data in some formats."""
    with styled():
        figure = draw(data)
        return {kind: _saved(figure, kind) for kind in kinds}


def blank(width: float, height: float) -> "Figure":
    """An empty figure of some inches, with no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def flush(figure: "Figure") -> "Figure":
    """The figure with the titles of its panels, which stand one above the other, at its left edge: beside row names there is more room."""
    figure.draw_without_rendering()  # the layout is known only then
    for axis in figure.axes:
        place, title = axis.get_position(), axis.get_title(loc="left")
        axis.set_title(title, loc="left", x=-place.x0 / place.width + EDGE)
    return figure


def stacked(
    data: "pd.DataFrame", panels: Sequence[str], width: float, draw: "Callable[[Axes, pd.DataFrame], None]"
) -> "Figure":
    """One panel below the other.

    Args:
        data: with a column `panel`.
        panels: those that are drawn.
        width: inches.
        draw: draws the rows of one panel.
    """
    figure = blank(width, 0.4 + 2.9 * len(panels))
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        draw(axis, data[data["panel"] == panel])
        axis.set_title(shown(panel, 66))
    return flush(figure)


def colour(place: int) -> str:
    """The colour of the n-th line or mark."""
    return f"C{place % 8}"


def marker(place: int) -> str:
    """The marker of the n-th line or mark, which distinguishes it in grey too."""
    return MARKERS[place % len(MARKERS)]


def shown(text: str, longest: int = LONGEST) -> str:
    """A name for a figure: invisible characters spelled out, dollar signs escaped, cut to a number of letters."""
    plain = visible(text)
    short = plain if len(plain) <= longest else f"{plain[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
    return short.replace("$", r"\$")


def _saved(figure: "Figure", kind: str) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return sink.getvalue()

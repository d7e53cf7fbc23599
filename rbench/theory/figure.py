"""The picture of the theory's points: attacked L_con against robust accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.reports.figures.style import blank, colour, marker, shown, styled
from rbench.theory.points import pooled
from rbench.theory.report import spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rbench.theory.correlate import Correlation
    from rbench.theory.points import Point

_COLUMNS = 3
_SOURCES = {"run": "worst case of the run", "pgd": "PGD only"}

_SIDES = ((-6, -10), (6, 4), (6, -11))
"""Where the labels of neighbours go, in points, so that three in a row can be read."""


def draw(points: Sequence["Point"], correlations: Sequence["Correlation"], paths: Sequence[Path]) -> None:
    """The scatter, a panel for each radius, a colour and marker for each frozen backbone, lambda beside each point.

    Args:
        points: at least one.
        correlations: of which the pooled ones of each radius are in the titles.
        paths: written in the format of their ending.
    """
    radii = list(dict.fromkeys(point.eps for point in points))
    kinds = list(dict.fromkeys(point.frozen for point in points))
    with styled():
        columns = min(_COLUMNS, len(radii))
        rows = -(-len(radii) // columns)
        figure = blank(0.8 + 3.6 * columns, 0.8 + 3.0 * rows)
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
        for axis in axes[len(radii) :]:
            axis.remove()
        for axis, eps in zip(axes, radii, strict=False):
            here = [point for point in points if point.eps == eps]
            _panel(axis, here, kinds)
            whole = next(one for one in correlations if one.against == "robust_accuracy" and one.group == pooled(eps))
            axis.set_title(f"Linf {eps}\nSpearman: {spelled(whole)}", fontsize=9)
        sources = "/".join(_SOURCES[kind] for kind in sorted({point.robust_from for point in points}))
        for axis in axes[: len(radii) : columns]:
            axis.set_ylabel(f"robust accuracy (%), {sources}")
        handles, labels = axes[0].get_legend_handles_labels()
        legend = figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=2,
            fontsize=8,
            frameon=False,
            title="frozen backbone; the number is lambda",
        )
        legend.get_title().set_fontsize(8)
        for path in paths:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(axis: "Axes", points: Sequence["Point"], kinds: Sequence[str]) -> None:
    for number, kind in enumerate(kinds):
        some = [point for point in points if point.frozen == kind]
        x, y = [p.attacked_contrastive for p in some], [100 * p.robust_accuracy for p in some]
        look: dict[str, Any] = {"color": colour(number), "marker": marker(number)}
        axis.scatter(x, y, s=34, edgecolor="white", linewidth=0.6, label=shown(kind, 60), zorder=3, **look)
        for rank, number in enumerate(sorted(range(len(some)), key=lambda i: x[i])):
            point, place, (right, up) = some[number], (x[number], y[number]), _SIDES[rank % len(_SIDES)]
            text = f"{point.lam:g}" if point.lam is not None else shown(point.purifier)
            side = "left" if right > 0 else "right"
            axis.annotate(
                text, place, (right, up), textcoords="offset points", ha=side, fontsize=7, color=look["color"]
            )
    axis.margins(0.14)
    axis.set_xlabel("attacked contrastive loss $L_{con}$ (nats)")

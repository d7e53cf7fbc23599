"""What the theory's points look like: a table for programs, one for readers, and the picture."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.reports.plain import csv_text, markdown_text, percent

if TYPE_CHECKING:
    from rbench.theory.correlate import Correlation
    from rbench.theory.points import Point, Settings

_ABOUT = (
    "Means over all images. *clean CE* and *adversarial CE* in nats, the second at the worst image that PGD finds through purifier and "
    "backbone; *L_con* at the worst code that PGD finds on the encoder, so below the true maximum; *kappa* = (adversarial CE - clean CE) / "
    "L_con is the smallest constant with which the theorem holds there. It holds the Lipschitz constant of all that follows the encoder: "
    "that a kappa exists says nothing, that it is small and the same everywhere would."
)


def points_csv(points: Sequence["Point"]) -> str:
    """One line for each point, numbers in full."""
    rows = [point.row() for point in points]
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_plain(value) for value in row.values()] for row in rows)
    return sink.getvalue()


def _plain(value: Any) -> Any:
    return csv_text(value) if isinstance(value, str) else value


def theory_markdown(points: Sequence["Point"], found: Sequence["Correlation"], settings: "Settings") -> str:
    """The page: points, correlations, and how it was measured."""
    header = "| purifier | lambda | backbone | eps | clean CE | adv. CE | L_con | kappa | standard % | robust % |"
    lines = ["# The theorem, measured", "", header, "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|"]
    lines += [_line(point) for point in points]
    lines += [
        "",
        "Spearman's rank correlation of attacked L_con and robust accuracy (95 % bootstrap interval over points):",
        "",
    ]
    lines += [f"- {markdown_text(one.group)}: {spelled(one)}" for one in found]
    starts = f"{settings.steps} steps and {settings.restarts} starts on both sides"
    form = f"the form `{settings.contrastive}`, tau {settings.tau:g}, negatives from batches of about {settings.batch}"
    how = f"{points[0].n} images; PGD of {starts}; L_con in {form}. Robust accuracy: {_source(points)}."
    return "\n".join([*lines, "", _ABOUT, "", how]) + "\n"


def _source(points: Sequence["Point"]) -> str:
    kinds = {point.robust_from for point in points}
    words = {
        "run": "the worst case of the suite's run",
        "pgd": "what that PGD leaves standing, not a worst case over attacks",
    }
    return "; or ".join(words[kind] for kind in sorted(kinds, reverse=True))


def _line(point: "Point") -> str:
    lam = "-" if point.lam is None else f"{point.lam:g}"
    kappa = "-" if point.kappa is None else f"{point.kappa:.2f}"
    numbers = f"{point.clean_ce:.3f} | {point.adversarial_ce:.3f} | {point.attacked_contrastive:.3f} | {kappa}"
    accuracies = f"{percent(point.standard_accuracy)} | {percent(point.robust_accuracy)}"
    names = f"{markdown_text(point.purifier)} | {lam} | {markdown_text(point.backbone)} | {point.eps}"
    return f"| {names} | {numbers} | {accuracies} |"


def spelled(one: "Correlation") -> str:
    """A correlation in words."""
    if one.rho is None:
        return f"none, {one.n} points are too few or do not vary"
    return f"{one.rho:+.2f} ({one.low:+.2f} to {one.high:+.2f}, {one.n} points)"


def draw(points: Sequence["Point"], found: Sequence["Correlation"], paths: Sequence[Path]) -> None:
    """The scatter of L_con against robust accuracy, a panel for each radius, written to each path in the format of its ending."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    radii = list(dict.fromkeys(point.eps for point in points))
    backbones = list(dict.fromkeys(_kind(point.backbone) for point in points))
    colours = mpl.colormaps["tab10"]
    figure = Figure(figsize=(4.6 * len(radii), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(radii), squeeze=False, sharey=True)[0]
    for axis, eps in zip(axes, radii, strict=True):
        for number, backbone in enumerate(backbones):
            here = [p for p in points if p.eps == eps and _kind(p.backbone) == backbone]
            x, y = [p.attacked_contrastive for p in here], [100 * p.robust_accuracy for p in here]
            axis.scatter(x, y, s=34, color=colours(number), marker="os^Dv"[number % 5], label=backbone, zorder=3)
            for point in here:
                lam = point.purifier if point.lam is None else f"{point.lam:g}"
                place = (point.attacked_contrastive, 100 * point.robust_accuracy)
                axis.annotate(lam, place, (5, 4), textcoords="offset points", fontsize=8, color="0.25")
        whole = next(one for one in found if one.group == f"eps {eps}, all backbones")
        axis.set_title(f"Linf {eps}: Spearman {spelled(whole)}", fontsize=9)
        axis.set_xlabel("attacked contrastive loss L_con (nats)")
        axis.grid(color="0.9", zorder=0)
    axes[0].set_ylabel("robust accuracy (%)")
    axes[0].legend(title="backbone (points: lambda)", fontsize=8, title_fontsize=8)
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _kind(backbone: str) -> str:
    """Heads are trained for one purifier each; in the picture, the backbones under them are one kind."""
    name, plus, _ = backbone.partition("+")
    return f"{name}, head of each purifier" if plus else name

"""The drawings of the page, accuracies on an axis and bars of a ladder, as numbers for the template."""

from dataclasses import dataclass
from typing import Any

from rbench.reports.plain import percent
from rbench.results.record import RungPart


@dataclass(frozen=True)
class Axis:
    """Accuracies between 0 and 1 on one line, in percent of its length.

    Attributes:
        worst: the worst case over all attacks, with both ends of its interval.
        low: lower end.
        high: upper end.
        blind: the worst case over the attacks that ignore the purifier.
        standard: without an attack.
        words: the same as a sentence, for screen readers.
    """

    worst: float
    low: float
    high: float
    blind: float | None
    standard: float | None
    words: str

    @property
    def gap(self) -> tuple[float, float] | None:
        """Both ends of the line between the worst case and the blind one; None without a blind attack."""
        return None if self.blind is None else (min(self.worst, self.blind), max(self.worst, self.blind))


def axis(row: dict[str, Any]) -> Axis | None:
    """The axis of a row; None while the row has no number."""
    if row["robust_accuracy"] is None:
        return None
    sentences = [
        f"Worst case {percent(row['robust_accuracy'])} %, interval {percent(row['robust_low'])} to {percent(row['robust_high'])} %"
    ]
    for name, title in (("blind_robust_accuracy", "blind"), ("standard_accuracy", "without an attack")):
        if row[name] is not None:
            sentences.append(f"{title} {percent(row[name])} %")
    return Axis(
        _place(row["robust_accuracy"]),
        _place(row["robust_low"]),
        _place(row["robust_high"]),
        None if row["blind_robust_accuracy"] is None else _place(row["blind_robust_accuracy"]),
        None if row["standard_accuracy"] is None else _place(row["standard_accuracy"]),
        "; ".join(sentences) + ".",
    )


@dataclass(frozen=True)
class Rung:
    """One attack of a ladder as a bar: shares of all samples, in percent.

    Attributes:
        part: the rung in the record.
        gone: misclassified or fooled before it.
        fooled: fooled by it.
        standing: survived it.
        share: fooled of attacked, in percent with one decimal; `-` where none was left to attack.
    """

    part: RungPart
    gone: float
    fooled: float
    standing: float
    share: str


def rung(part: RungPart, n: int) -> Rung:
    """The bar of a rung among n samples."""
    # Records are anybody's: what does not fit is cut off, not drawn outside.
    attacked = min(part.attacked, n)
    fooled = min(part.fooled, attacked)
    share = percent(fooled / attacked) if attacked else "-"
    return Rung(part, _place(1 - attacked / n), _place(fooled / n), _place((attacked - fooled) / n), share)


def _place(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 2)

"""Two rows on the same samples: who is better, by how much, and whether these samples can tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

import numpy as np

from rbench.errors import InputError
from rbench.harmless import NAME, harmless
from rbench.results.rows import judged_on
from rbench.results.statistics import Estimate, Z, mcnemar, paired_bootstrap
from rbench.results.table import Table
from rbench.results.worst_case import Values

LINE_WIDTH = 2 * NAME + 1
"""Columns of the two names of a row."""
Z_POWER = 0.8416212335729143
"""Standard normal quantile of 0.8, the power that `needed` speaks of."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """A pair of rows, sample by sample in their worst case; a random defence is right where most of its draws are.

    Attributes:
        first: `backbone/purifier` of the row.
        second: of the other.
        accuracies: robust accuracies of the two.
        difference: first minus second, with its paired bootstrap interval; the exact binomial one where all samples agree.
        both: samples that both get right.
        only_first: samples that only the first gets right.
        only_second: samples that only the second gets right.
        neither: samples that none gets right.
        p_value: of McNemar's exact test.
        holm: the same, corrected for all pairs that were compared.
        needed: samples that would tell the two apart with power 0.8 at 0.05; None where they are equally often right.
    """

    first: str
    second: str
    accuracies: tuple[float, float]
    difference: Estimate
    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    holm: float
    needed: int | None

    def __repr__(self) -> str:
        """What it says, in lines."""
        return self.text()

    def text(self, *, pairs: int = 1) -> str:
        """What it says, in lines.

        Args:
            pairs: how many were compared.
        """
        a, b = (f"{100 * value:.1f}" for value in self.accuracies)
        low, high = 100 * self.difference.low, 100 * self.difference.high
        corrected = f", {self.holm:.3g} for {pairs} pairs (Holm)" if pairs > 1 else ""
        needed = "there is none here" if self.needed is None else f"about {self.needed:,} samples"
        return "\n".join(
            [
                harmless(self.first, LINE_WIDTH),
                f"  against {harmless(self.second, LINE_WIDTH)}",
                f"  robust {a} % and {b} %: {100 * self.difference.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})",
                f"  of {self.difference.n}: both {self.both}, only the first {self.only_first}, only the second {self.only_second}, "
                f"neither {self.neither}",
                f"  McNemar: p = {self.p_value:.3g}{corrected}; {'they differ' if self.holm < 0.05 else 'these samples cannot tell'}",
                f"  to detect such a difference (0.05, power 0.8): {needed}",
            ]
        )


def compare(table: Table, patterns: Sequence[str]) -> list[Comparison]:
    """Every pair of the chosen rows that was judged on the same samples under the same threat.

    Args:
        table: the leaderboard.
        patterns: globs over `backbone/purifier`, or over the purifier where they have no slash; all rows if empty.

    Raises:
        InputError: a pattern matches no row, or no two rows can be compared.
    """
    rows = [(row, values) for row, values in zip(table.rows(), table.outcomes, strict=True) if values is not None]
    _require_known(patterns, [row for row, _ in rows])
    chosen = [one for one in rows if _wanted(one[0], patterns)]
    pairs = [_pair(a, b) for a, b in combinations(chosen, 2) if a[0]["group"] == b[0]["group"]]
    if not pairs:
        raise InputError(_no_pair(len(chosen)))
    return _corrected(pairs)


def between(tables: Mapping[str, Table], patterns: Sequence[str]) -> list[Comparison]:
    """Every row that several run folders have, that of one against that of another, such as a claim and the run that repeats it.

    Args:
        tables: the leaderboard of each folder, by what it is called.
        patterns: as for `compare`.

    Returns:
        None where no row is in two of them.

    Raises:
        InputError: a pattern matches no row, or the same row was not judged on the same samples by the same rules.
    """
    rows = [
        (name, row, table.at([place]))
        for name, table in tables.items()
        for place, (row, values) in enumerate(zip(table.rows(), table.outcomes, strict=True))
        if values is not None
    ]
    _require_known(patterns, [row for _, row, _ in rows])
    chosen = [one for one in rows if _wanted(one[1], patterns)]
    pairs = [
        replace(paired(a, b), first=f"{first}: {_name(row)}", second=f"{second}: {_name(other)}")
        for (first, row, a), (second, other, b) in combinations(chosen, 2)
        if first != second
        and _name(row) == _name(other)
        and row["eps"] == other["eps"]
        and row["norm"] == other["norm"]
    ]
    return _corrected(pairs)


def _require_known(patterns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    for pattern in patterns:
        if not any(_matches(row, pattern) for row in rows):
            names = ", ".join(dict.fromkeys(_name(row) for row in rows)) or "none"
            raise InputError(f"{pattern!r} matches no row with a robust accuracy. There are: {names}.")


def _wanted(row: dict[str, Any], patterns: Sequence[str]) -> bool:
    return not patterns or any(_matches(row, pattern) for pattern in patterns)


def _corrected(pairs: Sequence[Comparison]) -> list[Comparison]:
    return [replace(pair, holm=p_value) for pair, p_value in zip(pairs, holm([p.p_value for p in pairs]), strict=True)]


def _no_pair(rows: int) -> str:
    if rows == 1:
        return "nothing to compare: one row alone"
    return f"nothing to compare: no two of {rows} rows have the same samples and threat"


def paired(first: Table, second: Table) -> Comparison:
    """The first rows of two tables, which may be of one defended model under other attacks.

    Raises:
        InputError: they were not judged on the same samples, under the same threat, by the same rules.
    """
    rows, values = [first.rows()[0], second.rows()[0]], [first.outcomes[0], second.outcomes[0]]
    cells = [first.cells[0][0], second.cells[0][0]]
    for what in ("threat", "protocol"):
        here, there = (cell.part(what) for cell in cells)
        if differ := [
            f"{name} {here.get(name)} and {there.get(name)}" for name in here if here[name] != there.get(name)
        ]:
            raise InputError(f"cannot be compared: {', '.join(differ)}.", place=what, remedy="Evaluate both alike.")
    if judged_on(cells[0])[:2] != judged_on(cells[1])[:2]:  # type: ignore[index]
        problem = "cannot be compared: other images or labels."
        raise InputError(problem, place="samples", remedy="Evaluate both on the same.")
    assert values[0] is not None
    assert values[1] is not None
    return _pair((rows[0], values[0]), (rows[1], values[1]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): whoever rejects below 0.05 errs in any of them with at most that probability."""
    order = np.argsort(p_values, kind="stable")
    left = np.arange(len(p_values), 0, -1)
    corrected = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * left))
    back = np.empty_like(corrected)
    back[order] = corrected
    return [float(value) for value in back]


def samples_needed(only_first: float, only_second: float) -> int | None:
    """Samples with which McNemar's test finds such a difference with power 0.8 at level 0.05 (Connor 1987, Biometrics 43, 207-211).

    Args:
        only_first: share of samples that only the first gets right.
        only_second: share that only the second gets right.
    """
    apart, difference = only_first + only_second, abs(only_first - only_second)
    if difference == 0:
        return None
    root = Z * math.sqrt(apart) + Z_POWER * math.sqrt(apart - difference**2)
    return math.ceil((root / difference) ** 2)


def _pair(one: tuple[dict[str, Any], Values], other: tuple[dict[str, Any], Values]) -> Comparison:
    (row, values), (second, others) = one, other
    right, wrong = values >= 0.5, others >= 0.5
    test, n = mcnemar(right, wrong), len(values)
    return Comparison(
        first=_name(row),
        second=_name(second),
        accuracies=(float(values.mean()), float(others.mean())),
        difference=_difference(values, others),
        both=int((right & wrong).sum()),
        only_first=test.only_first,
        only_second=test.only_second,
        neither=int((~right & ~wrong).sum()),
        p_value=test.p_value,
        holm=test.p_value,
        needed=samples_needed(test.only_first / n, test.only_second / n),
    )


def _difference(first: Values, second: Values) -> Estimate:
    """The paired bootstrap; where every sample has the same difference it has no spread, and the exact binomial bound stands in.

    That is the largest share of other samples that leaves none among n with probability 0.025 (Clopper & Pearson 1934).
    """
    found = paired_bootstrap(first, second)
    if np.ptp(first - second) > 0:
        return found
    other = (1 + abs(found.value)) * (1 - 0.025 ** (1 / found.n))  # a sample that differs may be at the other end
    return Estimate(found.value, max(-1.0, found.value - other), min(1.0, found.value + other), found.n)


def _name(row: dict[str, Any]) -> str:
    return f"{row['backbone']}/{row['purifier']}"


def _matches(row: dict[str, Any], pattern: str) -> bool:
    return fnmatchcase(_name(row), pattern) or fnmatchcase(str(row["purifier"]), pattern)

"""The bars: which figure of which row is held to what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OVERHEAD = {"pgd": 1.03, "apgd": 1.06, "apgd-t": 1.06, "fab-t": 1.25, "square": 1.10}
"""Time over that of the passes alone, on models b, c and d in batches of at least 32."""
NEVER_SLOWER = 0.98
"""Time of the other over that of rbench, attack alone, on every row."""
WHOLE = {"0.65": 1.3, "0.05": 2.2, "0": 10.0}
"""The same for AutoAttack against its authors' code, by the share of samples that survive."""
NULL = {"pgd": 20.0, "apgd": 25.0, "square": 20.0}
"""Microseconds an image and step outside model and autograd."""
TWO_WORKERS = 1.75
PLAN, CELLS = 0.5, 1000
"""Seconds of a plan of so many cells."""
PEAK, IMAGES = 2048.0, 5000
"""MiB of a run that keeps so many images at 224x224."""
AUDIT_MEMORY, AUDIT_SECONDS = 500.0, 3.0
"""Of the audit at 224x224, above the model."""


@dataclass(frozen=True)
class Bar:
    """A figure and what it is held to.

    Attributes:
        row: its name.
        key: of the figure in the page, e.g. `rbench.O`.
        what: for readers.
        figure: that was measured.
        limit: the bar.
        least: the figure must be at least that, else at most.
    """

    row: str
    key: str
    what: str
    figure: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is within; one that is not a number is not."""
        return self.figure >= self.limit if self.least else self.figure <= self.limit

    @property
    def by(self) -> float:
        """By which share of the bar it is missed; 0 where it is met."""
        return 0.0 if self.met else abs(self.figure / self.limit - 1)


def bars(name: str, row: Mapping[str, Any]) -> Iterator[Bar]:
    """The bars of one row; none of a row that was not measured."""
    if "missing" in row:
        return
    part = name.partition("/")[0]
    if part == "table":
        yield from _of_table(name, row)
    if part == "null":
        yield Bar(name, "rbench", "microseconds an image and step", row["rbench"], NULL[row["attack"]])
    if part == "workers":
        yield Bar(name, "ratio", "one worker over two", row["ratio"], TWO_WORKERS, least=True)
        yield Bar(name, "same hashes", "same results", float(row["same hashes"]), 1.0, least=True)
    if name == f"growth/cells/{CELLS}":
        yield Bar(name, "plan", "seconds of the plan", row["plan"], PLAN)
    if name == f"memory/run/{IMAGES}":
        yield Bar(name, "peak", "MiB", row["peak"], PEAK)
    if name == "memory/audit":
        yield Bar(name, "above the model", "MiB", row["above the model"], AUDIT_MEMORY)
        yield Bar(name, "seconds", "seconds", row["seconds"], AUDIT_SECONDS)


def _of_table(name: str, row: Mapping[str, Any]) -> Iterator[Bar]:
    if row["model"] in "bcd" and row["images"] >= 32 and row["attack"] in OVERHEAD:
        yield Bar(name, "rbench.O", "O", row["rbench"]["O"], OVERHEAD[row["attack"]])
    for library, figures in row["references"].items():
        if "missing" in figures:
            continue
        limit = WHOLE.get(row["share"], NEVER_SLOWER) if row["attack"] == "autoattack" else NEVER_SLOWER
        yield Bar(name, f"{library}.ratio", f"{library} over rbench", figures["ratio"], limit, least=True)

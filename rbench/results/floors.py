"""Floors: the least robust accuracy that a row must have, for those who let a machine watch it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from rbench.errors import InputError
from rbench.harmless import NAME, harmless
from rbench.results.flags.catalogue import FLAGS
from rbench.results.table import Table
from rbench.signature import nearest

_ROUNDING = 1e-9
"""By which a mean over draws may miss the number that it is."""
_LISTED = 9
_CURE = FLAGS["provisional"].cure.partition(";")[0] + "."


@dataclass(frozen=True)
class Floor:
    """What a row must have.

    Attributes:
        row: its purifier as tables print it, or `backbone/purifier`.
        at_least: robust accuracy, a fraction.
    """

    row: str
    at_least: float


@dataclass(frozen=True)
class Tried:
    """A row held against a floor.

    Attributes:
        line: what was found.
        stands: whether the row has what it must have.
    """

    line: str
    stands: bool


def floor_of(text: str) -> Floor:
    """The floor that `ROW=0.4` is.

    Raises:
        InputError: it is none, or no fraction.
    """
    row, equals, number = text.rpartition("=")
    place = f"--fail-under {harmless(text, NAME)}"
    if not (equals and row):
        raise InputError("expected a row, `=` and a number.", place=place, remedy="Write e.g. --fail-under jpeg=0.4.")
    return Floor(row, fraction_of(number, place))


def fraction_of(number: str | float, place: str) -> float:
    """The robust accuracy that is asked for.

    Raises:
        InputError: it is no fraction.
    """
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        remedy = "Accuracies are fractions: write 0.4 for 40 %."
        raise InputError(
            "expected a number from 0 to 1.", place=place, found=harmless(repr(number), NAME), remedy=remedy
        )
    return value


def require_known(floors: Sequence[Floor], rows: Collection[tuple[str, str]], place: str = "--fail-under") -> None:
    """Refuses floors of rows that there will not be.

    Args:
        floors: what is asked for.
        rows: backbone and purifier of each row, by their labels.
        place: where they were written, for the error.

    Raises:
        InputError: names the nearest row.
    """
    for floor in floors:
        if any(floor.row in _names(*row) for row in rows):
            continue
        known = list(dict.fromkeys(purifier for _, purifier in rows))
        close = nearest(floor.row, [*known, *(f"{backbone}/{purifier}" for backbone, purifier in rows)])
        listed = ", ".join(harmless(name, NAME) for name in known[:_LISTED])
        remedy = f"Did you mean {harmless(repr(close[0]), NAME)}?" if close else f"There are: {listed or 'none'}."
        raise InputError(f"no row {harmless(repr(floor.row), NAME)}.", place=place, remedy=remedy)


def tried(table: Table, floors: Sequence[Floor]) -> list[Tried]:
    """What comes of each floor, for each row that it is asked of.

    A row without a robust accuracy does not stand, nor above 0 one that is `provisional`: what is left under attacks that could not work is
    no floor.

    Args:
        table: the leaderboard.
        floors: what is asked for; one that names several rows, such as those of a sweep over eps, is asked of each.
    """
    return [one for floor in floors for one in _tried(table.rows(), floor)]


def _tried(rows: Sequence[dict[str, Any]], floor: Floor) -> list[Tried]:
    named = [row for row in rows if floor.row in _names(row["backbone"], row["purifier"])]
    if not named:
        return [Tried(f"{harmless(floor.row, NAME)}: the leaderboard has no such row", stands=False)]
    return [_of_row(row, floor) for row in named]


def _of_row(row: dict[str, Any], floor: Floor) -> Tried:
    robust, title = row["robust_accuracy"], _title(row)
    if robust is None:
        status = harmless(row["status"], NAME)
        return Tried(f"{title}: no robust accuracy ({status}), at least {floor.at_least:g} is asked for", stands=False)
    interval = f"95 % {row['robust_low']:.3f} to {row['robust_high']:.3f}, n = {row['n']}"
    found = f"{title}: robust accuracy {robust:.4g} ({interval})"
    if robust + _ROUNDING < floor.at_least:
        return Tried(f"{found} is under {floor.at_least:g}", stands=False)
    if "provisional" in row["flags"] and floor.at_least > 0:
        return Tried(f"{found} is provisional, so nothing shows that it is {floor.at_least:g}. {_CURE}", stands=False)
    return Tried(f"{found} is at least {floor.at_least:g}", stands=True)


def _title(row: dict[str, Any]) -> str:
    named = f"{harmless(row['backbone'], NAME)}/{harmless(row['purifier'], NAME)}"
    return f"{named} ({row['norm']} {row['eps_text']})"


def _names(backbone: str, purifier: str) -> set[str]:
    """How a row may be written: as it is called, or as it is printed."""
    whole = {purifier, f"{backbone}/{purifier}"}
    return whole | {harmless(purifier, NAME), f"{harmless(backbone, NAME)}/{harmless(purifier, NAME)}"}

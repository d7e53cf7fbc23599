"""Which attacks of a row are run on what others have left: `protocol: {cascade: true}`. From the text of their modules; no torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from rbench.registry import registry, split_name
from rbench.suite.cell import Cell
from rbench.suite.runs_itself import runs_itself

OURS = "rbench"


def cascaded(row: Sequence[Cell], passes: Callable[[Cell], int | None]) -> list[Cell]:
    """The cells of a row, each with the ids of those that are attacked before it; in the order in which they came.

    What comparing attacks would show must not be lost: attacks with gradients follow each other, the cheapest first; those that ask for
    outputs alone follow all of them, and each other. One-step, blind, transfer and third-party attacks, and noise, stand beside the
    cascade: they settle nothing and nothing is settled for them.

    Args:
        row: the cells of one defended model under one threat.
        passes: backward passes of a cell; None where they are not known, which is taken for the most.
    """
    kinds = [_kind(cell) for cell in row]
    costs = [passes(cell) for cell in row]

    def order(place: int) -> tuple[bool, bool, int, int]:
        cost = costs[place]
        return kinds[place] == "outputs", cost is None, cost or 0, place

    found, before = list(row), tuple[str, ...]()
    for place in sorted((place for place, kind in enumerate(kinds) if kind is not None), key=order):
        found[place] = replace(row[place], after=before)
        before = (*before, found[place].id)
    return found


def _kind(cell: Cell) -> Literal["gradients", "outputs"] | None:
    """What an attack goes by; None for one beside the cascade."""
    component = registry("attack").get(cell.attack.given_name)
    facts, params = component.facts(), cell.attack.params
    _, item = split_name(cell.attack.given_name)
    third_party = component.module.partition(".")[0] != OURS or runs_itself(component, params)
    if third_party or item is not None or cell.gradient == "blind" or 1 in (facts.get("steps"), params.get("steps")):
        return None
    knows = facts.get("knows", "white-box")
    return {"white-box": "gradients", "black-box": "outputs"}.get(knows)  # type: ignore[return-value]

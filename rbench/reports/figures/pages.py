"""Which panels share a figure: at most six; where there are more, a figure for each data set or ranking, then a numbered one."""

import re
from collections.abc import Sequence
from itertools import chain, count

import pandas as pd

MOST_PANELS = 6
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def pages(
    name: str, data: pd.DataFrame, keys: Sequence[str] = ("panel",), most: int = MOST_PANELS
) -> dict[str, pd.DataFrame]:
    """The data of each figure by its name.

    Args:
        name: of the figure if one is enough.
        data: with columns `dataset` and the keys.
        keys: columns whose values together name a panel.
        most: panels of one figure.
    """
    if data.empty:
        return {}
    panel = data.groupby(list(keys), sort=False).ngroup()
    if panel.max() < most:  # they are numbered from 0
        return {name: data.reset_index(drop=True)}
    found: dict[str, pd.DataFrame] = {}
    several = len(set(data["dataset"])) > 1
    for dataset, own in data.groupby("dataset", sort=False):
        order = list(dict.fromkeys(panel[own.index]))
        number = -(-len(order) // most)
        size = -(-len(order) // number)
        base = f"{name}-{slug(str(dataset))}" if several else name
        for place in range(number):
            some = own[panel[own.index].isin(order[place * size : (place + 1) * size])]
            wanted = base if place == 0 else f"{base}-{place + 1}"
            if most == 1:  # a figure of one ranking is named after its data set, radius and number of samples
                wanted = f"{name}-{slug(', '.join(some['panel'].iloc[0].split(', ')[:3]).removesuffix(' samples'))}"
            found[_free(wanted, found)] = some.reset_index(drop=True)
    return found


def slug(text: str) -> str:
    """A name for a file: letters, digits and dashes, at most 60."""
    return _NOT_IN_NAMES.sub("-", text.lower()).strip("-")[:60].strip("-") or "other"


def _free(wanted: str, taken: dict[str, pd.DataFrame]) -> str:
    """The name, with a number behind it if another figure has it already."""
    names = (f"{wanted}-{number}" for number in count(2))
    return next(name for name in chain([wanted], names) if name not in taken)

"""The order of class folders: by name, and by number where every name has one, since text puts `class10` before `class5`."""

import re
from collections.abc import Sequence

_LAST = re.compile(r"(.*?)([0-9]+)", re.DOTALL)
_FIRST = re.compile(r"([0-9]+)([^0-9].*)?", re.DOTALL)
_SHOWN = 4


def in_order(names: Sequence[str]) -> list[str]:
    """The names as classes are numbered.

    If all of them end in a number (`class5`, `10`), by what stands before it and then by the number; by the number alone where these are
    0 to N - 1 or 1 to N, each once (`cat_0`, `dog_1`). If all begin with a number (`3_cat`), by that. Else as text.

    Args:
        names: all different.
    """
    last = [_LAST.fullmatch(name) for name in names]
    if all(last):
        parts = {name: (match[1], int(match[2])) for name, match in zip(names, last, strict=True) if match}
        numbers = sorted(number for _, number in parts.values())
        if numbers in (list(range(len(names))), list(range(1, len(names) + 1))):
            return sorted(names, key=lambda name: parts[name][1])
        return sorted(names, key=lambda name: (*parts[name], name))
    first = [_FIRST.fullmatch(name) for name in names]
    if all(first):
        begins = {name: int(match[1]) for name, match in zip(names, first, strict=True) if match}
        return sorted(names, key=lambda name: (begins[name], name))
    return sorted(names)


def told_order(names: Sequence[str]) -> list[str]:
    """A note where the order is another than that of the names as text, which other tools number classes by.

    Args:
        names: in the order of their numbers.
    """
    if list(names) == sorted(names):
        return []
    shown = ", ".join(f"{number} = {name}" for number, name in enumerate(names[:_SHOWN]))
    more = ", ..." if len(names) > _SHOWN else ""
    return [f"classes are numbered by the numbers in their names, not as text: {shown}{more}"]

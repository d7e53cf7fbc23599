"""`--set a.b=value`: one value of a suite changed from the command line."""

import re

from rbench.errors import InputError
from rbench.signature import nearest
from rbench.suite.document import Node, Place, parse

_STEP = re.compile(r"\.?([^.\[\]=]+)|\[([^\]]+)\]")
MAX_LENGTH = 10_000


def override(document: Node, text: str) -> None:
    """Puts a value into a document.

    Args:
        document: the suite; changed in place.
        text: `path=value`. An item of a list is named by its index or its label (`attacks[pgd].steps=5`); the
            value is written as in the file.

    Raises:
        InputError: the path or the value cannot be read, or the path leads through something that is no map.
    """
    shown = f"--set {text}" if len(text) <= 80 else f"--set {text[:77]}..."
    place = Place(shown)
    steps, value = _split(text, shown)
    *parents, last = steps
    node = document
    for step in parents:
        node = _child(node, step, place)
    _put(node, last, _value(value, place), place)


def _split(text: str, shown: str) -> tuple[list[str], str]:
    steps: list[str] = []
    end = 0
    while (match := _STEP.match(text, end)) and len(text) <= MAX_LENGTH:
        steps.append(match[1].strip() if match[1] else f"[{match[2]}")
        end = match.end()
    if not steps or text[end : end + 1] != "=" or not all(steps):
        remedy = "Write e.g. --set attacks[0].steps=5."
        raise InputError("not a field path, `=` and a value.", place=shown, remedy=remedy)
    return steps, text[end + 1 :]


def _value(text: str, place: Place) -> Node:
    try:
        node = parse(text, "")
    except InputError as error:
        inside = re.sub(r"^:\d+:\d+(: )?", "", error.place or "")  # a line of the command line is of no help
        where = f"{place}: {inside}" if inside else place
        raise InputError(error.problem, place=where, found=error.found, remedy=error.remedy) from None
    _move(node, place)
    return node


def _move(node: Node, place: Place) -> None:
    node.place = place
    node.keys = dict.fromkeys(node.keys, place)
    for child in [*(node.items or ()), *(node.entries or {}).values()]:
        _move(child, place)


def _child(node: Node, step: str, place: Place) -> Node:
    """The value under one step; a map is made where there is nothing yet."""
    if step.startswith("["):
        return _items(node, place)[_index(node, step[1:], place)]
    entries = _entries(node, step, place)
    if step not in entries:
        entries[step] = Node(place, entries={})
        node.keys[step] = place
    return entries[step]


def _put(node: Node, step: str, value: Node, place: Place) -> None:
    if step.startswith("["):
        _items(node, place)[_index(node, step[1:], place)] = value
        return
    _entries(node, step, place)[step] = value
    node.keys[step] = place


def _entries(node: Node, step: str, place: Place) -> dict[str, Node]:
    if node.entries is None and node.items is None and isinstance(node.value, str):  # `jpeg` means {name: jpeg}
        node.entries = {"name": Node(node.place, node.value)}
        node.keys = {"name": node.place}
    if node.entries is None and node.items is None and node.value is None:
        node.entries = {}
    if node.entries is None:
        found = "a list; name an item as in attacks[0].steps" if node.items is not None else "no map"
        raise InputError(f"what holds it is {found}.", place=f"{place}: {step}")
    return node.entries


def _items(node: Node, place: Place) -> list[Node]:
    if node.items is None:
        raise InputError("found [...] after something that is no list.", place=place)
    return node.items


def _index(node: Node, step: str, place: Place) -> int:
    items = _items(node, place)
    labels = [_label(item) for item in items]
    if step in labels:
        return labels.index(step)
    if re.fullmatch(r"\d{1,6}", step) and int(step) < len(items):
        return int(step)
    close = nearest(step, [label for label in labels if label])
    remedy = f"Did you mean {close[0]!r}?" if close else f"The list has {len(items)} items, 0 to {len(items) - 1}."
    raise InputError(f"no item {step!r}.", place=place, remedy=remedy)


def _label(item: Node) -> str:
    entries = item.entries
    node = item if entries is None else entries.get("as") or entries.get("name") or Node(item.place)
    return str(node.value) if node.value is not None else ""

"""The state dict in a file: at its top, in a container (`state_dict`, `model`, `ema`, ...), or behind a prefix (`module.`, `_orig_mod.`).

No name of a container is known here. What a network's names follow is its prefix, in nested maps and in flat files alike; where several
fit, the suite has to say which with `entry`.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench.errors import InputError

WHOLE = "."
"""What `entry` calls the file itself."""
_DEPTH, _LEAVES = 6, 100_000
_LISTED = 5


@dataclass(frozen=True)
class Leaf:
    """A value in a file that is no map.

    Attributes:
        within: the map around it, as a prefix: empty, or ending in a dot.
        key: its name in that map.
        value: a tensor, a number, ...
    """

    within: str
    key: str
    value: Any

    @property
    def name(self) -> str:
        """Its name in the file."""
        return self.within + self.key

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor."""
        from torch import Tensor

        return isinstance(self.value, Tensor)


@dataclass(frozen=True)
class State:
    """A state dict.

    Attributes:
        tensors: by name, without the prefix.
        versions: the version of each module's format, as `state_dict()` notes it in `_metadata`; empty where the file does not say.
    """

    tensors: dict[str, Any]
    versions: dict[str, dict[str, int]]


def leaves_of(
    content: Mapping[Any, Any], renamed: Callable[[str], str] = str
) -> tuple[list[Leaf], dict[str, Mapping[Any, Any]]]:
    """All values in nested maps, in their order, and the maps by their prefix."""
    leaves, maps = list[Leaf](), dict[str, Mapping[Any, Any]]()

    def walk(inner: Mapping[Any, Any], within: str, depth: int) -> None:
        maps[within] = inner
        for key, value in inner.items():
            if len(leaves) + len(maps) > _LEAVES:  # a file of a few bytes may name one map in endless ways
                return
            if not isinstance(value, Mapping):
                leaves.append(Leaf(within, renamed(str(key)), value))
            elif depth < _DEPTH:
                walk(value, f"{within}{key}.", depth + 1)

    walk(content, "", 1)
    return leaves, maps


def state_of(
    content: object,
    path: Path,
    names: Sequence[str] | None = None,
    entry: str | None = None,
    renamed: Callable[[str], str] = str,
) -> State:
    """The one state dict of a file.

    Args:
        content: what it holds.
        path: of the file, for messages.
        names: those of the network that it is for; any if None.
        entry: which one, as messages call it; None if there is no choice.
        renamed: what today's network calls a tensor of the file.

    Raises:
        InputError: there is none, there are several, or there is more than tensors in it.
    """
    if not isinstance(content, Mapping) or not content:
        raise InputError("expected tensors by name (a state_dict)", place=path, found=type(content).__name__)
    leaves, maps = leaves_of(content, renamed)
    if entry not in (None, WHOLE):
        leaves = _under(leaves, f"{str(entry).rstrip('.')}.", path)
    whole = entry == WHOLE
    if whole:
        leaves = [leaf for leaf in leaves if not leaf.within and (names is None or leaf.key in names)]
    tensors = [leaf for leaf in leaves if leaf.is_tensor]
    if not tensors:
        where, kind = (leaves[0].name, type(leaves[0].value).__name__) if leaves else (next(iter(content)), "a map")
        remedy = "save the state_dict() alone"
        raise InputError("expected a tensor", place=f"{path}: entry {str(where)[:80]!r}", found=kind, remedy=remedy)
    within, prefix = ("", "") if whole else _place(tensors, names, path)
    inside = [leaf for leaf in leaves if leaf.within == within]
    _require_all_of(inside, prefix, path)
    taken = {leaf.key.removeprefix(prefix): leaf.value.detach() for leaf in inside}
    if len(taken) < len(inside):
        raise InputError("two of its tensors have one name", place=path, remedy="save the state_dict() alone")
    return State(taken, _versions(maps.get(within), prefix))


def _under(leaves: Sequence[Leaf], prefix: str, path: Path) -> list[Leaf]:
    """The values in one entry."""
    inside = [leaf for leaf in leaves if leaf.name.startswith(prefix)]
    if not inside:
        known = dict.fromkeys(leaf.name.partition(".")[0] for leaf in leaves)
        plain = any(leaf.is_tensor and not leaf.within for leaf in leaves)
        whole = f"; for the state dict that the file itself is, write entry: {WHOLE}" if plain else ""
        remedy = f"it has {', '.join(list(known)[:_LISTED])}{whole}"
        raise InputError(f"has no entry {prefix.rstrip('.')!r}", place=path, remedy=remedy)
    return inside


def _place(tensors: Sequence[Leaf], names: Sequence[str] | None, path: Path) -> tuple[str, str]:
    """The map and the prefix behind which most of a network's names stand; of its only map where nothing fits."""
    sizes = Counter(leaf.within for leaf in tensors)
    found = (
        Counter({(within, ""): count for within, count in sizes.items()}) if names is None else _fits(tensors, names)
    )
    most = max(found.values(), default=0)
    if names is not None and 2 * most < len(names):
        return sizes.most_common(1)[0][0], ""
    best = list(found) if names is None else [place for place, count in found.items() if count == most]
    if len(best) > 1:
        shown = sorted((within + prefix).rstrip(".") or WHOLE for within, prefix in best)
        several = ", ".join(repr(one[:80]) for one in shown[:_LISTED])
        remedy = f"say which, e.g. entry: {shown[0][:80]}, or save it alone"
        raise InputError(f"holds several state dicts: {several}", place=path, remedy=remedy)
    return best[0]


def _fits(tensors: Sequence[Leaf], names: Sequence[str]) -> Counter[tuple[str, str]]:
    """How many of the names stand behind each prefix of each map."""
    wanted, longest, found = set(names), max(map(len, names), default=0), Counter[tuple[str, str]]()
    for leaf in tensors:
        at = len(leaf.key)
        while at >= 0 and len(leaf.key) - at <= longest:
            at = leaf.key.rfind(".", 0, at)
            if leaf.key[at + 1 :] in wanted:
                found[leaf.within, leaf.key[: at + 1]] += 1
            if at < 0:
                break
    return found


def _require_all_of(inside: Sequence[Leaf], prefix: str, path: Path) -> None:
    """Refuses what is in the map of a state dict and no part of it."""
    for leaf in inside:
        if not leaf.is_tensor:
            place, kind = f"{path}: entry {leaf.name[:80]!r}", type(leaf.value).__name__
            raise InputError("expected a tensor", place=place, found=kind, remedy="save the state_dict() alone")
    names = [leaf.key[:80] for leaf in inside if not leaf.key.startswith(prefix)]
    if names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        problem = f"holds more than what is behind {prefix!r}; unexpected: {', '.join(names[:_LISTED])}{more}"
        within = inside[0].within
        raise InputError(problem, place=path, remedy=f"to leave it out, write entry: {(within + prefix).rstrip('.')}")


def _versions(content: Mapping[Any, Any] | None, prefix: str) -> dict[str, dict[str, int]]:
    """`_metadata` of a state dict, renamed as its tensors; only whole numbers are believed."""
    noted = getattr(content, "_metadata", None)
    versions: dict[str, dict[str, int]] = {}
    for name, facts in noted.items() if isinstance(noted, Mapping) else ():
        number = facts.get("version") if isinstance(facts, Mapping) else None
        own = re.sub(f"^{re.escape(prefix)}", "", f"{name}.") if prefix else f"{name}."
        if type(number) is int and (not prefix or f"{name}.".startswith(prefix)):
            versions[own.rstrip(".")] = {"version": number}
    return versions

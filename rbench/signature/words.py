"""Values and types in the words of messages: short, on one line, as a suite would write them."""

import difflib
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at

from rbench.errors import worded

_SHOWN = 60
_PLAIN: dict[Any, str] = {
    int: "int",
    float: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
    type(None): "null",
}
_PLAIN |= {list: "list", tuple: "list", dict: "map", Any: "any value"}


class Mistake(ValueError):
    """What is wrong with a value, raised where its field and component are not known.

    Args:
        problem: what is wrong.
        found: the value.
        remedy: what to do.
    """

    def __init__(self, problem: str, *, found: str | None = None, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return worded(self.problem, self.found, self.remedy)


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """The known names closest to a mistyped one, best first."""
    by_lower = {k.lower(): k for k in known}
    return [by_lower[k] for k in difflib.get_close_matches(name.lower()[:_SHOWN], by_lower, n=count, cutoff=0.6)]


def show(value: Any) -> str:
    """A value in a message: short, on one line, as a suite would write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, Path):
        text = str(value)
    elif isinstance(value, Mapping):
        text = "a map" if len(value) != 1 else "a map of 1 key"
    elif isinstance(value, Sequence):
        text = f"[{', '.join(show(item) for item in value[:9])}]"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def kind_of(value: Any) -> str:
    """A value with its kind in words, for messages: `the text 'no'`."""
    if isinstance(value, str):
        return f"the text {show(value)}"
    if isinstance(value, list | tuple):
        return f"the list {show(value)}"
    if isinstance(value, Mapping):
        return "a map"
    return show(value)


def describe(annotation: Any) -> str:
    """A type in words: `int from 1 to 100`, `one of ce, dlr, margin`, `number or null`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return " ".join([describe(args[0]), *_bounds(args[1:])])
    if origin is Literal:
        shown = [a if isinstance(a, str) else show(a) for a in args]
        return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"
    if origin in (Union, types.UnionType):
        words = dict.fromkeys(describe(a) for a in args)
        return " or ".join(word for word in words if word != "int" or "number" not in words)
    if origin is tuple and args and args[-1] is not Ellipsis:
        return f"list of {len(args)} ({', '.join(describe(a) for a in args)})"
    if origin in (list, tuple, set, frozenset) and args:
        return f"list of {describe(args[0])}"
    if origin is dict:
        return f"map of {describe(args[0])} to {describe(args[1])}"
    return _PLAIN.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _bounds(metadata: Iterable[Any]) -> list[str]:
    low: tuple[str, Any] | None = None
    high: tuple[str, Any] | None = None
    shortest = longest = None
    words: list[str] = []
    flat: list[Any] = []
    for item in metadata:  # pydantic's Field keeps its bounds in a list of its own
        flat += list(item) if isinstance(item, at.GroupedMetadata) else getattr(item, "metadata", None) or [item]
    for item in flat:
        match item:
            case at.Ge(ge=value):
                low = ("at least", value)
            case at.Gt(gt=value):
                low = ("above", value)
            case at.Le(le=value):
                high = ("at most", value)
            case at.Lt(lt=value):
                high = ("below", value)
            case at.MinLen(min_length=value):
                shortest = value
            case at.MaxLen(max_length=value):
                longest = value
            case at.MultipleOf(multiple_of=value):
                words.append(f"(a multiple of {value})")
    if shortest is not None or longest is not None:
        least = "at most" if shortest is None else f"{shortest} to" if longest is not None else f"{shortest} or more"
        words.append(f"({least}{'' if longest is None else f' {longest}'} long)")
    if low and high and (low[0], high[0]) == ("at least", "at most"):
        return [f"from {low[1]} to {high[1]}", *words]
    limits = " and ".join(f"{word} {value}" for word, value in filter(None, (low, high)))
    return [*([limits] if limits else []), *words]


def wrong_value(value: Any, annotation: Any, expected: str) -> Mistake:
    """The error for a value that is not allowed: what was expected, what was found and, for the common slips, what to type."""
    return Mistake(f"expected {expected}.", found=kind_of(value), remedy=_slip(value, annotation))


def _slip(value: Any, annotation: Any) -> str | None:
    """What to type instead of a value that looks like a common slip."""
    if isinstance(value, str):
        choices = [c for c in _literals(annotation) if isinstance(c, str)]
        if close := nearest(value, choices):
            return f"Did you mean {close[0]!r}?"
        lower = value.lower()
        if bool in _leaves(annotation) and lower in ("yes", "on", "y", "no", "off", "n"):
            return f"Write {'true' if lower in ('yes', 'on', 'y') else 'false'}."
        if re.fullmatch(r"[-+]?[\d.]+", value) and {int, float} & set(_leaves(annotation)):
            return "Write it without leading zeros." if re.match(r"[-+]?0\d", value) else "Remove the quotes."
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 and int in _leaves(annotation):
        return f"Write {int(value)}."
    return None


def _leaves(annotation: Any) -> list[Any]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _leaves(args[0])
    if origin in (Union, types.UnionType):
        return [leaf for a in args for leaf in _leaves(a)]
    return [annotation]


def _literals(annotation: Any) -> list[Any]:
    return [value for leaf in _leaves(annotation) if get_origin(leaf) is Literal for value in get_args(leaf)]

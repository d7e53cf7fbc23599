"""Documents of YAML and JSON with random damage: what is dropped, renamed, retyped, doubled or made extreme."""

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

EXTREME: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    10**9,
    2**63,
    10**40,
    0.0,
    -0.0,
    1e308,
    1e-320,
    float("inf"),
    float("nan"),
    "",
    "\0",
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, item in inside for p in paths(item, (*path, key)))]


def values(words: Sequence[str]) -> st.SearchStrategy[Any]:
    """Extreme values, words that mean something somewhere, and small documents of them."""
    plain = st.sampled_from(EXTREME) | st.sampled_from(list(words)) | st.text(max_size=8) | st.integers() | st.floats()
    keys = st.sampled_from(list(words)) | st.text(max_size=5)
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
    )


@st.composite
def mutated(draw: st.DrawFn, document: Any, words: Sequence[str]) -> Any:
    """A document with one to three things dropped, renamed, retyped, doubled or made extreme."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(document)))
        if not path:
            continue
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(["drop", "rename", "replace", "double", "extreme"])):
            case "drop":
                del holder[path[-1]]
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(list(words)) | st.text(max_size=6))] = holder.pop(path[-1])
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[path[-1]]))
            case "extreme":
                holder[path[-1]] = draw(st.sampled_from(EXTREME))
            case _:
                holder[path[-1]] = draw(values(words))
    return document

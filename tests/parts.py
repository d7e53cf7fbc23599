"""Errors by their parts: a test says what must be known of a mistake, not how the sentence about it goes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rbench.errors import InputError, RbenchError

ANY = object()
"""A part that may be anything."""

Part = str | re.Pattern[str] | object | None


def holds(error: RbenchError, **parts: Part) -> None:
    """Asserts that an error is one line and has these parts (`text`: the line): equal texts, patterns that are found, nothing for None."""
    assert "\n" not in str(error), str(error)
    for name, wanted in parts.items():
        found = str(error) if name == "text" else getattr(error, name)
        if wanted is ANY:
            continue
        if isinstance(wanted, re.Pattern):
            assert found is not None, f"{name} is missing: {error}"
            assert wanted.search(found), f"{name} is {found!r}, not {wanted.pattern!r}: {error}"
        else:
            assert found == wanted, f"{name} is {found!r}, not {wanted!r}: {error}"


@contextmanager
def refused(kind: type[RbenchError] = InputError, **parts: Part) -> Iterator[pytest.ExceptionInfo[RbenchError]]:
    """Expects an error of exactly this kind with these parts."""
    with pytest.raises(kind) as caught:
        yield caught
    assert type(caught.value) is kind
    holds(caught.value, **parts)


def some(text: str) -> re.Pattern[str]:
    """Somewhere in the part, word for word."""
    return re.compile(re.escape(text))


def at(place: str, found: Part = None, remedy: Part = None, *, fact: str = "", text: str = "") -> dict[str, Part]:
    """What a table says of an error: its place, what was found and what to do.

    Args:
        place: within the file or after the option.
        found: None if nothing was.
        remedy: None if there is none.
        fact: what the problem must name, such as the values that are allowed.
        text: what the whole line must hold, where another room decides in which part it is.
    """
    return {"place": place, "found": found, "remedy": remedy, "problem": some(fact), "text": some(text)}

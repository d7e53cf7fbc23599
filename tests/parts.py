"""Errors by their parts: a test says what must be known of a mistake, not how the sentence about it goes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rbench.errors import InputError, RbenchError

Part = str | re.Pattern[str] | None


def holds(error: RbenchError, **parts: Part) -> None:
    """Asserts that an error is one line and has these parts: equal texts, patterns that are found in them, or nothing for None."""
    assert "\n" not in str(error), str(error)
    for name, wanted in parts.items():
        found = getattr(error, name)
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

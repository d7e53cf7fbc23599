"""What can go wrong, as types with parts; the command line turns them into one line and an exit code."""

import copy
import signal
from collections.abc import Sequence
from typing import Self

from rbench.harmless import harmless


def worded(problem: str, found: str | None = None, remedy: str | None = None) -> str:
    """The words that the parts of an error make; nowhere else are they put together.

    What was found comes before a problem that says what was expected, and after any other; one that starts with it says it already:
    `found 0, expected int from 1 to 9`, `must be above 0 (got 0)`, `8 is outside (0, 1]`. The remedy is a sentence of its own after a
    problem that ends as one.

    Args:
        problem: what is wrong.
        found: the value found.
        remedy: what to do.
    """
    if found is None or _starts_with(problem, found):
        text = problem
    elif problem.startswith("expected"):
        text = f"found {found}, {problem}"
    else:
        text = f"{problem.removesuffix('.')} (got {found}){'.' if problem.endswith('.') else ''}"
    if not remedy:
        return text
    if text.endswith((".", "?", "!")):
        return f"{text} {remedy}"
    return f"{text}. {remedy}" if remedy[:1].isupper() else f"{text}; {remedy}"


def _starts_with(problem: str, found: str) -> bool:
    start = problem.removeprefix("found ")
    return start.startswith(found) and not start[len(found) : len(found) + 1].isalnum()


class RbenchError(Exception):
    """A failure in parts, of which its text is made: one line that says what is wrong, where, and what to do.

    Args:
        problem: what is wrong.
        component: what it is about, e.g. `purifier 'jpeg'`.
        place: where it is: a file and a field, row or sample of it, `suite.yaml:3:7: threat.eps`; an option; a parameter.
        found: the value found.
        remedy: what to do.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        component: str | None = None,
        place: object = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.component = component
        self.place = None if place is None else str(place)
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        text = worded(self.problem, self.found, self.remedy)
        # A place leads to the component, and most problems name it.
        named = self.component if self.component and self.component not in self.problem else None
        where = self.place or named
        # Names of keys, files and columns are a stranger's words, and stand in any of the parts.
        return harmless(f"{where}: {text}" if where else text)

    def at(self, place: str | None = None, *, component: str | None = None) -> Self:
        """The same error told by someone who knows more of it.

        Args:
            place: where its own place is, or where it is if it has none.
            component: what it is about, if it does not say itself.
        """
        known = copy.copy(self)
        known.place = ": ".join(part for part in (place, self.place) if part) or None
        known.component = self.component or component
        return known

    def parts(self) -> dict[str, str | None]:
        """What it is made of, for programs; None where it does not say."""
        return {name: getattr(self, name) for name in ("component", "place", "problem", "found", "remedy")}


class InputError(RbenchError):
    """The user's suite, data, weights or parameters are wrong; nothing was run."""

    exit_code = 2


class MissingError(RbenchError):
    """The environment lacks something: an extra, a device, space on the disk."""

    exit_code = 3


class WrongHash(RbenchError):
    """A file is not the one whose sha256 the suite names; nothing was run."""

    exit_code = 4


class CellFailed(RbenchError):
    """A cell cannot be judged; it becomes a state of the row, never a number.

    Args:
        problem: one line.
        sample_ids: the samples that broke the rule, possibly empty.
        component: what broke it.
        remedy: what to do.
    """

    def __init__(
        self,
        problem: str,
        sample_ids: Sequence[int] = (),
        *,
        component: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(problem, component=component, remedy=remedy)
        self.sample_ids = tuple(int(i) for i in sample_ids)


class Interrupted(RbenchError):
    """The run was asked to stop; finished chunks are on the disk."""

    def __init__(self, problem: str, exit_code: int) -> None:
        super().__init__(problem)
        self.args = (problem, exit_code)  # what it is copied and unpickled from
        self.exit_code = exit_code


class Stopped(BaseException):
    """A signal of the user came. No `Exception`, so that no model or attack can take it for an error of its own and go on.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}; run again to go on")
        self.exit_code = 128 + number

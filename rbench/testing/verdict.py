"""What a conformance check found: a verdict on each property of a component, in words that a stranger understands."""

import textwrap
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rbench.errors import MissingError, RbenchError, worded
from rbench.harmless import STORED, harmless, one_line
from rbench.process_state import said, users_own

Outcome = Literal["holds", "fails", "note", "measured", "skipped"]
"""`note` is a doubt that is no fault, `measured` a number without a bar, `skipped` what could not be looked at."""

WIDTH = 80
_INDENT = 12


@dataclass(frozen=True)
class Verdict:
    """What was found about one property.

    Attributes:
        property: its name, e.g. `range`.
        outcome: what became of it.
        found: what was seen, in a sentence.
        cure: what to do; empty where nothing is to be done.
    """

    property: str
    outcome: Outcome
    found: str
    cure: str = ""


@dataclass(frozen=True)
class Conformance:
    """What a component does of what rbench expects.

    Attributes:
        kind: `purifier`, `backbone`, ...
        name: of the component.
        origin: who brings it, e.g. `my-purifiers 0.2.0`.
        shown: what it was asked about, in words.
        verdicts: one for each property, in the order in which they were looked at.
    """

    kind: str
    name: str
    origin: str
    shown: str
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """The properties that fail."""
        return tuple(verdict.property for verdict in self.verdicts if verdict.outcome == "fails")

    def document(self) -> dict[str, Any]:
        """The same as JSON values."""
        named = {"kind": self.kind, "name": self.name, "origin": self.origin, "shown": self.shown}
        return {"schema": 1, **named, "conforms": not self.failed, "verdicts": [asdict(one) for one in self.verdicts]}

    def text(self) -> str:
        """The same for a terminal of 80 columns."""
        head = one_line(f"{self.kind} {self.name} ({self.origin}), asked about {self.shown}", STORED)
        lines = [*textwrap.wrap(head, WIDTH), ""]
        for verdict in self.verdicts:
            word = "FAILS" if verdict.outcome == "fails" else verdict.outcome
            lines += _wrapped(f"{word:<{_INDENT - 2}}", f"{verdict.property}: {verdict.found}")
            lines += _wrapped("", f"cure: {verdict.cure}") if verdict.cure else []
        return "\n".join([*lines, "", self._sum()])

    def _sum(self) -> str:
        counts = {outcome: sum(one.outcome == outcome for one in self.verdicts) for outcome in ("holds", "fails")}
        if not self.failed:
            return f"{counts['holds']} properties hold, none fails."
        verb = "fails" if counts["fails"] == 1 else "fail"
        return f"{counts['holds']} properties hold, {counts['fails']} {verb}: {', '.join(self.failed)}."


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(
        one_line(text, STORED), WIDTH, initial_indent=f"{first:<{_INDENT}}", subsequent_indent=" " * _INDENT
    )


def judged(name: str, found: str, cure: str, *, holds: bool) -> Verdict:
    """A verdict on a property that holds or fails; the cure is said only where it is needed."""
    return Verdict(name, "holds", found) if holds else Verdict(name, "fails", found, cure)


def skipped(names: Iterable[str], why: str) -> list[Verdict]:
    """Properties that could not be looked at."""
    return [Verdict(name, "skipped", why) for name in names]


def fails(verdicts: Sequence[Verdict]) -> bool:
    """Whether any of them fails."""
    return any(verdict.outcome == "fails" for verdict in verdicts)


def tried(name: str, cure: str, look: Callable[[], Verdict]) -> Verdict:
    """The verdict of a look at a property; whatever the component raises meanwhile is one that it fails.

    Args:
        name: of the property.
        cure: what to do if it raises.
        look: looks.

    Raises:
        MissingError: the environment lacks something, which says nothing about the component.
    """
    try:
        return look()
    except BaseException as error:
        return refused(name, cure, error)


def refused(name: str, cure: str, error: BaseException) -> Verdict:
    """The verdict on a property where something was raised; raises on what is no fault of the component."""
    if users_own(error) or isinstance(error, MissingError):
        raise error
    if isinstance(error, RbenchError):
        return Verdict(name, "fails", worded(error.problem, error.found), error.remedy or cure)
    return Verdict(name, "fails", raised(error), cure)


def raised(error: BaseException) -> str:
    """An exception in words, with the line of the author's own code that it came from."""
    place = _line_of(error)
    return f"it raises {said(error)}{f' at {place}' if place else ''}"


def _line_of(error: BaseException) -> str | None:
    """The innermost line that belongs neither to rbench nor to torch; None if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _ours(Path(frame.filename))]
    return f"{harmless(Path(theirs[-1].filename).name)}:{theirs[-1].lineno}" if theirs else None


def _ours(path: Path) -> bool:
    return path.is_relative_to(Path(__file__).parents[1]) or "torch" in path.parts

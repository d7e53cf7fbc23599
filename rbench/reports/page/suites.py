"""The suites of the run folders, for readers who want to run them again."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rbench.errors import InputError
from rbench.results.untrusted import read_text

MAX_SUITE = 2**18
"""Most bytes of a suite that is shown; a larger one was not written by a person."""
_NAME = re.compile(r"^suite:[ \t]+([\"']?)([^\"'#\r\n]+)\1", re.MULTILINE)


@dataclass(frozen=True)
class Suite:
    """The text of a suite.

    Attributes:
        anchor: the fragment of a link to it.
        folder: the name of its run folder.
        name: what the suite calls itself; empty if it does not say.
        lines: its text.
    """

    anchor: str
    folder: str
    name: str
    lines: Sequence[str]


def suites_of(roots: Iterable[Path]) -> dict[Path, Suite]:
    """The suites of run folders; folders whose suite is missing or unreadable are left out."""
    suites: dict[Path, Suite] = {}
    for root in dict.fromkeys(roots):
        try:
            text = read_text(root / "suite.yaml", MAX_SUITE)
        except (InputError, OSError):
            continue
        # Only looked for, not parsed: it is anybody's text, and the name is the first thing that `rbench run` writes.
        found = _NAME.search(text)
        name = found[2].strip() if found else ""
        suites[root] = Suite(f"suite-{len(suites) + 1}", root.name, name, tuple(text.splitlines()))
    return suites

"""Rows that are measured one by one and written as soon as they are there, so that an interrupted bench goes on."""

import fnmatch
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOURNAL = "rows.jsonl"


class MissingPartError(Exception):
    """Something that a row needs is not here; its text says what."""


@dataclass(frozen=True)
class Terms:
    """What was asked for.

    Attributes:
        quick: fewer images, pairs and steps.
        cifar: parquet file of CIFAR-10 test images, if there is one.
    """

    quick: bool = False
    cifar: Path | None = None


@dataclass(frozen=True)
class Row:
    """Something to measure.

    Attributes:
        name: `part/...`, by which it is chosen and found again.
        measure: returns its figures as JSON values.
    """

    name: str
    measure: Callable[[], dict[str, Any]]


def chosen(rows: Iterable[Row], only: str | None) -> list[Row]:
    """Those whose name matches one of some patterns, which commas part: `table/b/*,null/*`; a name alone is all below it."""
    patterns = [pattern.strip() for pattern in (only or "*").split(",")]
    return [
        row
        for row in rows
        if any(fnmatch.fnmatchcase(row.name, one) or row.name.startswith(f"{one}/") for one in patterns)
    ]


class Journal:
    """The measured rows of one machine, versions and kind of run; a line each, the last one of a name counts.

    Args:
        folder: where it is kept.
        about: what the figures hang on; rows that were measured otherwise do not count.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.path, self.about = folder / JOURNAL, about
        folder.mkdir(parents=True, exist_ok=True)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Figures by the name of the row."""
        found = dict[str, dict[str, Any]]()
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    one = json.loads(line)
                except json.JSONDecodeError:  # cut off by a kill
                    continue
                if one["about"] == self.about:
                    found[one["name"]] = one["figures"]
        return found

    def add(self, name: str, figures: dict[str, Any]) -> None:
        """Writes a row."""
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"\n", b"")
        line = json.dumps({"name": name, "about": self.about, "figures": figures})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{'' if whole else chr(10)}{line}\n")


def measure(rows: Iterable[Row], journal: Journal, said: Callable[[str], None]) -> None:
    """Measures the rows that the journal lacks; one that lacked something is tried again."""
    have = journal.rows()
    for row in rows:
        if row.name in have and "missing" not in have[row.name]:
            continue
        try:
            figures = row.measure()
        except MissingPartError as error:
            figures = {"missing": str(error)}
        journal.add(row.name, figures)
        said(f"{row.name}: {figures.get('missing', 'measured')}")

"""Reports: pure functions from a table to text, and the one that writes them."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.errors import InputError
from rbench.results.files import write_text

if TYPE_CHECKING:
    from rbench.results.table import Table

FORMATS = {
    "md": "rbench.reports.markdown:markdown",
    "csv": "rbench.reports.csv:csv",
    "latex": "rbench.reports.latex:latex",
}
"""Format -> the function that makes the text, loaded when it is asked for."""

ENDINGS = {"latex": "tex"}
"""File endings of the formats that are not their own."""

USUAL = ("md", "csv")


def write(table: "Table", folder: Path, wanted: Iterable[str] = USUAL) -> list[Path]:
    """Write `leaderboard.<ending>` for each format; all texts are made before the first file is touched.

    Raises:
        InputError: an unknown format.
        MissingError: the folder cannot be written.
    """
    texts = {name: _renderer(name)(table) for name in wanted}
    paths = {name: folder / f"leaderboard.{ENDINGS.get(name, name)}" for name in texts}
    for name, text in texts.items():
        write_text(paths[name], text)
    return list(paths.values())


def formats(text: str) -> tuple[str, ...]:
    """The formats of a comma-separated list.

    Raises:
        InputError: an unknown format, or none.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError(f"report formats: none given. Known: {', '.join(FORMATS)}.")
    for name in names:
        _known(name)
    return names


def _known(name: str) -> str:
    if name not in FORMATS:
        raise InputError(f"report format {name[:40]!r}: unknown. Known: {', '.join(FORMATS)}.")
    return name


def _renderer(name: str) -> "Callable[[Table], str]":
    module, _, function = FORMATS[_known(name)].partition(":")
    renderer: Callable[[Table], str] = getattr(import_module(module), function)
    return renderer

"""Reports: pure functions from a table to the content of files, and `write`, which writes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rbench.errors import InputError
from rbench.harmless import LINE, NAME, harmless
from rbench.process_state import NOTES
from rbench.registry import REFUSALS, Component, registry
from rbench.results import disk
from rbench.results.files import write_bytes, writing

if TYPE_CHECKING:
    from rbench.results.table import Table

Files = Mapping[str, str | bytes]
"""What a reporter returns: the content of each file under its path in the folder, with `/` between folders."""

USUAL = ("md", "csv")


def write(table: "Table", folder: Path, wanted: Iterable[str] = USUAL) -> list[Path]:
    """Writes the reports of some formats on a table; all are made before the first file is written.

    A reporter that keeps its report elsewhere too, such as a tracker, has a function `send(table)` beside it, which is called last; the
    lines that it returns become notes.

    Args:
        table: the leaderboard.
        folder: where the files go.
        wanted: names of reporters.

    Raises:
        InputError: an unknown format, a reporter that fails, or a link that leads out of the folder.
        MissingError: the folder cannot be written, or a reporter lacks a package or reaches nobody.
    """
    made: dict[str, str | bytes] = {}
    reporters = [registry("reporter").get(name) for name in wanted]
    for reporter in reporters:
        made |= _files(reporter, table)
    paths = put(made, folder)
    for reporter in reporters:
        _send(reporter, table)
    return paths


def put(made: Files, folder: Path) -> list[Path]:
    """Writes the files of a report into a folder.

    Raises:
        InputError: a link leads out of the folder.
        MissingError: the folder cannot be written.
    """
    paths = []
    for place, content in made.items():
        path = folder / place
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise InputError("leads out of the folder of the report.", place=path.parent, remedy="Give another --out.")
        with writing(path.parent):
            disk.make_folder(path.parent)
        write_bytes(path, content.encode("utf-8") if isinstance(content, str) else content)
        paths.append(path)
    return paths


def formats(text: str) -> tuple[str, ...]:
    """The formats of a comma-separated list.

    Raises:
        InputError: an unknown format, or none.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError(f"report formats: none given. Known: {', '.join(registry('reporter').names())}.")
    for name in names:
        registry("reporter").get(name)
    return names


def _are_files(made: object) -> bool:
    return isinstance(made, Mapping) and all(
        isinstance(place, str) and isinstance(content, str | bytes) for place, content in made.items()
    )


def _files(reporter: Component, table: "Table") -> Files:
    function, owner = reporter.load(), f"reporter {reporter.name!r}"
    with reporter.blamed("write its report", REFUSALS):
        return held(function(table), owner, f"{owner} ({reporter.distribution} {reporter.version})")


def _send(reporter: Component, table: "Table") -> None:
    send = reporter.hook("send")
    if send is None:
        return
    with reporter.blamed("send its report", REFUSALS):
        for line in send(table) or ():
            NOTES.say(harmless(line, LINE))


def held(made: object, owner: str, origin: str | None = None) -> Files:
    """What a reporter returned, if it is files.

    Args:
        made: what it returned.
        owner: the reporter, for errors.
        origin: the same with the package that brings it.

    Raises:
        InputError: it is something else, or one of its paths leads out of the folder of the report.
    """
    if not _are_files(made):
        raise InputError(
            f"{origin or owner} made no files.",
            component=owner,
            found=type(made).__name__,
            remedy="Return a map of paths to texts or bytes.",
        )
    files: Files = made  # type: ignore[assignment]
    for place in files:
        parts = PurePosixPath(place).parts
        if not parts or place.startswith("/") or ".." in parts or "\\" in place:
            raise InputError(f"{owner}: {harmless(repr(place), NAME)} is no path inside the folder of the report.")
    return files

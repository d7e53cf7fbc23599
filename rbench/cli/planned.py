"""The suite beside results, planned on this machine: its plug-ins, its code and its files looked for first."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.cli import terminal
from rbench.errors import InputError, MissingError
from rbench.harmless import NAME, harmless

if TYPE_CHECKING:
    from rbench.suite.plan import Plan


def planned_of(
    root: Path,
    overrides: Sequence[str] = (),
    *,
    on_read: Callable[[Any], None],
    files: Sequence[Path] = (),
    beside: Sequence[Path] = (),
    given: Path | None = None,
) -> "Plan":
    """The plan of today.

    Args:
        root: the run folder.
        overrides: of the suite, `field.path=value` each.
        on_read: called with the suite before anything of it is looked up, when its own code has been found.
        files: folders in which the user says that files are, by their names.
        beside: more folders of the user, where code may lie.
        given: what the user named, for messages; the run folder if None.

    Raises:
        MissingError: a plug-in, a file or code of the author's own is not here; names it.
        InputError: the suite is wrong.
    """
    from rbench.results.corrupted_runs import planned_parts
    from rbench.results.store import RunFolder
    from rbench.suite.load import load_suite
    from rbench.suite.places import find_places
    from rbench.suite.plan import plan
    from rbench.verifying.needs import brought, find_code, require_plug_ins

    path, place, folder = root / "suite.yaml", given or root, RunFolder(root)
    if not path.is_file():
        raise InputError("no such file", place=path, remedy="it says which models and data to judge with")
    for one in files:
        if not one.is_dir():
            raise InputError("no such folder", place=f"--files: {one}")
    said = brought(folder)
    for line in require_plug_ins(said, place):
        terminal.note(line)

    missing = dict[str, str]()

    def read(document: Any) -> None:
        for line in find_code(document, said, [*files, *beside, Path.cwd()], place):
            terminal.note(line)
        missing.update(find_places(document, planned_parts(root), files))
        on_read(document)

    try:
        return plan(load_suite(path, overrides, read))
    except InputError as error:
        lacking = {name: sha256 for name, sha256 in missing.items() if name in str(error)}
        if "no such file" not in error.problem or not lacking:
            raise
        needed = ", ".join(f"{harmless(name, NAME)} (sha256 {sha256})" for name, sha256 in lacking.items())
        remedy = "--files DIR says where it is."
        raise MissingError(f"needs {needed}, which is not here.", place=place, remedy=remedy) from error

"""What a run folder still lacks. Imports no torch, so that a finished suite ends at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rbench.errors import InputError, RbenchError
from rbench.results.corrupted_runs import CorruptedFolder
from rbench.results.output import require_own, same_file
from rbench.results.store import RunFolder
from rbench.suite.cell import Cell, Part, defended_id
from rbench.suite.corruptions import CorruptedCell
from rbench.suite.load import load_suite
from rbench.suite.places import remember_corruptions, remember_places
from rbench.suite.plan import Plan, plan

Redo = Literal["missing", "failed", "all"]


@contextmanager
def open_run(planned: Plan, root: Path, given: Path | None = None) -> Iterator[RunFolder]:
    """The run folder, locked, with the suite and its cells written beside the results.

    A suite that is run from its own run folder stays as its author wrote it.

    Args:
        planned: the whole plan, so that a table knows what is missing.
        root: the folder; made if it is not there.
        given: the file that the plan was read from, which is never written.

    Raises:
        InputError: the folder is not rbench's, another process writes to it, or the given suite is its own and was overridden.
        MissingError: it cannot be written.
    """
    require_own(root)
    own = root / "suite.yaml"
    keep = given is not None and same_file(given, own)
    if keep and not _says(own, planned):
        raise InputError(
            "--set or --limit change it, but the suite of a run folder that is given itself stays as it was written.",
            place=own,
            remedy="Copy it to another place and run the copy, or give another --out.",
        )
    folder = RunFolder.create(root)
    with folder.lock():
        # The cells first: by them a folder is known as ours, so a suite without them is somebody else's.
        folder.write_cells([cell_document(cell) for cell in planned.cells])
        CorruptedFolder(root).write_plan([cell.labelled() for cell in planned.corrupted])
        models: list[Cell | CorruptedCell] = [*planned.cells, *planned.corrupted]
        folder.drop_other_audits({defended_id(cell.backbone, cell.purifier) for cell in models})
        if not keep:
            folder.write_suite(planned.resolved)
            remember_places([*planned.cells, *(cell.probe for cell in planned.corrupted)])
            remember_corruptions(planned.spec.threat.path)
        yield folder


def _says(path: Path, planned: Plan) -> bool:
    """Whether a suite file asks by itself for what is planned."""
    try:
        return plan(load_suite(path)).resolved == planned.resolved
    except RbenchError:
        return False


def pending(
    cells: Sequence[Cell], folder: RunFolder, redo: Redo, on_note: Callable[[str], None] = lambda line: None
) -> list[Cell]:
    """The cells that `redo` asks for: without a record (or a cancelled one), also the failed ones, or all.

    A record or samples that cannot be read count as missing. For `all`, kept chunks are dropped.

    Args:
        cells: those to choose from.
        folder: what is there of them.
        redo: which to run again.
        on_note: called with a line for each file that cannot be read.
    """
    if redo == "all":
        for cell in cells:
            folder.drop_chunks(cell.id)
        return list(cells)
    again = ("cancelled",) if redo == "missing" else ("cancelled", "failed")

    def wanted(cell: Cell) -> bool:
        try:
            record = folder.read_record(cell.id)
            if record is not None and record.status == "done":
                folder.read_samples(record)
        except InputError as error:
            on_note(f"cell {cell.id} ({cell.title}) is run again: {error}")
            return True
        return record is None or record.status in again

    return [cell for cell in cells if wanted(cell)]


def doubted(cells: Sequence[Cell], todo: Sequence[Cell]) -> list[Cell]:
    """The finished cells whose models may have changed in ways that files and code do not show: they are loaded and compared.

    rbench's own components declare every file that they read. What a plug-in reads by a parameter that is no `Path` and without a `files`
    hook, or downloads, shows only in the parameters and buffers of the model that it makes.

    Args:
        cells: those asked for.
        todo: those of them that will run anyway.
    """
    running = {cell.id for cell in todo}
    return [cell for cell in cells if cell.id not in running and not (_own(cell.purifier) and _own(cell.backbone))]


def _own(part: Part) -> bool:
    return part.version.startswith("rbench+")


def cell_document(cell: Cell) -> dict[str, Any]:
    """The cell as records and plans on disk hold it: its content, its id and the labels of its parts."""
    labels = {kind: getattr(cell, kind).label for kind in ("dataset", "backbone", "purifier", "attack")}
    return {**cell.document(), "id": cell.id, "labels": labels}

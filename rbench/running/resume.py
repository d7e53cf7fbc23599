"""What a run folder still lacks. Imports no torch, so that a finished suite ends at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rbench.errors import InputError
from rbench.results.store import RunFolder
from rbench.suite.cell import Cell, Part
from rbench.suite.plan import Plan

Redo = Literal["missing", "failed", "all"]


@contextmanager
def open_run(planned: Plan, root: Path) -> Iterator[RunFolder]:
    """The run folder, locked, with the suite and its cells written beside the results.

    Args:
        planned: the whole plan, so that a table knows what is missing.
        root: the folder; made if it is not there.

    Raises:
        InputError: another process writes to the folder.
        MissingError: it cannot be written.
    """
    folder = RunFolder.create(root)
    with folder.lock():
        folder.write_suite(planned.resolved)
        folder.write_cells([cell_document(cell) for cell in planned.cells])
        yield folder


def pending(cells: Sequence[Cell], folder: RunFolder, redo: Redo) -> list[Cell]:
    """The cells that `redo` asks for: without a record (or a cancelled one), also the failed ones, or all.

    A record or samples that cannot be read count as missing. For `all`, kept chunks are dropped.
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
        except InputError:
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

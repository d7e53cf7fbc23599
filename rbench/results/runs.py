"""Reading run folders: every planned or recorded cell, and a list of what could not be read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rbench.errors import InputError
from rbench.results import sample_columns as column
from rbench.results import samples as parquet
from rbench.results.corrupted_runs import FOLDER as CORRUPTIONS
from rbench.results.corrupted_runs import ReadCorrupted, read_corrupted
from rbench.results.record import Record
from rbench.results.store import RunFolder
from rbench.results.taken_out import taken_out
from rbench.signature import nearest
from rbench.suite.cell import shown_attack

if TYPE_CHECKING:
    import pyarrow as pa

CellStatus = Literal["done", "failed", "cancelled", "missing", "unreadable"]


@dataclass(frozen=True)
class Broken:
    """A file that was not used, and why."""

    path: str
    message: str


@dataclass(frozen=True)
class ReadCell:
    """What a run folder has of one cell.

    Attributes:
        id: the cell's id.
        document: the resolved cell, as in `Record.cell`.
        status: `missing` if planned, or asked for by the suite beside the results, and not recorded;
            `unreadable` if its record or samples are broken.
        root: the run folder that it was read from.
        record: None if missing or unreadable.
        samples: the samples of a done cell.
        verified: its stored examples were judged again, and its files have not changed since.
    """

    id: str
    document: dict[str, Any]
    status: CellStatus
    root: Path
    record: Record | None = None
    samples: "pa.Table | None" = None
    verified: bool = False

    def label(self, part: Literal["dataset", "backbone", "purifier", "attack"]) -> str:
        """What tables call a part: the plan's label, because the user may have renamed it since."""
        labels, recorded = self.document.get("labels"), getattr(self.record, part, None)
        planned = labels.get(part) if isinstance(labels, dict) else None
        label = planned or getattr(recorded, "label", None) or getattr(recorded, "name", None)
        shown = str(label or self.part(part).get("name", "?"))
        return shown_attack(shown, self.cascaded, self.part("attack").get("precision")) if part == "attack" else shown

    @property
    def cascaded(self) -> bool:
        """Whether other attacks of its row came before it in a cascade."""
        return bool(self.part("attack").get("after"))

    def part(self, name: str) -> dict[str, Any]:
        """One part of the cell, as planned; empty if it has none."""
        part = self.document.get(name)
        return part if isinstance(part, dict) else {}


@dataclass(frozen=True)
class Runs:
    """Everything that was read.

    Attributes:
        cells: folder by folder, each in the order of its plan; a cell that several folders have comes once for each.
        broken: files that were not used.
        notes: what else a reader should know, one line each.
        corrupted: corruptions of defended models, folder by folder, each in the order of its plan.
    """

    cells: tuple[ReadCell, ...]
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    corrupted: tuple[ReadCorrupted, ...] = ()


@dataclass
class _Reading:
    cells: list[ReadCell] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    corrupted: list[ReadCorrupted] = field(default_factory=list)


def read_runs(folders: Sequence[Path]) -> Runs:
    """Read run folders together. A broken file spoils its own cell and nothing else.

    Raises:
        InputError: a folder is missing or holds no records.
    """
    reading = _Reading()
    for path in dict.fromkeys(folders):
        _read_folder(path, reading)
    return Runs(tuple(reading.cells), tuple(reading.broken), tuple(reading.notes), tuple(reading.corrupted))


def is_run(root: Path) -> bool:
    """Whether a folder has records in it."""
    return any((root / name).is_dir() for name in ("records", CORRUPTIONS))


def _meant(root: Path) -> str:
    """The run folder of nearly that name, beside it or in `runs` or `results`; else what one is."""
    beside = {
        path.name: path for place in ("results", "runs", root.parent) for path in _folders(Path(place)) if is_run(path)
    }
    near = [f"{beside[name]}" for name in nearest(root.name, beside)]
    return f"Did you mean {near[0]}?" if near else "Give the folder that `rbench run` wrote, such as runs/quickstart."


def _folders(place: Path) -> list[Path]:
    try:
        return [path for path in place.iterdir() if path.is_dir()]
    except OSError:
        return []


def _read_folder(root: Path, reading: _Reading) -> None:
    if not is_run(root):
        problem = "no records in it." if root.is_dir() else "no such folder."
        raise InputError(problem, place=root, remedy=_meant(root))
    folder = RunFolder(root)
    corrupted, broken = read_corrupted(root)
    reading.corrupted += corrupted
    reading.broken += [Broken(path, message) for path, message in broken]
    try:
        planned = folder.read_cells()
    except InputError as error:
        planned = None
        reading.broken.append(Broken(str(root / "cells.jsonl"), str(error)))
    recorded = {path.stem: path for path in folder.record_paths()}
    if planned is None:
        found = [_read_cell(folder, cell_id, {}, reading) for cell_id in recorded]
        # Without a plan an unreadable record belongs to no row; it is listed only.
        cells = sorted((cell for cell in found if cell.document), key=lambda cell: cell.label("attack"))
    else:
        cells = [
            _read_cell(folder, cell["id"], cell, reading)
            if cell["id"] in recorded
            else ReadCell(cell["id"], cell, "missing", root)
            for cell in planned
        ]
        cells += [ReadCell(cell["id"], cell, "missing", root) for cell in taken_out(root, planned)]
        stale = recorded.keys() - {cell["id"] for cell in planned}
        if stale:
            reading.notes.append(
                f"{root}: {len(stale)} older records left out: suite, data, weights or code have changed."
            )
    reading.cells += {cell.id: cell for cell in cells}.values()


def _read_cell(folder: RunFolder, cell_id: str, document: dict[str, Any], reading: _Reading) -> ReadCell:
    try:
        path = folder.record_path(cell_id)
        record = folder.read_record(cell_id)
    except InputError as error:
        path = folder.root / "records" / f"{cell_id}.json"
        reading.broken.append(Broken(str(path), str(error)))
        return ReadCell(cell_id, document, "unreadable", folder.root)
    if record is None:
        reading.broken.append(Broken(str(path), f"{path}: it went away while it was read."))
        return ReadCell(cell_id, document, "unreadable", folder.root)
    document = document or dict(record.cell)
    if record.status != "done":
        return ReadCell(cell_id, document, record.status, folder.root, record)
    try:
        table = folder.read_samples(record)
        _check_rounded(table, folder.samples_path(cell_id))
        if record.protocol.decide != "mean" or record.protocol.draws == 1:
            parquet.check_decided(table, folder.samples_path(cell_id))
    except InputError as error:
        reading.broken.append(Broken(str(folder.samples_path(cell_id)), str(error)))
        return ReadCell(cell_id, document, "unreadable", folder.root, record)
    return ReadCell(cell_id, document, "done", folder.root, record, table, _is_verified(folder, cell_id, reading))


def _check_rounded(table: "pa.Table", path: Path) -> None:
    """Refuse samples of which the 8-bit images were chosen by draws and valued by nothing."""
    if table[column.ROBUST_8BIT_SELECT].null_count == 0 and table[column.ROBUST_8BIT].null_count:
        raise InputError(f"{path}: {column.ROBUST_8BIT}: has nulls, and {column.ROBUST_8BIT_SELECT} has none.")


def _is_verified(folder: RunFolder, cell_id: str, reading: _Reading) -> bool:
    try:
        return folder.is_verified(cell_id)
    except InputError as error:
        reading.broken.append(Broken(str(folder.verified_path(cell_id)), str(error)))
        return False

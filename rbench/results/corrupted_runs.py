"""What a run folder has of common corruptions: files, cells, and what was read of each."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rbench.errors import InputError
from rbench.results import disk, files
from rbench.results.corruption_record import CorruptionRecord, Judged, read_corruption, read_judged, require_cell
from rbench.results.record import CELL_ID, record_text
from rbench.results.store import RunFolder
from rbench.results.untrusted import parse_json, read_text
from rbench.results.verification import holds, read_verification

FOLDER = "corruptions"
_PLAN = "corruptions.jsonl"
_MAX_PLAN = 64 * 2**20


@dataclass(frozen=True)
class CorruptedFolder:
    """The part of a run folder that is about corruptions; writing is done by the one process that has locked it.

    Attributes:
        root: the run folder.
    """

    root: Path

    def record_path(self, cell_id: str) -> Path:
        """`corruptions/<id>.json`."""
        return self._path(FOLDER, cell_id, "json")

    def samples_path(self, cell_id: str) -> Path:
        """`corruptions/<id>.parquet`."""
        return self._path(FOLDER, cell_id, "parquet")

    def verified_path(self, cell_id: str) -> Path:
        """`verified/<id>.json`."""
        return self._path("verified", cell_id, "json")

    def _path(self, folder: str, cell_id: str, ending: str) -> Path:
        if not CELL_ID.fullmatch(cell_id):
            raise InputError(f"cell id {cell_id[:80]!r}: not a lower-case word; it names files.")
        return self.root / folder / f"{cell_id}.{ending}"

    def write_plan(self, cells: Sequence[dict[str, Any]]) -> None:
        """Write the planned cells in their order, one a line; no file where there are none and were none."""
        path = self.root / _PLAN
        if cells or path.exists():
            files.write_text(path, "".join(f"{json.dumps(cell, sort_keys=True, allow_nan=False)}\n" for cell in cells))
        if cells:
            with files.writing(self.root / FOLDER):
                disk.make_folder(self.root / FOLDER)
            files.tidy(self.root / FOLDER)

    def read_plan(self) -> list[dict[str, Any]]:
        """The planned cells; none where there is no such file.

        Raises:
            InputError: a line is no resolved cell.
        """
        path = self.root / _PLAN
        if not path.exists() or not path.stat().st_size:
            return []
        cells = [parse_json(line, path) for line in read_text(path, _MAX_PLAN).splitlines()]
        for number, cell in enumerate(cells, 1):
            try:
                require_cell(cell)
            except (ValueError, TypeError, AttributeError) as error:
                raise InputError(f"{path}:{number}: {error}.") from None
        return cells

    def finish(self, record: CorruptionRecord, judged: Judged | None) -> None:
        """Write a cell's results, the record last."""
        if judged is not None:
            files.write_bytes(self.samples_path(record.id), judged.encode())
        files.write_text(self.record_path(record.id), record_text(record))

    def read(self, cell_id: str) -> tuple[CorruptionRecord, Judged | None] | None:
        """The record and the samples of a cell; None if there is no record.

        Raises:
            InputError: one of them is broken, or the content is another cell's.
        """
        path = self.record_path(cell_id)
        if not path.exists():
            return None
        record = read_corruption(path)
        if record.id != cell_id:
            raise InputError(f"{path}: cell.id: found {record.id!r}; the file belongs to another cell.")
        return record, read_judged(self.samples_path(cell_id), record) if record.status == "done" else None

    def is_verified(self, cell_id: str) -> bool:
        """Whether the cell was verified, and its record and samples have not changed since.

        Raises:
            InputError: the verification is broken.
        """
        found = read_verification(self.verified_path(cell_id))
        same = found is not None and found.cell == cell_id
        return same and found is not None and holds(found, self.record_path(cell_id), self.samples_path(cell_id))


@dataclass(frozen=True)
class ReadCorrupted:
    """What a run folder has of one corruption of one defended model.

    Attributes:
        id: of the cell.
        document: the resolved cell.
        status: `missing` if planned and not recorded, `unreadable` if its files are broken.
        root: the run folder.
        record: None if missing or unreadable.
        judged: the samples of a done cell.
        verified: its images were made and judged again, and its files have not changed since.
    """

    id: str
    document: dict[str, Any]
    status: Literal["done", "failed", "missing", "unreadable"]
    root: Path
    record: CorruptionRecord | None = None
    judged: Judged | None = None
    verified: bool = False

    @property
    def name(self) -> str:
        """Of the corruption."""
        return str(self.document["threat"]["name"])

    def label(self, part: str) -> str:
        """What tables call a part."""
        labels = self.document.get("labels")
        label = labels.get(part) if isinstance(labels, dict) else None
        return str(label or self.document.get(part, {}).get("name", "?"))


def read_corrupted(root: Path) -> tuple[list[ReadCorrupted], list[tuple[str, str]]]:
    """Every planned corruption of a run folder, and the files that could not be used, each with why."""
    folder, broken = CorruptedFolder(root), list[tuple[str, str]]()
    try:
        planned = folder.read_plan()
    except InputError as error:
        return [], [(str(root / _PLAN), str(error))]
    cells = []
    for cell in {one["id"]: one for one in planned}.values():
        cell_id = str(cell["id"])
        try:
            found, verified = folder.read(cell_id), folder.is_verified(cell_id)
        except InputError as error:
            broken.append((str(folder.record_path(cell_id)), str(error)))
            cells.append(ReadCorrupted(cell_id, cell, "unreadable", root))
            continue
        if found is None:
            cells.append(ReadCorrupted(cell_id, cell, "missing", root))
        else:
            cells.append(ReadCorrupted(cell_id, cell, found[0].status, root, *found, verified))
    return cells, broken


def planned_parts(root: Path) -> list[dict[str, Any]]:
    """The planned cells of a folder, those of corruptions too, to look up its components; none of a file that cannot be read.

    What is wrong with such a file is for those to say who read results by it.
    """
    found = list[dict[str, Any]]()
    with suppress(InputError):
        found += RunFolder(root).read_cells() or []
    with suppress(InputError):
        found += CorruptedFolder(root).read_plan()
    return found

"""Run folders of one suite that were run apart, joined in one of them."""

from dataclasses import dataclass
from pathlib import Path

from rbench.errors import InputError
from rbench.results import files
from rbench.results.corrupted_runs import CorruptedFolder
from rbench.results.record import Record
from rbench.results.store import RunFolder


@dataclass(frozen=True)
class Merged:
    """What was taken from another folder.

    Attributes:
        cells: titles of the finished cells that were taken.
        spans: finished spans of unfinished cells that were taken.
        differ: titles of the cells that both have finished, with other results; the folder's own stay.
    """

    cells: tuple[str, ...]
    spans: int
    differ: tuple[str, ...]


def merge(into: RunFolder, other: RunFolder) -> Merged:
    """Takes the finished cells of another folder, and the finished spans of those that are finished in neither.

    A cell is taken with its samples, images, pictures and verification, its record last, so that a kill leaves none by halves.

    Args:
        into: the folder, locked by the caller.
        other: the folder to take from; it stays as it is.

    Raises:
        InputError: they are no run folders of one suite, or a record cannot be read.
        MissingError: the disk is full or read-only.
    """
    cells, theirs = _planned(into), _planned(other)
    corrupted = _planned_corruptions(into), _planned_corruptions(other)
    here, there = {*cells, *corrupted[0]}, {*theirs, *corrupted[1]}
    if here != there:
        foreign = sorted(there - here) or sorted(here - there)
        found = f"{len(foreign)} of its cells are not planned in both, {foreign[0]} among them"
        raise InputError(
            "folders of different suites do not merge",
            place=other.root,
            found=found,
            remedy="Run the same suite file, with the same --set and --limit, in both.",
        )
    taken, spans, differ = list[str](), 0, list[str]()
    for cell_id, title in cells.items():
        own, record = _done(into, cell_id), _done(other, cell_id)
        if own and record:
            if own.result_hash != record.result_hash:
                differ.append(title)
        elif record:
            _take(into, other, cell_id)
            taken.append(title)
        elif not own:
            spans += _take_spans(into, other, cell_id)
    for cell_id, title in corrupted[0].items():
        if (same := _take_corruption(into, other, cell_id)) is not None:
            (taken if same else differ).append(title)
    return Merged(tuple(taken), spans, tuple(differ))


def _planned_corruptions(folder: RunFolder) -> dict[str, str]:
    return {
        str(cell["id"]): "/".join(str(cell["labels"][part]) for part in ("backbone", "purifier", "attack"))
        for cell in CorruptedFolder(folder.root).read_plan()
    }


def _take_corruption(into: RunFolder, other: RunFolder, cell_id: str) -> bool | None:
    """True if a corruption was taken, False if both have finished it with other results; None if there is nothing to do."""
    target, source = CorruptedFolder(into.root), CorruptedFolder(other.root)
    own, found = target.read(cell_id), source.read(cell_id)
    if found is None or found[0].status != "done":
        return None
    if own is not None and own[0].status == "done":
        return None if own[0].result_hash == found[0].result_hash else False
    for path in ("samples_path", "verified_path", "record_path"):
        _copy(getattr(source, path)(cell_id), getattr(target, path)(cell_id))
    return True


def _planned(folder: RunFolder) -> dict[str, str]:
    cells = folder.read_cells()
    if cells is None:
        raise InputError("no run folder: it has no cells.jsonl", place=folder.root)
    return {
        str(cell["id"]): "/".join(str(cell["labels"][part]) for part in ("backbone", "purifier", "attack"))
        for cell in cells
    }


def _done(folder: RunFolder, cell_id: str) -> Record | None:
    record = folder.read_record(cell_id)
    return record if record is not None and record.status == "done" else None


def _take(into: RunFolder, other: RunFolder, cell_id: str) -> None:
    for path in ("images_path", "samples_path", "gallery_path", "verified_path", "record_path"):
        _copy(getattr(other, path)(cell_id), getattr(into, path)(cell_id))
    into.drop_chunks(cell_id)


def _take_spans(into: RunFolder, other: RunFolder, cell_id: str) -> int:
    chunks, _ = other.read_chunks(cell_id)
    have = {(chunk.start, chunk.stop) for chunk in into.read_chunks(cell_id)[0]}
    new = [chunk for chunk in chunks if all(chunk.stop <= start or stop <= chunk.start for start, stop in have)]
    for chunk in new:
        into.write_chunk(cell_id, chunk.start, chunk.stop, chunk.arrays, chunk.meta)
    return len(new)


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        return
    with files.writing(target.parent):
        target.parent.mkdir(exist_ok=True)
    files.write_bytes(target, source.read_bytes())

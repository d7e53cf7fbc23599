"""The run folder: where everything of a run lies, and the only hands that touch it."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.errors import InputError
from rbench.results import disk, files, gallery, image_files
from rbench.results.chunks import Chunk, decode, encode, with_images_on_disk
from rbench.results.lock import locked
from rbench.results.output import refuse_links
from rbench.results.record import CELL_ID, CELL_PARTS, Record, read_record, record_text
from rbench.results.rows_on_disk import Rows
from rbench.results.untrusted import parse_json, read_text
from rbench.results.verification import Verification, holds, read_verification

if TYPE_CHECKING:
    import pyarrow as pa

MAX_CELLS_BYTES = 64 * 2**20
MAX_SIZES_BYTES = 2**20
MAX_AUDIT_BYTES = 64 * 2**20
_CHUNK = re.compile(r"(\d{1,12})-(\d{1,12})\.safetensors")


@dataclass(frozen=True)
class RunFolder:
    """`runs/<suite>/`. Reading needs no lock; writing is done by one process, inside `lock()`.

    Attributes:
        root: the folder itself.
    """

    root: Path

    @classmethod
    def create(cls, root: Path) -> "RunFolder":
        """Make the folder and those inside it, where they are missing.

        Raises:
            InputError: a link in it leads out of it.
            MissingError: it cannot be written.
        """
        folder = cls(root)
        refuse_links(root)
        for name in ("records", "samples", "images", "gallery", "chunks"):
            with files.writing(root / name):
                disk.make_folder(root / name)
        return folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer; what dead writers left half-written is removed.

        Raises:
            InputError: another process is writing here (the message names its pid and host), or a link leads out of the folder.
        """
        refuse_links(self.root)
        with locked(self.root / "run.lock"):
            self.tidy()
            yield

    def tidy(self) -> None:
        """Remove what writers left that died: temporary files, and chunks of cells that are done."""
        for folder in (self.root, *(self.root / name for name in ("records", "samples", "images", "gallery"))):
            files.tidy(folder)
        for folder in sorted((self.root / "audits").glob("*/")):
            files.tidy(folder)
        for folder in sorted((self.root / "chunks").glob("*/")):
            files.tidy(folder)
            if self._is_done(folder.name):
                self.drop_chunks(folder.name)

    def _is_done(self, cell_id: str) -> bool:
        try:
            record = self.read_record(cell_id)
        except InputError:
            return False
        return record is not None and record.status == "done"

    # Paths

    def record_path(self, cell_id: str) -> Path:
        """`records/<id>.json`."""
        return self.root / "records" / f"{_checked(cell_id)}.json"

    def samples_path(self, cell_id: str) -> Path:
        """`samples/<id>.parquet`."""
        return self.root / "samples" / f"{_checked(cell_id)}.parquet"

    def images_path(self, cell_id: str) -> Path:
        """`images/<id>.safetensors`."""
        return self.root / "images" / f"{_checked(cell_id)}.safetensors"

    def gallery_path(self, cell_id: str) -> Path:
        """`gallery/<id>.safetensors`."""
        return self.root / "gallery" / f"{_checked(cell_id)}.safetensors"

    def verified_path(self, cell_id: str) -> Path:
        """`verified/<id>.json`."""
        return self.root / "verified" / f"{_checked(cell_id)}.json"

    def audits_path(self, row: str) -> Path:
        """`audits/<row>/`."""
        return self.root / "audits" / _checked(row)

    def chunks_path(self, cell_id: str) -> Path:
        """`chunks/<id>/`."""
        return self.root / "chunks" / _checked(cell_id)

    def record_paths(self) -> list[Path]:
        """Every record file, by name."""
        return sorted((self.root / "records").glob("*.json"))

    # What was planned

    def write_suite(self, text: str) -> None:
        """Write the resolved suite beside its results."""
        files.write_text(self.root / "suite.yaml", text)

    def write_cells(self, cells: Sequence[Mapping[str, Any]]) -> None:
        """Write the planned cells in their order, each as in `Record.cell` (with `id` and `labels`).

        From this file the table knows which cells are missing, which are stale, and the order of the attacks.
        """
        for cell in cells:
            _checked(str(cell["id"]))
        text = "".join(f"{json.dumps(cell, sort_keys=True, allow_nan=False)}\n" for cell in cells)
        files.write_text(self.root / "cells.jsonl", text)

    def read_cells(self) -> list[dict[str, Any]] | None:
        """The planned cells; None if the folder does not say."""
        path = self.root / "cells.jsonl"
        if not path.exists():
            return None
        if not path.stat().st_size and (self.root / "corruptions.jsonl").is_file():  # a suite without attacks
            return []
        cells = [parse_json(line, path) for line in read_text(path, MAX_CELLS_BYTES).splitlines()]
        for line, cell in enumerate(cells, 1):
            known = isinstance(cell, dict) and CELL_ID.fullmatch(str(cell.get("id")))
            if not known or not all(isinstance(cell.get(part), dict) for part in CELL_PARTS):
                raise InputError(f"{path}:{line}: not a resolved cell with its id.")
        return cells

    def write_batch_sizes(self, sizes: Mapping[str, int]) -> None:
        """Write how many images at once are fastest, by device and defended model; results do not depend on it."""
        files.write_text(self.root / "batch_sizes.json", json.dumps(sizes, sort_keys=True, indent=1) + "\n")

    def read_batch_sizes(self) -> dict[str, int]:
        """What was measured before; what cannot be read is measured again."""
        path = self.root / "batch_sizes.json"
        try:
            content = parse_json(read_text(path, MAX_SIZES_BYTES), path)
        except InputError:
            return {}
        sizes = content if isinstance(content, dict) else {}
        return {key: size for key, size in sizes.items() if type(size) is int and size > 0}

    # Chunks: what a cell has so far

    def write_chunk(
        self, cell_id: str, start: int, stop: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
    ) -> None:
        """Keep the finished samples `start` up to `stop` of a cell."""
        folder = self.chunks_path(cell_id)
        with files.writing(folder):
            if not folder.exists():
                disk.make_subfolder(folder)
                disk.sync_folder(folder.parent)
        data = encode(cell_id, Chunk(start, stop, dict(arrays), dict(meta)))
        files.write_bytes(self._chunk_path(cell_id, start, stop), data)

    def read_chunks(self, cell_id: str) -> tuple[list[Chunk], list[str]]:
        """The chunks of a cell in order, their images still to be read; a note for each one dropped (torn, altered, overlapping)."""
        found: list[Chunk] = []
        notes: list[str] = []
        for start, stop, path in sorted(self._chunk_files(cell_id)):
            try:
                data = path.read_bytes()
                chunk = with_images_on_disk(decode(cell_id, data), path, data)
                if (chunk.start, chunk.stop) != (start, stop):
                    raise ValueError("its name does not fit")
                if found and start < found[-1].stop:
                    raise ValueError("it overlaps the one before")
            except (ValueError, OSError) as error:
                notes.append(f"{path}: dropped, to be done again: {error}.")
            else:
                found.append(chunk)
        return found, notes

    def drop_chunk(self, cell_id: str, chunk: Chunk) -> None:
        """Remove one chunk of a cell."""
        path = self._chunk_path(cell_id, chunk.start, chunk.stop)
        with files.writing(path):
            disk.remove(path)

    def drop_chunks(self, cell_id: str) -> None:
        """Remove the chunks of a cell."""
        folder = self.chunks_path(cell_id)
        if not folder.exists():
            return
        with files.writing(folder):
            for path in sorted(folder.iterdir()):
                disk.remove(path)
            disk.remove_folder(folder)

    def _chunk_path(self, cell_id: str, start: int, stop: int) -> Path:
        return self.chunks_path(cell_id) / f"{start}-{stop}.safetensors"

    def _chunk_files(self, cell_id: str) -> Iterator[tuple[int, int, Path]]:
        for path in self.chunks_path(cell_id).glob("*.safetensors"):
            match = _CHUNK.fullmatch(path.name)
            if match and path.is_file():
                yield int(match[1]), int(match[2]), path

    # What was measured of defended models; nobody but the next run believes it

    def write_audit(self, row: str, name: str, document: Mapping[str, Any]) -> None:
        """Keep a measurement of a defended model.

        Args:
            row: names the defended model.
            name: of the measurement.
            document: what was measured, as JSON values.
        """
        folder = self.audits_path(row)
        with files.writing(folder):
            for path in (folder.parent, folder):
                disk.make_subfolder(path)
        files.write_text(folder / f"{_checked(name)}.json", json.dumps(document, sort_keys=True, allow_nan=False))

    def read_audit(self, row: str, name: str) -> Any:
        """What `write_audit` has kept.

        Raises:
            InputError: there is none, or it is broken.
        """
        path = self.audits_path(row) / f"{_checked(name)}.json"
        return parse_json(read_text(path, MAX_AUDIT_BYTES), path)

    def drop_audits(self, row: str) -> None:
        """Remove what was measured of a defended model."""
        folder = self.audits_path(row)
        if folder.is_symlink() or not folder.is_dir():  # nobody's files but those of this folder are removed
            return
        files.tidy(folder)
        with files.writing(folder):
            for path in sorted(folder.glob("*.json")):
                disk.remove(path)
            with suppress(OSError):  # something lies there that is not ours
                disk.remove_folder(folder)

    def drop_other_audits(self, rows: Collection[str]) -> None:
        """Remove what was measured of defended models that are none of these."""
        for folder in sorted((self.root / "audits").glob("*/")):
            if folder.name not in rows and CELL_ID.fullmatch(folder.name):
                self.drop_audits(folder.name)

    # What a finished cell leaves

    def finish(
        self,
        record: Record,
        samples: Mapping[str, Any] | None = None,
        images: tuple[np.ndarray | Rows, np.ndarray] | None = None,
        pictures: gallery.Gallery | None = None,
    ) -> None:
        """Write a cell's results, the record last, then drop its chunks.

        Args:
            record: of any status; only a done one has samples.
            samples: the columns of `rbench.results.samples`.
            images: float32 [M, C, H, W] adversarial examples and int64 [M] ids of their samples.
            pictures: of a few samples, for readers.
        """
        if images is not None:
            self.write_images(record.id, *images)
        if samples is not None:
            self.write_samples(record.id, samples)
        if pictures is not None:
            self.write_gallery(record.id, pictures)
        self.write_record(record)
        if record.status == "done":  # the others may still be resumed
            self.drop_chunks(record.id)

    def write_record(self, record: Record) -> None:
        """Write `records/<id>.json`."""
        files.write_text(self.record_path(record.id), record_text(record))

    def read_record(self, cell_id: str) -> Record | None:
        """The record of a cell; None if there is none.

        Raises:
            InputError: it is broken, or its content is another cell's.
        """
        path = self.record_path(cell_id)
        if not path.exists():
            return None
        record = read_record(path)
        if record.id != cell_id:
            raise InputError(f"{path}: cell.id: found {record.id!r}; the file belongs to another cell.")
        return record

    def write_samples(self, cell_id: str, columns: Mapping[str, Any]) -> None:
        """Write `samples/<id>.parquet`; the columns are those of `rbench.results.samples`."""
        from rbench.results import samples

        files.write_bytes(self.samples_path(cell_id), samples.encode(columns))

    def read_samples(self, record: Record) -> "pa.Table":
        """The samples of a done record.

        Raises:
            InputError: missing, broken, or not those the record speaks of.
        """
        from rbench.results import samples

        return samples.read(self.samples_path(record.id), record.dataset.samples)

    def write_images(self, cell_id: str, images: np.ndarray | Rows, ids: np.ndarray) -> None:
        """Write adversarial examples, float32 [M, C, H, W], and the int64 [M] ids of their samples."""
        image_files.write(self.images_path(cell_id), images, ids)

    def read_images(self, cell_id: str) -> tuple[np.ndarray, np.ndarray]:
        """The stored adversarial examples of a cell and the ids of their samples.

        Raises:
            InputError: missing or broken.
        """
        return image_files.read(self.images_path(cell_id))

    def write_gallery(self, cell_id: str, pictures: gallery.Gallery) -> None:
        """Write `gallery/<id>.safetensors`."""
        files.write_bytes(self.gallery_path(cell_id), pictures.encode())

    def read_gallery(self, cell_id: str) -> gallery.Gallery | None:
        """The pictures of a cell; None if there are none.

        Raises:
            InputError: they are broken.
        """
        return gallery.read(self.gallery_path(cell_id))

    # What was verified

    def write_verification(self, found: Verification) -> None:
        """Write `verified/<id>.json`."""
        with files.writing(self.root / "verified"):
            disk.make_subfolder(self.root / "verified")
        content = found.model_dump(mode="json", by_alias=True)
        text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n"
        files.write_text(self.verified_path(found.cell), text)

    def drop_verification(self, cell_id: str) -> None:
        """Take back that a cell was verified."""
        with files.writing(self.verified_path(cell_id)):
            disk.remove(self.verified_path(cell_id))

    def is_verified(self, cell_id: str) -> bool:
        """Whether the cell was verified, its record and samples have not changed since, and its examples are there for the next to doubt.

        Raises:
            InputError: the verification is broken.
        """
        found = read_verification(self.verified_path(cell_id))
        return (
            found is not None
            and found.cell == cell_id
            and self.images_path(cell_id).is_file()
            and holds(found, self.record_path(cell_id), self.samples_path(cell_id))
        )


def _checked(cell_id: str) -> str:
    if not CELL_ID.fullmatch(cell_id):
        raise InputError(f"cell id {cell_id[:80]!r}: not a lower-case word; it names files.")
    return cell_id

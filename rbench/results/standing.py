"""How far a run is: which cells are done, failed or missing, which are at work, and who writes; read without disturbing a run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rbench.errors import InputError
from rbench.results.corrupted_runs import read_corrupted
from rbench.results.lock import Writer, writer_of
from rbench.results.store import RunFolder

State = Literal["done", "failed", "cancelled", "unreadable", "missing"]
STATES: tuple[State, ...] = get_args(State)
_SPAN = re.compile(r"(\d+)-(\d+)\.safetensors")


@dataclass(frozen=True)
class Standing:
    """How far one cell is.

    Attributes:
        id: of the cell.
        title: backbone, purifier and attack, with `/` between them.
        state: `missing` if it has no record.
        kept: samples that are finished and kept, of a cell that is not done.
        samples: how many it has; None if the plan leaves them to the data set.
        error: why it failed.
    """

    id: str
    title: str
    state: State
    kept: int = 0
    samples: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class RunStanding:
    """How far a run is.

    Attributes:
        root: the run folder.
        cells: in the order of the plan.
        writer: the process that says that it writes to the folder; None if none does.
    """

    root: Path
    cells: tuple[Standing, ...]
    writer: Writer | None = None

    def count(self, state: State) -> int:
        """How many cells are in a state."""
        return sum(cell.state == state for cell in self.cells)

    @property
    def running(self) -> bool | None:
        """Whether a process writes to the folder; None if it is of another machine, which cannot be asked."""
        return False if self.writer is None else self.writer.runs

    @property
    def begun(self) -> tuple[Standing, ...]:
        """The cells of which some samples are finished: at work in a run, to be gone on with in one that was stopped."""
        return tuple(cell for cell in self.cells if cell.kept and cell.state != "done")


def standing_of(root: Path) -> RunStanding:
    """How far the run of a folder is; nothing is written or locked.

    Raises:
        InputError: it is no run folder, or its plan cannot be read.
    """
    folder = RunFolder(root)
    planned = folder.read_cells() if root.is_dir() else None
    if planned is None:
        problem = "no run folder: it has no cells.jsonl." if root.is_dir() else "no such folder."
        raise InputError(
            problem, place=root, remedy="Give the folder that `rbench run` writes, such as runs/quickstart."
        )
    cells = [*(_standing(folder, cell) for cell in planned), *_corrupted(root)]
    return RunStanding(root, tuple(cells), writer_of(root / "run.lock"))


def _standing(folder: RunFolder, cell: dict[str, Any]) -> Standing:
    name, samples = str(cell["id"]), cell.get("dataset", {}).get("samples")
    facts: dict[str, Any] = {
        "id": name,
        "title": _title(cell),
        "samples": samples if isinstance(samples, int) else None,
    }
    try:
        record = folder.read_record(name)
    except InputError as error:
        return Standing(**facts, state="unreadable", error=str(error))
    if record is not None and record.status == "done":
        return Standing(**facts, state="done")
    kept = _kept(folder.chunks_path(name))
    if record is None:
        return Standing(**facts, state="missing", kept=kept)
    return Standing(**facts, state=record.status, kept=kept, error=record.error)


def _kept(chunks: Path) -> int:
    """Samples in files that are whole: they are renamed into place."""
    spans = [match for path in chunks.glob("*.safetensors") if (match := _SPAN.fullmatch(path.name))]
    return sum(max(0, int(span[2]) - int(span[1])) for span in spans)


def _corrupted(root: Path) -> Iterator[Standing]:
    for cell in read_corrupted(root)[0]:
        yield Standing(cell.id, _title(cell.document), cell.status)


def _title(cell: dict[str, Any]) -> str:
    labels = cell.get("labels")
    known = labels if isinstance(labels, dict) else {}
    names = [str(known.get(part) or "?") for part in ("backbone", "purifier", "attack")]
    eps = cell.get("threat", {}).get("eps") if isinstance(cell.get("threat"), dict) else None
    return "/".join(names) + (f" at {eps}" if eps is not None else "")

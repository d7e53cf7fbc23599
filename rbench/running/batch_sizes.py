"""How many images at once the defended models of a run are shown: as the user says, else as was measured once and is kept in the folder."""

from dataclasses import dataclass, field

from rbench.errors import InputError
from rbench.results.store import RunFolder
from rbench.suite.cell import Cell, defended_id


def batch_size_of(asked: str) -> int | None:
    """The number that a user gives; None for `auto`.

    Raises:
        InputError: neither a number from 1 nor `auto`.
    """
    if asked == "auto":
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise InputError("expected a number from 1, or auto", place="--batch-size", found=repr(asked))
    return int(asked)


@dataclass
class BatchSizes:
    """Those of a run.

    Attributes:
        folder: where measured ones are kept, so that a run that goes on has the same.
        device: of the workers; another one has sizes of its own.
        given: the one that the user gave; nothing is measured then.
    """

    folder: RunFolder
    device: str
    given: int | None = None
    _known: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = self.folder.read_batch_sizes()

    def of(self, cell: Cell) -> int | None:
        """That of the model of a cell; None if it has not been measured."""
        return self.given or self._known.get(self._key(cell))

    def found(self, cell: Cell, size: int) -> None:
        """Keeps what a worker has measured."""
        if self.given is None and self._known.get(self._key(cell)) != size:
            self._known[self._key(cell)] = size
            self.folder.write_batch_sizes(self._known)

    def _key(self, cell: Cell) -> str:
        model = defended_id(cell.backbone, cell.purifier)
        return f"{self.device} {cell.backbone.label}/{cell.purifier.label} {model}"

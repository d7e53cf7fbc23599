"""In a cascade: what the cells of a row that are finished have fooled, read from the run folder for those that come after them."""

from dataclasses import dataclass, field

import numpy as np

from rbench.engine.settled import Settled
from rbench.errors import InputError
from rbench.results import image_files
from rbench.results import sample_columns as column
from rbench.results.record import Record
from rbench.results.store import RunFolder
from rbench.suite.cell import Cell


@dataclass
class Cascade:
    """Finished cells of a run folder, each read once.

    Attributes:
        folder: the run folder.
    """

    folder: RunFolder
    _fooled: dict[str, np.ndarray] = field(default_factory=dict)

    def settled(self, cell: Cell, ids: np.ndarray) -> Settled | None:
        """What the cells before this one have fooled of some samples, the first of them for each; a cell without a verdict settles nobody.

        Args:
            cell: that is to be attacked.
            ids: int64 [B] samples.
        """
        found, images = list[np.ndarray](), list[np.ndarray]()
        left = ids
        for before in cell.after:
            here = np.intersect1d(left, self._of(before))
            if len(here):
                found.append(here)
                images.append(image_files.read_some(self.folder.images_path(before), here))
                left = np.setdiff1d(left, here)
        return Settled(np.concatenate(found), np.concatenate(images)) if found else None

    def _of(self, cell_id: str) -> np.ndarray:
        """Ids of the samples that a cell has fooled and whose images are stored."""
        if cell_id not in self._fooled:
            self._fooled[cell_id] = _fooled(self.folder, self.folder.read_record(cell_id))
        return self._fooled[cell_id]


def _fooled(folder: RunFolder, record: Record | None) -> np.ndarray:
    if record is None or record.status != "done":
        return np.zeros(0, np.int64)
    try:
        samples = folder.read_samples(record)
        stored = image_files.read_ids(folder.images_path(record.id))
    except InputError:  # it says so itself when it is read
        return np.zeros(0, np.int64)
    fooled = samples[column.SAMPLE].to_numpy()[samples[column.ROBUST].to_numpy() == 0]
    return np.intersect1d(fooled, stored)


def settled_before(folder: RunFolder, cell: Cell, record: Record) -> Settled | None:
    """What the cells before a finished one had settled for it: what it shows fooled without a question of its attack."""
    if not cell.after:
        return None
    samples = folder.read_samples(record)
    unasked = samples[column.QUERIES].to_numpy() == 0
    fooled = (samples[column.CLEAN].to_numpy() == 1) & (samples[column.ROBUST].to_numpy() == 0)
    ids = np.intersect1d(
        samples[column.SAMPLE].to_numpy()[unasked & fooled], image_files.read_ids(folder.images_path(record.id))
    )
    return Settled(ids, image_files.read_some(folder.images_path(record.id), ids)) if len(ids) else None

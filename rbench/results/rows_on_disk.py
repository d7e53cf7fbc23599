"""Rows of arrays that are read when they are asked for: a cell's images need not be in memory all at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 64
"""Rows that are read together where all are wanted one after the other."""


@dataclass(frozen=True)
class StoredRows:
    """An array in a file, one row after the other.

    Attributes:
        path: the file.
        offset: bytes before the first row.
        dtype: of its numbers.
        shape: of the array.
    """

    path: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        numbers = int(np.prod(self.shape[1:], dtype=np.int64))
        count = max(0, stop - start)
        offset = self.offset + start * numbers * self.dtype.itemsize
        read = np.fromfile(self.path, self.dtype, count * numbers, offset=offset) if count else np.zeros(0, self.dtype)
        return read.reshape(count, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001
        return self[:].astype(dtype or self.dtype, copy=bool(copy))


@dataclass(frozen=True)
class Rows:
    """Rows of several arrays, one array below the other, in any order.

    Attributes:
        parts: arrays, in memory or in files, with equal rows.
        order: int64 [N] which row of all is the n-th.
    """

    parts: Sequence[Any]
    order: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[Any]) -> "Rows":
        """All rows in their order."""
        return cls(parts, np.arange(sum(map(len, parts))))

    def __len__(self) -> int:
        return len(self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""
        found: np.dtype[Any] = self.parts[0].dtype
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array would have it."""
        return (len(self), *self.parts[0].shape[1:])

    def at(self, rows: np.ndarray) -> "Rows":
        """Some of them, still to be read."""
        return Rows(self.parts, self.order[rows])

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        wanted = self.order[rows]
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        start = 0
        for part in self.parts:
            here = np.flatnonzero((wanted >= start) & (wanted < start + len(part)))
            if len(here):
                first, last = wanted[here].min() - start, wanted[here].max() - start
                found[here] = part[first : last + 1][wanted[here] - start - first]
            start += len(part)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001
        return self[:].astype(dtype or self.dtype, copy=bool(copy))


def blocks(array: Any) -> Iterator[np.ndarray]:
    """The rows of an array in blocks, each in C order."""
    for start in range(0, len(array), BLOCK):
        yield np.ascontiguousarray(array[start : start + BLOCK])

"""Pictures decoded once: what a data set has read lies in a file without a name, as bytes, and is read from there the next time."""

import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from weakref import finalize

import numpy as np

from rbench.datasets.types import Dataset, Ids, Images, Reader

MOST_BYTES = 4 * 2**30
"""Of each data set, in each process."""


def read_once(dataset: Dataset) -> Dataset:
    """The same data set, which decodes each picture once."""
    if type(dataset) is not Dataset:
        return dataset
    unchecked: Reader = dataset._raw
    return replace(dataset, read=ReadOnce(unchecked, len(dataset.labels)))


class ReadOnce:
    """A reader that asks another one for each sample once, as long as the disk has room.

    Images are kept where 8 bits a pixel hold them exactly, as those of all pictures; others are read again. The file is not mapped, so
    that what the process holds in memory does not grow with the samples.

    Args:
        read: the other one, whose images nobody has checked.
        count: how many samples there are.
        most: bytes to keep.
    """

    def __init__(self, read: Reader, count: int, most: int = MOST_BYTES) -> None:
        self._read, self._most = read, most
        self._kept = np.zeros(count, bool)
        self._shape: tuple[int, ...] = ()
        self._file: int | None = None

    def __call__(self, ids: Ids) -> Images:
        """Float32 images [B, C, H, W] of some samples."""
        inside = len(ids) and ids.min() >= 0 and ids.max() < len(self._kept)
        if not inside or not self._kept[ids].any():
            return self._read_and_kept(ids)
        images, known = np.empty((len(ids), *self._shape), np.float32), self._kept[ids]
        for place in np.flatnonzero(known):
            known[place] = self._stored(int(ids[place]), images[place])
        if not known.all():
            fresh = self._read_and_kept(ids[~known])
            if not self._fit(fresh):
                return self._read(ids)  # whatever is wrong with it is wrong with all of them
            images[~known] = fresh
        return images

    def _read_and_kept(self, ids: Ids) -> Images:
        images = self._read(ids)
        if len(ids) and isinstance(images, np.ndarray) and images.ndim == 4 and len(images) == len(ids):
            self._shape = self._shape or images.shape[1:]
            if self._fit(images):
                self._keep(ids, images)
        return images

    def _fit(self, images: Images) -> bool:
        return images.dtype == np.float32 and images.shape[1:] == self._shape

    def _keep(self, ids: Ids, images: Images) -> None:
        room = self._most // max(1, int(np.prod(self._shape)))
        for sample, image in zip(ids.tolist(), images, strict=True):
            with np.errstate(invalid="ignore"), suppress(OSError):  # no room on the disk: it is decoded again
                row = np.rint(image * np.float32(255)).astype(np.uint8)
                if self._kept.sum() < room and np.array_equal(_floats(row), image):
                    self._kept[sample] = os.pwrite(self._opened(), row.tobytes(), sample * row.nbytes) == row.nbytes

    def _stored(self, sample: int, into: Images) -> bool:
        """Reads a sample from the file; False where it cannot be read."""
        with suppress(OSError):
            data = os.pread(self._opened(), into.size, sample * into.size)
            if len(data) == into.size:
                into[:] = _floats(np.frombuffer(data, np.uint8).reshape(self._shape))
                return True
        return False

    def _opened(self) -> int:
        if self._file is None:
            file = tempfile.TemporaryFile(prefix="rbench-pictures-")  # noqa: SIM115 - open as long as the data set is
            finalize(self, file.close)
            self._file = file.fileno()
        return self._file


def _floats(pixels: np.ndarray) -> Images:
    """As every decoder of rbench makes them of bytes."""
    return pixels.astype(np.float32) / np.float32(255)

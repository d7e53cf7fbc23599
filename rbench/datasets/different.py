"""Which images of a slice are different: one that is there twice is one image, and an accuracy counts it once."""

import hashlib

import numpy as np

from rbench.datasets.types import Dataset, Ids
from rbench.errors import InputError

_READ = 256


def different(dataset: Dataset, ids: Ids) -> Ids:
    """The samples whose image is none of an earlier sample; reads all of them, so that whatever is wrong with one is told.

    Images are compared by the sha256 of their pixels, as the model will be shown them.

    Args:
        dataset: whose.
        ids: int64 [N] ascending.

    Returns:
        int64 [M], ascending, M <= N: of equal images the first.

    Raises:
        InputError: an image is there under two labels, or a sample cannot be read.
    """
    first: dict[bytes, int] = {}
    for start in range(0, len(ids), _READ):
        part = ids[start : start + _READ]
        for sample, image in zip(part.tolist(), np.ascontiguousarray(dataset.read(part)), strict=True):
            seen = first.setdefault(hashlib.sha256(image.data).digest(), sample)
            if dataset.labels[seen] != dataset.labels[sample]:
                raise _contradiction(dataset, seen, sample)
    return np.fromiter(first.values(), np.int64, len(first))


def told_repeats(count: int, samples: int) -> tuple[str, ...]:
    """A line about samples that are left out because their image is there already; nothing if there are none.

    Args:
        count: of them.
        samples: of the slice, these among them.
    """
    if not count:
        return ()
    return (
        f"{count} of {samples} samples repeat an image before them; each image counts once, so n is {samples - count}",
    )


def _contradiction(dataset: Dataset, one: int, other: int) -> InputError:
    labels = [int(dataset.labels[sample]) for sample in (one, other)]
    names = [f"{label} ({dataset.classes[label]})" if dataset.classes else str(label) for label in labels]
    return InputError(
        "one image under two labels",
        place=f"{dataset.source}: samples {one} and {other}",
        found=f"labels {names[0]} and {names[1]}",
        remedy="correct one, or leave both out",
    )

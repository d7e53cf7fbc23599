"""The same number of samples of each class: an accuracy in which no class counts more than another."""

import numpy as np

from rbench.datasets.types import Dataset, Ids
from rbench.errors import InputError

_SHOWN = 5


def balanced(dataset: Dataset, places: Ids, samples: int | None) -> Ids:
    """The first samples of each class in some order, as many of one as of any other.

    Args:
        dataset: whose.
        places: int64 [N], a permutation of the places of its ids: which samples come first.
        samples: how many in all; None: of each class as many as the smallest has.

    Returns:
        int64 [samples], ids in ascending order.

    Raises:
        InputError: the number cannot be shared equally, or a class has too few samples; tells how many it has.
    """
    labels = dataset.labels[dataset.ids]
    classes = np.unique(labels) if dataset.class_count is None else np.arange(dataset.class_count)
    counts = np.array([int((labels == one).sum()) for one in classes])
    each = int(counts.min()) if samples is None else _share(samples, len(classes))
    short = np.flatnonzero(counts < max(each, 1))
    if len(short):
        few = [f"{counts[i]} of {_named(dataset, int(classes[i]))}" for i in short[:_SHOWN]]
        more = f" and {len(short) - _SHOWN} more classes" if len(short) > _SHOWN else ""
        fewest = int(counts.min())
        remedy = f"at most samples: {fewest * len(classes)}" if fewest else "choose classes that have samples: classes"
        raise InputError(
            f"balanced needs {max(each, 1)} samples of each class, {dataset.source} has fewer",
            place="dataset.balanced",
            found=", ".join(few) + more,
            remedy=remedy,
        )
    ordered = labels[places]
    chosen = [places[np.flatnonzero(ordered == one)[:each]] for one in classes]
    return np.sort(dataset.ids[np.concatenate(chosen)]).astype(np.int64)


def _share(samples: int, classes: int) -> int:
    each, rest = divmod(samples, classes)
    if rest or not each:
        below, above = each * classes, (each + 1) * classes
        remedy = f"write samples: {below} or {above}" if below else f"write samples: {above}"
        problem = f"{samples} samples cannot be shared equally by {classes} classes"
        raise InputError(problem, place="dataset.samples", found=str(samples), remedy=remedy)
    return each


def _named(dataset: Dataset, label: int) -> str:
    return f"class {label} ({dataset.classes[label]})" if dataset.classes else f"class {label}"

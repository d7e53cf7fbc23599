"""Some classes of a data set: `classes: [3, 5]` of CIFAR-10 makes CIFAR-2."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rbench.datasets.kept_slice import read_slice
from rbench.datasets.types import Dataset, Ids, Images, Reader
from rbench.elsewhere import data_of
from rbench.errors import InputError
from rbench.registry import Component, load, registry
from rbench.signature import Mistake
from rbench.suite.spec import distinct_classes


def load_dataset(name: str, params: Mapping[str, Any] | None = None) -> Dataset:
    """A data set by its registry name; where only its judged samples are at hand, they stand in for it (`rbench.elsewhere`).

    Args:
        name: with the item after a colon for a source.
        params: its parameters, and `classes` if only these are wanted.

    Raises:
        InputError: it is unknown, refuses its parameters, or has none of a class.
        MissingError: it needs a module or file that is not there.
    """
    kept = data_of(name)
    if kept is not None:  # with the classes that were chosen
        return read_slice(Path(kept.folder), name)
    given = dict(params or {})
    classes = given.pop("classes", None)
    dataset = load("dataset", name, given)
    if not isinstance(dataset, Dataset):
        component, remedy = f"dataset {name!r}", "Return one from the function of the entry point."
        found, problem = type(dataset).__name__, f"{component} makes no rbench.datasets.types.Dataset."
        raise InputError(problem, component=component, found=found, remedy=remedy)
    if "source" not in dataset.provenance:  # errors name it
        object.__setattr__(dataset, "provenance", {**dataset.provenance, "source": f"dataset {name!r}"})
    object.__setattr__(dataset, "_read", _blaming(registry("dataset").get(name), dataset.__dict__["_read"]))
    return dataset if classes is None else of_classes(dataset, classes)


def _blaming(component: Component, read: Reader) -> Reader:
    """A reader whose failures are told in one line that names the component, where that is a plug-in's."""
    if component.module.partition(".")[0] == "rbench":
        return read

    def blamed(ids: Ids) -> Images:
        with component.blamed("read images"):
            return read(ids)

    return blamed


def of_classes(dataset: Dataset, classes: Sequence[int]) -> Dataset:
    """The samples of some classes, renumbered from 0 in the order given.

    Ids are those of the whole data set, so a stored row leads back to its image, and an image gets the same noise, which is keyed by the
    id, as in the whole set. Samples of other classes cannot be read; their label is the number of chosen classes, which is no class.

    Args:
        dataset: the whole data set.
        classes: its class numbers, at least two, each once.

    Raises:
        InputError: a number is there twice, has no samples, or there are fewer than two.
    """
    try:
        wanted = distinct_classes(list(classes))
    except Mistake as error:
        raise InputError(error.problem, place="dataset.classes", found=error.found, remedy=error.remedy) from None
    labels = np.full(len(dataset.labels), len(wanted), np.int64)
    for number, old in enumerate(wanted):
        here = dataset.ids[dataset.labels[dataset.ids] == old]
        if not len(here):
            highest = int(dataset.labels[dataset.ids].max())
            problem, remedy = f"no sample of {dataset.source} has label {old}", f"its labels go from 0 to {highest}"
            raise InputError(problem, place="dataset.classes", remedy=remedy)
        labels[here] = number

    def read(ids: Ids) -> Images:
        other = ids[labels[ids] == len(wanted)]
        if len(other):
            raise InputError(f"sample {other[0]} is of none of the chosen classes {wanted}", place=dataset.source)
        return dataset.read(ids)

    names = tuple(dataset.classes[old] for old in wanted) if dataset.classes else ()
    provenance = {**dataset.provenance, "classes": ", ".join(map(str, wanted))}
    chosen = np.flatnonzero(labels < len(wanted))
    return Dataset(labels, read, names, provenance, chosen, len(wanted), notes=dataset.notes, changes=dataset.changes)

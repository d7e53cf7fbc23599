"""The type of every dataset: labels, a reader of images, class names, provenance."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbench.errors import InputError

Labels = NDArray[np.int64]
Ids = NDArray[np.int64]
Images = NDArray[np.float32]
Reader = Callable[[Ids], Images]
WARNED = "the decoder warns: "
"""How a change begins that is a warning of the decoder of pictures."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in a fixed order; the id of a sample is its index in that order, also where only some are chosen.

    Labels are checked here, images whenever they are read, so a wrong dataset stops with one line whichever
    component, ours or a plug-in's, made it.

    Attributes:
        labels: [N] int64 class numbers from 0; any integer array is accepted.
        read: ids to float32 images [B, C, H, W] in [0, 1], all of one shape.
        classes: a name per class number, or nothing where names are not known.
        provenance: the entries of a record about the origin; `source` is the name of the dataset in errors.
        chosen: ids of the samples that belong to it, ascending; all of them if None.
        logits: number of logits that a model must have; None: that of the class names, or any number above every label.
        notes: what was done to the whole of it that a user should know, one line each.
        changes: what was done to a picture when it was read, by id; filled as pictures are read.
    """

    labels: Labels
    read: Reader
    classes: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)
    chosen: Ids | None = None
    logits: int | None = None
    notes: tuple[str, ...] = ()
    changes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", array_of(self.labels, self.source))
        shape = self.labels.shape
        object.__setattr__(self, "labels", check_labels(self.labels, self.source))
        if len(shape) > 1:
            object.__setattr__(self, "notes", (*self.notes, f"labels of shape {shape} were taken as ({shape[0]},)"))
        object.__setattr__(self, "_read", self.read)
        object.__setattr__(self, "read", self._checked)
        if self.classes:
            self._require_labels_below(len(self.classes))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def ids(self) -> Ids:
        """The id of every sample, ascending."""
        return np.arange(len(self.labels)) if self.chosen is None else self.chosen

    @property
    def source(self) -> str:
        """The name of this dataset in errors: a file, a folder or a name."""
        return self.provenance.get("source", "dataset")

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name per class number, or nothing where names are not known."""
        return self.classes

    @property
    def class_count(self) -> int | None:
        """How many classes it has; None where only its labels tell, of which the highest may have no sample."""
        return len(self.classes) or self.logits

    def told(self, ids: Ids) -> tuple[str, ...]:
        """What a user should know of some samples, one line each: what was done to the data set, and to how many of their pictures.

        Args:
            ids: samples that have been read.
        """
        counted = Counter(change for sample in ids.tolist() for change in self.changes.get(sample, ()))
        return (
            *self.notes,
            *(f"{change}: {count} of {len(ids)} pictures" for change, count in sorted(counted.items())),
        )

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W), that of the first image; every other one must have it too."""
        first = self._raw(self.ids[:1])
        check_images(first, self.ids[:1].tolist(), self.source)
        return (int(first.shape[1]), int(first.shape[2]), int(first.shape[3]))

    def require_classes(self, count: int) -> None:
        """Refuses a number of logits that does not fit.

        Args:
            count: logits of a model.

        Raises:
            InputError: it is not `logits` or not the number of class names, or a label is not below it; names the first such sample.
        """
        if self.logits is not None and count != self.logits:
            raise InputError(
                f"{self.logits} classes were chosen and renumbered from 0, but the backbone has {count} logits",
                place=self.source,
                remedy="give it a head for these classes",
            )
        if self.classes and count != len(self.classes):
            shown = ", ".join(map(repr, self.classes[:4])) + (", ..." if len(self.classes) > 4 else "")
            raise InputError(
                f"{len(self.classes)} classes ({shown}), but the backbone has {count} logits",
                place=self.source,
                found=f"{len(self.classes)} classes",
                remedy="is a class missing, or one too many? Labels are places in this list",
            )
        self._require_labels_below(count)

    def _require_labels_below(self, count: int) -> None:
        wrong = self.ids[self.labels[self.ids] >= count]
        if len(wrong):
            label = self.labels[wrong[0]]
            raise InputError(
                f"label {label}, but there are {count} classes",
                place=f"{self.source}: labels: sample {wrong[0]}",
                found=f"label {label}",
                remedy=f"labels go from 0 to {count - 1}",
            )

    def _raw(self, ids: Ids) -> Images:
        images: Images = self.__dict__["_read"](ids)
        return images

    def _checked(self, ids: Sequence[int] | Ids) -> Images:
        wanted = np.asarray(ids, np.int64)
        images = self._raw(wanted)
        check_images(images, wanted.tolist(), self.source)
        if images.shape[1:] != self.shape:
            shape = str(images.shape[1:])
            raise InputError(
                f"shape {shape}, the first sample {self.shape}",
                place=f"{self.source}: images: sample {wanted[0]}",
                found=f"shape {shape}",
                remedy="all images of a dataset must have one shape (size and crop make it so)",
            )
        return images


def array_of(labels: object, source: str) -> NDArray[Any]:
    """The labels as an array, of whatever they are.

    Raises:
        InputError: they have no common shape.
    """
    try:
        return np.asarray(labels)
    except ValueError:
        remedy = "images with several labels have no single class; choose one for each"
        problem = "expected one class number per image, shape (N,)"
        raise InputError(problem, place=f"{source}: labels", found="lists of unequal lengths", remedy=remedy) from None


def check_labels(labels: object, source: str) -> Labels:
    """The labels as int64 [N], or an error that names the first offending sample."""
    values, place = array_of(labels, source), f"{source}: labels"
    if values.dtype == object or not np.issubdtype(values.dtype, np.integer):
        example = f" (the first is {values.ravel().tolist()[0]!r})" if values.size else ""
        if values.size or values.dtype.kind in "OUS":
            shown = f"{values.dtype} values{example}"
            remedy = "store integers from 0 up"
            raise InputError(f"{shown} are no class numbers", place=place, found=shown, remedy=remedy)
    if values.ndim > 1 and values.size == len(values):  # (N, 1), as MedMNIST stores them
        values = values.reshape(-1)
    if values.ndim != 1:
        problem = "expected one class number per image, shape (N,)"
        raise InputError(problem, place=place, found=f"shape {values.shape}", remedy=_flattened(values))
    if not len(values):
        remedy = "an accuracy of nothing is undefined, give at least one image"
        raise InputError("no samples", place=place, remedy=remedy)
    if int(values.max()) > np.iinfo(np.int64).max or (negative := np.flatnonzero(values < 0)).size:
        first = int(negative[0]) if int(values.max()) <= np.iinfo(np.int64).max else int(values.argmax())
        label = f"label {values[first]}"
        problem = f"{label} is no class number"
        raise InputError(problem, place=f"{place}: sample {first}", found=label, remedy="class numbers go from 0 up")
    return values.astype(np.int64)


def _flattened(values: NDArray[np.generic]) -> str:
    """What makes class numbers of labels of another shape: never something that makes them all one class."""
    if values.ndim == 0:
        return "give one for each image"
    if len(values) == 1:
        return "take the first row, labels[0]"
    rows = values.reshape(len(values), -1)
    one_hot = values.ndim == 2 and ((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all()
    if one_hot:
        return "one-hot rows become numbers with argmax(1)"
    return "images with several labels have no single class; choose one for each"


def check_images(images: object, ids: Sequence[int], source: str) -> None:
    """Refuses anything but finite float32 images [B, C, H, W] in [0, 1]; names the first offending sample."""
    if not isinstance(images, np.ndarray) or images.dtype != np.float32 or images.ndim != 4:
        found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError("expected a float32 array [B, C, H, W]", place=f"{source}: images", found=found)
    if len(images) != len(ids) or 0 in images.shape[1:]:
        shape = f"shape {images.shape}"
        raise InputError(f"{shape} for {len(ids)} samples", place=f"{source}: images", found=shape)
    low, high = images.min((1, 2, 3)), images.max((1, 2, 3))
    bad = np.flatnonzero(~((low >= 0) & (high <= 1)))
    if len(bad):
        refuse_range(source, ids[int(bad[0])], float(low[bad[0]]), float(high[bad[0]]))


def refuse_range(source: str, sample: int, low: float, high: float) -> None:
    """The error for pixels outside [0, 1], with the likely cause and its cure."""
    place = f"{source}: images: sample {sample}"
    if not np.isfinite([low, high]).all():
        raise InputError("NaN or infinite pixels", place=place, remedy="repair or leave out the sample")
    if low < 0:
        cure = "undo the normalisation (x * std + mean); backbones normalise inside"
    elif high > 2:
        cure = "divide by 255, or store them as uint8"
    else:
        cure = "scale or clip them into it"
    found = f"values from {low:g} to {high:g}"
    raise InputError("pixels must be in [0, 1]", place=place, found=found, remedy=cure)

"""The conformance check of a data set: labelled images in a fixed order, the same whenever and however they are read."""

import time
from functools import partial

import numpy as np

from rbench.datasets.types import Dataset, Images
from rbench.testing.pictures import spread
from rbench.testing.subject import Subject, written
from rbench.testing.verdict import Verdict, fails, judged, skipped, tried

_LATER = ("read twice", "order", "one by one", "different", "cost")
_READ = "Let `read` give float32 images [B, C, H, W] in [0, 1] for any ids, in their order."
_FIXED = "Let `read` give the same images for the same ids: no shuffling, no augmentation, no array that is handed out twice."


def examine(subject: Subject) -> tuple[str, list[Verdict]]:
    """Which samples the data set was asked about, and a verdict on each property."""
    data = subject.made
    if not isinstance(data, Dataset):
        found = f"it is a {type(data).__name__}"
        return "nothing", [Verdict("type", "fails", found, "Return an rbench.datasets.types.Dataset.")]
    ids = data.ids[spread(subject.images, len(data))]
    verdicts = [
        tried("ids", "Leave `chosen` out, or give ascending ids.", partial(_ids, data)),
        tried("labels", "Give one class number for each image, from 0.", partial(_labels, data)),
        tried("classes", "Give a name for each class, in the order of the labels.", partial(_classes, data)),
        tried("images", _READ, partial(_images, data, ids)),
    ]
    shown = f"{len(ids)} of its {len(data)} samples"
    if fails(verdicts):
        return shown, [*verdicts, *skipped(_LATER, "what fails above comes first")]
    return shown, [
        *verdicts,
        tried("read twice", _FIXED, partial(_twice, data, ids)),
        tried("order", _FIXED, partial(_order, data, ids)),
        tried("one by one", _READ, partial(_single, data, ids)),
        _different(data, ids),
        _source(data),
        _cost(data, ids),
    ]


def _read(data: Dataset, ids: np.ndarray) -> Images:
    return np.array(data.read(ids))  # a copy, whatever becomes of what was handed out


def _ids(data: Dataset) -> Verdict:
    rising = bool((np.diff(data.ids) > 0).all())
    inside = int(data.ids.min()) >= 0 and int(data.ids.max()) < len(data.labels)
    found = f"{len(data)} samples, ids from {data.ids.min()} to {data.ids.max()}"
    if not (rising and inside):
        found = f"ids {'are not ascending' if not rising else 'lie beyond the labels'}"
    return judged("ids", found, "Give ascending ids of samples that have a label.", holds=rising and inside)


def _labels(data: Dataset) -> Verdict:
    labels = data.labels[data.ids]
    return Verdict("labels", "holds", f"class numbers from {labels.min()} to {labels.max()}")


def _classes(data: Dataset) -> Verdict:
    labels = data.labels[data.ids]
    counts = np.bincount(labels, minlength=data.class_count or 0)
    empty = int((counts == 0).sum())
    named = f"{len(data.classes)} names" if data.classes else "no names"
    found = f"{named}; {len(counts)} classes of {_range(counts)} samples"
    if empty:
        cure = "Are labels shifted, or is a class missing? Accuracy over such a set is that of the other classes."
        return Verdict("classes", "note", f"{found}; {empty} have no sample", cure)
    return Verdict("classes", "holds", found)


def _images(data: Dataset, ids: np.ndarray) -> Verdict:
    images = _read(data, ids)  # `Dataset` refuses another type, shape or range
    low, high = float(images.min()), float(images.max())
    found = f"float32 {written(images.shape)}, pixels from {low:.3g} to {high:.3g}"
    if high <= 2 / 255:
        cure = "Were bytes divided by 255 twice?"
        return Verdict("images", "fails", f"{found}: almost black", cure)
    return Verdict("images", "holds", found)


def _twice(data: Dataset, ids: np.ndarray) -> Verdict:
    first, handed = _read(data, ids), np.asarray(data.read(ids))
    if handed.flags.writeable:
        handed[...] = 0  # as code that normalises in place would
    same = np.array_equal(first, _read(data, ids))
    found = "the same images, also after those handed out were written to" if same else "other images the second time"
    return judged("read twice", found, _FIXED, holds=same)


def _order(data: Dataset, ids: np.ndarray) -> Verdict:
    whole, back = _read(data, ids), _read(data, ids[::-1].copy())[::-1]
    repeated = _read(data, np.repeat(ids[:1], 2))
    same = np.array_equal(whole, back) and np.array_equal(repeated, np.repeat(whole[:1], 2, axis=0))
    found = "images come in the order of the ids" if same else "images do not come in the order of the ids"
    return judged("order", f"{found}, backwards and with one id twice", _READ, holds=same)


def _single(data: Dataset, ids: np.ndarray) -> Verdict:
    whole = _read(data, ids)
    apart = np.concatenate([_read(data, ids[place : place + 1]) for place in range(len(ids))])
    same = np.array_equal(whole, apart)
    found = "the same as together" if same else "other images than together"
    return judged("one by one", found, _READ, holds=same)


def _different(data: Dataset, ids: np.ndarray) -> Verdict:
    images = _read(data, ids)
    count = len({image.tobytes() for image in images})
    if count == len(ids):
        return Verdict("different", "holds", f"{count} different images")
    found = f"{count} different images among {len(ids)}"
    if count == 1 and len(ids) > 1:
        return Verdict("different", "fails", found, "Let `read` look at the ids.")
    return Verdict("different", "note", f"{found}; repeated ones are counted once in a run")


def _source(data: Dataset) -> Verdict:
    source = data.provenance.get("source")
    if source and not source.startswith("dataset '"):
        return Verdict("source", "holds", f"`{source}` is what errors and records call it")
    cure = "Give `provenance={'source': ...}`: the file or the name that it was read from."
    return Verdict("source", "note", "records cannot say where it came from", cure)


def _cost(data: Dataset, ids: np.ndarray) -> Verdict:
    start = time.perf_counter()
    images = data.read(ids)
    each = 1e3 * (time.perf_counter() - start) / len(ids)
    return Verdict("cost", "measured", f"{each:.3g} ms and {images[0].nbytes:,} bytes an image")


def _range(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"

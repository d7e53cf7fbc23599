"""The judged samples of a data set apart from the rest: its labels, and the images of some ids, bit for bit."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbench.datasets.mapped import mapped_array
from rbench.datasets.types import Dataset, Ids, Images
from rbench.errors import InputError
from rbench.results.untrusted import parse_json, read_text

_MOST = 2**26
_BATCH = 256
_LEVELS = np.float32(255)


def kept_slice(dataset: Dataset, ids: Ids) -> dict[str, bytes]:
    """Some samples of a data set as files, from which `read_slice` makes a data set of the same ids.

    Args:
        dataset: the whole of it.
        ids: int64, of the samples whose images are kept.

    Returns:
        The content of each file by its name: labels of all samples, ids and images of the kept ones, and what else is known.
    """
    kept = np.unique(np.concatenate([dataset.ids[:1], ids])).astype(np.int64)  # of the first one the shape is taken
    parts = [dataset.read(kept[start : start + _BATCH]) for start in range(0, len(kept), _BATCH)]
    images = np.concatenate(parts).astype(np.float32)
    levels = np.rint(images * _LEVELS).astype(np.uint8)
    exact = np.array_equal(levels.astype(np.float32) / _LEVELS, images)
    about = {
        "classes": list(dataset.classes),
        "logits": dataset.logits,
        "notes": list(dataset.notes),
        "changes": {str(one): list(dataset.changes[one]) for one in kept.tolist() if dataset.changes.get(one)},
    }
    files = {
        "labels.npy": _saved(dataset.labels),
        "ids.npy": _saved(kept),
        "images.npy": _saved(levels if exact else images),
        "about.json": (json.dumps(about, sort_keys=True, indent=1) + "\n").encode(),
    }
    return files if dataset.chosen is None else {**files, "chosen.npy": _saved(dataset.chosen)}


def _saved(array: NDArray[Any]) -> bytes:
    made = io.BytesIO()
    np.save(made, np.ascontiguousarray(array), allow_pickle=False)
    return made.getvalue()


def read_slice(folder: Path, name: str) -> Dataset:
    """A data set that has the images of some samples and the labels of all.

    Args:
        folder: with the files of `kept_slice`.
        name: of the data set, for errors.

    Raises:
        InputError: a file is missing or broken, or another sample is asked for.
    """
    labels, kept = _integers(folder / "labels.npy"), _integers(folder / "ids.npy")
    chosen = _integers(folder / "chosen.npy") if (folder / "chosen.npy").is_file() else None
    images = mapped_array(folder / "images.npy", "images")
    if images.dtype not in (np.uint8, np.float32) or images.ndim != 4 or len(images) != len(kept):
        found = f"{images.dtype} {images.shape} for {len(kept)} ids"
        raise InputError("expected uint8 or float32 [N, C, H, W]", place=folder / "images.npy", found=found)
    for ids, what in ((kept, "ids"), (chosen, "chosen")):
        if ids is not None and len(ids) and (ids.min() < 0 or ids.max() >= len(labels) or (np.diff(ids) <= 0).any()):
            raise InputError("expected places of labels, ascending", place=folder / f"{what}.npy")
    about = _about(folder / "about.json")

    def read(ids: Ids) -> Images:
        places = np.searchsorted(kept, ids)
        lacking = ids[kept[np.minimum(places, len(kept) - 1)] != ids] if len(kept) else ids
        if len(lacking):
            remedy = "--files DIR says where the whole data set is"
            raise InputError(f"sample {lacking[0]} was not kept", place=f"dataset {name!r}", remedy=remedy)
        found = images[places]
        return found.astype(np.float32) / _LEVELS if found.dtype == np.uint8 else found.astype(np.float32)

    return Dataset(
        labels,
        read,
        classes=tuple(about["classes"]),
        provenance={"source": f"dataset {name!r}"},
        chosen=chosen,
        logits=about["logits"],
        notes=tuple(about["notes"]),
        changes={int(one): tuple(lines) for one, lines in about["changes"].items()},
    )


def _integers(path: Path) -> NDArray[np.int64]:
    array = mapped_array(path, path.stem)
    if array.dtype != np.int64 or array.ndim != 1:
        raise InputError("expected int64 [N]", place=path, found=f"{array.dtype} {array.shape}")
    return np.array(array, np.int64)


def _about(path: Path) -> dict[str, Any]:
    content = parse_json(read_text(path, _MOST), path)
    known = isinstance(content, dict) and content.keys() == {"classes", "logits", "notes", "changes"}
    if known:
        lists = [content["classes"], content["notes"]]
        maps = content["changes"] if isinstance(content["changes"], dict) else {"": [0]}
        lists += maps.values()
        texts = all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists)
        logits = content["logits"]
        if texts and (logits is None or type(logits) is int) and all(one.isdecimal() for one in maps):
            return dict(content)
    raise InputError("expected classes, logits, notes and changes of a data set", place=path)

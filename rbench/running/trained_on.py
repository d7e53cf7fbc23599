"""What the card of `rbench fit` beside weights tells of the images that they were trained on, held against those of a cell."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from rbench.bundled_files import weights_file
from rbench.datasets.types import Dataset
from rbench.errors import InputError
from rbench.harmless import without_paths
from rbench.results.untrusted import parse_json, read_text
from rbench.running.components import Components, order
from rbench.suite.cell import Cell, Part, Slice

_MOST = 2**26
"""Bytes of a card."""
_SHAPE = ("size", "crop", "channels", "layout")
"""Parameters of data sets that leave the ids of samples as they are."""


def data_told(cell: Cell, components: Components) -> tuple[str, ...]:
    """What a user should know of the data of a cell, one line each; its samples have been read.

    Args:
        cell: the cell.
        components: that have read them.
    """
    ids = components.chosen(cell.dataset, cell.slice)
    dataset = components.dataset(cell.dataset)
    parts = {"purifier": cell.purifier, "backbone": cell.backbone}
    trained = (
        f"{len(seen)} of {len(ids)} images are among those that {kind} '{part.label}' was trained on, its card says"
        for kind, part in parts.items()
        if len(seen := _seen(part, cell.dataset, dataset, ids))
    )
    return tuple(map(without_paths, (*components.told(cell.dataset, cell.slice), *trained)))


def _seen(part: Part, data: Part, dataset: Dataset, ids: np.ndarray) -> np.ndarray:
    """The samples that weights of a component were trained on, those held out among them."""
    for card in _cards(part):
        spec, files = card["recipe"]["dataset"], card["files"]
        same = bool(data.files) and set(data.files.values()) <= set(files.values())
        if same and spec.get("name") == data.name and _same_ids(spec, data):
            samples, shuffle, even = spec.get("samples"), spec.get("shuffle", 0), spec.get("balanced", False)
            known = isinstance(samples, int | None) and isinstance(shuffle, int) and isinstance(even, bool)
            if known and (samples is None or samples <= len(dataset)):
                with suppress(InputError):  # its data were others: a class has fewer samples
                    return np.intersect1d(
                        ids, order(dataset, Slice(samples, False if shuffle is False else shuffle, even))
                    )
    return ids[:0]


def _same_ids(spec: Mapping[str, Any], data: Part) -> bool:
    own = {"name", "samples", "shuffle", "balanced", "as", "label", "sha256", *_SHAPE}
    theirs = {key: value for key, value in spec.items() if key not in own and value is not None}
    return theirs == {key: value for key, value in data.params.items() if key not in own and value is not None}


def _cards(part: Part) -> Iterator[dict[str, Any]]:
    """The cards beside the files that a component's parameters name, each of the very file that is there."""
    for value in part.given_params.values():
        if not isinstance(value, str) or not value:
            continue
        try:
            path = weights_file(value)
            beside = path.with_suffix(".json")
            card = parse_json(read_text(beside, _MOST), beside) if beside.is_file() else None
        except (InputError, OSError, ValueError):  # no card that anybody can read
            continue
        if isinstance(card, dict) and _is_card(card) and card["weights"].get("sha256") in part.files.values():
            yield card


def _is_card(card: dict[str, Any]) -> bool:
    if not all(isinstance(card.get(part), dict) for part in ("weights", "recipe", "files")):
        return False
    spec = card["recipe"].get("dataset")
    return isinstance(spec, dict) and all(isinstance(value, str) for value in card["files"].values())

"""Which data set a suite's is, by its name: nobody has a hash of what others measured on."""

import re
from collections.abc import Mapping
from typing import Any

KNOWN = ("cifar10", "cifar100", "imagenet")
"""Data sets that figures are published for."""
_NO_LETTER = re.compile(r"[^a-z0-9]")
_HELD_OUT = ("test", "val", "validation")


def data_set(name: str, label: str, params: Mapping[str, Any]) -> str | None:
    """The held-out part of a data set that figures are published for; None for any other.

    Args:
        name: registry name, e.g. `torchvision:CIFAR10` or `parquet`.
        label: what tables call it; whoever calls a file `cifar10` says that it is.
        params: its parameters: of another split or of some of the classes it is another.
    """
    split = params.get("split")
    if params.get("classes") or not (split is None or str(split) in _HELD_OUT):
        return None
    plain = {_plain(label), _plain(name.partition(":")[2])}
    return next((known for known in KNOWN if plain & {known, *(known + part for part in _HELD_OUT)}), None)


def _plain(name: str) -> str:
    return _NO_LETTER.sub("", name.casefold())

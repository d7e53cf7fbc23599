"""How a name that is unknown, and looks like code or a file of the user's own, is written."""

from pathlib import PurePath

from rbench.first_look import SUFFIXES
from rbench.own_code import PREFIX
from rbench.registry.own import OWN_KINDS, written

DATA = (".npz", ".npy", ".parquet")
"""Endings of files of data, each the name of the data set that reads it."""


def as_own_code(kind: str, name: str) -> str | None:
    """What to write in place of a name; None if it looks like no code.

    Args:
        kind: of the component.
        name: as the suite has it: `my_unet.py`, `my_unet.py:SmallUNet`, `my_pkg.nets:SmallUNet` or `SmallUNet`.
    """
    if kind not in OWN_KINDS:
        return None
    place, _, attribute = name.rpartition(":")
    if name.endswith(".py"):
        return f"Code of your own has another name. {written(name)}"
    if attribute.isidentifier() and (place.endswith(".py") or _is_dotted(place)):
        return f"Code of your own has another name. Write {PREFIX}:{name}."
    if not place and name.isidentifier() and name[0].isupper() and not name.isupper():
        return f"A class of your own is written {PREFIX}:FILE.py:{name}."
    return None


def as_own_file(kind: str, name: str) -> str | None:
    """What to write in place of the name of a file; None if it looks like none.

    Args:
        kind: of the component.
        name: as the suite has it.
    """
    suffix = PurePath(name).suffix.lower()
    if kind == "backbone" and suffix in SUFFIXES:
        return f"Weights of your own are written {{name: file:{name}, architecture: NETWORK}}."
    if kind == "dataset" and suffix in DATA:
        return f"Data of your own are written {suffix[1:]}:{name}."
    return None


def _is_dotted(place: str) -> bool:
    return "." in place and all(part.isidentifier() for part in place.split("."))

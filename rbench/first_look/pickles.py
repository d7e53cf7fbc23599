"""What a pickle would run, read from its operations without running one."""

import io
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rbench.errors import InputError

LEGACY_PICKLES = 5
"""In a file of `torch.save` that is no archive: magic number, protocol, byte order, the content, the keys of its storages."""
OPERATIONS_CAP = 500_000
"""Most operations of a pickle that names tensors; a thousand of them take 40,000."""
_TENSORS = re.compile(
    r"collections OrderedDict|collections Counter|torch (Size|device)|torch\.serialization _get_layout"
    r"|torch\.nn\.parameter Parameter|torch\._tensor _rebuild_from_type_v2"
    r"|torch\._utils _rebuild_(parameter|parameter_with_state|tensor|tensor_v2|tensor_v3)"
    r"|torch(\.storage|\.cuda)? [A-Z]\w*Storage"
    r"|torch (b?float|u?int|complex)\d+|torch (bool|half|double|float|long|int|short)"
)
_KINDS = (
    (re.compile(r"torch\._utils _rebuild_sparse\w*"), "sparse tensors", "save them dense: tensor.to_dense()"),
    (
        re.compile(r"torch\._utils _rebuild_qtensor|torch (\w+ )?Q\w+Storage|torch per_\w+|torch q\w+"),
        "quantised tensors",
        "save the model before it is quantised",
    ),
    (re.compile(r"torch\._utils _rebuild_meta\w*"), "meta tensors, which have no values", "save the loaded model"),
    (re.compile(r"torch\._utils _rebuild_nested\w*"), "nested tensors", "save them one by one"),
    (
        re.compile(r"torch (float8|float4)\w*"),
        "float8 tensors",
        "save the model in float32, float16 or bfloat16",
    ),
    (
        re.compile(r"torch\._utils _rebuild_(wrapper_subclass|device\w*)"),
        "tensors of another device or class",
        "save plain tensors of the CPU",
    ),
)
"""What torch would read and rbench does not take: the globals that ask for it, its name, and what to do."""


def require_tensors(path: Path, start: bytes, pickles: int) -> None:
    """Refuses a file whose pickles ask for more than plain tensors.

    Args:
        path: the file, for the message.
        start: the bytes of its pickles; more may follow.
        pickles: how many there are.

    Raises:
        InputError: says what they ask for, or that they are damaged.
    """
    try:
        refused = refused_in(io.BytesIO(start), pickles)
    except Exception as error:  # a broken pickle: ValueError, OverflowError, UnicodeDecodeError, ...
        problem = "not a checkpoint: its pickle is truncated or damaged"
        raise InputError(problem, place=path, remedy="download it again") from error
    if refused:
        raise InputError(f"refused, {refused[0]}", place=path, remedy=refused[1])


def refused_in(data: IO[bytes], pickles: int) -> tuple[str, str] | None:
    """What the pickles at the start of a file ask for that is no plain tensor, and what to do; None if there is nothing.

    Args:
        data: at the first pickle.
        pickles: how many follow each other.

    Raises:
        ValueError: it is no pickle, or has too many operations.
    """
    found = [name for _ in range(pickles) for name in _globals(data) if not _TENSORS.fullmatch(name)]
    for name in found:
        for pattern, kind, remedy in _KINDS:
            if pattern.fullmatch(name):
                return f"holds {kind}", remedy
    if not found:
        return None
    shown = re.sub(r"[^\w.]", "?", found[0].replace(" ", "."))[:80]
    return f"asks to run or make '{shown}'; nothing was executed", "save its state_dict() as safetensors"


def _globals(data: IO[bytes]) -> Iterator[str]:
    """`module name` of everything that a pickle imports."""
    strings = ["?", "?"]
    for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
        if count > OPERATIONS_CAP:
            raise ValueError("too many operations")
        if operation.name in ("GLOBAL", "INST"):
            yield str(argument)
        elif (
            operation.name == "STACK_GLOBAL"
        ):  # as torch.save writes none; its names were pushed before, or lie in the memo
            yield " ".join(strings)
        elif operation.name.startswith("EXT"):
            yield f"copyreg extension{argument}"
        elif isinstance(argument, str):
            strings = [strings[1], argument]

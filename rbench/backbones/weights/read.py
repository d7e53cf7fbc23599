"""The tensors of a weights file, by name, and what its header says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.backbones.weights.entries import State, state_of
from rbench.backbones.weights.pickled import read_pickled
from rbench.backbones.weights.plain import require_finite, require_plain
from rbench.errors import InputError
from rbench.first_look import look

if TYPE_CHECKING:
    from torch import Tensor

SHARED = 4
"""How many times as large as their file the tensors may be; two layers with one weight are two tensors."""


def read(path: Path, names: Sequence[str] | None = None, entry: str | None = None) -> "dict[str, Tensor]":
    """The tensors of a weights file by name; plain ones, floating ones finite.

    Args:
        path: the file.
        names: those of the network that it is for: containers and prefixes around them are left out; any if None.
        entry: the container or prefix, where several would do; `.` for none.

    Raises:
        InputError: it is not a weights file, would execute code, holds several state dicts, or values that are no plain numbers.
        MissingError: this torch cannot read a .pt file safely.
    """
    return read_state(path, names, entry).tensors


def read_state(
    path: Path, names: Sequence[str] | None = None, entry: str | None = None, renamed: Callable[[str], str] = str
) -> State:
    """As `read`, with the versions of the modules' formats.

    Args:
        path: the file.
        names: as `read`.
        entry: as `read`.
        renamed: what today's network calls a tensor of the file.
    """
    content = _read_safetensors(path) if look(path) == "safetensors" else read_pickled(path)
    state = state_of(content, path, names, entry, renamed)
    for name, tensor in state.tensors.items():
        require_plain(name, tensor, path)
    size = path.stat().st_size
    if sum(tensor.numel() * tensor.dtype.itemsize for tensor in state.tensors.values()) > SHARED * size:
        problem = f"its tensors share their values: they are more than {SHARED} times as large as the file"
        raise InputError(problem, place=path, remedy="save each tensor whole: tensor.clone()")
    for name, tensor in state.tensors.items():
        require_finite(name, tensor, path)
    return state


def header(path: Path) -> dict[str, str]:
    """The metadata in the header of a safetensors file; empty for other weights files.

    Raises:
        InputError: it is no weights file.
    """
    if look(path) != "safetensors":
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise _broken(path, error) from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path, device="cpu"))
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError, AttributeError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> InputError:
    cause = "".join(one if one.isprintable() else "?" for one in " ".join(str(error).split())[:120])
    return InputError(f"not a checkpoint ({cause or type(error).__name__})", place=path, remedy="download it again")

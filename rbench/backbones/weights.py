"""Weights files: read without executing anything, checked, and loaded strictly.

A `.pt` file is a pickle, that is a program. It is only ever read with `weights_only=True`, without exception.
safetensors is the format to prefer.
"""

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.backbones.architectures import build
from rbench.errors import InputError, MissingError

if TYPE_CHECKING:
    from torch import Tensor, nn

HEADER_CAP = 4 * 2**20
"""Most bytes of a safetensors header; that of a model with a thousand tensors has a fortieth of it."""
SAFE_TORCH = (2, 10)
"""Before it, a `.pt` file could be made to execute code or corrupt memory although it is read with `weights_only=True`
(CVE-2026-24747; before 2.6 also CVE-2025-32434)."""
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)*(a|b|rc|\.dev)?")


def load(path: Path, architecture: str, classes: int | None = None) -> "nn.Module":
    """The network with the weights of a file, frozen and in eval mode.

    Args:
        path: a .safetensors file, or a .pt file of tensors.
        architecture: a name that `architectures.build` knows.
        classes: number of logits; read from the file if not given.
    """
    state = read(path)
    if classes is None:
        classes = _classes(build(architecture), state)
    network = build(architecture, classes)
    _require_match(network.state_dict(), state, path, architecture)
    network.load_state_dict(dict(state))
    return network.eval().requires_grad_(requires_grad=False)


def read(path: Path) -> "dict[str, Tensor]":
    """The tensors of a weights file by name; floating ones are finite.

    Raises:
        InputError: it is not a weights file, or would execute code, or holds NaN or infinite values.
        MissingError: this torch cannot read a .pt file safely.
    """
    start = _start(path)
    state = _read_safetensors(path, start) if path.suffix == ".safetensors" else _read_pt(path, start)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            problem, remedy = f"{name} has NaN or infinite values", "train or download the weights again"
            raise InputError(problem, place=path, remedy=remedy)
    return state


def header(path: Path) -> dict[str, str]:
    """The metadata in the header of a safetensors file that `read` has accepted; empty for other files."""
    if path.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata() or {})


def _start(path: Path) -> bytes:
    """The first 512 bytes; refuses a file that cannot be a checkpoint."""
    if not path.is_file():
        problem = "a folder" if path.is_dir() else "no such file"
        raise InputError(problem, place=path, remedy="give a .safetensors or .pt file")
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise InputError("not a checkpoint", place=path, found="0 bytes", remedy="download it again")
    if start.lstrip()[:1] == b"<" and b"\0" not in start:  # a safetensors header of 60 bytes starts with < and zeros
        remedy = "the address it came from answered with a web page"
        raise InputError("not a checkpoint", place=path, found="HTML", remedy=remedy)
    return start


def _read_safetensors(path: Path, start: bytes) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header, size = int.from_bytes(start[:8], "little"), path.stat().st_size
    if header > size - 8 or size < 8:
        problem = "not a checkpoint: truncated, or not safetensors"
        raise InputError(problem, place=path, found=f"{size} bytes", remedy="download it again")
    if header > HEADER_CAP:
        long = f"a safetensors header of {header} bytes"
        raise InputError(f"{long}; the limit is {HEADER_CAP}", place=path, found=long, remedy="download it again")
    try:
        return dict(load_file(path, device="cpu"))
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        problem = f"not a checkpoint ({_one_line(error)})"
        raise InputError(problem, place=path, remedy="download it again") from error


def require_safe_torch(path: Path) -> None:
    """Refuses to read a pickle with a torch that could be made to execute it.

    Args:
        path: the file, for the message.

    Raises:
        MissingError: torch is older than `SAFE_TORCH`, or a preview of it, which need not have its repairs.
    """
    import torch

    version, floor = str(torch.__version__), ".".join(map(str, SAFE_TORCH))
    match = _VERSION.match(version)
    numbers = (int(match[1]), int(match[2])) if match else (0, 0)
    if numbers < SAFE_TORCH or (numbers == SAFE_TORCH and match and match[3]):
        raise MissingError(
            f"CVE-2026-24747: a pickle may execute code in torch before {floor}",
            component="torch",
            place=path,
            found=f"torch {version}",
            remedy=f"pip install 'torch>={floor}', or convert the file to safetensors, which any torch reads safely",
        )


def _read_pt(path: Path, start: bytes) -> "dict[str, Tensor]":
    import pickle

    import torch

    require_safe_torch(path)
    _require_sane_zip(path, start)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"refused, holds more than tensors ({_one_line(error)}); nothing was executed.",
            place=path,
            remedy="Save its state_dict() as safetensors",
        ) from error
    except Exception as error:  # torch raises OSError, EOFError, RuntimeError, KeyError, ... on broken bytes
        problem = f"not a checkpoint ({_one_line(error)})"
        raise InputError(problem, place=path, remedy="download it again") from error
    return _tensors(content, path)


def _require_sane_zip(path: Path, start: bytes) -> None:
    """Refuses a zip with compressed entries, which torch does not write and which may be a bomb."""
    if start[:2] != b"PK":
        return
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError("not a checkpoint", place=path, found="truncated zip", remedy="download it again") from error
    if total > path.stat().st_size:
        bomb = f"a compressed zip that grows to {total} bytes"
        raise InputError(f"{bomb}; no checkpoint of torch is one", place=path, found=bomb)


def _tensors(content: object, path: Path) -> "dict[str, Tensor]":
    """The state dict that a checkpoint is or holds as `state_dict`; without the `module.` of DataParallel."""
    from torch import Tensor

    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        kind = type(content).__name__
        raise InputError("expected tensors by name (a state_dict)", place=path, found=kind)
    state: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(value, Tensor):
            kind, remedy = type(value).__name__, "save the state_dict() alone"
            raise InputError("expected a tensor", place=f"{path}: entry {name!r}", found=kind, remedy=remedy)
        state[str(name).removeprefix("module.")] = value.detach()
    return state


def _classes(network: "nn.Module", state: Mapping[str, "Tensor"]) -> int | None:
    """The number of classes: the length, in the file, of the architecture's last tensor, which is its last bias (or weight)."""
    last = next(reversed(network.state_dict()))
    return int(state[last].shape[0]) if last in state and state[last].dim() else None


def _require_match(
    expected: Mapping[str, "Tensor"], state: Mapping[str, "Tensor"], path: Path, architecture: str
) -> None:
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "wrong shape": reshaped}
    faults = [f"{kind}: {_first_five(names)}" for kind, names in kinds.items() if names]
    if faults:
        raise InputError(f"does not fit architecture '{architecture}'; {'; '.join(faults)}", place=path)


def _first_five(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__

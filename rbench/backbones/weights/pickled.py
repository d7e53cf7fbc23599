"""Pickles of `torch.save`, read as tensors alone."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

from rbench.errors import InputError, MissingError
from rbench.first_look import look, require_plain

SAFE_TORCH = (2, 10)
"""Before it, a `.pt` file could be made to execute code or corrupt memory although it is read with `weights_only=True`
(CVE-2026-24747; before 2.6 also CVE-2025-32434)."""
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)*(a|b|rc|\.dev)?")
_AGAIN = "download it again"


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


def read_pickled(path: Path) -> Any:
    """What a file of `torch.save` holds: tensors, numbers and text in maps and lists.

    Nothing that torch says of a file is repeated: its advice is to read it in a way that executes code.

    Raises:
        InputError: it is no such file, is damaged, or asks for more than that.
        MissingError: this torch cannot read it safely.
    """
    import torch

    require_safe_torch(path)
    form = look(path)
    if form == "safetensors":
        raise InputError("not a file of torch.save", place=path, found=form)
    require_plain(path, form)
    try:
        with warnings.catch_warnings():  # of kinds of tensors that are refused, or of other versions
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        problem = "refused, holds more than tensors; nothing was executed."
        raise InputError(problem, place=path, remedy="Save its state_dict() as safetensors") from error
    except MemoryError as error:
        raise InputError("not a checkpoint: it asks for more memory than there is", place=path) from error
    except Exception as error:  # torch raises OSError, EOFError, RuntimeError, KeyError, ... on broken bytes
        raise InputError(
            f"not a checkpoint: truncated or damaged ({type(error).__name__})", place=path, remedy=_AGAIN
        ) from error

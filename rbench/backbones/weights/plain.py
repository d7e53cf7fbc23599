"""Which tensors a network is filled with: dense, of the CPU, with all their values, floating where the network's are."""

from pathlib import Path
from typing import TYPE_CHECKING

from rbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_AGAIN = "train or download the weights again"


def require_plain(name: str, tensor: "Tensor", path: Path) -> None:
    """Refuses a tensor that is not what it seems, without looking at a value.

    Args:
        name: of the tensor, for the message.
        tensor: as the file has it.
        path: of the file, for the message.

    Raises:
        InputError: it is sparse, quantised, meta, complex, float8, of a class of its own, or larger than its values in the file.
    """
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.")
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer):
        found, remedy = type(tensor).__name__, "save plain tensors"
    elif tensor.layout != torch.strided:
        found, remedy = "sparse", "save it dense: tensor.to_dense()"
    elif tensor.is_quantized:
        found, remedy = f"quantised ({dtype})", "save the model before it is quantised"
    elif tensor.is_meta:
        found, remedy = "meta, without values", "save the loaded model"
    elif tensor.is_complex():
        found, remedy = f"complex ({dtype})", "save real weights"
    elif tensor.is_floating_point() and tensor.dtype.itemsize < 2:
        found, remedy = dtype, "save the model in float32, float16 or bfloat16"
    elif tensor.untyped_storage().nbytes() < tensor.numel() * tensor.dtype.itemsize:
        found, remedy = f"expanded to {tensor.numel()} values", "save it whole: tensor.clone()"
    else:
        return
    problem = f"expected plain tensors, but {name} is {found}"
    raise InputError(problem, place=path, remedy=remedy)


def require_finite(name: str, tensor: "Tensor", path: Path) -> None:
    """Refuses NaN and infinite values.

    Args:
        name: of the tensor, for the message.
        tensor: a plain one.
        path: of the file, for the message.

    Raises:
        InputError: it has one.
    """
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise InputError(f"{name} has NaN or infinite values", place=path, remedy=_AGAIN)


def require_number_type(name: str, tensor: "Tensor", expected: "Tensor", path: Path) -> None:
    """Refuses whole numbers where the network has floating ones, the reverse, and values that its numbers cannot hold.

    Args:
        name: of the tensor, for the message.
        tensor: a plain, finite one of the file.
        expected: that of the network.
        path: of the file, for the message.

    Raises:
        InputError: it would not become the same numbers.
    """
    if tensor.is_floating_point() != expected.is_floating_point():
        found, wanted = (str(one.dtype).removeprefix("torch.") for one in (tensor, expected))
        problem = f"{name} holds {found} where the network has {wanted}"
        raise InputError(problem, place=path, found=found, remedy="save the model before it is quantised")
    if tensor.is_floating_point() and tensor.dtype.itemsize > expected.dtype.itemsize:
        require_finite(name, tensor.to(expected.dtype), path)

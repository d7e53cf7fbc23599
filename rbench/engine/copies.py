"""A copy of a model that shares nothing with it, so that whoever is given the copy cannot touch the model."""

import copy
import types
from functools import partial

from torch import Tensor, nn

from rbench.engine.inventory import reached

_SHARED = (str, bytes, int, float, complex, bool, type(None), type, types.ModuleType, types.BuiltinFunctionType)
"""What a function may hold without becoming another one in a copy."""


def own_copy(module: nn.Module) -> nn.Module | None:
    """A deep copy; None where there is none that shares no module, tensor or function with a memory.

    A hook that holds the module it was made for would, in a copy, still work on the original.
    """
    parts = reached(module)
    if any(_remembers(value) for part in parts for value in _functions(part)):
        return None
    try:
        made = copy.deepcopy(module)
    except Exception:  # a lock, a file, a tensor with a graph: whatever it is, it cannot be copied
        return None
    copied = reached(made)
    if {id(part) for part in parts} & {id(part) for part in copied} or _storages(parts) & _storages(copied):
        return None
    return made


def _functions(part: nn.Module) -> list[object]:
    own = vars(part)
    hooks = [
        hook
        for name, held in own.items()
        if name.endswith("hooks") and isinstance(held, dict)
        for hook in held.values()
    ]
    return [*hooks, *own.values()]


def _remembers(value: object) -> bool:
    """Whether a function holds something that `copy.deepcopy`, which takes functions as they are, would leave to the original."""
    if isinstance(value, partial):
        return any(map(_holds, (*value.args, *value.keywords.values()))) or _remembers(value.func)
    if not isinstance(value, types.FunctionType):
        return False
    cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
    return any(map(_holds, (*cells, *(value.__defaults__ or ()))))


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _holds(value: object) -> bool:
    return not isinstance(value, _SHARED) and (not isinstance(value, types.FunctionType) or _remembers(value))


def _storages(parts: list[nn.Module]) -> set[int]:
    tensors = [t for part in parts for t in (*part._parameters.values(), *part._buffers.values(), *vars(part).values())]
    return {t.untyped_storage().data_ptr() for t in tensors if isinstance(t, Tensor) and not t.is_meta} - {0}

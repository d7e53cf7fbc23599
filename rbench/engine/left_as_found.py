"""Modules that belong to a caller: lent for judging, and given back as they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rbench.engine.inventory import reached


@contextmanager
def left_as_found(*modules: nn.Module | None) -> Iterator[None]:
    """A block that may freeze, move and hook modules; afterwards they are as they were before it.

    Put back are modes, hooks, attributes and parts of every module that is reached, `requires_grad`, gradients and device of every
    parameter, and the numbers of every buffer. The numbers of parameters are nobody's to change: whoever changes them is refused.

    Args:
        modules: those of the caller; None for one that there is not.
    """
    parts = {id(part): part for module in modules if module is not None for part in reached(module)}
    found = [_Found.of(part) for part in parts.values()]
    try:
        yield
    finally:
        for one in found:
            one.put_back()


@dataclass(frozen=True)
class _Tensor:
    """A parameter or buffer as it was."""

    tensor: Tensor
    data: Tensor
    requires_grad: bool
    grad: Tensor | None

    def put_back(self) -> None:
        if self.tensor.device != self.data.device:
            self.tensor.data = self.data
        if self.tensor.requires_grad != self.requires_grad:
            self.tensor.requires_grad_(self.requires_grad)
        self.tensor.grad = self.grad


@dataclass(frozen=True)
class _Found:
    """A module as it was.

    Attributes:
        module: the module.
        training: its mode.
        attributes: everything that the instance holds.
        inside: what its maps and lists held, by attribute.
        parameters: with what judging changes of them.
        buffers: with a copy of their numbers.
    """

    module: nn.Module
    training: bool
    attributes: dict[str, Any]
    inside: dict[str, Any]
    parameters: tuple[_Tensor, ...]
    buffers: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def of(cls, module: nn.Module) -> "_Found":
        """A module as it is."""
        own = dict(vars(module))
        inside = {name: value.copy() for name, value in own.items() if isinstance(value, dict | list)}
        parameters = [tensor for tensor in module._parameters.values() if tensor is not None]
        buffers = [tensor for tensor in module._buffers.values() if tensor is not None and not tensor.is_meta]
        return cls(
            module,
            module.training,
            own,
            inside,
            tuple(_Tensor(t, t.data, t.requires_grad, t.grad) for t in parameters),
            tuple((tensor, tensor.detach().clone()) for tensor in buffers),
        )

    def put_back(self) -> None:
        """Makes it what it was."""
        own = vars(self.module)
        for name in own.keys() - self.attributes.keys():
            del own[name]
        own.update(self.attributes)
        for name, held in self.inside.items():
            value = own[name]
            value.clear()
            value.update(held) if isinstance(value, dict) else value.extend(held)
        if self.module.training != self.training:  # a scripted module keeps its mode elsewhere
            self.module.training = self.training
        for parameter in self.parameters:
            parameter.put_back()
        with torch.no_grad():
            for buffer, numbers in self.buffers:
                if not torch.equal(buffer, numbers):
                    buffer.copy_(numbers)

"""The shape of an objective."""

from collections.abc import Callable

from torch import Generator, Tensor, nn

Terms = dict[str, Tensor]
Objective = Callable[[nn.Module, Tensor, Generator], tuple[Tensor, Terms]]

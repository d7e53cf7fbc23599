"""Components by name: loaded, or registered for this process."""

from collections.abc import Callable, Mapping
from typing import Any

from rbench.registry import registry
from rbench.registry.trust import trusting
from rbench.running.components import make


def load(kind: str, name: str, params: Mapping[str, Any] | None = None, /, *, trust: bool = False, **more: Any) -> Any:
    """A component, ready to use.

    Purifiers and backbones are torch modules, backbones frozen. `head` gives a backbone another last layer, `classes` chooses some of a
    data set.

    Args:
        kind: `purifier`, `backbone`, `dataset` or `attack`.
        name: registry name, with the item after a colon for a source.
        params: its parameters as a map, e.g. those of a stored cell.
        trust: whether code of your own may run that the name is of (`python:my_unet.py:SmallUNet`); read it first.
        **more: its parameters by keyword.

    Raises:
        InputError: it is unknown or broken, or refuses its parameters.
        MissingError: it needs a module or file that is not there.

    Example:
        >>> import rbench
        >>> data = rbench.load("dataset", "fashion-mnist-mini")
        >>> data.read(data.ids[:2]).shape
        (2, 1, 28, 28)
        >>> rbench.load("purifier", "jpeg", quality=50)
        Jpeg()
    """
    whole = {**(params or {}), **more}
    trusting(trust=trust)([name, whole])
    return make(kind, name, whole)


def register(kind: str, name: str, component: Callable[..., Any], /) -> None:
    """Makes a class or function of this process a component by name.

    It may stand in a notebook. Processes that this one begins do not have it; code in a file, `python:FILE.py:NAME`, they do. A name that
    was registered before gets the new class or function.

    Args:
        kind: `purifier`, `backbone`, `dataset` or `attack`.
        name: small letters, digits, `.`, `_`, `-`.
        component: what is called with its parameters to make one.

    Raises:
        InputError: the name is none or is a package's, or the component is neither class nor function.

    Example:
        >>> import rbench, torch
        >>> class Darker(torch.nn.Module):
        ...     def __init__(self, *, by: float = 0.9):
        ...         super().__init__()
        ...         self.by = by
        ...     def forward(self, x):
        ...         return self.by * x
        >>> rbench.register("purifier", "darker", Darker)
        >>> rbench.load("purifier", "darker", by=0.5)
        Darker()
    """
    registry(kind).register(name, component)

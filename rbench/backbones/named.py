"""The classes of a backbone by name: its logits in the order of a data set's classes."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rbench.errors import InputError

_LISTED = 5
_BETWEEN = re.compile(r"[\s_-]+")


class Named(nn.Module):
    """A backbone whose logits have names; those of a data set are picked by `match`.

    Args:
        network: [0, 1] pixels to logits [B, names].
        names: what each logit stands for.
    """

    order: Tensor

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, tuple(names)
        self.register_buffer("order", torch.arange(len(self.names), device="cpu"))

    def match(self, wanted: Sequence[str], source: str) -> None:
        """Puts the logits into the order of a data set's classes; those of other classes are left out.

        Args:
            wanted: names of the classes of the data set, in the order of its labels.
            source: the data set, for messages.

        Raises:
            InputError: the data set has no names, or a class that is not among the backbone's, or is there twice.
        """
        if not wanted:
            problem = f"class_names: the classes of {source} have no names to match"
            raise InputError(
                problem, place="backbone", remedy="leave class_names out and order the labels as the logits"
            )
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self.names):
            places.setdefault(_plain(name), []).append(place)
        found = [places.get(_plain(name), []) for name in wanted]
        for problem, wrong in (
            (
                f"class_names: none for these classes of {source}",
                [n for n, at in zip(wanted, found, strict=True) if not at],
            ),
            (
                "class_names: several logits have one name",
                [n for n, at in zip(wanted, found, strict=True) if len(at) > 1],
            ),
            (f"two classes of {source} have one name", _twice(wanted)),
        ):
            if wrong:
                shown = ", ".join(repr(name[:60]) for name in wrong[:_LISTED])
                more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
                known = ", ".join(repr(name[:60]) for name in self.names[:_LISTED])
                raise InputError(problem, place="backbone", found=shown + more, remedy=f"class_names are {known}, ...")
        self.order = torch.tensor([at[0] for at in found], device=self.order.device)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the data set's classes."""
        logits: Tensor = self.network(x)
        if logits.dim() == 2 and logits.shape[1] != len(self.names):
            names, count = f"{len(self.names)} names", logits.shape[1]
            remedy = "write one for each logit, in their order"
            raise InputError(f"class_names: {names}, but {count} logits", place="backbone", found=names, remedy=remedy)
        return logits.index_select(1, self.order)


def _plain(name: str) -> str:
    """A name as it is compared: `T-shirt`, `t_shirt` and `T shirt` are one."""
    return _BETWEEN.sub(" ", name.strip().casefold())


def _twice(names: Sequence[str]) -> list[str]:
    plain = list(map(_plain, names))
    return [name for name, one in zip(names, plain, strict=True) if plain.count(one) > 1]

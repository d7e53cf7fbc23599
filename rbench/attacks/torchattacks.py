"""Every attack of the torchattacks library, over the oracle."""

import inspect
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from rbench.engine.terms import Norm
from rbench.errors import InputError, MissingError
from rbench.signature import Signature, nearest, read_signature
from rbench.signature.source import Imported, ModuleMissingError, read

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rbench.attacks.types import ExternalAttack

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")
BATCHED = True

OWNED = frozenset({"model", "eps", "max_epsilon", "norm", "n_classes", "seed", "verbose"})
"""Set by rbench: the threat, the class count (from the logits) and the seed."""

_L2 = frozenset({"PGDL2", "PGDRSL2"})
_WRAPPERS = {"LGV": "it fine-tunes the model", "MultiAttack": "it takes a list of attacks; list them in the suite"}


def parameters(rest: str) -> Signature:
    """The parameters of one attack, read from the library's source; those that rbench sets are left out.

    Raises:
        InputError: torchattacks has no such attack, or it is no attack on given images.
        MissingError: torchattacks is not installed.
    """
    known = _library_names()
    if rest in _WRAPPERS:
        raise InputError(f"torchattacks:{rest} is a wrapper: {_WRAPPERS[rest]}")
    if rest not in known:
        close = nearest(rest, known, count=3)
        raise InputError(f"torchattacks has no attack {rest!r}. Close: {', '.join(close) or ', '.join(sorted(known))}")
    library = read_signature("torchattacks", rest)
    return Signature(tuple(p for p in library.parameters if p.name not in OWNED))


def _library_names() -> set[str]:
    """The attacks that the library exports, without importing it."""
    try:
        exports = read("torchattacks").bindings.items()
    except ModuleMissingError as error:
        raise MissingError(_MISSING) from error
    return {name for name, origin in exports if isinstance(origin, Imported) and ".attacks." in origin.module}


_MISSING = "attack 'torchattacks' needs the package torchattacks; pip install 'rbench[torchattacks]'"


def torchattacks(
    name: str, /, *, batch_size: Annotated[int, Interval(ge=1, le=100_000)] = 128, **params: Any
) -> "ExternalAttack":
    """An attack of torchattacks (Kim 2020, arXiv 2010.01950) by its name there, e.g. `torchattacks:MIFGSM`.

    The threat gives eps and norm, the logits the class count. Attacks that minimise the perturbation instead of keeping to a ball (CW,
    DeepFool, OnePixel, ...) propose only what lies in the ball; elsewhere they have failed and the clean image stands.

    Args:
        name: the class in torchattacks.
        batch_size: samples handed over at once; part of the cell, since the library draws per batch.
        **params: the parameters of that class.
    """
    from rbench.attacks.types import ExternalAttack

    try:
        import torchattacks as library
    except ModuleNotFoundError as error:
        raise MissingError(_MISSING) from error
    attack = getattr(library, name)
    accepted = inspect.signature(attack.__init__).parameters
    norms = _norms(name, accepted)

    def perturb(
        module: "nn.Module", x: "Tensor", y: "Tensor", norm: Norm, eps: float, classes: int, seed: int
    ) -> "Tensor":
        owned = {"eps": eps, "max_epsilon": eps, "norm": norm, "n_classes": classes, "seed": seed, "verbose": False}
        given = {key: value for key, value in owned.items() if key in accepted}
        found: Tensor = attack(module, **given, **params)(x, y)
        return found if _bounded(accepted) else _inside(found, x, norm, eps)

    return ExternalAttack(perturb, batch_size, norms, averages_draws=params.get("eot_iter", 1) > 1)


def _bounded(accepted: Any) -> bool:
    return "eps" in accepted or "max_epsilon" in accepted


def _norms(name: str, accepted: Any) -> tuple[Norm, ...]:
    if not _bounded(accepted):
        return ("Linf", "L2", "L1")
    if "norm" in accepted:
        return ("Linf", "L2")
    return ("L2",) if name in _L2 else ("Linf",)


def _inside(found: "Tensor", x: "Tensor", norm: Norm, eps: float) -> "Tensor":
    import torch

    from rbench.engine.ball import distance, per_sample

    near = distance(found, x, norm) <= eps
    return torch.where(per_sample(near, x), found, x)

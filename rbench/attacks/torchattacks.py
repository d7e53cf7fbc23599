"""Every attack of the torchattacks library, over the oracle."""

import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from rbench.errors import InputError, MissingError
from rbench.signature import Signature, nearest, read_signature
from rbench.signature.source import Imported, ModuleMissingError, read
from rbench.threat.terms import Norm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rbench.threat.attack import ExternalAttack
    from rbench.threat.ball import Ball
    from rbench.threat.batch import Batch

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")
BATCHED = True

OWNED = frozenset({"model", "eps", "max_epsilon", "norm", "n_classes", "seed", "verbose"})
"""Set by rbench: the threat, the class count (from the logits) and the seed."""

BLACK_BOX = ("OnePixel", "Pixle", "SPSA", "Square")
"""Those that ask for outputs only."""

BLACK_BOX_VERSIONS = ("standard", "plus")
"""Versions of its AutoAttack that have a member of this kind."""

ONE_STEP = ("FGSM",)
"""Those that follow the gradient once."""

_L2 = frozenset({"PGDL2", "PGDRSL2"})
_RGB = frozenset({"TIFGSM", "PIFGSM", "PIFGSMPP"})
"""Their smoothing kernels are made for three channels."""

_DLR = {"APGD": 3, "APGDT": 4, "AutoAttack": 4}
"""Classes that their DLR losses need."""

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
        raise _missing() from error
    return {name for name, origin in exports if isinstance(origin, Imported) and ".attacks." in origin.module}


def _missing() -> MissingError:
    component, remedy = "attack 'torchattacks'", "pip install 'rbench[torchattacks]'"
    return MissingError("needs the package torchattacks", component=component, remedy=remedy)


def torchattacks(
    name: str, /, *, batch_size: Annotated[int, Interval(ge=1, le=100_000)] = 128, **params: Any
) -> "ExternalAttack":
    """An attack of torchattacks (Kim 2020, arXiv 2010.01950) by its name there, e.g. `torchattacks:MIFGSM`.

    The threat gives eps and norm, the logits the class count. Attacks that minimise the perturbation instead of keeping to a ball (CW,
    DeepFool, OnePixel, ...) propose only what lies in the ball; what lies outside is a failure, and the clean image is proposed.

    Args:
        name: the class in torchattacks.
        batch_size: samples handed over at once; part of the cell, since the library draws per batch.
        **params: the parameters of that class.
    """
    from rbench.threat.attack import ExternalAttack

    try:
        import torchattacks as library
    except ModuleNotFoundError as error:
        raise _missing() from error
    attack = getattr(library, name)
    accepted = inspect.signature(attack.__init__).parameters
    norms = _norms(name, accepted)

    def perturb(module: "nn.Module", batch: "Batch", ball: "Ball", classes: int, seed: int) -> "Tensor":
        x, eps = batch.x, float(ball.eps)
        threat = {"eps": eps, "max_epsilon": eps, "norm": ball.norm}
        owned = {**threat, "n_classes": classes, "seed": seed, "verbose": False}
        given = {key: value for key, value in owned.items() if key in accepted}
        grey = name in _RGB and _needs_view(name, x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the library's own, of no use to whoever runs it
            made = attack(_as_rgb(module) if grey else module, **given, **params)
            _fit_classes(made, classes)
            points: Tensor = made(x.expand(-1, 3, -1, -1) if grey else x, batch.y)
        points = _grey(points) if grey else points
        return points if _bounded(accepted) else _inside(points, x, ball)

    def notes(classes: int) -> dict[str, str]:
        if name not in _DLR or classes >= _DLR[name]:
            return {}
        return {"loss": f"margin instead of dlr where it was asked for ({classes} classes)"}

    return ExternalAttack(
        perturb,
        batch_size,
        norms,
        averages_draws=params.get("eot_iter", 1) > 1,
        knows="black-box" if name in BLACK_BOX else "white-box",
        steps_up=1 if name in ONE_STEP else _steps(accepted, params),
        said=notes,
    )


def _steps(accepted: Mapping[str, inspect.Parameter], params: Mapping[str, Any]) -> int | None:
    """The library's parameter `steps`, where the class has one."""
    steps = params.get("steps", accepted["steps"].default if "steps" in accepted else None)
    return steps if isinstance(steps, int) else None


def _fit_classes(made: Any, classes: int) -> None:
    """docs/judging.md, rule 1.10: DLR needs three classes, targeted DLR four; and JSMA aims at class (y + 1) % 10."""
    from rbench.threat.losses import margin

    if type(made).__name__ == "JSMA" and classes < 10:
        made.set_mode_targeted_by_function(lambda images, labels: (labels + 1) % classes)
    for member in (made, *getattr(getattr(made, "_autoattack", None), "attacks", ())):
        if type(member).__name__ == "APGDT" and classes < 4:
            member.dlr_loss_targeted = _margin_to_target
        if type(member).__name__ == "APGD" and classes < 3:
            member.dlr_loss = margin


def _margin_to_target(logits: "Tensor", y: "Tensor", target: "Tensor") -> "Tensor":
    return logits.gather(1, target[:, None])[:, 0] - logits.gather(1, y[:, None])[:, 0]


def _needs_view(name: str, x: "Tensor") -> bool:
    channels = x.shape[1]
    if channels not in (1, 3):
        raise InputError(f"torchattacks:{name} works on grey or RGB images (got {channels} channels)")
    return channels == 1


def _as_rgb(module: "nn.Module") -> "nn.Module":
    """A grey module for attacks that know three channels only: it sees their mean."""
    from torch import nn

    class Grey(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: "Tensor") -> "Tensor":
            logits: Tensor = self.inner(_grey(x))
            return logits

    return Grey().eval()


def _grey(x: "Tensor") -> "Tensor":
    """The mean of the channels; in float64, so that it never leaves the range of the three by rounding."""
    return x.double().mean(1, keepdim=True).to(x.dtype)


def _bounded(accepted: Any) -> bool:
    return "eps" in accepted or "max_epsilon" in accepted


def _norms(name: str, accepted: Any) -> tuple[Norm, ...]:
    if not _bounded(accepted):
        return ("Linf", "L2", "L1")
    if "norm" in accepted:
        return ("Linf", "L2")
    return ("L2",) if name in _L2 else ("Linf",)


def _inside(points: "Tensor", x: "Tensor", ball: "Ball") -> "Tensor":
    """The points in the ball, and the clean image for every other."""
    import torch

    from rbench.threat.ball import per_sample

    near = ball.distance(points, x) <= ball.eps
    return torch.where(per_sample(near, x), points, x)

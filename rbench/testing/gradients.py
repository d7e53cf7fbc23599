"""What an attacker gets of a purifier or backbone: a gradient that reaches the image and is the slope of the loss."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rbench.engine.audit import Audit
from rbench.engine.gradient_audit import GradientAudit
from rbench.engine.returned import images_of
from rbench.results.flags import of_cell
from rbench.testing.answers import flagged
from rbench.testing.case import Case
from rbench.testing.verdict import Verdict, judged, tried

_THROUGH = "Compute with torch alone: no detach, no_grad, numpy or rounding on the way."
_OR_SAY = f"{_THROUGH} If no gradient can pass, say `differentiable = False` and bring `surrogate(self, x)` for BPDA."
_SAME = 1e-6
"""Largest difference of pixels of the forward pass and of its stages, on the [0, 1] pixel scale."""


def of_gradient(case: Case, seen: Audit, gradients: GradientAudit | None, declared: Mapping[str, Any]) -> list[Verdict]:
    """Whether the gradient of the loss reaches the image, and whether it is the slope; what else of the forward pass misleads attacks.

    Args:
        case: the model.
        seen: what the audit measured.
        gradients: what the audit of the gradient measured; None if that raised.
        declared: what a purifier says of itself.
    """
    verdicts = [_reach(case, seen, declared)]
    if gradients is None:
        return [*verdicts, Verdict("slope", "skipped", "the gradient cannot be taken")]
    if seen.differentiable:
        verdicts.append(_slope(gradients, seen))
    if of_cell.low_precision(gradients.low_precision):
        found = f"it computes in {gradients.low_precision} somewhere; small steps of an attack round to nothing"
        verdicts.append(Verdict("precision", "note", found, "Compute in the type of the images."))
    if gradients.autograd_in_forward:
        found = "it optimises inside its forward pass; its rows carry the flag optimises-at-test-time"
        verdicts.append(Verdict("test time", "note", found))
    return verdicts


def _reach(case: Case, seen: Audit, declared: Mapping[str, Any]) -> Verdict:
    says = declared.get("differentiable") if case.is_purifier else True
    cure = _OR_SAY if case.is_purifier else _THROUGH
    if not seen.reaches_input:
        lost = "no gradient reaches the image"
    elif not seen.differentiable:
        lost = f"the gradient is zero or not finite for {seen.useless_gradient_share:.0%} of the images"
    elif says is False:
        found = "a gradient reaches the image, though it says `differentiable = False`"
        return Verdict("gradient", "note", found, "Say `differentiable = True`, or leave it out.")
    else:
        share = seen.useless_gradient_share
        zero = f"; it is zero or not finite for {share:.0%} of the images" if share else ""
        return Verdict("gradient", "holds", f"the gradient of the loss reaches the image{zero}")
    around = "along its `surrogate`" if case.model.surrogate is not None else "with the identity in its place"
    found = f"{lost}, as it says; attacks go around it {around}" if says is False else lost
    return judged("gradient", found, cure, holds=says is False)


def _slope(gradients: GradientAudit, seen: Audit) -> Verdict:
    error, narrow = gradients.slope_error, gradients.low_precision
    if error is None:
        return Verdict("slope", "skipped", "the same noise gives other answers, so slopes cannot be compared")
    flags = [
        *of_cell.wrong_slope("exact", error, gradients.slope_precision, narrow),
        *of_cell.wrong_replay("checkpointed", gradients.checkpointed_error),
        *of_cell.wrong_in_batches("exact", seen.batch_gradient_error),
    ]
    found = f"the gradient is the slope of the loss, to {error:.1g} of its length (finite differences, {gradients.slope_precision})"
    return flagged("slope", flags, found)


def of_hooks(case: Case) -> list[Verdict]:
    """What a purifier brings besides its forward pass: a stand-in, stages, a code."""
    model, verdicts = case.model, list[Verdict]()
    hooks: dict[str, tuple[bool, Callable[[Case], Verdict], str]] = {
        "surrogate": (model.surrogate is not None, _surrogate, "Return images of the same shape, differentiable in x."),
        "stages": (model.staged, _stages, "Return functions of images whose composition is forward."),
        "encode": (model.encodes, _code, "Return a code [B, D], differentiable in x."),
    }
    for name, (brought, look, cure) in hooks.items():
        if brought:
            verdicts.append(tried(name, cure, partial(look, case)))
    return verdicts


def _surrogate(case: Case) -> Verdict:
    assert case.model.surrogate is not None
    x = case.batch.x.clone().requires_grad_()
    with torch.enable_grad():
        shown = images_of(case.model.surrogate(x, case.drawn(x)), x, case.owner)
        share = _reached(shown, x)
    found = f"images of the same shape; their gradient reaches {share:.0%} of the images"
    return judged("surrogate", found, "Return images that are differentiable in x.", holds=share > 0)


def _stages(case: Case) -> Verdict:
    x = case.batch.x
    with torch.no_grad():
        whole = case.model.purify(x, case.drawn(x))
        apart = float((case.model.purify_checkpointed(x, case.drawn(x)) - whole).abs().max())
    found = f"their composition differs from forward by {apart:.1g}"
    return judged("stages", found, "Let forward run the stages, with the noise drawn before.", holds=apart <= _SAME)


def _code(case: Case) -> Verdict:
    x = case.batch.x.clone().requires_grad_()
    with torch.enable_grad():
        code = case.model.encode(x, case.drawn(x))
        share = _reached(code, x)
    found = f"a code of {code.shape[1]} numbers; its gradient reaches {share:.0%} of the images"
    return judged("encode", found, _THROUGH, holds=share > 0)


def _reached(made: Tensor, x: Tensor) -> float:
    """Share of the images that a gradient of what was made of them reaches."""
    if not made.requires_grad:
        return 0.0
    weights = torch.linspace(1, 2, made[0].numel(), device=made.device).view(made[0].shape).to(made.dtype)
    (gradient,) = torch.autograd.grad((made * weights).sum(), x, allow_unused=True)
    return 0.0 if gradient is None else float((gradient.flatten(1) != 0).any(1).float().mean())

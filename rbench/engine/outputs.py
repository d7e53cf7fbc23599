"""Whether what a backbone returns are logits: squashed outputs saturate, and an attack that differentiates them finds no gradient."""

import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.results.flags.catalogue import threshold

_ROUNDING = threshold("not-logits", "rounding")
"""How far float rounding may take probabilities out of [0, 1], and their sum from 1."""
_END = threshold("not-logits", "end")
"""An output this close to the least or the largest of all, as a share of their distance, lies at the end of the range."""
_CROWDED = threshold("not-logits", "crowded")
"""Share of the outputs at the ends from which on they are squashed: hardly any logit is near the least or the largest of all."""
_CONTRASTS = (1e3, 1e4)
"""Factors by which images are taken away from grey: squashed outputs then stand at the ends of their range, and logits grow."""


def not_logits(model: DefendedModel, images: Tensor, outputs: Tensor) -> str | None:
    """Names outputs that are no logits; None where nothing speaks against it.

    Probabilities and their logarithms are known by their sums. Other outputs are squashed if they stay within fixed ends and crowd there,
    as they are or for images of extreme contrast: in [0, 1] a sigmoid, with one sum in all rows a scaled softmax, else any function that
    saturates. Logits whose rows have one sum (a last layer of zero mean has it) have no ends.

    Args:
        model: whose backbone is asked about the images of extreme contrast.
        images: [B, C, H, W] in [0, 1].
        outputs: [N, classes] what was returned on audited images.
    """
    outputs = outputs.double()
    if named := _probabilities(outputs):
        return named
    if bool((outputs == outputs[0]).all()):  # a constant says nothing about its range
        return None
    low, high = float(outputs.min()), float(outputs.max())
    total = outputs.sum(1)
    one_sum = float(total.max() - total.min()) <= _ROUNDING * outputs.shape[1] * max(abs(low), abs(high))
    unit = low >= -_ROUNDING and high <= 1 + _ROUNDING
    if not _crowded(outputs):
        far = _saturated(model, images) if one_sum or unit else None
        if far is None or low < far[0] - _ROUNDING * abs(far[0]) or high > far[1] + _ROUNDING * abs(far[1]):
            return None
    return "scaled probabilities" if one_sum else "sigmoids" if unit else "saturated"


def _probabilities(outputs: Tensor) -> str | None:
    total = outputs.sum(1)
    if bool((outputs >= -_ROUNDING).all()) and torch.allclose(total, torch.ones_like(total), rtol=0.0, atol=_ROUNDING):
        return "probabilities"
    total = outputs.exp().sum(1)
    if bool((outputs <= _ROUNDING).all()) and torch.allclose(total, torch.ones_like(total), rtol=0.0, atol=_ROUNDING):
        return "log-probabilities"
    return None


def _crowded(outputs: Tensor) -> bool:
    """Whether most outputs lie at the least or the largest value of all, and some at either."""
    low, high = outputs.min(), outputs.max()
    near = _END * (high - low)
    at_low, at_high = outputs <= low + near, outputs >= high - near
    # Two classes have few values between the largest and the least, so both ends must be met more than once.
    both = min(int(at_low.sum()), int(at_high.sum())) > 2
    return bool(high > low) and both and float((at_low | at_high).double().mean()) >= _CROWDED


def _saturated(model: DefendedModel, images: Tensor) -> tuple[float, float] | None:
    """The ends of the range at which all outputs stand for images of extreme contrast; None where they do not."""
    with torch.no_grad():
        try:
            first, second = (model.classify(0.5 + factor * (images - 0.5)).double() for factor in _CONTRASTS)
        except Exception:  # a backbone may refuse such images
            return None
    low, high = float(second.min()), float(second.max())
    near = _END * (high - low)
    stands = bool(torch.isfinite(second).all()) and bool((first - second).abs().quantile(0.9) <= near)
    return (low, high) if stands and _crowded(second) else None

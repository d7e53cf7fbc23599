"""The audit before any attack: properties of the defended model as measured on a few samples, whatever the purifier declares."""

import math
import pickle
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rbench.engine.defended import DefendedModel, state_hash
from rbench.errors import CellFailed, InputError
from rbench.results.flags.catalogue import threshold
from rbench.threat.batch import Batch
from rbench.threat.losses import cross_entropy
from rbench.threat.noise import Noise

SAMPLES = 16
"""Samples that are audited, the first of the cell."""
REPEATS = 5
"""Evaluations of the same images, each with fresh noise."""
DIFFERS = threshold("randomised", "difference")
"""Largest absolute difference of two logits that still counts as none."""
NO_GRADIENT = threshold("weak-gradient", "zero")
"""Share of samples with an all-zero exact gradient from which on that gradient counts as useless to an attacker."""
_ROUNDING = threshold("not-logits", "rounding")
"""How far float rounding may take probabilities out of [0, 1], and their sum from 1."""

_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_TORCH_OWN = frozenset(vars(nn.Module()))


@dataclass(frozen=True)
class Audit:
    """What was measured of a defended model.

    Attributes:
        classes: width of the logits.
        declared_random: the purifier says it is stochastic.
        random: repeated evaluations with fresh noise differ.
        repeat_difference: largest difference of logits over 5 repeats.
        reproducible: the same noise gives the same logits.
        batch_difference: largest difference of logits between orders and splits of the batch.
        not_logits: `probabilities`, `log-probabilities` or None.
        reaches_input: the graph of the exact path reaches the input.
        zero_gradient_share: share of samples whose exact gradient is zero.
        non_finite_gradient_share: share of samples with a NaN or infinite entry in the exact gradient.
    """

    classes: int
    declared_random: bool
    random: bool
    repeat_difference: float
    reproducible: bool
    batch_difference: float
    not_logits: str | None
    reaches_input: bool
    zero_gradient_share: float
    non_finite_gradient_share: float

    @property
    def batch_dependent(self) -> bool:
        """Whether a sample's logits depend on who else is in the batch."""
        return self.batch_difference > DIFFERS

    @property
    def differentiable(self) -> bool:
        """Whether the exact gradient is of use to an attacker: it reaches the input, and is zero on fewer samples than `NO_GRADIENT`."""
        return self.reaches_input and self.zero_gradient_share < NO_GRADIENT


def audit(model: DefendedModel, sample: Batch, noise: Noise) -> Audit:
    """Measures a defended model on up to 16 samples.

    Raises:
        CellFailed: the purifier changes its input or remembers earlier calls, or logits are not finite.
        InputError: a label is no class.
    """
    sample = sample.at(slice(SAMPLES))
    x, ids = sample.x, sample.ids
    before = x.clone()
    first = _logits(model, sample, noise, draw=0)
    if not torch.equal(before, x):
        raise CellFailed(f"purifier '{model.name}' modifies its input in place; let it return a new tensor")
    if not torch.isfinite(first).all():
        broken = ids[~torch.isfinite(first).all(1)].tolist()
        raise CellFailed(f"sample {broken[0]}: logits are NaN or infinite on the clean image", broken)
    memory = remembered(model)
    reproducible = _differ(first, _logits(model, sample, noise, draw=0)) <= DIFFERS
    if not reproducible:
        _logits(model, sample.of(1 - x), noise, draw=0)
        if remembered(model) != memory:
            _refuse_stateful(model)
    repeats = [first, *(_logits(model, sample, noise, draw=d) for d in range(1, REPEATS))]
    spread = max(_differ(a, b) for a in repeats for b in repeats)
    if reproducible:
        _refuse_memory(model, sample, noise)
    refuse_labels(sample, first.shape[1])
    zero, broken_share, reaches = _gradient(model, sample, noise)
    return Audit(
        classes=first.shape[1],
        declared_random=bool(getattr(model.purifier, "stochastic", False)),
        random=spread > DIFFERS or not reproducible,
        repeat_difference=spread,
        reproducible=reproducible,
        batch_difference=_batch_difference(model, sample, noise, first) if reproducible else 0.0,
        not_logits=_not_logits(first),
        reaches_input=reaches,
        zero_gradient_share=zero,
        non_finite_gradient_share=broken_share,
    )


def refuse_labels(batch: Batch, classes: int) -> None:
    """Raises InputError if a label is none of the classes of the logits."""
    wrong = torch.nonzero(batch.y >= classes)[:, 0]
    if len(wrong):
        sample, label = int(batch.ids[wrong[0]]), int(batch.y[wrong[0]])
        raise InputError(
            f"label {label}, but the backbone has {classes} classes",
            place=f"labels: sample {sample}",
            found=f"label {label}",
            remedy=f"labels go from 0 to {classes - 1}",
        )


def _logits(model: DefendedModel, shown: Batch, noise: Noise, *, draw: int) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(shown.x, noise.of("audit", shown.ids, shown.device, draw=draw))
    return logits


def _differ(a: Tensor, b: Tensor) -> float:
    difference = float((a - b).abs().max())
    return math.inf if math.isnan(difference) else difference


def _refuse_memory(model: DefendedModel, sample: Batch, noise: Noise) -> None:
    """Refuses a model whose logits of the same images and noise change after it was shown other images."""
    state = state_hash(model)
    reference = _logits(model, sample, noise, draw=0)
    for draw in range(3):
        _logits(model, sample.of(1 - sample.x), noise, draw=draw)
        if _differ(reference, _logits(model, sample, noise, draw=0)) > DIFFERS:
            _refuse_stateful(model)
    if state_hash(model) != state:
        raise CellFailed(f"'{model.name}' or its backbone changes its parameters or buffers when called in eval mode")


def _refuse_stateful(model: DefendedModel) -> None:
    raise CellFailed(
        f"purifier '{model.name}' keeps state between calls: the same image and noise gave another answer after it was called again"
    )


def remembered(model: DefendedModel) -> bytes:
    """The state of the modules as bytes, to compare: parameters, buffers, and attributes that can be pickled; no random generators."""
    kept = [state_hash(model).encode()]
    for name, module in model.named_modules():
        for key, attribute in sorted(vars(module).items()):
            if (key.startswith("_") and key in _TORCH_OWN) or isinstance(attribute, _GENERATORS) or module is model:
                continue
            try:
                kept.append(f"{name}.{key}".encode() + pickle.dumps(attribute))
            except Exception:
                continue
    return b"".join(kept)


def _batch_difference(model: DefendedModel, sample: Batch, noise: Noise, reference: Tensor) -> float:
    if len(sample) < 2:
        return 0.0
    order = torch.arange(len(sample) - 1, -1, -1, device=sample.device)
    turned = _logits(model, sample.at(order), noise, draw=0)[order]
    half = len(sample) // 2
    halves = [_logits(model, sample.at(part), noise, draw=0) for part in (slice(0, half), slice(half, None))]
    scale = max(1.0, float(reference.abs().max()))
    return max(_differ(reference, turned), _differ(reference, torch.cat(halves))) / scale


def _not_logits(logits: Tensor) -> str | None:
    """Names outputs that are (log-)probabilities: attacks lose their gradient to saturation there."""
    total = logits.sum(1)
    if bool((logits >= -_ROUNDING).all()) and torch.allclose(total, torch.ones_like(total), rtol=0.0, atol=_ROUNDING):
        return "probabilities"
    total = logits.exp().sum(1)
    if bool((logits <= _ROUNDING).all()) and torch.allclose(total, torch.ones_like(total), rtol=0.0, atol=_ROUNDING):
        return "log-probabilities"
    return None


def _gradient(model: DefendedModel, sample: Batch, noise: Noise) -> tuple[float, float, bool]:
    point = sample.x.detach().clone().requires_grad_()
    with torch.enable_grad():
        losses = cross_entropy(model(point, noise.of("audit", sample.ids, sample.device)), sample.y)
    gradient = None
    if losses.requires_grad:
        (gradient,) = torch.autograd.grad(losses.sum(), point, allow_unused=True)
    if gradient is None:
        return 1.0, 0.0, False
    flat = gradient.flatten(1)
    broken = ~torch.isfinite(flat).all(1)
    return float((flat == 0).all(1).float().mean()), float(broken.float().mean()), True

"""The backbone as attacks ask it: the same function, faster. Judges ask the one that was given."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rbench.engine.copies import own_copy
from rbench.engine.defended import DefendedModel
from rbench.engine.folding import ChannelsLast, convolutional, fold
from rbench.engine.weights_type import asked
from rbench.suite.cell import Precision
from rbench.threat.batch import Batch
from rbench.threat.losses import margin

SAMPLES = 8
"""Samples that the two are compared on, as they are and each with the next one mixed in."""
CLOSE = 1e-3
"""By how much logits, and gradients of the margin, may differ at most, relative to their largest entry."""


class HalfPrecision(nn.Module):
    """A network that computes in bfloat16 where autocast finds that safe, and answers in float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """What the network returns; a tensor in the type of the images."""
        with torch.autocast(x.device.type, torch.bfloat16):
            answer = self.network(x)
        return answer.to(x.dtype) if isinstance(answer, Tensor) else answer


@dataclass(frozen=True)
class Proposing:
    """A backbone for attacks.

    Attributes:
        backbone: the network; the one that was given where nothing faster is the same.
        difference: largest difference of a logit from that of the given one, relative to the largest; None for the given one itself.
        folded: batch norms that are gone.
    """

    backbone: nn.Module
    difference: float | None = None
    folded: int = 0

    def facts(self) -> dict[str, str]:
        """For the record."""
        if self.difference is None:
            return {}
        half = isinstance(self.backbone, HalfPrecision)
        order = any(isinstance(part, ChannelsLast) for part in self.backbone.modules())
        done = [f"{self.folded} batch norms folded", *["channels last"] * order, *["bfloat16"] * half]
        apart = f"clean logits differ by at most {self.difference:.1e} of the largest"
        return {"proposing": f"{', '.join(done)}; {apart}"}


def proposing(model: DefendedModel, sample: Batch) -> Proposing:
    """The backbone that attacks on a defended model ask; the passes are not counted as theirs.

    Args:
        model: the defended model; one whose purifier was shown the backbone keeps it.
        sample: of which the first 8 are used.
    """
    given = Proposing(model.backbone)
    if hasattr(model.purifier, "attach") or not convolutional(model.backbone):
        return given
    made = own_copy(model.backbone)
    if made is None:
        return given
    x, y = _shown(sample)
    try:
        folded = fold(made, x)
        faster = ChannelsLast(made) if x.device.type == "cpu" else made
        apart = [
            _apart(one, other) for one, other in zip(_asked(model.backbone, x, y), _asked(faster, x, y), strict=True)
        ]
    except Exception:  # whatever the layers of a third party do when they are exchanged, the given network works
        return given
    return Proposing(faster, apart[0], folded) if max(apart) < CLOSE else given


def _halved(model: DefendedModel, sample: Batch, same: Proposing) -> Proposing:
    """That backbone in half precision: another function, which is asked for and not held against the given one."""
    half, (x, _) = HalfPrecision(same.backbone), _shown(sample)
    with torch.no_grad():
        whole: Any = asked(model.backbone, x)
        return Proposing(half, _apart(whole, half(x)), same.folded)


def _shown(sample: Batch) -> tuple[Tensor, Tensor]:
    """Images, and the classes that they are asked about."""
    few = sample.at(slice(SAMPLES))
    return torch.cat([few.x, (few.x + few.x.roll(1, 0)) / 2]), few.y.repeat(2)


def _asked(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of the margin."""
    with torch.enable_grad():
        point = x.clone().requires_grad_()
        logits = network(point)
        (gradient,) = torch.autograd.grad(margin(logits, y).sum(), point)
    return logits.detach(), gradient


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))


@dataclass
class Proposers:
    """Makes the backbone for attacks once for each backbone."""

    _made: dict[tuple[int, Precision], tuple[nn.Module, Proposing]] = field(default_factory=dict)

    def of(self, model: DefendedModel, sample: Batch, precision: Precision = "fp32") -> Proposing:
        """See `proposing`; in half precision it is another function than the given one."""
        # The backbone is kept alive, since `id` may give a new object the number of a deleted one.
        key = id(model.backbone), precision
        if key not in self._made:
            whole = precision == "fp32"
            made = proposing(model, sample) if whole else _halved(model, sample, self.of(model, sample))
            self._made[key] = model.backbone, made
        return self._made[key][1]

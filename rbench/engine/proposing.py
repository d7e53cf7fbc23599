"""The backbone as attacks ask it: the same function, faster. Judges ask the one that was given."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rbench.engine.copies import own_copy
from rbench.engine.defended import DefendedModel
from rbench.engine.folding import ChannelsLast, convolutional, fold
from rbench.threat.batch import Batch
from rbench.threat.losses import margin

SAMPLES = 8
"""Samples that the two are compared on, as they are and each with the next one mixed in."""
CLOSE = 1e-3
"""By how much logits, and gradients of the margin, may differ at most, relative to their largest entry."""


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
        order = ", channels last" if isinstance(self.backbone, ChannelsLast) else ""
        text = f"{self.folded} batch norms folded{order}; clean logits differ by at most {self.difference:.1e} of the largest"
        return {"proposing": text}


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
    few = sample.at(slice(SAMPLES))
    x, y = torch.cat([few.x, (few.x + few.x.roll(1, 0)) / 2]), few.y.repeat(2)
    try:
        folded = fold(made, x)
        faster = ChannelsLast(made) if x.device.type == "cpu" else made
        apart = [
            _apart(one, other) for one, other in zip(_asked(model.backbone, x, y), _asked(faster, x, y), strict=True)
        ]
    except Exception:  # whatever the layers of a third party do when they are exchanged, the given network works
        return given
    return Proposing(faster, apart[0], folded) if max(apart) < CLOSE else given


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

    _made: dict[int, tuple[nn.Module, Proposing]] = field(default_factory=dict)

    def of(self, model: DefendedModel, sample: Batch) -> Proposing:
        """See `proposing`."""
        key = id(model.backbone)  # kept alive beside it, since `id` may give a new object the number of a deleted one
        if key not in self._made:
            self._made[key] = model.backbone, proposing(model, sample)
        return self._made[key][1]

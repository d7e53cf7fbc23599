"""The anti-adversary layer."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rbench.purifiers.rounding import trim

Direction = Callable[[Tensor], Tensor]
_SMALLEST = 1e-12


class AntiAdversary(nn.Module):
    """Moves every image to where the classifier is surer of what it says already (Alfarra et al. 2022, arXiv 2103.14347, algorithm 1).

    Deterministic; differentiable; optimising at test time, with autograd inside the forward pass. From gamma = 0, `steps` steps
    gamma <- gamma - alpha sign(slope), slope the gradient of the cross-entropy of the classifier's own prediction on x at x + gamma; the
    output is x + gamma, clipped to [0, 1] (the source does not clip). gamma has no bound but steps times alpha, far outside any ball an
    attacker is given.

    A sign has no slope, so the exact gradient of this defence takes gamma for a constant. `surrogate` has slope / (|slope| + its mean
    over the image) for the sign, with its second derivatives. With `rule: gradient` the exact gradient has them.

    It asks the classifier, which it is given by `attach`, `steps` + 1 times; those passes are not counted as queries.

    Args:
        steps: K of the source, 2.
        alpha: length of a step; on the [0, 1] pixel scale for `sign`. 0.15 in the source.
        rule: `sign` as the source, or `gradient` for steps along the plain gradient.
    """

    stochastic = False
    differentiable = True

    def __init__(
        self,
        *,
        steps: Annotated[int, Interval(ge=1, le=1000)] = 2,
        alpha: Annotated[float, Interval(gt=0, le=1000)] = 0.15,
        rule: Literal["sign", "gradient"] = "sign",
    ) -> None:
        super().__init__()
        self.steps = steps
        self.alpha = alpha
        self.rule = rule
        # In a tuple, torch does not take it for a part of this module: its weights are hashed, moved and frozen by its owner.
        self._backbone: tuple[nn.Module, ...] = ()

    def attach(self, backbone: nn.Module) -> None:
        """Takes the classifier whose confidence is raised; pixels in [0, 1] to logits [B, classes]."""
        self._backbone = (backbone,)

    def forward(self, x: Tensor) -> Tensor:
        """The images that the classifier is surer of."""
        return self._moved(x, torch.sign if self.rule == "sign" else lambda slope: slope).clamp(0, 1)

    def surrogate(self, x: Tensor) -> Tensor:
        """The same with steps that have a slope, and a clip that lets every gradient through."""
        return trim(self._moved(x, _soft_sign if self.rule == "sign" else lambda slope: slope))

    def _moved(self, x: Tensor, direction: Direction) -> Tensor:
        if not self._backbone:
            raise RuntimeError(
                "anti-adversary asks the classifier, and has none; call attach(backbone), as a defended model does"
            )
        (classify,) = self._backbone
        wanted = torch.is_grad_enabled() and x.requires_grad
        with torch.no_grad():
            predicted = classify(x).argmax(1)
        gamma = torch.zeros_like(x)
        for _ in range(self.steps):
            with torch.enable_grad():
                point = x + gamma if wanted else (x + gamma).detach().requires_grad_()
                loss = cross_entropy(classify(point), predicted, reduction="sum")
                (slope,) = torch.autograd.grad(loss, point, create_graph=wanted and direction is not torch.sign)
            gamma = gamma - self.alpha * direction(slope)
        return x + gamma


def _soft_sign(slope: Tensor) -> Tensor:
    size = slope.abs()
    return slope / (size + size.flatten(1).mean(1).clamp(min=_SMALLEST)[:, None, None, None])

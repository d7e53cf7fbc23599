"""The oracle: the one seam between attacks and defences. It alone knows gradient path, EOT, noise and cost."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed
from rbench.threat.ball import choose
from rbench.threat.batch import Batch
from rbench.threat.displacements import DISPLACEMENTS
from rbench.threat.losses import LOSSES, TARGETED
from rbench.threat.noise import Noise, SampleNoise
from rbench.threat.query import Answer
from rbench.threat.terms import Displacement, GradientPath, Norm, Objective

DUAL: dict[Norm, float] = {"Linf": 1, "L2": 2, "L1": torch.inf}
"""The order of the norm in which the slope is measured where distances are measured in another."""


class StraightThrough(torch.autograd.Function):
    """Forward: the purified image, to the bit. Backward: the gradient goes to the stand-in (BPDA, Athalye et al. 2018, section 4.1)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, stand_in: Tensor, purified: Tensor) -> Tensor:  # noqa: ARG004
        """Returns the purified image."""
        return purified.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grad_outputs: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        """Hands the gradient to the stand-in unchanged."""
        return grad_outputs[0], None


class NoGradient(torch.autograd.Function):
    """Logits whose gradient at the image is zero, for a graph that does not reach it: third-party attacks call backward regardless."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, logits: Tensor) -> Tensor:
        """Returns the logits."""
        ctx.save_for_backward(x)
        return logits.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        """Zeros."""
        return torch.zeros_like(ctx.saved_tensors[0]), None


class Oracle:
    """Answers an attacker's queries about one defended model.

    Args:
        model: the defended model.
        path: how the attacker differentiates the purifier. `exact` through it; `checkpointed` the same, stage by stage, in the memory of
            one; `bpda` forward through it and backward through its `surrogate`, or the identity; `blind` leaves it out.
        eot: independent draws of the defence's noise whose loss gradients are averaged (Athalye et al. 2018, section 4.2).
        noise: the root of the cell's randomness; the defence draws in the role `defence`, which no judge shares.
    """

    def __init__(self, model: DefendedModel, path: GradientPath, *, eot: int, noise: Noise) -> None:
        self.model = model
        self.path = path
        self.eot = eot
        self.noise = noise

    def images(self, x: Tensor, noise: SampleNoise) -> Tensor:
        """The input of the backbone under one draw [B, C, H, W], differentiable along the gradient path."""
        if self.path == "blind":
            return x
        if self.path == "exact":
            return self.model.purify(x, noise)
        if self.path == "checkpointed":
            return self.model.purify_checkpointed(x, noise)
        same = replace(noise)
        with torch.no_grad():
            purified = self.model.purify(x.detach(), noise)
        stand_in = x if self.model.surrogate is None else self.model.surrogate(x, same)
        shown: Tensor = StraightThrough.apply(stand_in, purified)
        return shown

    def forward(self, x: Tensor, noise: SampleNoise) -> Tensor:
        """Logits [B, classes] of one draw, differentiable along the gradient path."""
        return self.model.classify(self.images(x, noise))

    def logits(
        self,
        asked: Batch,
        calls: Tensor,
        loss: Objective,
        origin: Tensor | None = None,
        target: Tensor | None = None,
    ) -> Answer:
        """Logits and loss without a gradient.

        Args:
            asked: the points, with the labels and ids of their samples.
            calls: [B] number of each sample's query, so that every query meets fresh noise.
            loss: the loss to report.
            origin: [B, C, H, W] the clean images, from which a displacement is measured; other losses need none.
            target: [B] the wrong classes that a targeted loss aims at; other losses need none.

        Returns:
            Logits that may be NaN or infinite: see `refuse_non_finite`, which waits for the device.
        """
        total = _Mean()
        self.model.meter.queries += len(asked)
        with torch.no_grad():
            for draw in range(self.eot):
                noise = partial(self._draw, asked, draw, calls)
                total.add(*self._evaluated(asked, noise, loss, origin, target), None)
        return total.answer()

    def gradient(
        self,
        asked: Batch,
        calls: Tensor,
        loss: Objective,
        origin: Tensor | None = None,
        target: Tensor | None = None,
    ) -> Answer:
        """Logits, loss and the gradient of the loss at the points; arguments as in `logits`.

        A purifier that cuts the graph gives a gradient of zeros, of which the flags of the cell speak.
        Non-finite entries of a gradient are set to zero.
        """
        total = _Mean()
        self.model.meter.queries += len(asked)
        for draw in range(self.eot):
            with torch.enable_grad():
                point = asked.x.detach().requires_grad_()
                noise = partial(self._draw, asked, draw, calls)
                logits, losses = self._evaluated(asked.of(point), noise, loss, origin, target)
            gradient = None
            if losses.requires_grad:
                self.model.meter.backwards += len(asked)
                (gradient,) = torch.autograd.grad(losses.sum(), point, allow_unused=True)
            gradient = torch.zeros_like(asked.x) if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)
            total.add(logits.detach(), losses.detach(), gradient)
        return total.answer()

    def nearest(self, asked: Batch, calls: Tensor, norm: Norm) -> Answer:
        """The margin to the wrong class whose border is nearest where the classifier is linear, and its gradient.

        How far a border is: the margin over the dual norm of its gradient (Croce & Hein 2020, arXiv 1907.02044, eq. 7). Asks for the
        gradient of every wrong class.

        Args:
            asked: the points, with the labels and ids of their samples.
            calls: [B] number of each sample's query.
            norm: in which the border is near.
        """
        best = self.gradient(asked, calls, "margin-targeted", target=(asked.y == 0).long())
        nearest = _to_border(best, norm)
        for rank in range(1, best.logits.shape[1] - 1):
            answer = self.gradient(asked, calls, "margin-targeted", target=rank + (asked.y <= rank).long())
            far = _to_border(answer, norm)
            closer = far < nearest
            assert best.gradient is not None
            assert answer.gradient is not None
            gradient = choose(closer, answer.gradient, best.gradient)
            best = best._replace(loss=torch.where(closer, answer.loss, best.loss), gradient=gradient)
            nearest = torch.where(closer, far, nearest)
        return best

    def as_module(self, clean: Batch) -> nn.Module:
        """The defended model as third-party attacks want it: an `nn.Module` whose backward follows the gradient path.

        Such code does not say which sample a row is, so its noise is keyed by the row, the id of the first sample and the number of the
        call.

        Args:
            clean: the samples under attack, to name the one behind a broken row.
        """
        return OracleModule(self, clean)

    def _evaluated(
        self,
        asked: Batch,
        noise: Callable[[], SampleNoise],
        loss: Objective,
        origin: Tensor | None,
        target: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Logits and losses of one draw; `noise` returns that draw from its beginning at every call."""
        if loss == "ce" or loss == "dlr" or loss == "margin":
            logits = self.forward(asked.x, noise())
            return logits, LOSSES[loss](logits, asked.y)
        if loss == "dlr-targeted" or loss == "margin-targeted":
            assert target is not None, f"{loss} aims at a class"
            logits = self.forward(asked.x, noise())
            return logits, TARGETED[loss](logits, asked.y, target)
        assert origin is not None, f"{loss} is measured from the clean image"
        with torch.no_grad():
            reference, _ = self._code(origin, noise, loss)
        code, logits_of = self._code(asked.x, noise, loss)
        losses = DISPLACEMENTS[loss](code, reference)
        with torch.no_grad():
            return logits_of(), losses

    def _code(
        self, x: Tensor, noise: Callable[[], SampleNoise], loss: Displacement
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        """What a displacement is measured on, and a function that gives the logits: the clean image does not need them."""
        if loss == "decoder":
            images = self.images(x, noise())
            return images, lambda: self.model.classify(images)
        if loss == "feature":
            logits, features = self.model.features(self.images(x, noise()))
            return features, lambda: logits
        return self.model.encode(x, noise()), lambda: self.forward(x, noise())

    def _draw(self, asked: Batch, draw: int, calls: Tensor) -> SampleNoise:
        return self.noise.of("defence", asked.ids, asked.device, draw=draw, calls=calls)


def _to_border(answer: Answer, norm: Norm) -> Tensor:
    """How far the linearised margin [B] is from zero."""
    assert answer.gradient is not None
    dual = torch.linalg.vector_norm(answer.gradient.flatten(1), ord=DUAL[norm], dim=1)
    far: Tensor = answer.loss.abs() / (dual + 1e-12)
    return far


class _Mean:
    """Running sums over the EOT draws."""

    def __init__(self) -> None:
        self.logits: list[Tensor] = []
        self.loss: Tensor | None = None
        self.gradient: Tensor | None = None

    def add(self, logits: Tensor, loss: Tensor, gradient: Tensor | None) -> None:
        self.logits.append(logits)
        self.loss = loss if self.loss is None else self.loss + loss
        if gradient is not None:
            self.gradient = gradient if self.gradient is None else self.gradient + gradient

    def answer(self) -> Answer:
        assert self.loss is not None
        draws = len(self.logits)
        if draws == 1:
            return Answer(self.logits[0], self.loss, self.gradient, tuple(self.logits))
        mean = sum(self.logits[1:], start=self.logits[0]) / draws
        gradient = None if self.gradient is None else self.gradient / draws
        return Answer(mean, self.loss / draws, gradient, tuple(self.logits))


class OracleModule(nn.Module):
    """See `Oracle.as_module`."""

    def __init__(self, oracle: Oracle, clean: Batch) -> None:
        super().__init__()
        self.model = oracle.model
        self.oracle = oracle
        self.clean = clean
        self.calls = 0
        self.eval()

    def train(self, mode: bool = True) -> "OracleModule":  # noqa: ARG002, FBT001, FBT002
        """Stays in eval mode, whatever third-party code asks."""
        return super().train(mode=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of one fresh draw."""
        first = int(self.clean.ids[0])
        rows = torch.arange(first, first + len(x), device=x.device)
        if self.model.draws_known:
            # Every sample has a fixed draw of its own, so each row must be given that of its sample.
            rows = self._nearest(x.detach())
        self.calls += 1
        self.model.meter.queries += len(x)
        noise = self.oracle.noise.of("defence", rows, x.device, calls=torch.full_like(rows, self.calls))
        logits = self.oracle.forward(x, noise)
        if torch.is_grad_enabled() and x.requires_grad and not logits.requires_grad:
            logits = NoGradient.apply(x, logits)
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]
        if not torch.isfinite(logits).all():
            refuse_non_finite(logits.detach(), self._nearest(x.detach()))
        return logits

    def _nearest(self, x: Tensor) -> Tensor:
        """The ids of the clean images that the rows of `x` were made from."""
        far = torch.cdist(x.flatten(1).nan_to_num(), self.clean.x.flatten(1))
        return self.clean.ids[far.argmin(1)]

    def _count(self, gradient: Tensor) -> None:
        self.model.meter.backwards += len(gradient)


def refuse_non_finite(logits: Tensor, ids: Tensor) -> None:
    """Raises CellFailed with the sample ids where a logit is NaN or infinite."""
    broken = ~torch.isfinite(logits).all(1)
    if broken.any():
        samples = ids[broken].tolist()
        raise CellFailed(f"sample {samples[0]}: logits are NaN or infinite while it was attacked", samples)

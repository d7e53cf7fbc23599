"""The judge: attacks propose, the judge decides, on noise that no attack has seen (docs/judging.md section 1)."""

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed
from rbench.suite.cell import Decide
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise, Role


@dataclass(frozen=True)
class Judge:
    """Decides about images of one defended model under one threat.

    Attributes:
        model: the defended model, judged in float32 and eval mode.
        ball: where a proposal must lie.
        draws: score draws, the independent evaluations of a random defence that value an image; 1 for a deterministic one.
        select_draws: the draws by which images are chosen; 1 for a deterministic one, whose one draw serves for both.
        decide: how score draws become a verdict.
        noise: the root of the cell's randomness.
        batch_size: images evaluated at once; changes nothing but speed.
        random: whether the model is, so that choosing and valuing need draws of their own.
        stacked: several draws of one image may share a batch. Not where answers depend on the batch: who knows the judge by images that
            repeat could answer otherwise.
        tied: by role, how many images had their largest logit twice on a draw; `clear` it to count anew.
    """

    model: DefendedModel
    ball: Ball
    draws: int
    select_draws: int
    decide: Decide
    noise: Noise
    batch_size: int
    random: bool
    stacked: bool = True
    tied: Counter[str] = field(default_factory=Counter, compare=False)

    def both(self, images: Tensor, clean: Batch) -> tuple[Tensor, Tensor]:
        """What `select` and `score` give; the one draw of a deterministic defence is evaluated once."""
        select = self.select(images, clean)
        return select, self.score(images, clean) if self.random else select

    def select(self, images: Tensor, clean: Batch) -> Tensor:
        """The predicted class on every select draw, int64 [B, select_draws], alike in all cells of a row; arguments as in `predictions`."""
        return self.predictions(images, clean, "select", torch.arange(self.select_draws, device=clean.device))

    def score(self, images: Tensor, clean: Batch) -> Tensor:
        """The predicted class on every score draw, int64 [B, draws]; arguments as in `predictions`."""
        return self.predictions(images, clean, "score", torch.arange(self.draws, device=clean.device))

    def predictions(self, images: Tensor, clean: Batch, role: Role, draws: Tensor) -> Tensor:
        """The predicted class on some draws, int64 [B, K]; the first index wins a tie.

        Args:
            images: [B, C, H, W] what to judge.
            clean: the samples that they were made from.
            role: whose draws; roles never share one.
            draws: int64 [K] numbers of the draws, or [B, K] where every sample has its own.

        Raises:
            CellFailed: a logit is not finite.
        """
        logits = self.logits(images, clean, role, draws)
        # Not an int, which would wait for the device.
        self.tied[role] += ((logits == logits.amax(2, keepdim=True)).sum(2) > 1).any(1).sum()  # type: ignore[assignment]
        return logits.argmax(2)

    def logits(self, images: Tensor, clean: Batch, role: Role, draws: Tensor) -> Tensor:
        """The logits [B, K, classes] on some draws; arguments as in `predictions`.

        Raises:
            CellFailed: a logit is not finite.
        """
        numbers = draws.expand(len(images), -1)
        spans = [slice(start, start + self.batch_size) for start in range(0, len(images), self.batch_size)]
        return torch.cat([self._span(images[span], clean.at(span), role, numbers[span]) for span in spans])

    def _span(self, images: Tensor, clean: Batch, role: Role, numbers: Tensor) -> Tensor:
        """The logits of at most a batch of images; several draws of few images are one batch."""
        # What uses a global generator may draw once for the whole batch, so there no image is shown twice in it.
        at_once = self.batch_size // len(images) if self.model.accepts_noise and self.stacked else 1
        parts = [self._block(images, clean, role, part) for part in torch.split(numbers, max(1, at_once), dim=1)]
        return torch.cat(parts, dim=1)

    def _block(self, images: Tensor, clean: Batch, role: Role, numbers: Tensor) -> Tensor:
        count = numbers.shape[1]
        shown = images.repeat_interleave(count, 0)
        of = clean.at(torch.arange(len(images), device=images.device).repeat_interleave(count))
        with torch.no_grad():
            logits: Tensor = self.model(shown, self.noise.of(role, of.ids, of.device, calls=numbers.flatten()))
        broken = ~torch.isfinite(logits).all(1)
        if broken.any():
            samples = list(dict.fromkeys(of.ids[broken].tolist()))
            moved = float(self.ball.distance(shown, of.x)[broken][0])
            raise CellFailed(
                f"sample {samples[0]}: logits are NaN or infinite after it was moved by {self.ball.norm} {moved:.4g}",
                samples,
            )
        return logits.view(len(images), count, -1)

    def admit(self, proposals: Tensor, clean: Batch, tolerance: float) -> Tensor:
        """Checks proposals against the threat, the pixel range and finiteness; returns their float64 distances [B].

        Args:
            proposals: [B, C, H, W] what an attack hands in.
            clean: the samples that it was given.
            tolerance: how far outside the ball and [0, 1] a pixel may lie by rounding; for a distance see `summed`.

        Raises:
            CellFailed: a proposal breaks a rule; never clipped, never counted.
        """
        x, ids, ball = proposals, clean.ids, self.ball
        if x.shape != clean.x.shape or x.dtype != torch.float32:
            raise CellFailed(
                f"the attack returned {tuple(x.shape)} {x.dtype}, not {tuple(clean.x.shape)} torch.float32"
            )
        _refuse(~torch.isfinite(x).flatten(1).all(1), ids, "the attack returned NaN or infinite pixels")
        moved = ball.distance(x, clean.x)
        worst = f"{ball.norm} {float(moved.max()):.9g} > eps {ball.largest:.9g}"
        _refuse(~ball.within(moved, tolerance), ids, f"the attack left the {ball.kind} ({worst})")
        flat = x.flatten(1)
        spread = f"pixels from {float(flat.min()):.6g} to {float(flat.max()):.6g}"
        _refuse((flat.amin(1) < -tolerance) | (flat.amax(1) > 1 + tolerance), ids, f"the attack left [0, 1] ({spread})")
        return moved


def share_right(predictions: Tensor, y: Tensor) -> Tensor:
    """The share of draws [B] whose predicted class [B, K] is the label [B]."""
    return (predictions == y[:, None]).float().mean(1)


def _refuse(broken: Tensor, ids: Tensor, what: str) -> None:
    if broken.any():
        samples = ids[broken].tolist()
        raise CellFailed(f"sample {samples[0]}: {what}", samples)

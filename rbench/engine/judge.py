"""The judge: attacks propose, the judge decides, on noise that no attack has seen (docs/judging.md section 1)."""

from dataclasses import dataclass

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
        draws: independent evaluations of a random defence; 1 for a deterministic one.
        decide: how draws become a verdict.
        noise: the root of the cell's randomness.
        batch_size: images evaluated at once; changes nothing but speed.
    """

    model: DefendedModel
    ball: Ball
    draws: int
    decide: Decide
    noise: Noise
    batch_size: int

    def predictions(self, images: Tensor, clean: Batch, role: Role) -> Tensor:
        """The predicted class of every draw, int64 [B, draws]; the first index wins a tie.

        Args:
            images: [B, C, H, W] what to judge.
            clean: the samples that they were made from.
            role: `select` to choose among proposals, `score` to report; the two never share a draw.

        Raises:
            CellFailed: a logit is not finite.
        """
        spans = [slice(start, start + self.batch_size) for start in range(0, len(images), self.batch_size)]
        return torch.cat([self._batch(images[span], clean.at(span), role) for span in spans])

    def _batch(self, images: Tensor, clean: Batch, role: Role) -> Tensor:
        columns = []
        with torch.no_grad():
            for draw in range(self.draws):
                logits = self.model(images, self.noise.of(role, clean.ids, clean.device, draw=draw))
                broken = ~torch.isfinite(logits).all(1)
                if broken.any():
                    samples = clean.ids[broken].tolist()
                    moved = float(self.ball.distance(images, clean.x)[broken][0])
                    raise CellFailed(
                        f"sample {samples[0]}: logits are NaN or infinite after it was moved by {self.ball.norm} {moved:.4g}",
                        samples,
                    )
                columns.append(logits.argmax(1))
        return torch.stack(columns, 1)

    def admit(self, proposals: Tensor, clean: Batch, tolerance: float) -> Tensor:
        """Checks proposals against the threat, the pixel range and finiteness; returns their float64 distances [B].

        Args:
            proposals: [B, C, H, W] what an attack hands in.
            clean: the samples that it was given.
            tolerance: how far outside the ball and [0, 1] they may lie by rounding.

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
        _refuse(moved > ball.eps + tolerance, ids, f"the attack left the {ball.kind} ({worst})")
        flat = x.flatten(1)
        spread = f"pixels from {float(flat.min()):.6g} to {float(flat.max()):.6g}"
        _refuse((flat.amin(1) < -tolerance) | (flat.amax(1) > 1 + tolerance), ids, f"the attack left [0, 1] ({spread})")
        return moved


def _refuse(broken: Tensor, ids: Tensor, what: str) -> None:
    if broken.any():
        samples = ids[broken].tolist()
        raise CellFailed(f"sample {samples[0]}: {what}", samples)

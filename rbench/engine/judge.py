"""The judge: attacks propose, the judge decides, on noise that no attack has seen (docs/judging.md section 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed
from rbench.suite.cell import Decide
from rbench.threat.ball import distance
from rbench.threat.noise import Noise, Role
from rbench.threat.terms import Norm


@dataclass(frozen=True)
class Judge:
    """Decides about images of one defended model under one threat.

    Attributes:
        model: the defended model, judged in float32 and eval mode.
        norm: the norm of the ball.
        eps: its radius.
        draws: independent evaluations of a random defence; 1 for a deterministic one.
        decide: how draws become a verdict.
        noise: the root of the cell's randomness.
        batch_size: images evaluated at once; changes nothing but speed.
    """

    model: DefendedModel
    norm: Norm
    eps: float
    draws: int
    decide: Decide
    noise: Noise
    batch_size: int

    def predictions(self, x: Tensor, origin: Tensor, ids: Tensor, role: Role) -> Tensor:
        """The predicted class of every draw, int64 [B, draws]; the first index wins a tie.

        Args:
            x: [B, C, H, W] the images to judge.
            origin: [B, C, H, W] the clean images, to say how far a broken sample was moved.
            ids: [B] sample ids.
            role: `select` to choose among proposals, `score` to report; the two never share a draw.

        Raises:
            CellFailed: a logit is not finite.
        """
        rows = []
        for start in range(0, len(x), self.batch_size):
            part = slice(start, start + self.batch_size)
            rows.append(self._batch(x[part], origin[part], ids[part], role))
        return torch.cat(rows)

    def _batch(self, x: Tensor, origin: Tensor, ids: Tensor, role: Role) -> Tensor:
        columns = []
        with torch.no_grad():
            for draw in range(self.draws):
                logits = self.model(x, self.noise.of(role, ids, x.device, draw=draw))
                broken = ~torch.isfinite(logits).all(1)
                if broken.any():
                    samples = ids[broken].tolist()
                    moved = float(distance(x, origin, self.norm)[broken][0])
                    raise CellFailed(
                        f"sample {samples[0]}: logits are NaN or infinite after it was moved by {self.norm} {moved:.4g}",
                        samples,
                    )
                columns.append(logits.argmax(1))
        return torch.stack(columns, 1)

    def admit(self, x: Tensor, origin: Tensor, ids: Tensor, tolerance: float) -> Tensor:
        """Checks proposals against ball, range and finiteness; returns their float64 distances [B].

        Raises:
            CellFailed: a proposal breaks a rule; never clipped, never counted.
        """
        if x.shape != origin.shape or x.dtype != torch.float32:
            raise CellFailed(f"the attack returned {tuple(x.shape)} {x.dtype}, not {tuple(origin.shape)} torch.float32")
        _refuse(~torch.isfinite(x).flatten(1).all(1), ids, "the attack returned NaN or infinite pixels")
        moved = distance(x, origin, self.norm)
        outside = moved > self.eps + tolerance
        worst = f"{self.norm} {float(moved.max()):.9g} > eps {self.eps:.9g}"
        _refuse(outside, ids, f"the attack left the ball ({worst})")
        flat = x.flatten(1)
        spread = f"pixels from {float(flat.min()):.6g} to {float(flat.max()):.6g}"
        _refuse((flat.amin(1) < -tolerance) | (flat.amax(1) > 1 + tolerance), ids, f"the attack left [0, 1] ({spread})")
        return moved


def _refuse(broken: Tensor, ids: Tensor, what: str) -> None:
    if broken.any():
        samples = ids[broken].tolist()
        raise CellFailed(f"sample {samples[0]}: {what}", samples)

"""Counter-based noise: every draw is a pure function of (seed, role, sample id, draw, call, stream).

So a result does not depend on batch size, order, compaction, number of workers or the point of resume (docs/judging.md section 2).
The generator is NumPy's Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), always run on the CPU, so that
a GPU sees the same noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Role = Literal["attack", "defence", "select", "score", "audit", "calibration", "fixed", "race", "leave"]
ROLES: dict[Role, int] = {
    "attack": 1,
    "defence": 2,
    "select": 3,
    "score": 4,
    "audit": 5,
    "calibration": 6,
    "fixed": 7,
    "race": 8,
    "leave": 9,
}
_SEEDS = 2**32
"""Number of seeds that a suite can have, 0 to 2**32 - 1.

A rung of a ladder adds its position times this, so that rungs draw different noise; `seed % _SEEDS` is the seed of the suite again.
"""


@dataclass
class SampleNoise:
    """The noise of one evaluation of a batch; what a purifier gets as `noise`.

    Each call of `normal`, `uniform` or `integers` takes the next stream; row b is keyed by the id of sample b alone.
    """

    seed: int
    role: Role
    ids: Sequence[int]
    draw: int
    calls: Sequence[int]
    device: torch.device
    stream: int = field(default=0)

    def _generators(self) -> list[np.random.Generator]:
        key = np.array([self.seed, ROLES[self.role]], dtype=np.uint64)
        stream, self.stream = self.stream, self.stream + 1
        return [
            np.random.Generator(
                np.random.Philox(key=key, counter=np.array([0, (call << 32) + stream, self.draw, sample], np.uint64))
            )
            for sample, call in zip(self.ids, self.calls, strict=True)
        ]

    def _stack(self, rows: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal draws, float32 [B, *shape]."""
        return self._stack([g.standard_normal(shape, dtype=np.float32) for g in self._generators()])

    def uniform(self, *shape: int) -> Tensor:
        """Uniform draws in [0, 1), float32 [B, *shape]."""
        return self._stack([g.random(shape, dtype=np.float32) for g in self._generators()])

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Uniform integers in [low, high), int64 [B, *shape]."""
        return self._stack([np.asarray(g.integers(low, high, shape)) for g in self._generators()])

    def global_seed(self) -> int:
        """A seed for code that can only use a global generator: depends on the first sample of the batch."""
        return int(self._generators()[0].integers(2**63)) if len(self.ids) else 0

    def padded(self) -> "SampleNoise":
        """The same noise for a batch of one shown twice."""
        return SampleNoise(
            self.seed, self.role, [*self.ids, *self.ids], self.draw, [*self.calls, *self.calls], self.device
        )

    def fixed(self) -> "SampleNoise":
        """Noise of one fixed draw per sample, the same for every role, draw, call and rung of a ladder."""
        return SampleNoise(self.seed % _SEEDS, "fixed", self.ids, 0, [0] * len(self.ids), self.device)


@dataclass(frozen=True)
class Noise:
    """The root of all randomness of a cell."""

    seed: int

    def of(
        self, role: Role, ids: Tensor, device: torch.device, *, draw: int = 0, calls: Tensor | None = None
    ) -> SampleNoise:
        """Noise of one evaluation.

        Args:
            role: who draws; roles never share noise.
            ids: [B] int64 sample ids.
            device: where the draws are wanted.
            draw: which of several independent draws.
            calls: [B] int64 number of the query of each sample; 0 if not given.
        """
        numbers = [0] * len(ids) if calls is None else calls.tolist()
        return SampleNoise(self.seed, role, ids.tolist(), draw, numbers, device)


_GAMMA, _FIRST, _SECOND = (number - 2**64 for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The unsigned 64-bit constants of SplitMix64 written as int64, whose products wrap around to the same bits."""


def step_uniforms(key: Tensor, step: Tensor, count: int) -> Tensor:
    """Uniform draws in [0, 1) of one step of every sample, float32 [B, count]; the same bits on every device.

    SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figure 14) jumps to any place of its stream, so
    an attack of thousands of steps keeps one key a sample instead of asking a generator on the CPU at each of them.

    Args:
        key: [B] int64, drawn from a `SampleNoise`: where the stream of each sample begins.
        step: [B] int64 number of the step, from 0.
        count: draws per step.
    """
    place = step[:, None] * count + torch.arange(1, count + 1, device=key.device)
    bits = key[:, None] + place * _GAMMA
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    bits = bits ^ _shifted(bits, 31)
    return _shifted(bits, 40).float() * 2.0**-24


def _shifted(bits: Tensor, places: int) -> Tensor:
    """Shifted right with zeros coming in, where int64 would bring in its sign."""
    return (bits >> places) & ((1 << (64 - places)) - 1)

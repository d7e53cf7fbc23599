"""Counter-based noise: every draw is a pure function of (seed, role, sample id, draw, call, stream, position).

So a result does not depend on batch size, order, compaction, number of workers or the point of resume (docs/judging.md section 2).
Keys and draws are SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figure 14) in int64 tensors,
whose sums and products wrap around to the same bits on every device; normal draws come from them by `rbench.threat.quantile`.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeVar

import torch
from torch import Tensor

from rbench.threat.quantile import normals

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

_GAMMA, _FIRST, _SECOND = (number - 2**64 for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The unsigned 64-bit constants of SplitMix64 written as int64."""

Bits = TypeVar("Bits", int, Tensor)


@dataclass(eq=False)
class SampleNoise:
    """The noise of one evaluation of a batch; a purifier is shown its draws alone (`Draws`).

    Each call of `normal`, `uniform` or `integers` takes the next stream; row b is keyed by the id of sample b alone.

    Attributes:
        seed: of the cell; 0 to 2**64 - 1.
        role: who draws.
        ids: [B] int64 sample ids.
        draw: which of several independent draws.
        calls: [B] int64 number of the query of each sample.
        device: of the draws, of `ids` and of `calls`.
        stream: number of the next stream.
    """

    seed: int
    role: Role
    ids: Tensor
    draw: int
    calls: Tensor
    device: torch.device
    stream: int = field(default=0)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal draws, float32 [B, *shape]; at most 6.4 in size."""
        return normals(self._halves(shape)).reshape(len(self.ids), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform draws in [0, 1), multiples of 2**-24, float32 [B, *shape]."""
        return _uniforms(self._halves(shape)).reshape(len(self.ids), *shape)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Uniform integers in [low, high), int64 [B, *shape].

        Draws are 63 bits modulo the width of the range, so their chances differ by at most `(high - low) / 2**63`, relative.

        Raises:
            ValueError: the range is empty or wider than 2**63 - 1.
        """
        if not 0 < high - low < 2**63:
            raise ValueError(f"integers({low}, {high}): high must be above low, by at most 2**63 - 1")
        drawn = _shifted(_words(self._keys(), 0, math.prod(shape)), 1) % (high - low) + low
        return drawn.reshape(len(self.ids), *shape)

    def global_seed(self) -> int:
        """A seed for code that can only use a global generator, 0 to 2**63 - 1: depends on the first sample of the batch.

        The only call that waits for the device.
        """
        return int(_shifted(_words(self._keys()[:1], 0, 1), 1)) if len(self.ids) else 0

    def padded(self) -> "SampleNoise":
        """The same noise for a batch of one shown twice."""
        ids, calls = (torch.cat([numbers, numbers]) for numbers in (self.ids, self.calls))
        return SampleNoise(self.seed, self.role, ids, self.draw, calls, self.device)

    def fixed(self) -> "SampleNoise":
        """Noise of one fixed draw per sample, the same for every role, draw, call and rung of a ladder."""
        return SampleNoise(self.seed % _SEEDS, "fixed", self.ids, 0, torch.zeros_like(self.calls), self.device)

    def _keys(self) -> Tensor:
        """Where the next stream of every sample begins, int64 [B]."""
        stream, self.stream = self.stream, self.stream + 1
        shared = 0
        for number in (self.seed, ROLES[self.role], self.draw, stream):
            shared = _mixed(shared + (number + 1) * _GAMMA)
        own = _mixed((self.ids + 1) * _GAMMA + _signed(shared))
        return _mixed((self.calls + 1) * _GAMMA + own)

    def _halves(self, shape: tuple[int, ...]) -> Tensor:
        """As many random 32-bit numbers a sample as the shape has places, int32 [B, places]."""
        return _split(self._keys(), 0, math.prod(shape))


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
        samples = ids.to(device, torch.int64)
        numbers = torch.zeros_like(samples) if calls is None else calls.to(device, torch.int64)
        return SampleNoise(self.seed, role, samples, draw, numbers, device)


def step_uniforms(key: Tensor, step: Tensor, count: int) -> Tensor:
    """Uniform draws in [0, 1) of one step of every sample, float32 [B, count]; the same bits on every device.

    SplitMix64 jumps to any place of its stream, so an attack of thousands of steps keeps one key a sample.

    Args:
        key: [B] int64, drawn from a `SampleNoise`: where the stream of each sample begins.
        step: [B] int64 number of the step, from 0.
        count: draws per step.
    """
    return _uniforms(_split(key, step[:, None] * -(-count // 2), count))


def _words(key: Tensor, first: Tensor | int, count: int) -> Tensor:
    """Consecutive words of the stream of every key, int64 [B, count].

    Args:
        key: [B] int64.
        first: [B, 1] int64 or one number for all: how many words of the stream are skipped.
        count: words a key.
    """
    return _mixed((key[:, None] + first * _GAMMA) + _steps(count, key.device))


@lru_cache(maxsize=32)
def _steps(count: int, device: torch.device) -> Tensor:
    """How far the first words of a stream are from where it begins, int64 [count]; an attack asks for the same number again and again."""
    return torch.arange(1, count + 1, device=device) * _GAMMA


def _split(key: Tensor, first: Tensor | int, count: int) -> Tensor:
    """As `_words`, and both halves of every word a number of its own, the lower one first; int32 [B, count]."""
    return _words(key, first, -(-count // 2)).view(torch.int32)[:, :count]


def _uniforms(halves: Tensor) -> Tensor:
    """The upper 24 of 32 random bits as float32 in [0, 1)."""
    return ((halves >> 8) & 0xFFFFFF).float() * 2.0**-24


def _mixed(bits: Bits) -> Bits:
    """The finaliser of SplitMix64; of an integer the lower 64 bits alone mean something."""
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Bits, places: int) -> Bits:
    """64 bits shifted right with zeros coming in, where int64 would bring in its sign."""
    return (bits >> places) & ((1 << (64 - places)) - 1)


def _signed(number: int) -> int:
    """The lower 64 bits of an integer as int64."""
    return (number + 2**63) % 2**64 - 2**63

"""What a purifier gets as `noise`: draws, and nothing that says who asks for them."""

from collections.abc import Callable

from torch import Tensor

from rbench.threat.noise import SampleNoise


class Draws:
    """The draws of one evaluation of a batch, without seed, role, sample ids, number of the draw or of the query.

    A purifier that knew them could answer the judge otherwise than an attack, or look up the sample. Each call takes the next stream, and
    the samples draw independently of each other.

    Attributes:
        normal: `normal(*shape)`: standard normal draws, float32 [B, *shape].
        uniform: `uniform(*shape)`: uniform draws in [0, 1), float32 [B, *shape].
        integers: `integers(low, high, *shape)`: uniform integers in [low, high), int64 [B, *shape].
    """

    __slots__ = ("integers", "normal", "uniform")

    normal: Callable[..., Tensor]
    uniform: Callable[..., Tensor]
    integers: Callable[..., Tensor]

    def __init__(self, noise: SampleNoise) -> None:
        # Closures and not bound methods, which would name the noise in `__self__`.
        self.normal = lambda *shape: noise.normal(*shape)
        self.uniform = lambda *shape: noise.uniform(*shape)
        self.integers = lambda low, high, *shape: noise.integers(low, high, *shape)

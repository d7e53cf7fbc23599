"""A random purifier whose noise is fixed: `noise: fixed` in a suite."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from rbench.errors import InputError
from rbench.registry import load
from rbench.threat.draws import Draws
from rbench.threat.noise import SampleNoise


class FixedNoise(nn.Module):
    """A purifier that draws once for every image, and the same whenever it is asked; the attacker knows the draw.

    Compared with the row of fresh noise it shows how much of the accuracy is due to randomness alone (docs/judging.md section 2). Every
    sample id has its own draw.

    Args:
        purifier: whose `forward` takes `noise`.
    """

    stochastic = False
    draws_known = True

    def __init__(self, purifier: nn.Module) -> None:
        super().__init__()
        self.purifier = purifier
        self.differentiable = getattr(purifier, "differentiable", True)
        # Only the hooks that the purifier has: the engine looks for them by name.
        if callable(getattr(purifier, "stages", None)):
            self.stages = self._stages
        if callable(getattr(purifier, "surrogate", None)):
            self.surrogate = self._surrogate
        encode = getattr(purifier, "encode", None)
        if callable(encode):
            self.encode = self._encode if "noise" in inspect.signature(encode).parameters else encode
        if callable(getattr(purifier, "attach", None)):
            self.attach = purifier.attach

    def forward(self, x: Tensor, *, noise: SampleNoise) -> Tensor:
        """The purified images [B, C, H, W]."""
        purified: Tensor = self.purifier(x, noise=Draws(noise.fixed()))
        return purified

    def _stages(self, x: Tensor, noise: SampleNoise) -> list[Callable[[Tensor], Tensor]]:
        stages: Callable[..., list[Callable[[Tensor], Tensor]]] = self.purifier.stages  # type: ignore[assignment]
        return stages(x, Draws(noise.fixed()))

    def _surrogate(self, x: Tensor, *, noise: SampleNoise) -> Tensor:
        surrogate: Callable[..., Tensor] = self.purifier.surrogate  # type: ignore[assignment]
        given = {"noise": Draws(noise.fixed())} if "noise" in inspect.signature(surrogate).parameters else {}
        return surrogate(x, **given)

    def _encode(self, x: Tensor, *, noise: SampleNoise) -> Tensor:
        encode: Callable[..., Tensor] = self.purifier.encode  # type: ignore[assignment]
        return encode(x, noise=Draws(noise.fixed()))


def load_purifier(name: str, params: Mapping[str, Any] | None = None) -> nn.Module:
    """A purifier by its registry name.

    Args:
        name: with the item after a colon for a source.
        params: its parameters, and `noise: fixed` if its draws are fixed.

    Raises:
        InputError: it is unknown, refuses its parameters, or draws nothing that could be fixed.
        MissingError: it needs a module or file that is not there.
    """
    given = dict(params or {})
    fixed = given.pop("noise", None) == "fixed"
    purifier: nn.Module = load("purifier", name, given)
    if not fixed:
        return purifier
    if "noise" not in inspect.signature(purifier.forward).parameters:
        raise InputError(
            f"purifier {name!r}: its forward takes no `noise`, so there is nothing to fix. Leave `noise: fixed` out."
        )
    return FixedNoise(purifier)

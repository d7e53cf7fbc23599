"""No purifier: the undefended baseline."""

from torch import Tensor, nn


class Identity(nn.Module):
    """The image as it is; every leaderboard has this row."""

    stochastic = False
    differentiable = True

    def forward(self, x: Tensor) -> Tensor:
        """The same images."""
        return x

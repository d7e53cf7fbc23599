"""The plain auto-encoder's objective."""

from torch import Generator, Tensor, nn

from rbench.objectives.types import Objective, Terms


def squared_error(output: Tensor, images: Tensor) -> Tensor:
    """Squared Euclidean distance of two images, mean over the batch: a scalar."""
    return (output - images).square().flatten(1).sum(1).mean()


def reconstruction() -> Objective:
    """Reconstruction alone: E ||decode(encode(x)) - x||^2, the objective of CRoPD at lambda = 0."""

    def loss(network: nn.Module, images: Tensor, generator: Generator) -> tuple[Tensor, Terms]:  # noqa: ARG001 - draws nothing
        error = squared_error(network(images), images)
        return error, {"reconstruction": error}

    return loss

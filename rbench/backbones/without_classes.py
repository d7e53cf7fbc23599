"""Networks that answer features: the place where a head, or class names, make a classifier of them."""

import torch
from torch import Tensor, nn

from rbench.errors import InputError


class NoClasses(nn.Linear):
    """Where a linear classifier goes; `head` in a suite replaces it.

    Args:
        width: number of features.
        what: answers them, for messages.
        remedy: what makes classes of them.
    """

    def __init__(self, width: int, what: str, remedy: str) -> None:
        super().__init__(width, 1, bias=False, device="meta")  # elsewhere it would draw from the global generator
        self.weight = nn.Parameter(torch.zeros(1, width, device="cpu"))
        self.what, self.remedy = what, remedy

    def forward(self, features: Tensor) -> Tensor:
        """Never an answer.

        Raises:
            InputError: always; features are no logits.
        """
        problem = f"{self.what} answers {features.shape[-1]} features, no classes"
        raise InputError(problem, place="backbone", remedy=self.remedy)


class Extractor(nn.Module):
    """A network whose features wait for a head.

    Args:
        network: normalised images to features [B, width].
        width: number of features.
        what: the network, for messages.
    """

    def __init__(self, network: nn.Module, width: int, what: str) -> None:
        super().__init__()
        self.network = network
        self.classifier = NoClasses(width, what, "give it a head: FILE, which `rbench fit` trains")

    def forward(self, x: Tensor) -> Tensor:
        """Logits, once there is a head."""
        logits: Tensor = self.classifier(self.network(x))
        return logits

"""The moving average of the weights over a training, which is often a better network than the weights of the last step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of a network's state (Polyak and Juditsky 1992; Ho et al. 2020, arXiv 2006.11239, appendix B).

    At step k the last average has the weight min(decay, (1 + k) / (10 + k)), so that the random weights of the start are forgotten.

    Args:
        network: whose state is averaged; its buffers are taken over as they are.
        decay: weight of the last average, in (0, 1); None keeps no average, and the network itself is taken instead.
    """

    def __init__(self, network: nn.Module, decay: float | None) -> None:
        self.network, self.decay = network, decay
        self.state = {} if decay is None else _copy(network.state_dict())
        self._averaged = {name for name, value in network.named_parameters() if value.is_floating_point()}

    def update(self, step: int) -> None:
        """Takes in the network after step `step`, counted from 0."""
        if self.decay is None:
            return
        fresh = 1 - min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if name in self._averaged:
                    self.state[name].lerp_(value, fresh)
                else:
                    self.state[name].copy_(value)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a stored average."""
        for name, value in state.items():
            self.state[name].copy_(value)

    def put_on(self) -> None:
        """Loads the average into the network."""
        if self.decay is not None:
            self.network.load_state_dict(self.state)

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Loads the average into the network for the block, and its own weights again after it."""
        own = {} if self.decay is None else _copy(self.network.state_dict())
        self.put_on()
        try:
            yield
        finally:
            if own:
                self.network.load_state_dict(own)


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}

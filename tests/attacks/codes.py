"""Purifiers with a code in closed form, and a backbone that no attack fools."""

import torch
from torch import nn

import rbench


class Deaf(nn.Module):
    """Always right about class 0; its logits follow the image a little, so that the audit finds a gradient."""

    def forward(self, x):
        level = x.flatten(1).mean(1)
        return torch.stack([level + 5, level, -level], 1)


class Coded(nn.Module):
    """The identity, with a code that is a linear map of the pixels."""

    stochastic = False

    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x):
        return x + 0.0

    def encode(self, x):
        return x.flatten(1) @ self.get_buffer("weight").T


def greys(n, *shape, seed=0):
    """Images so far inside [0, 1] that the box does not bind within 0.1."""
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) * 0.6 + 0.2
    return x, torch.zeros(n, dtype=torch.int64)


def judged(purifier, x, y, attack, *, backbone=None, **params):
    """The attack on a purifier in front of a backbone that does not fall, unless there is another."""
    return rbench.evaluate(backbone or Deaf(), x, y, purifier=purifier, attack=attack, **params)

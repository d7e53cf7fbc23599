"""Models made of functions, for tests whose model does one thing."""

import torch
from torch import nn


class Says(nn.Module):
    """A function of images, or of logits, as a module; attributes such as `stochastic` are set on it."""

    def __init__(self, function, **attributes):
        super().__init__()
        self.function = function
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.function(x)


class Backward(torch.autograd.Function):
    """The identity with a gradient that a function makes of the right one and of the image."""

    @staticmethod
    def forward(ctx, x, change):
        ctx.change = change
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.change(gradient, ctx.saved_tensors[0]), None


def backward(change):
    """The identity with another gradient."""
    return Says(lambda x: Backward.apply(x, change))

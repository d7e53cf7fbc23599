"""Models made of functions, for tests whose model does one thing."""

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

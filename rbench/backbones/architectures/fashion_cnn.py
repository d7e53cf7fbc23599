"""The bundled Fashion-MNIST classifier: small enough for 0.15 ms an image on two cores."""

from torch import Tensor, nn

MEAN, STD = 0.2860, 0.3530
"""Mean and standard deviation of the pixels of the 60,000 training images, on the [0, 1] scale."""


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class FashionCnn(nn.Module):
    """Two blocks of two 3x3 convolutions (16 and 32 channels), then 64 hidden units: 117,530 parameters.

    Takes [B, 1, 28, 28] pixels in [0, 1], normalises inside, returns [B, classes] logits. No dropout and no
    other source of randomness: nothing but the weights decides an answer.

    Args:
        classes: number of logits.
    """

    def __init__(self, *, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(1, 16), *_conv(16, 16), nn.MaxPool2d(2),
            *_conv(16, 32), *_conv(32, 32), nn.MaxPool2d(2),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pixels in [0, 1]."""
        logits: Tensor = self.head(self.features((x - MEAN) / STD))
        return logits

"""ResNet-18 for 32x32 images (He et al. 2016, arXiv 1512.03385; a 3x3 stem without pooling).

Parameters are named as in the checkpoints that circulate for this network (`layer1.0.conv1.weight`,
`shortcut.0`, `linear`), among them the one AutoAttack ships.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

WIDTHS, BLOCKS = (64, 128, 256, 512), 2


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, outputs, H / stride, W / stride]."""
        residual = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(residual + self.shortcut(x))


class CifarResNet18(nn.Module):
    """Takes [B, 3, H, W] images, normalised as its weights need, returns [B, classes] logits; 11.2 M parameters.

    Args:
        classes: number of logits.
    """

    def __init__(self, *, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        inputs = WIDTHS[0]
        for number, width in enumerate(WIDTHS, start=1):
            blocks = [Block(inputs, width, 1 if number == 1 else 2)]
            blocks += [Block(width, width, 1) for _ in range(BLOCKS - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inputs = width
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = relu(self.bn1(self.conv1(x)))
        for number in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits

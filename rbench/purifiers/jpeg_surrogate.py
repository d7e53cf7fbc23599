"""A differentiable JPEG, for the backward pass of attacks on the real one."""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

BLOCK = 8
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * BLOCK,) * 4,
)
"""Steps per frequency at quality 50: ITU-T T.81, tables K.1 and K.2."""
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
COSINES = [
    [math.cos((2 * j + 1) * i * math.pi / 16) * (math.sqrt(1 / 8) if i == 0 else 0.5) for j in range(BLOCK)]
    for i in range(BLOCK)
]


def jpeg_surrogate(x: Tensor, quality: int) -> Tensor:
    """JPEG with round(u) + (u - round(u))^3 for round(u) (Shin and Song 2017, "JPEG-resistant adversarial images").

    The gradient vanishes where a frequency is quantised away, so an attacker spends nothing on what the coder removes.

    Args:
        x: [B, 1 or 3, H, W] in [0, 1].
        quality: libjpeg's scale.
    """
    height, width = x.shape[2:]
    if x.shape[1] == 1:
        return (_quantised(x * 255 - 128, LUMINANCE, quality)[:, :, :height, :width] + 128) / 255
    matrix = torch.tensor(TO_YCC, dtype=x.dtype, device=x.device)
    ycc = torch.einsum("kc,bchw->bkhw", matrix, x * 255)
    luminance = _quantised(ycc[:, :1] - 128, LUMINANCE, quality)[:, :, :height, :width] + 128
    even = pad(ycc[:, 1:], [0, width % 2, 0, height % 2], mode="replicate")
    chroma = _quantised(avg_pool2d(even, 2), CHROMINANCE, quality)[:, :, : even.shape[2] // 2, : even.shape[3] // 2]
    chroma = interpolate(chroma, even.shape[2:], mode="bilinear", align_corners=False)[:, :, :height, :width]
    return torch.einsum("ck,bkhw->bchw", matrix.inverse(), torch.cat([luminance, chroma], dim=1)) / 255


def steps(table: tuple[tuple[int, ...], ...], quality: int) -> list[list[float]]:
    """The table at another quality, as libjpeg scales it."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [[float(min(max((entry * scale + 50) // 100, 1), 255)) for entry in row] for row in table]


def _quantised(planes: Tensor, table: tuple[tuple[int, ...], ...], quality: int) -> Tensor:
    """Planes [B, C, H, W] padded to whole blocks, each block through the DCT, soft rounding, and back."""
    height, width = planes.shape[2:]
    padded = pad(planes, [0, -width % BLOCK, 0, -height % BLOCK], mode="replicate")
    step = torch.tensor(steps(table, quality), dtype=planes.dtype, device=planes.device)
    dct = torch.tensor(COSINES, dtype=planes.dtype, device=planes.device)
    rows, columns = padded.shape[2] // BLOCK, padded.shape[3] // BLOCK
    blocks = padded.reshape(*padded.shape[:2], rows, BLOCK, columns, BLOCK).transpose(3, 4)
    units = dct @ blocks @ dct.mT / step
    nearest = units.detach().round()
    decoded = dct.mT @ ((nearest + (units - nearest) ** 3) * step) @ dct
    return decoded.transpose(3, 4).reshape(padded.shape)

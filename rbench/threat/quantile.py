"""Normal draws from random bits by a table of the normal quantile: sums, products and look-ups, so the same bits on every device.

Logarithm, cosine and inverse error function are rounded otherwise on a GPU than on a CPU, and by other versions of their libraries.
"""

from functools import cache
from statistics import NormalDist

import torch
from torch import Tensor

_OCTAVES = 32
"""Powers of two over which the numbers 1/2 to 2**31 are spread, the numerators of probabilities over 2**32."""

_CELL_BITS = 6
"""Cells in an octave, as a power of two: the parabola of a cell is within 1e-7 of the quantile."""

_REST_BITS = 23 - _CELL_BITS
"""Bits of the mantissa of a float32 that tell where in its cell a number lies."""

_GRID = 2.0**27
"""Coefficients are multiples of 1 / this: coarse beside the last bits of a float64, in which logarithms of other libraries differ."""


def normals(bits: Tensor) -> Tensor:
    """Standard normal draws, within 1e-6 of the exact quantiles; at most 6.4 in size.

    One bit is the sign of the draw. The others are a number m of 31 bits; (m + 1/2) / 2**32 is the probability of a value farther out on
    the side of that sign. Exponent and first mantissa bits of m + 1/2 as a float32 are the cell of the table, its other bits the place in
    the cell.

    Args:
        bits: any shape, int32, uniform.

    Returns:
        float32 of the same shape.
    """
    number = ((bits & 0x7FFFFFFF).float() + 0.5).view(torch.int32)
    cell = ((number >> _REST_BITS) - (126 << _CELL_BITS)).flatten()
    place = (number & ((1 << _REST_BITS) - 1)).float() * 2.0**-_REST_BITS
    value, slope, bend = (column.index_select(0, cell).view_as(place) for column in table(bits.device))
    # One product or sum at a time: what fuses a product with a sum rounds once where the others round twice.
    size = place * bend
    size = place * (size + slope)
    size = size + value
    signed: Tensor = size.view(torch.int32) ^ (bits & -(2**31))
    return signed.view(torch.float32)


@cache
def table(device: torch.device) -> Tensor:
    """The coefficients of every cell, lowest power first: float32 [3, cells]; the last cell is the median alone.

    The parabola of a cell meets the quantile at both ends and in the middle.
    """
    if device.type != "cpu":
        return table(torch.device("cpu")).to(device)
    cells = [_parabola(cell) for cell in range((_OCTAVES << _CELL_BITS) + 1)]
    return torch.tensor(cells, dtype=torch.float32, device=device).T.contiguous()


def _parabola(cell: int) -> tuple[float, float, float]:
    octave, part = divmod(cell, 1 << _CELL_BITS)
    first, middle, last = (
        -NormalDist().inv_cdf((1 + (part + place) / 2**_CELL_BITS) * 2.0 ** (octave - 33)) for place in (0, 0.5, 1)
    )
    bend = 2 * (last - 2 * middle + first)
    value, slope, bend = (round(number * _GRID) / _GRID for number in (first, last - first - bend, bend))
    return value, slope, bend

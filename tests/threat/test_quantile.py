"""Normal draws follow the normal quantile to the last digits of a float32, by sums, products and look-ups alone."""

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats

from rbench.threat.quantile import normals, table

CPU = torch.device("cpu")
ENDS = torch.cat([torch.arange(3000), 2**31 - 1 - torch.arange(3000)])


def exact(bits):
    sizes = stats.norm.isf((bits.numpy().astype(np.float64) % 2**31 + 0.5) / 2**32)
    return np.where(bits.numpy() < 0, -sizes, sizes)


def anywhere():
    magnitudes = torch.randint(2**31, (300_000,), generator=torch.Generator().manual_seed(0))
    spread = magnitudes >> torch.randint(31, magnitudes.shape, generator=torch.Generator().manual_seed(1))
    return torch.cat([magnitudes, spread, ENDS])


def test_a_draw_is_within_a_millionth_of_the_exact_quantile_also_far_out():
    for bits in (anywhere().int(), (anywhere() - 2**31).int()):
        assert np.abs(normals(bits).double().numpy() - exact(bits)).max() < 6e-7


def test_draws_fall_as_the_number_grows_up_to_rounding():
    bits = anywhere().sort().values.int()
    assert float(normals(bits).diff().max()) < 6e-7
    assert float(normals(bits).min()) >= 0


def test_the_first_bit_is_the_sign_and_nothing_else():
    bits = anywhere().int()
    assert torch.equal(normals(bits ^ -(2**31)), -normals(bits))


@pytest.mark.parametrize("cell", [0, 1, 777, 1984, 2047])
def test_a_parabola_meets_the_quantile_at_both_ends_and_in_the_middle(cell):
    value, slope, bend = table(CPU)[:, cell].double().tolist()
    octave, part = divmod(cell, 64)
    for place in (0, 0.5, 1):
        number = (1 + (part + place) / 64) * 2.0 ** (octave - 1)
        met = value + place * (slope + place * bend)
        assert met == pytest.approx(stats.norm.isf(number / 2**32), abs=3e-7)


def test_the_table_is_the_same_on_every_machine():
    assert table(CPU).shape == (3, 2049)
    assert hashlib.sha256(table(CPU).numpy().tobytes()).hexdigest()[:16] == "9ebc667cac1b57a9"

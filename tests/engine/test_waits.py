"""How often a step of an attack waits for the device: a GPU stands still meanwhile."""

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from rbench.attacks.apgd import apgd
from rbench.attacks.fab import fab_t
from rbench.attacks.pgd import pgd
from rbench.attacks.square import square
from rbench.engine.defended import DefendedModel
from rbench.engine.driver import Driver
from rbench.engine.kept import FirstFooled
from rbench.engine.setup import Protocol, set_up
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch

STEPS, N = 64, 8
WAIT = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select"}
"""Operations whose result the host needs; indexing with a mask is a `nonzero` inside `index`."""

ATTACKS = {
    "pgd": pgd(steps=STEPS),
    "pgd-momentum": pgd(steps=STEPS, momentum=0.75),
    "apgd": apgd(steps=STEPS),
    "apgd-t": apgd(steps=STEPS, loss="dlr-targeted", targets=1),
    "fab-t": fab_t(steps=STEPS // 2, targets=1),
    "square": square(queries=STEPS),
}


class Lists(TorchFunctionMode):
    """Counts `tolist`, which on a CPU is no operation."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.Tensor.tolist
        return func(*args, **(kwargs or {}))


class Waits(TorchDispatchMode):
    """Counts operations that wait for the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        masked = func.overloadpacket.__name__ in ("index", "index_put", "index_put_") and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        self.count += masked or func.overloadpacket.__name__ in WAIT
        return func(*args, **(kwargs or {}))


def counted(attack, norm, looks):
    """Of a whole attack that all samples survive."""
    x = torch.rand(N, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
    clean = Batch(x, net(x).argmax(1), torch.arange(N))
    protocol = Protocol(Ball(norm, 1e-6), eot=8, draws=2, select_draws=2, batch_size=N)
    setup = set_up(DefendedModel(Identity(), net), attack, protocol, clean)
    run = Driver(setup.attack, setup.oracle, setup.judge.ball, setup.noise, N, pace=lambda *_: (looks, N))
    kept = FirstFooled(setup.judge, clean)
    with Waits() as waits, Lists() as lists:
        run.run(clean, torch.ones(N, dtype=torch.bool), kept)
    return waits.count + lists.count


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_step_waits_once_in_eight(name, norm):
    steps = ATTACKS[name].steps
    _, seldom, often = (counted(ATTACKS[name], norm, looks) for looks in (8, 8, 1))  # the first fills tables
    assert often - seldom == steps - steps // 8, "nothing waits but the looks, and each once"
    assert seldom <= steps // 8 + 16, "the rest is at the beginning and at the end"

"""Noise is a pure function of seed, role, sample, draw, call and stream, and leaves every global generator alone."""

import itertools
import random

import numpy as np
import pytest
import torch

from rbench.engine.defended import DefendedModel, global_generators
from rbench.purifiers.identity import Identity
from rbench.threat.noise import ROLES, Noise

CPU = torch.device("cpu")


def draw(ids, *, seed=0, role="score", kind="normal", calls=None, number=0):
    noise = Noise(seed).of(
        role, torch.tensor(ids), CPU, draw=number, calls=None if calls is None else torch.tensor(calls)
    )
    return {"normal": noise.normal, "uniform": noise.uniform, "integers": lambda *s: noise.integers(0, 1 << 40, *s)}[
        kind
    ](2, 3)


@pytest.mark.parametrize("kind", ["normal", "uniform", "integers"])
def test_a_sample_draws_the_same_whoever_else_is_in_the_batch_and_wherever_it_stands(kind):
    together = draw([7, 3, 900, 1 << 40], kind=kind)
    for row, sample in enumerate([7, 3, 900, 1 << 40]):
        assert torch.equal(draw([sample], kind=kind)[0], together[row])
    assert torch.equal(draw([1 << 40, 900, 3, 7], kind=kind), together.flip(0))


def test_seeds_roles_draws_samples_calls_and_streams_never_share_noise():
    keys = itertools.product((0, 1), ROLES, (0, 1, 2), (0, 1, 5), (0, 1, 2))
    seen = [draw([i], seed=s, role=r, number=d, calls=[c]) for s, r, d, i, c in keys]
    stream = Noise(0).of("score", torch.tensor([0]), CPU)
    stream.normal(2, 3)
    seen.append(stream.normal(2, 3))
    values = torch.cat(seen).flatten()
    assert len(values) == len(values.unique())


def test_the_role_of_the_attack_is_independent_of_that_of_the_judge():
    a, b = (draw(list(range(2000)), role=role).flatten() for role in ("defence", "score"))
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.04
    assert float(a.mean()) == pytest.approx(0, abs=0.04)
    assert float(a.std()) == pytest.approx(1, abs=0.03)


def test_the_draws_are_numpys_philox_under_the_documented_key_and_counter():
    """Results on disk depend on these bits: whoever changes them must say so."""
    philox = np.random.Philox(key=np.array([11, 4], np.uint64), counter=np.array([0, (3 << 32) + 0, 2, 42], np.uint64))
    expected = np.random.Generator(philox).standard_normal((2, 3), dtype=np.float32)
    assert np.array_equal(draw([42], seed=11, number=2, calls=[3])[0].numpy(), expected)
    assert draw([42], kind="integers")[0, 0].tolist() == [890404469084, 25785257732, 966780113854]


def test_integers_keep_to_their_bounds_and_reach_both_ends():
    noise = Noise(0).of("score", torch.arange(200), CPU)
    found = noise.integers(3, 6)
    assert found.dtype == torch.int64
    assert found.shape == (200,)
    assert set(found.tolist()) == {3, 4, 5}


def test_the_padding_of_a_single_image_sees_its_own_noise_twice():
    one = Noise(5).of("defence", torch.tensor([9]), CPU, draw=1, calls=torch.tensor([2]))
    padded = one.padded().normal(4)
    assert torch.equal(padded[0], padded[1])
    assert torch.equal(padded[:1], one.normal(4))


def test_every_role_seeds_the_global_generators_otherwise():
    seeds = {Noise(0).of(role, torch.tensor([1]), CPU).global_seed() for role in ROLES}
    assert len(seeds) == len(ROLES)
    assert all(0 <= seed < 2**63 for seed in seeds)


def states() -> tuple[bytes, bytes, str]:
    return torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), str(random.getstate())  # noqa: NPY002


def scramble() -> None:
    torch.rand(3)
    np.random.rand(3)  # noqa: NPY002
    random.random()


@pytest.mark.parametrize("fails", [False, True])
def test_global_generators_are_given_back_as_they_were_even_after_an_error(fails):
    before = states()
    try:
        with global_generators(3, CPU):
            scramble()
            torch.manual_seed(99)
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert states() == before


def test_the_same_seed_gives_the_same_global_draws_in_all_three_libraries():
    found = []
    for seed in (3, 3, 2**63 - 1):
        with global_generators(seed, CPU):
            found.append((torch.rand(()).item(), np.random.rand(), random.random()))  # noqa: NPY002
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


class GlobalNoise(Identity):
    """Draws from torch's global generator, as careless plug-ins do."""

    stochastic = True

    def forward(self, x):
        return x + torch.randn_like(x)


def test_a_purifier_that_draws_globally_is_seeded_by_the_noise_and_disturbs_nobody():
    model = DefendedModel(GlobalNoise(), torch.nn.Flatten())
    x, ids, before = torch.zeros(2, 1, 2, 2), torch.arange(2), states()
    first, again, other = (model(x, Noise(0).of("score", ids, CPU, draw=d)) for d in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert states() == before

"""Noise is a pure function of seed, role, sample, draw, call and stream, and leaves every global generator alone."""

import hashlib
import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from rbench.engine.defended import DefendedModel, global_generators
from rbench.purifiers.identity import Identity
from rbench.threat.noise import ROLES, Noise, SampleNoise, step_uniforms

CPU = torch.device("cpu")

GOLDEN_INTEGERS = [1040092074817, 1091389110914, 245163222765]
GOLDEN_UNIFORMS = [5546790, 2476765, 3651701]
GOLDEN_NORMALS = [1054891516, 1065744682, 1061664343]
GOLDEN_SEED = 2295075421876658852
GOLDEN_HASH = "f58219ee925c5079"


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


def test_the_draws_are_the_same_bits_on_every_machine():
    """Results on disk depend on these bits: whoever changes them must say so, and raise the version of the judge."""
    keyed = {"seed": 11, "number": 2, "calls": [3]}
    assert draw([42], kind="integers", **keyed)[0, 0].tolist() == GOLDEN_INTEGERS
    assert (draw([42], kind="uniform", **keyed)[0, 0] * 2**24).tolist() == GOLDEN_UNIFORMS
    assert draw([42], **keyed)[0, 0].view(torch.int32).tolist() == GOLDEN_NORMALS
    assert Noise(2**64 - 1).of("leave", torch.tensor([-1]), CPU).global_seed() == GOLDEN_SEED
    many = Noise(5).of("race", torch.arange(1000), CPU, draw=7).normal(3, 32, 32)
    assert hashlib.sha256(many.numpy().tobytes()).hexdigest()[:16] == GOLDEN_HASH


def test_a_draw_follows_from_its_documented_key():
    """The finaliser of SplitMix64 chained over the numbers that a draw is keyed by, here with the integers of Python."""

    def word(key, place):
        bits = (key + place * 0x9E3779B97F4A7C15) % 2**64
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            bits = (bits ^ (bits >> shift)) * factor % 2**64
        return bits ^ (bits >> 31)

    seed, role, number, stream, sample, call = 2**63 + 5, "race", 7, 1, 42, 3
    key = 0
    for counted in (seed, ROLES[role], number, stream, sample, call):
        key = word(key, counted + 1)
    noise = Noise(seed).of(role, torch.tensor([sample]), CPU, draw=number, calls=torch.tensor([call]))
    noise.uniform()
    assert noise.integers(0, 2**62, 3)[0].tolist() == [(word(key, place) >> 1) % 2**62 for place in (1, 2, 3)]


def test_the_words_are_splitmix64_as_published():
    """The first numbers of the reference implementation (Vigna, prng.di.unimi.it/splitmix64.c) seeded with 1234567."""
    words = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    drawn = step_uniforms(torch.tensor([1234567]), torch.tensor([0]), 8)[0]
    assert (drawn * 2**24).tolist() == [half >> 8 for half in halves]
    assert torch.equal(step_uniforms(torch.tensor([1234567]), torch.tensor([1]), 4)[0], drawn[4:])


@pytest.mark.parametrize(("seed", "same"), [(2**64, 0), (2**64 - 1, -1), (2**63, -(2**63))])
def test_a_seed_counts_modulo_2_to_the_64(seed, same):
    assert torch.equal(draw([1], seed=seed), draw([1], seed=same))


def test_no_call_needs_the_values_of_a_tensor():
    """On the meta device tensors have no values; whatever a GPU would have to be waited for fails there."""
    meta = torch.device("meta")
    noise = Noise(0).of("score", torch.arange(5, device=meta), meta, calls=torch.arange(5, device=meta))
    for made in (noise, noise.padded().fixed()):
        assert made.normal(3, 2).shape == (len(made.ids), 3, 2)
        assert made.uniform().shape == (len(made.ids),)
        assert made.integers(0, 5, 7).dtype == torch.int64
    assert step_uniforms(noise.ids, noise.calls, 9).shape == (5, 9)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (0, 2), (2, 3)])
@pytest.mark.parametrize("kind", ["normal", "uniform", "integers"])
def test_draws_have_the_shape_that_was_asked_for(kind, shape, count):
    noise = Noise(0).of("score", torch.arange(3 * count)[::3], CPU)
    drawn = noise.integers(0, 3, *shape) if kind == "integers" else getattr(noise, kind)(*shape)
    assert drawn.shape == (count, *shape)
    assert drawn.dtype == (torch.int64 if kind == "integers" else torch.float32)


# --- distribution -------------------------------------------------------------------------------------------------

WAYS = {
    "seed": lambda k: Noise(k).of("score", torch.arange(500), CPU),
    "seed of a rung": lambda k: Noise(k << 32).of("score", torch.arange(500), CPU),
    "id": lambda k: Noise(0).of("score", torch.arange(500) + 500 * k, CPU),
    "draw": lambda k: Noise(0).of("score", torch.arange(500), CPU, draw=k),
    "call": lambda k: Noise(0).of("score", torch.arange(500), CPU, calls=torch.full((500,), k)),
    "role": lambda k: Noise(0).of(list(ROLES)[k], torch.arange(500), CPU),
    "stream": lambda k: replace(Noise(0).of("score", torch.arange(500), CPU), stream=k),
}


def correlations(rows):
    """The largest correlation between two rows."""
    return float(torch.corrcoef(rows).fill_diagonal_(0).abs().max())


@pytest.mark.parametrize("way", WAYS)
def test_neighbouring_keys_are_independent(way):
    """Correlations of the values and of their sizes, between keys and between neighbouring places of one key, are those of chance."""
    drawn = torch.stack([WAYS[way](k).normal(100) for k in range(6)]).double()
    for values in (drawn, drawn.abs(), drawn**2):
        assert correlations(values.flatten(1)) < 5 / 50_000**0.5
        assert (
            correlations(torch.stack([values[:, :, lag : 90 + lag].flatten() for lag in range(6)])) < 5 / 270_000**0.5
        )
    neighbours = torch.stack([drawn[0, :-1].flatten(), drawn[0, 1:].flatten()])
    assert correlations(neighbours) < 5 / 49_900**0.5


@pytest.mark.parametrize("way", WAYS)
def test_each_bit_of_a_draw_changes_with_half_of_the_neighbouring_keys(way):
    first, second = (WAYS[way](k).integers(0, 2**62, 20) for k in (0, 1))
    changed = first ^ second
    shares = torch.stack([((changed >> bit) & 1).double().mean() for bit in range(62)])
    assert float((shares - 0.5).abs().max()) < 5 * 0.5 / 10_000**0.5


@pytest.mark.parametrize("way", WAYS)
def test_normal_draws_are_normal_and_uniform_draws_uniform(way):
    noises = [WAYS[way](k) for k in range(6)]
    normal, uniform = (
        torch.cat([draw(n, 100).flatten() for n in noises]).double()
        for draw in (SampleNoise.normal, SampleNoise.uniform)
    )
    assert stats.kstest(normal.numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3
    assert stats.chisquare(np.bincount((uniform * 256).long().numpy(), minlength=256)).pvalue > 1e-3
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1


def test_the_moments_of_normal_draws_are_those_of_the_normal_distribution():
    n = 3_000_000
    drawn = Noise(1).of("score", torch.arange(1000), CPU).normal(3, 1000).double()
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((drawn**power).mean()) - expected) < 4 * (variance / n) ** 0.5
    for size in (2, 3, 4):
        share = 2 * stats.norm.sf(size)
        assert abs(float((drawn.abs() > size).double().mean()) - share) < 4 * (share / n) ** 0.5


@pytest.mark.parametrize("width", [3, 10, 7 * 2**40])
def test_integers_are_uniform(width):
    found = Noise(0).of("score", torch.arange(1000), CPU).integers(-5, width - 5, 100) + 5
    counts = np.bincount((found if width < 100 else found // 2**40).flatten().numpy())
    assert len(counts) == (width if width < 100 else 7)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(("low", "high"), [(3, 3), (3, 2), (0, 2**63), (-(2**63), 1)])
def test_a_range_that_no_draw_can_fill_is_refused(low, high):
    with pytest.raises(ValueError, match="high must be above low"):
        Noise(0).of("score", torch.arange(2), CPU).integers(low, high)


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

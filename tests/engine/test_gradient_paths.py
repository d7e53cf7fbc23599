"""Gradient paths through a purifier of several steps, one that draws, and one that optimises."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import rbench
from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.testing.known_answers import NoiseDefence
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise


class Walk(nn.Module):
    """A toy of a diffusion purifier: every step is smooth, draws, and has wide layers inside."""

    stochastic = True

    def __init__(self, steps=4, width=8, seed=0):
        super().__init__()
        self.steps = steps
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.wide = nn.Conv2d(1, width, 3, padding=1)
            self.back = nn.Conv2d(width, 1, 3, padding=1)

    def stages(self, x, noise):
        def stage(draw):
            return lambda images: 0.9 * images + 0.1 * torch.sigmoid(self.back(torch.tanh(self.wide(images))) + draw)

        return [stage(noise.normal(*x.shape[1:])) for _ in range(self.steps)]

    def forward(self, x, *, noise):
        for stage in self.stages(x, noise):
            x = stage(x)
        return x


class Drawn(nn.Module):
    """The same walk drawing as it goes, from the sample's noise: no stages."""

    stochastic = True

    def __init__(self, **params):
        super().__init__()
        self.walk = Walk(**params)

    def forward(self, x, *, noise):
        for _ in range(self.walk.steps):
            (stage,) = Walk.stages(_One(self.walk), x, noise)
            x = stage(x)
        return x


class _One:
    def __init__(self, walk):
        self.steps, self.wide, self.back = 1, walk.wide, walk.back


class Global(nn.Module):
    """Noise from torch's global generator, which rbench seeds around the call."""

    stochastic = True

    def forward(self, x):
        return (x + 0.1 * torch.randn_like(x)).clamp(0, 1) ** 2


class Net(nn.Module):
    def __init__(self, side=8, classes=5):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.layers = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * side**2, classes)
            )

    def forward(self, x):
        return self.layers(x)


def images(n=3, side=8):
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(1))


def ask(purifier, path, x, eot=1, **params):
    model = DefendedModel(purifier, Net(x.shape[2]))
    y, ids = torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x))
    return Oracle(model, path, eot=eot, noise=Noise(5)).gradient(
        Batch(x, y, ids), torch.zeros(len(x), dtype=torch.int64), "ce"
    )


@pytest.mark.parametrize("purifier", [Walk(), Drawn(), NoiseDefence(), Global()], ids=lambda made: type(made).__name__)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("eot", [1, 3])
def test_the_checkpointed_path_is_the_exact_one_bit_for_bit(purifier, batch, eot):
    x = images(batch)
    exact, checkpointed = (ask(purifier, path, x, eot) for path in ("exact", "checkpointed"))
    assert torch.equal(exact.logits, checkpointed.logits)
    assert exact.gradient.abs().max() > 0
    assert torch.equal(exact.gradient, checkpointed.gradient)


class Private(Walk):
    """Draws inside a stage from a generator of its own: replayed, it would draw something else."""

    def stages(self, x, noise):
        generator = torch.Generator().manual_seed(int(noise.integers(0, 1000)[0]))

        def stage(images):
            return torch.sin(images * (1 + 20 * torch.rand(images.shape, generator=generator)))

        return [stage] * self.steps


def test_why_noise_is_drawn_before_the_stages():
    """The image is right and the gradient wrong, with no error: what a private generator does to a checkpoint."""
    x = images(3)
    exact, replayed = (ask(Private(steps=1), path, x) for path in ("exact", "checkpointed"))
    assert torch.equal(exact.logits, replayed.logits)
    cosine = torch.cosine_similarity(exact.gradient.flatten(1), replayed.gradient.flatten(1))
    assert (cosine < 0.9).all()


def test_auto_takes_the_stages_of_a_purifier_that_has_some_and_says_so():
    x, y = images(4), torch.zeros(4, dtype=torch.int64)
    assert rbench.evaluate(Net(), x, y, purifier=Walk(), steps=2, eot=2).gradient == "checkpointed"
    assert rbench.evaluate(Net(), x, y, purifier=NoiseDefence(), steps=2, eot=2).gradient == "exact"


def test_a_verdict_is_the_same_on_both_paths():
    x, y = images(6), Net()(images(6)).argmax(1)
    given = {"purifier": Walk(), "steps": 6, "eot": 2, "draws": 4, "eps": 0.1}
    exact, checkpointed = (rbench.evaluate(Net(), x, y, gradient=path, **given) for path in ("exact", "checkpointed"))
    assert exact.result_hash == checkpointed.result_hash
    assert torch.equal(exact.adversarial, checkpointed.adversarial)
    assert checkpointed.gradient == "checkpointed"
    assert exact.cost == checkpointed.cost


PEAK = """
import sys, torch
from pathlib import Path
sys.path.insert(0, "tests/engine")
from test_gradient_paths import Walk, ask, images
def highest():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
torch.set_num_threads(1)
path, steps = sys.argv[1], int(sys.argv[2])
x = images(2, 64)
ask(Walk(steps=1, width=128), path, x)
before = highest()
ask(Walk(steps=steps, width=128), path, x)
print(highest() - before)
"""


def peak(path, steps):
    """KiB by which the highest resident set grew over that of one step."""
    done = subprocess.run([sys.executable, "-c", PEAK, path, str(steps)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_memory_of_the_checkpointed_path_does_not_grow_with_the_steps():
    """Between stages an image of 32 KiB is kept; inside one, two layers of 4 MiB and more."""
    short, long, plain = peak("checkpointed", 10), peak("checkpointed", 40), peak("exact", 40)
    assert plain > 150_000
    assert short < plain / 6
    assert long < plain / 6
    assert long - short < plain / 10


def test_the_checkpointed_path_costs_one_more_forward_pass_and_no_backward_pass():
    """(2 f + b) / (f + b) of the time, with b about 2 f; `make bench` holds the seconds to it."""
    passes = {path: layer_passes(Walk(steps=20), path) for path in ("exact", "checkpointed")}
    assert passes["exact"]["backward"] == passes["checkpointed"]["backward"] == 20
    assert passes["exact"]["forward"] == 20
    assert passes["checkpointed"]["forward"] == 2 * 20


def layer_passes(walk, path):
    """How often the layer inside the stages is passed to get one gradient."""
    passes = {"forward": 0, "backward": 0}

    def forward(*_):
        passes["forward"] += 1

    def backward(*_):
        passes["backward"] += 1

    walk.wide.register_forward_hook(forward)
    walk.wide.register_full_backward_hook(backward)
    ask(walk, path, images(2))
    return passes

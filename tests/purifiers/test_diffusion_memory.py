"""What the exact gradient through the shipped diffusion purifier takes: memory at 10 and at 40 denoising steps, and time."""

import subprocess
import sys
from pathlib import Path

import pytest

SPENT = """
import sys, time, torch
from pathlib import Path
from rbench.engine.defended import DefendedModel
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise
from rbench.engine.oracle import Oracle
from rbench.purifiers.diffpure import diffpure
from torch import nn
def highest():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
torch.set_num_threads(1)
path, steps = sys.argv[1], int(sys.argv[2])
x, ids = torch.rand(8, 1, 28, 28), torch.arange(8)
def ask(steps):
    model = DefendedModel(diffpure(weights="bundled:fashion-ddpm", steps=steps), nn.Flatten())
    return Oracle(model, path, eot=1, noise=Noise(0)).gradient(Batch(x, ids, ids), ids, "ce")
ask(1)
before, began = highest(), time.process_time()
ask(steps)
print(highest() - before, time.process_time() - began)
"""


def spent(path, steps):
    """KiB by which the highest resident set grew over that of one step, and seconds of processor time."""
    done = subprocess.run([sys.executable, "-c", SPENT, path, str(steps)], capture_output=True, text=True, check=True)
    memory, seconds = done.stdout.split()
    return int(memory), float(seconds)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_forty_denoising_steps_take_the_memory_of_ten_and_at_most_1_7_times_the_time_of_plain_backward():
    short, _ = spent("checkpointed", 10)
    pairs = [(spent("checkpointed", 40), spent("exact", 40)) for _ in range(2)]
    long, plain = (min(pair[side][0] for pair in pairs) for side in (0, 1))
    assert plain > 300_000
    assert long - short < plain / 20
    assert long < plain / 5
    assert min(ours[1] / theirs[1] for ours, theirs in pairs) <= 1.7

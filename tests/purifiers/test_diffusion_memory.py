"""What the exact gradient through the shipped diffusion purifier takes: memory at 5 and 20 denoising steps, and network passes."""

import subprocess
import sys
from pathlib import Path

import pytest

SPENT = """
import sys, torch
from pathlib import Path
from rbench.engine.defended import DefendedModel
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise
from rbench.engine.oracle import Oracle
from rbench.networks.unet import UNet
from rbench.purifiers.diffpure import diffpure
from torch import nn
def highest():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
torch.set_num_threads(1)
path, steps = sys.argv[1], int(sys.argv[2])
x, ids = torch.rand(4, 1, 28, 28), torch.arange(4)
passes, forward = [], UNet.forward
UNet.forward = lambda *given: (passes.append(1), forward(*given))[1]
def ask(steps):
    model = DefendedModel(diffpure(weights="bundled:fashion-ddpm", steps=steps), nn.Flatten())
    return Oracle(model, path, eot=1, noise=Noise(0)).gradient(Batch(x, ids, ids), ids, "ce")
ask(1)
before = highest()
passes.clear()
ask(steps)
print(highest() - before, len(passes))
"""


def spent(path, steps):
    """KiB by which the highest resident set grew over that of one step, and passes forward through the network."""
    done = subprocess.run([sys.executable, "-c", SPENT, path, str(steps)], capture_output=True, text=True, check=True)
    memory, passes = done.stdout.split()
    return int(memory), int(passes)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_twenty_denoising_steps_take_the_memory_of_five_and_one_more_pass_forward_than_plain_backward():
    (short, _), (long, passes), (plain, once) = spent("checkpointed", 5), spent("checkpointed", 20), spent("exact", 20)
    assert plain > 75_000
    assert long - short < plain / 20
    assert long < plain / 4
    assert (passes, once) == (2 * 20, 20)

"""What checkpointed gradients cost in processor time, against plain backward passes: the shipped diffusion purifier, beside the bar.

    python bench/checkpointing.py [--steps 20] [--images 8] [--runs 5]

One more forward pass is (2 f + b) / (f + b) of the time, with b about 2 f. The median of pairs taken in turn, on one thread.
Ends with 1 above the bar.
"""

import argparse
import statistics
import sys
import time

import torch
from bars import held
from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.engine.oracle import Oracle
from rbench.purifiers.diffpure import diffpure
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

BAR = 1.7


def main() -> int:
    """Times both paths; 1 if checkpointing is above its bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.rand(wanted.images, 1, 28, 28)
    model = DefendedModel(diffpure(weights="bundled:fashion-ddpm", steps=wanted.steps), nn.Flatten())
    ratios = [seconds(model, "checkpointed", x) / seconds(model, "exact", x) for _ in range(wanted.runs)]
    what = f"checkpointed against plain backward, {wanted.steps} denoising steps"
    return int(not held(what, statistics.median(ratios), BAR, "x"))


def seconds(model: DefendedModel, path: str, x: torch.Tensor) -> float:
    """Processor seconds of one gradient."""
    ids = torch.arange(len(x))
    start = time.process_time()
    Oracle(model, path, eot=1, noise=Noise(0)).gradient(Batch(x, ids, ids), ids, "ce")
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())

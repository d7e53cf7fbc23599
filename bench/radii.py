"""Finds the radii of `bench.models.RADII`: for each model and share, one at which about that share survives targeted APGD.

python -m bench.radii [--models abcde] [--cifar FILE.parquet]
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

from bench.attacks import attacked, readied
from bench.budgets import SHARES
from bench.models import NAMES, model_of
from bench.rows import MissingPartError
from rbench.attacks.apgd import apgd
from rbench.engine.setup import Setup
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch

HALVINGS = 7
BETWEEN: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys("abc", (1e-4, 0.5)),
    "d": (1e-3, 0.03),
    "e": (1e-6, 1e-3),
}
"""Radii between which those of a model lie."""
EFFORT: Mapping[str, tuple[int, int, int]] = {
    "a": (64, 20, 3),
    "b": (64, 20, 3),
    "c": (64, 20, 3),
    "d": (32, 10, 3),
    "e": (8, 3, 1),
}
"""Images, steps and targets by model."""
SPARE = 1.4
"""The radius at which nothing survives is this much above the least one that was found."""


def found(
    share: float, survive: Callable[[float], float], between: tuple[float, float], halvings: int = HALVINGS
) -> float:
    """A radius of two digits at which about a share survives.

    Args:
        share: 0 to 1.
        survive: the share that survives at a radius, which falls with it.
        between: radii at which nearly all and hardly any survive.
        halvings: of the way between radii, on a logarithmic scale.
    """
    low, high = between
    for _ in range(halvings):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if survive(middle) > share else (low, middle)
    return float(f"{high * (1 if share else SPARE):.2g}")


def surviving(setup: Setup, clean: Batch, eps: float) -> float:
    """The share that survives the attack in a ball of another radius; nothing else of the set-up hangs on it."""
    there = replace(setup, judge=replace(setup.judge, ball=Ball("Linf", eps)))
    return 1 - float(attacked(there, clean).claimed.float().mean())


def main() -> int:
    """Prints a line a model."""
    parser = argparse.ArgumentParser(prog="python -m bench.radii", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default="".join(NAMES))
    parser.add_argument("--cifar", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for letter in given.models:
        try:
            images, steps, targets = EFFORT[letter]
            model = model_of(letter, images, given.cifar)
        except MissingPartError as error:
            sys.stdout.write(f"{letter}: {error}\n")
            continue
        setup = readied(model, apgd(steps=steps, loss="dlr-targeted", targets=targets), BETWEEN[letter][1])
        survive = cache(partial(surviving, setup, model.clean))
        radii = {share: found(float(share), survive, BETWEEN[letter]) for share in SHARES}
        shares = {share: round(survive(eps), 2) for share, eps in radii.items()}
        sys.stdout.write(f'    "{letter}": {radii},  # {shares}\n')
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

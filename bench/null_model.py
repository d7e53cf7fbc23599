"""What an attack costs outside model and autograd: microseconds an image and step on a linear layer over 16 pixels, which nobody leaves."""

import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.attacks import Own, Side, own, readied
from bench.budgets import Budget
from bench.counting import Counting
from bench.models import Model
from bench.references import perturb_of, seeded
from bench.rows import MissingPartError, Row, Terms
from rbench.purifiers.identity import Identity
from rbench.threat.batch import Batch

IMAGES, STEPS, QUICK_STEPS, RUNS = 32, 200, 100, 7
EPS = 1e-6
REFERENCE = {"pgd": "torchattacks", "apgd": "pyautoattack", "square": "pyautoattack"}


def rows(terms: Terms) -> Iterator[Row]:
    """A row an attack."""
    steps = QUICK_STEPS if terms.quick else STEPS
    for attack in REFERENCE:
        yield Row(f"null/{attack}", partial(measured, attack, steps))


def null_model() -> Model:
    """A linear layer whose answers no point of a tiny ball changes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(IMAGES, 1, 4, 4, generator=generator) * 0.6 + 0.2
    linear = nn.Linear(16, 10)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(10, 16, generator=generator))
        linear.bias.zero_()
    network = nn.Sequential(nn.Flatten(), linear)
    return Model(
        "null",
        Identity(),
        network.requires_grad_(requires_grad=False),
        Batch(x, network(x).argmax(1), torch.arange(IMAGES)),
    )


def measured(attack: str, steps: int) -> dict[str, Any]:
    """Microseconds of both, median of several runs in turn."""
    model, budget = null_model(), Budget(pgd=steps, steps=steps, queries=steps)
    sides = {"rbench": Own(readied(model, own(attack, budget), EPS), model.clean).side}
    figures: dict[str, Any] = {"attack": attack, "steps": steps, "images": IMAGES, "reference": REFERENCE[attack]}
    try:
        perturb = seeded(perturb_of(REFERENCE[attack], attack))
        counting = Counting(model.bare).eval()
        run = partial(perturb, counting, model.clean.x, model.clean.y, EPS, budget)
        sides["their"] = Side(run, ((counting, model.bare),))
    except MissingPartError as error:
        figures["why"] = str(error)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(RUNS):
        for name, side in sides.items():
            one = side.take(model.clean.x, time.process_time)
            taken[name].append((one.seconds - one.alone) / IMAGES / steps * 1e6)
    return figures | {name: statistics.median(values) for name, values in taken.items()}

"""How time grows: with images, draws an image, batch size and planned cells."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.attacks import attacked
from bench.models import RADII, model_of
from bench.rows import Row, Terms
from rbench.attacks.pgd import pgd
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.engine.setup import Protocol, Setup, set_up
from rbench.purifiers.gaussian_noise import GaussianNoise
from rbench.purifiers.identity import Identity
from rbench.threat.ball import Ball

IMAGES, BATCHES = (32, 64, 128, 256, 512), (1, 4, 16, 32, 64, 128)
DRAWS, CELLS = (1, 2, 4, 8, 16, 32), (50, 200, 500, 1000)
RUNS, SHARE = 3, "0.65"


def rows(terms: Terms) -> Iterator[Row]:
    """A row a point of each curve."""
    few = 2 if terms.quick else None
    for images in IMAGES[:few]:
        yield Row(f"growth/images/{images}", partial(attack_alone, images=images, batch=64))
    for batch in BATCHES[:: 2 if terms.quick else 1]:
        yield Row(f"growth/batch/{batch}", partial(attack_alone, images=64 if terms.quick else 128, batch=batch))
    for draws in DRAWS[:: 2 if terms.quick else 1]:
        yield Row(f"growth/eot/{draws}", partial(averaged, draws, steps=4 if terms.quick else 10))
    for cells in (CELLS[0], CELLS[-1]) if terms.quick else CELLS:
        yield Row(f"growth/cells/{cells}", partial(planned, cells))


def attack_alone(*, images: int, batch: int) -> dict[str, Any]:
    """PGD of 40 steps on model b without audit and judging."""
    model = model_of("b", images)
    ball = Ball("Linf", RADII["b"][SHARE])
    setup = set_up(DefendedModel(model.purifier, model.backbone), pgd(), Protocol(ball, batch_size=batch), model.clean)
    seconds = _median(lambda: attacked(setup, model.clean))
    return {"images": images, "batch": batch, "seconds": seconds, "ms": seconds / images * 1e3}


def averaged(draws: int, *, steps: int) -> dict[str, Any]:
    """PGD on model a behind Gaussian noise, with the mean of some draws for a gradient."""
    model = model_of("a", 32)
    protocol = Protocol(Ball("Linf", 0.02), eot=draws, batch_size=32)
    defended = DefendedModel(GaussianNoise(sigma=0.1), model.backbone)
    setup: Setup = set_up(defended, pgd(steps=steps), protocol, model.clean)
    seconds = _median(lambda: attacked(setup, model.clean), runs=1 if draws > 4 else RUNS)
    ms = seconds / len(model.clean) * 1e3
    return {"draws": draws, "steps": steps, "seconds": seconds, "ms": ms, "ms a draw": ms / draws}


def planned(cells: int) -> dict[str, Any]:
    """Processor seconds of `rbench plan` of a suite of some cells, and of making as many ready with two radii and one defended model."""
    with tempfile.TemporaryDirectory() as scratch:
        suite = Path(scratch) / "cells.yaml"
        suite.write_text(suite_of(cells), encoding="utf-8")
        least, found = min(_plan(suite) for _ in range(RUNS))
    assert found == cells, f"the suite has {found} cells"
    model = model_of("b", 64)
    defended, audits = DefendedModel(Identity(), model.backbone), Audits()
    radii = [RADII["b"][SHARE] * factor for factor in (1, 2)]
    start, first = time.process_time(), 0.0
    for number in range(cells):
        protocol = Protocol(Ball("Linf", radii[number % 2]))
        set_up(defended, pgd(steps=number // 2 + 1), protocol, model.clean, audits=audits)
        first = first or time.process_time() - start
    whole = time.process_time() - start
    further = (whole - first) / (cells - 1) * 1e3
    return {"cells": cells, "plan": least, "audit": whole, "first audit": first, "ms a cell": further}


def suite_of(cells: int) -> str:
    """A suite of some cells, a multiple of 10: two radii, five attacks, and purifiers, of which the identity comes by itself."""
    purifiers = ", ".join(
        f"{{name: jpeg, quality: {number % 100 + 1}, as: jpeg-{number}}}" for number in range(cells // 10 - 1)
    )
    attacks = ", ".join(f"{{name: pgd, steps: {number + 1}, as: pgd-{number}}}" for number in range(5))
    return (
        "suite: cells\ndataset: {name: fashion-mnist-mini, samples: 8}\nthreat: {norm: Linf, eps: [8/255, 4/255]}\n"
        f"backbones: [bundled:fashion-cnn]\npurifiers: [{purifiers}]\nattacks: [{attacks}]\n"
    )


def _plan(suite: Path) -> tuple[float, int]:
    """Processor seconds from the start of the interpreter, and the cells that it found."""
    code = (
        "import json, sys, time\nfrom rbench.cli.main import main\ntry:\n main(['plan', sys.argv[1], '--json'])\n"
        "except SystemExit as done:\n assert not done.code, done.code\nprint()\nprint(json.dumps(time.process_time()))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(suite)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.rstrip()
    document, _, seconds = done.rpartition("\n")
    return float(seconds), len(json.loads(document)["cells"])


def _median(work: Callable[[], object], runs: int = RUNS) -> float:
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)

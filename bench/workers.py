"""Two workers against one: the same suite by `rbench run`, in turn, on the wall clock; the results must be the same."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.rows import MissingPartError, Row, Terms

SUITE = """\
suite: two
dataset: {{name: fashion-mnist-mini, samples: {samples}}}
threat: {{norm: Linf, eps: 0.1}}
backbones: [bundled:fashion-cnn-adversarial]
purifiers: [identity, {{name: median, window: 3}}, {{name: gaussian-blur, sigma: 0.5}}, {{name: bit-depth, bits: 5}}]
attacks:
  - {{name: pgd, steps: {steps}}}
  - {{name: apgd, steps: {steps}, loss: dlr-targeted, targets: 9, as: apgd-t}}
"""


def rows(terms: Terms) -> Iterator[Row]:
    """One row."""
    yield Row("workers/2", partial(measured, samples=32, steps=20, pairs=1) if terms.quick else partial(measured))


def measured(samples: int = 96, steps: int = 100, pairs: int = 3) -> dict[str, Any]:
    """Wall seconds with one and with two workers, and whether every result hash is the same."""
    if len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)) < 2:
        return {"missing": "one core"}
    taken: dict[int, list[float]] = {1: [], 2: []}
    found = set[str]()
    with tempfile.TemporaryDirectory() as scratch:
        suite = Path(scratch) / "two.yaml"
        suite.write_text(SUITE.format(samples=samples, steps=steps), encoding="utf-8")
        for pair in range(pairs):
            for count, seconds in taken.items():
                folder = Path(scratch) / f"{pair}-{count}"
                seconds.append(run(suite, folder, count))
                found.add(json.dumps(hashes(folder)))
    ratio = statistics.median(one / two for one, two in zip(taken[1], taken[2], strict=True))
    medians = {f"{count} worker": statistics.median(seconds) for count, seconds in taken.items()}
    return {"samples": samples, "pairs": pairs, **medians, "ratio": ratio, "same hashes": len(found) == 1, "cells": 8}


def run(suite: Path, folder: Path, count: int) -> float:
    """Wall seconds of `rbench run` with some workers.

    Raises:
        MissingPartError: it failed.
    """
    command = [sys.executable, "-m", "rbench", "run", str(suite), "--out", str(folder), "--workers", str(count)]
    start = time.monotonic()
    done = subprocess.run([*command, "--device", "cpu", "--threads", "1"], capture_output=True, text=True)
    if done.returncode:
        raise MissingPartError(done.stderr.strip().splitlines()[-1])
    return time.monotonic() - start


def hashes(folder: Path) -> list[str]:
    """The result hash of every cell, by its id."""
    return [json.loads(path.read_text())["result_hash"] for path in sorted((folder / "records").glob("*.json"))]
